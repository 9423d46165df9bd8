#include "consensus/raft/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

Message From2(MessageBody body) {
  return {NodeId{2}, NodeId{1}, Term{3}, std::move(body)};
}

constexpr SnapshotId kSnapshot{{Index{9}, Term{2}, ClusterTime{70}}, 50, 1};

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
      {VoteRequest{false, Term{3}, Index{9}, Term{2}, true}, "vote for=3 last=(2,9) transfer"},
      {TimeoutNow{}, "timeout-now"},
      {SnapshotChunk{kSnapshot, 40, "1234"}, "snapshot-chunk (2,9) of 50B bytes=[40,44)"},
      {SnapshotChunkReply{kSnapshot, 44, false}, "snapshot-reply (2,9) of 50B next=44"},
      {SnapshotChunkReply{kSnapshot, 50, true}, "snapshot-reply (2,9) of 50B next=50 installed"},
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
                             kSnapshot.base,
                             {MakeEntry(3, 17)},
                             {From2(MakeAccepted(16, 17))}};
  ready.committed.push_back(MakeEntry(3, 16));
  ready.reads.push_back({8, Index{1}, Index{4}, 100});
  ready.released_reads.push_back({11, true, Index{6}});
  ready.released_reads.push_back({12, false, Index{0}});
  ready.snapshot_chunks.push_back({NodeId{2}, SnapshotChunk{kSnapshot, 40, "1234"}});
  ready.snapshot_replies.push_back({NodeId{3}, SnapshotChunkReply{kSnapshot, 44, false}});
  EXPECT_EQ(Describe(ready),
            "send 2->1 t3 heartbeat-reply round=7\n"
            "write 5 term=3 vote=2 commit=1 base=(2,9) [(3,17) noop t=0]\n"
            "  then send 2->1 t3 append-reply accepted prev=16 match=17 round=0\n"
            "apply (3,16) noop t=0\n"
            "read 8 entries=[1,4] bytes_max=100\n"
            "read-index 11 at=6\n"
            "read-index 12 lost\n"
            "from 2: snapshot-chunk (2,9) of 50B bytes=[40,44)\n"
            "from 3: snapshot-reply (2,9) of 50B next=44\n");
}

TEST(Describe, AConfiguration) {
  const Configuration joint = MakeConfiguration({3, 4}, {1, 2, 3}, {5});
  EXPECT_EQ(Describe(MakeConfigurationEntry(3, 17, joint)),
            "(3,17) configuration t=0 voters=3,4 outgoing=1,2,3 learners=5");
  Entry entry = MakeConfigurationEntry(3, 17, joint);
  entry.payload = Encode({LeaveJoint(joint), std::string(91, 'p')});
  EXPECT_EQ(Describe(entry), "(3,17) configuration t=0 voters=3,4 learners=5 +91B");
  entry.payload = "what?";
  EXPECT_EQ(Describe(entry), "(3,17) configuration t=0 \"what?\"");

  RecoveredLog log = MakeLog({1, 1});
  Place(log, 2, joint);
  EXPECT_EQ(Describe(Member(1, std::move(log)).raft),
            "node 1 follower term=1 vote=0 leader=0 log=[1,2] durable=2 commit=0 applied=0\n"
            "  members of 2: voters=3,4 outgoing=1,2,3 learners=5\n");
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
  ASSERT_EQ(member.raft.TransferLeadership(NodeId{3}), TransferOutcome::kStarted);
  EXPECT_THAT(Describe(member.raft), ::testing::EndsWith("  hands over to node 3\n"));
  member.Receive(3, 2, MakeAccepted(1, 2));
  member.Take();
  EXPECT_THAT(Describe(member.raft),
              ::testing::EndsWith("  hands over to node 3, which is told\n"));
}

}  // namespace
}  // namespace lockd::raft
