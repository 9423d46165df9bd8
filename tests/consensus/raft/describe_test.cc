#include "consensus/raft/describe.h"

#include <gtest/gtest.h>

#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

Message From2(MessageBody body) {
  return {NodeId{2}, NodeId{1}, Term{3}, std::move(body)};
}

TEST(Describe, Entries) {
  EXPECT_EQ(Describe(MakeEntry(3, 17)), "(3,17) noop t=0");
  EXPECT_EQ(Describe(MakeEntry(3, 17, "a\n\"b", 250)), R"((3,17) command t=250 "a\n\"b")");
  EXPECT_EQ(Describe(MakeEntry(3, 17, std::string(50, 'x'))),
            "(3,17) command t=0 \"" + std::string(40, 'x') + "\"... 50B");
}

TEST(Describe, Messages) {
  struct {
    MessageBody body;
    const char* text;
  } rows[] = {
      {VoteRequest{true, Term{4}, Index{9}, Term{2}}, "pre-vote for=4 last=(2,9)"},
      {VoteRequest{false, Term{3}, Index{9}, Term{2}}, "vote for=3 last=(2,9)"},
      {VoteReply{true, Term{4}, true}, "pre-vote-reply for=4 granted"},
      {VoteReply{false, Term{3}, false}, "vote-reply for=3 refused"},
      {MakeAppend(16, 2, {MakeEntry(3, 17), MakeEntry(3, 18, "x", 5)}, 15, 4),
       "append prev=(2,16) commit=15 round=4 [(3,17) noop t=0, (3,18) command t=5 \"x\"]"},
      {MakeAppend(16, 2), "append prev=(2,16) commit=0 round=0 []"},
      {MakeAccepted(16, 18, 4), "append-reply accepted prev=16 match=18 round=4"},
      {MakeRefused(16, 9, 2), "append-reply refused prev=16 hint=(2,9) round=0"},
      {Heartbeat{Index{5}, 7}, "heartbeat commit=5 round=7"},
      {HeartbeatReply{7}, "heartbeat-reply round=7"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(Describe(From2(row.body)), std::string("2->1 t3 ") + row.text);
  }
}

TEST(Describe, AReadyHasOneLineForEachPart) {
  Ready ready;
  EXPECT_EQ(Describe(ready), "");
  ready.messages.push_back(From2(HeartbeatReply{7}));
  ready.write = WriteRequest{5,
                             HardState{Term{3}, NodeId{2}, Index{1}},
                             {MakeEntry(3, 17)},
                             {From2(MakeAccepted(16, 17))}};
  ready.committed.push_back(MakeEntry(3, 16));
  ready.reads.push_back({8, Index{1}, Index{4}, 100});
  ready.released_reads.push_back({11, true, Index{6}});
  ready.released_reads.push_back({12, false, Index{0}});
  EXPECT_EQ(Describe(ready),
            "send 2->1 t3 heartbeat-reply round=7\n"
            "write 5 term=3 vote=2 commit=1 [(3,17) noop t=0]\n"
            "  then send 2->1 t3 append-reply accepted prev=16 match=17 round=0\n"
            "apply (3,16) noop t=0\n"
            "read 8 entries=[1,4] bytes_max=100\n"
            "read-index 11 at=6\n"
            "read-index 12 lost\n");
}

TEST(Describe, TheStateOfAMember) {
  Member member(1, {1});
  EXPECT_EQ(Describe(member.raft),
            "node 1 follower term=1 vote=0 leader=0 log=[1,1] durable=1 commit=0 applied=0\n");
  member.Lead();
  EXPECT_EQ(Describe(member.raft),
            "node 1 leader term=2 vote=1 leader=1 log=[1,2] durable=2 commit=0 applied=0\n"
            "  node 2 probe match=0 next=2 inflight=0/0B\n"
            "  node 3 probe match=0 next=2 inflight=0/0B\n");
}

}  // namespace
}  // namespace lockd::raft
