#include "consensus/raft/types.h"

#include <gtest/gtest.h>

#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

Message From2(uint64_t term, MessageBody body) {
  return {NodeId{2}, NodeId{1}, Term{term}, std::move(body)};
}

SnapshotId MakeSnapshot(uint64_t index, uint64_t term, uint64_t bytes) {
  return {{Index{index}, Term{term}, ClusterTime{0}}, bytes, 0};
}

SnapshotChunk MakeChunk(uint64_t term, uint64_t total, uint64_t offset, size_t bytes) {
  return {MakeSnapshot(7, term, total), offset, std::string(bytes, 's')};
}

TEST(IsWellFormed, AcceptsWhatACorrectMemberSends) {
  EXPECT_TRUE(IsWellFormed(From2(3, MakeAppend(0, 0, MakeEntries(1, {1, 1, 3})))));
  EXPECT_TRUE(IsWellFormed(From2(3, MakeAppend(7, 2))));
  EXPECT_TRUE(IsWellFormed(
      From2(3, MakeAppend(0, 0, {MakeConfigurationEntry(1, 1, MakeConfiguration({1, 2}))}))));
  EXPECT_TRUE(IsWellFormed(From2(0, VoteRequest{true, Term{1}, Index{0}, Term{0}})));
  EXPECT_TRUE(IsWellFormed(From2(0, VoteReply{true, Term{1}, true})));
  EXPECT_TRUE(IsWellFormed(From2(1, VoteRequest{false, Term{1}, Index{0}, Term{0}})));
  EXPECT_TRUE(IsWellFormed(From2(3, MakeAccepted(2, 2))));
  EXPECT_TRUE(IsWellFormed(From2(3, VoteRequest{false, Term{3}, Index{1}, Term{1}, true})));
  EXPECT_TRUE(IsWellFormed(From2(3, TimeoutNow{})));
  EXPECT_TRUE(IsWellFormed(From2(3, MakeChunk(3, 100, 0, 100))));
  EXPECT_TRUE(IsWellFormed(From2(3, MakeChunk(2, 100, 99, 1))));
  EXPECT_TRUE(IsWellFormed(From2(3, MakeChunk(3, 0, 0, 0))));
  EXPECT_TRUE(IsWellFormed(From2(3, MakeChunk(3, 100, 50, 0)))) << "a question";
  EXPECT_TRUE(IsWellFormed(From2(3, SnapshotChunkReply{MakeSnapshot(7, 3, 100), 100, true})));
}

TEST(IsWellFormed, RefusesWhatNoneSends) {
  struct {
    const char* what;
    Message message;
  } rows[] = {
      {"a gap", From2(3, MakeAppend(0, 0, {MakeEntry(1, 1), MakeEntry(1, 3)}))},
      {"a gap after prev", From2(3, MakeAppend(2, 1, {MakeEntry(1, 4)}))},
      {"an entry that repeats prev", From2(3, MakeAppend(2, 1, {MakeEntry(1, 2)}))},
      {"terms that go back", From2(3, MakeAppend(0, 0, MakeEntries(1, {2, 1})))},
      {"a term below prev", From2(3, MakeAppend(2, 2, MakeEntries(3, {1})))},
      {"an entry above the sender's term", From2(3, MakeAppend(0, 0, MakeEntries(1, {4})))},
      {"prev above the sender's term", From2(3, MakeAppend(5, 4))},
      {"an entry of term 0", From2(3, MakeAppend(0, 0, MakeEntries(1, {0})))},
      {"times that go back",
       From2(3, MakeAppend(0, 0, {MakeEntry(1, 1, "a", 5), MakeEntry(1, 2, "b", 4)}))},
      {"a configuration that is none",
       From2(3, MakeAppend(0, 0, {MakeConfigurationEntry(1, 1, MakeConfiguration({2, 1}))}))},
      {"a compacted prev as term 0", From2(3, MakeAppend(5, 0))},
      {"a term before the first entry", From2(3, MakeAppend(0, 1))},
      {"an append of term 0", From2(0, MakeAppend(0, 0))},
      {"a vote for another term", From2(3, VoteRequest{false, Term{4}, Index{1}, Term{1}})},
      {"a pre-vote for the current term", From2(3, VoteRequest{true, Term{3}, Index{1}, Term{1}})},
      {"a log above the term", From2(3, VoteRequest{false, Term{3}, Index{1}, Term{4}})},
      {"an acknowledgement below prev", From2(3, MakeAccepted(2, 1))},
      {"a pre-vote of a transfer", From2(3, VoteRequest{true, Term{4}, Index{1}, Term{1}, true})},
      {"an order to campaign of term 0", From2(0, TimeoutNow{})},
      {"a piece beyond the snapshot's end", From2(3, MakeChunk(3, 100, 99, 2))},
      {"a piece so far out that its end wraps", From2(3, MakeChunk(3, 100, UINT64_MAX, 2))},
      {"a question beyond the snapshot's end", From2(3, MakeChunk(3, 100, 101, 0))},
      {"a snapshot above the term", From2(3, MakeChunk(4, 100, 0, 1))},
      {"a snapshot of no term", From2(3, MakeChunk(0, 100, 0, 1))},
      {"a snapshot of nothing", From2(3, SnapshotChunk{MakeSnapshot(0, 3, 100), 0, "x"})},
      {"more than there is", From2(3, SnapshotChunkReply{MakeSnapshot(7, 3, 100), 101, false})},
      {"an answer about a snapshot above the term",
       From2(3, SnapshotChunkReply{MakeSnapshot(7, 4, 100), 1, false})},
  };
  for (const auto& row : rows) {
    EXPECT_FALSE(IsWellFormed(row.message)) << row.what;
    Member member(1, {1});
    member.raft.Step(row.message);
    EXPECT_FALSE(member.raft.HasReady()) << row.what;
  }
}

TEST(Step, IgnoresMessagesForOthersAndFromItself) {
  Member member(1, {1});
  member.raft.Step({NodeId{2}, NodeId{3}, Term{5}, Heartbeat{}});
  member.raft.Step({NodeId{1}, NodeId{1}, Term{5}, Heartbeat{}});
  EXPECT_FALSE(member.raft.HasReady());
  EXPECT_EQ(member.raft.term(), Term{1});
}

}  // namespace
}  // namespace lockd::raft
