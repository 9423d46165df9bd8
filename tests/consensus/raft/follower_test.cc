#include "consensus/raft/follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

AppendReply TheReply(Member& member) {
  const auto replies = Only<AppendReply>(member.Take());
  LOCKD_CHECK(replies.size() == 1, replies.size(), " replies");
  return replies[0];
}

TEST(Follower, TakesEntriesAndAcknowledgesThem) {
  Member member(2, {1});
  member.Receive(1, 1, MakeAppend(1, 1, MakeEntries(2, {1, 1}), 2, 9));
  const AppendReply reply = TheReply(member);
  EXPECT_EQ(reply, MakeAccepted(1, 3, 9));
  EXPECT_EQ(member.raft.commit_index(), Index{2});
  EXPECT_EQ(member.applied.size(), 2u);
  EXPECT_EQ(member.raft.leader_id(), NodeId{1});
}

//
//   leader     1 1 2          sends an empty append at (1,2), commit 4
//   follower   1 1 1 1        has entries beyond, of no leader of this term
TEST(Follower, AcknowledgesOnlyWhatTheMessageProves) {
  Member member(2, {1, 1, 1, 1});
  member.Receive(1, 2, MakeAppend(2, 1, {}, 4));
  const AppendReply reply = TheReply(member);
  EXPECT_EQ(reply.match_index, Index{2});
  EXPECT_EQ(member.raft.commit_index(), Index{2});
  EXPECT_EQ(member.raft.last_index(), Index{4});
}

// an old append says nothing about what came after it.
TEST(Follower, AShortOldAppendDoesNotTruncate) {
  Member member(2, {1, 1, 1, 1, 1});
  member.Receive(1, 1, MakeAppend(2, 1, MakeEntries(3, {1})));
  EXPECT_EQ(TheReply(member).match_index, Index{3});
  EXPECT_EQ(member.raft.last_index(), Index{5});
}

TEST(Follower, ReplacesAConflictingSuffix) {
  Member member(2, {1, 1, 2, 2});
  member.Receive(1, 3, MakeAppend(2, 1, MakeEntries(3, {3})));
  const Ready ready = member.TakeReady();
  ASSERT_TRUE(ready.write.has_value());
  EXPECT_EQ(ready.write->entries, MakeEntries(3, {3}));
  EXPECT_EQ(member.raft.last_index(), Index{3});
}

// Rows of the paper's figure 7: the leader's log is 1 1 1 4 4 5 5 6 6 6, it sends (6,11) of its
// term 8 after (6,10). The hint is where the next try goes.
TEST(Follower, HintsAtTheLastEntryThatCouldMatch) {
  struct {
    const char* what;
    std::vector<uint64_t> log;
    uint64_t hint_index, hint_term;
  } rows[] = {
      {"a: one short", {1, 1, 1, 4, 4, 5, 5, 6, 6}, 9, 6},
      {"b: far behind", {1, 1, 1, 4}, 4, 4},
      {"e: a longer end of term 4", {1, 1, 1, 4, 4, 4, 4}, 7, 4},
      {"f: terms that the leader never saw", {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3}, 10, 3},
      {"an end of a later term", {1, 1, 1, 4, 4, 5, 5, 7, 7, 7, 7}, 7, 5},
      {"empty", {}, 0, 0},
  };
  for (const auto& row : rows) {
    Member member(2, row.log);
    member.Receive(1, 8, MakeAppend(10, 6, MakeEntries(11, {8})));
    EXPECT_EQ(TheReply(member), MakeRefused(10, row.hint_index, row.hint_term)) << row.what;
    EXPECT_EQ(member.raft.last_index().value(), row.log.size()) << row.what;
  }
}

TEST(Follower, NeverHintsBelowItsCommitIndex) {
  Member member(2, MakeLog({1, 1, 3, 3, 3}, 2));
  member.Receive(1, 4, MakeAppend(4, 2));
  EXPECT_EQ(TheReply(member), MakeRefused(4, 2, 1));
}

// the vote belongs to the term, not to the role.
TEST(Follower, KeepsItsVoteWhenAnAppendOfTheSameTermDoesNotMatch) {
  Member member(2, {1});
  member.Receive(1, 3, VoteRequest{false, Term{3}, Index{1}, Term{1}});
  EXPECT_TRUE(Only<VoteReply>(member.Take()).at(0).granted);
  member.Receive(1, 3, MakeAppend(7, 2));
  EXPECT_FALSE(TheReply(member).accepted);
  EXPECT_EQ(member.raft.voted_for(), NodeId{1});
  member.raft.Tick(30);  // the lease of the leader is over
  member.Receive(3, 3, VoteRequest{false, Term{3}, Index{9}, Term{2}});
  EXPECT_FALSE(Only<VoteReply>(member.Take()).at(0).granted);
}

// R-01 for a candidate that gives way to the winner of its own term.
TEST(Follower, ACandidateThatGivesWayKeepsItsVote) {
  Member member(2, {1});
  member.raft.Campaign();
  member.Take();
  member.Receive(3, 1, VoteReply{true, Term{2}, true});
  member.Take();
  ASSERT_EQ(member.raft.role(), Role::kCandidate);
  member.Receive(1, 2, Heartbeat{});
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_EQ(member.raft.leader_id(), NodeId{1});
  EXPECT_EQ(member.raft.voted_for(), NodeId{2});
}

// node 1 led in term 2 and leads again in term 5. A message of term 2 that arrives now is
// answered in term 5; with its round echoed, the answer would confirm a round of term 5.
TEST(Follower, AnswersALeaderOfAnEarlierTermWithoutItsRound) {
  Member member(2, {1, 1, 5});
  member.Receive(1, 2, Heartbeat{Index{1}, 7});
  EXPECT_THAT(Only<HeartbeatReply>(member.Take()), ElementsAre(HeartbeatReply{0}));
  member.Receive(1, 2, MakeAppend(2, 1, {}, 0, 7));
  EXPECT_THAT(Only<AppendReply>(member.Take()),
              ElementsAre(testing::Field(&AppendReply::round, 0)));
}

TEST(Follower, AnswersHeartbeatsBeforeAnythingIsDurable) {
  Member member(2, {1});
  member.Receive(1, 5, Heartbeat{Index{1}, 7});
  const Ready ready = member.TakeReady(TakeWrite::kNo);
  EXPECT_THAT(Only<HeartbeatReply>(ready.messages), ElementsAre(HeartbeatReply{7}));
  EXPECT_EQ(member.raft.commit_index(), Index{1});
}

// A leader of an earlier term must learn that its time is over, else this member is lost for it.
TEST(Follower, AnswersAStaleLeaderWithItsOwnTerm) {
  Member member(2, {5});
  member.Receive(1, 4, Heartbeat{Index{0}, 3});
  member.Receive(1, 4, MakeAppend(0, 0));
  const auto sent = member.Take();
  ASSERT_EQ(sent.size(), 2u);
  for (const Message& message : sent) EXPECT_EQ(message.term, Term{5});
  EXPECT_EQ(member.raft.leader_id(), NodeId{0});
}

TEST(Follower, CampaignsStrictlyAfterTheLeaseOfItsLeader) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Member member(2, std::vector<uint64_t>{1}, 3, [seed](Options& options) {
      options.seed = seed;
      options.election_ticks_min = 10;
      options.election_ticks_max = 12;
    });
    member.Receive(1, 1, Heartbeat{});
    uint64_t ticks = 0;
    while (member.raft.role() == Role::kFollower) {
      member.raft.Tick();
      ++ticks;
    }
    EXPECT_GT(ticks, 10u) << seed;
    EXPECT_LE(ticks, 12u) << seed;
  }
}

// nothing wraps in 400 days of ticks of 10 ms.
TEST(Follower, CountsTicksForYears) {
  Member member(2, {1});
  member.Receive(1, 1, Heartbeat{});
  const uint64_t year = 365ull * 24 * 3600 * 100;
  for (int i = 0; i < 4; ++i) {
    member.raft.Tick(year);
    EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
    member.Receive(1, 1, Heartbeat{});
    EXPECT_EQ(member.raft.role(), Role::kFollower);
    member.raft.Tick(29);
    EXPECT_EQ(member.raft.role(), Role::kFollower);
  }
}

// -- what must wait for the disk --

TEST(Durability, AnAcknowledgementLeavesWithTheWriteOfItsEntries) {
  Member member(2, {1});
  member.Receive(1, 1, MakeAppend(1, 1, MakeEntries(2, {1})));
  Ready ready = member.TakeReady();
  EXPECT_THAT(ready.messages, IsEmpty());
  ASSERT_TRUE(ready.write.has_value());
  EXPECT_THAT(Only<AppendReply>(ready.write->messages_once_durable),
              ElementsAre(MakeAccepted(1, 2)));
  EXPECT_EQ(member.raft.durable_index(), Index{1});
  member.Complete(*ready.write);
  EXPECT_EQ(member.raft.durable_index(), Index{2});
}

TEST(Durability, AnAcknowledgementOfWhatIsBeingWrittenLeavesAfterThatWrite) {
  Member member(2, {1});
  member.Receive(1, 1, MakeAppend(1, 1, MakeEntries(2, {1})));
  const Ready first = member.TakeReady();
  member.Receive(1, 1, MakeAppend(2, 1));  // asks again, nothing new to write
  EXPECT_FALSE(member.raft.HasReady());
  member.Complete(*first.write);
  EXPECT_THAT(Only<AppendReply>(member.TakeReady().messages), ElementsAre(MakeAccepted(2, 2)));
}

TEST(Durability, AnAcknowledgementOfWhatIsDurableLeavesAtOnce) {
  Member member(2, {1, 1});
  member.Receive(1, 1, MakeAppend(1, 1));
  EXPECT_THAT(Only<AppendReply>(member.TakeReady(TakeWrite::kNo).messages),
              ElementsAre(MakeAccepted(1, 1)));
}

// The entries are old, the term is not: an acknowledgement also promises not to follow an earlier
// leader any more.
TEST(Durability, AnAcknowledgementWaitsForTheTermToo) {
  Member member(2, {1, 1});
  member.Receive(1, 5, MakeAppend(2, 1));
  EXPECT_THAT(member.TakeReady(TakeWrite::kNo).messages, IsEmpty());
  const Ready ready = member.TakeReady();
  ASSERT_TRUE(ready.write.has_value());
  EXPECT_EQ(ready.write->hard_state, (HardState{Term{5}, NodeId{0}, Index{0}}));
  EXPECT_EQ(ready.write->messages_once_durable.size(), 1u);
}

TEST(Durability, AWriteThatIsPutOffGrows) {
  Member member(2, {1});
  member.Receive(1, 1, MakeAppend(1, 1, MakeEntries(2, {1}), 0, 1));
  EXPECT_FALSE(member.raft.HasReady(TakeWrite::kNo));
  EXPECT_TRUE(member.raft.TakeReady(TakeWrite::kNo).empty());
  member.Receive(1, 1, MakeAppend(2, 1, MakeEntries(3, {1, 1}), 0, 2));
  const Ready ready = member.TakeReady();
  ASSERT_TRUE(ready.write.has_value());
  EXPECT_EQ(ready.write->entries, MakeEntries(2, {1, 1, 1}));
  // The later acknowledgement says all that the earlier one would have said.
  EXPECT_THAT(Only<AppendReply>(ready.write->messages_once_durable),
              ElementsAre(MakeAccepted(2, 4, 2)));
}

// R-23 from the outside: while (1,2) is being written, a new leader replaces it.
TEST(Durability, ACompletionOfReplacedEntriesAcknowledgesNothing) {
  Member member(2, {1});
  member.Receive(1, 1, MakeAppend(1, 1, MakeEntries(2, {1})));
  const Ready first = member.TakeReady();
  member.Receive(3, 2, MakeAppend(1, 1, MakeEntries(2, {2})));
  const Ready second = member.TakeReady();
  member.Complete(*first.write);
  EXPECT_EQ(member.raft.durable_index(), Index{1});
  EXPECT_FALSE(member.raft.HasReady());
  EXPECT_THAT(Only<AppendReply>(second.write->messages_once_durable),
              ElementsAre(MakeAccepted(1, 2)));
  member.Complete(*second.write);
  EXPECT_EQ(member.raft.durable_index(), Index{2});
}

// What was promised to an old leader and never written must not be promised after the entries are
// gone.
TEST(Durability, PromisesOfAnEarlierTermThatHaveNotLeftAreDropped) {
  Member member(2, {1});
  member.Receive(1, 1, MakeAppend(1, 1, MakeEntries(2, {1})));
  EXPECT_TRUE(member.raft.TakeReady(TakeWrite::kNo).empty());
  member.Receive(3, 2, MakeAppend(1, 1, MakeEntries(2, {2})));
  const Ready ready = member.TakeReady();
  ASSERT_EQ(ready.write->messages_once_durable.size(), 1u);
  EXPECT_EQ(ready.write->messages_once_durable[0].to, NodeId{3});
  EXPECT_EQ(ready.write->messages_once_durable[0].term, Term{2});
}

TEST(Durability, TheCommitIndexRidesAlongAndIsNeverAboveWhatIsOnDisk) {
  Member member(2, {1});
  member.Receive(1, 1, MakeAppend(1, 1, MakeEntries(2, {1}), 2));
  EXPECT_EQ(member.raft.commit_index(), Index{2});
  const Ready first = member.TakeReady();
  EXPECT_EQ(first.write->hard_state->commit, Index{1});
  member.Complete(*first.write);
  EXPECT_FALSE(member.raft.HasReady());  // no write for the commit index alone
  member.Receive(1, 1, MakeAppend(2, 1, MakeEntries(3, {1}), 2));
  EXPECT_EQ(member.TakeReady().write->hard_state->commit, Index{2});
}

// -- applying --

// one entry at a time, applied and committed apart, nothing twice and nothing left out.
TEST(Applying, HandsOutOneBatchAtATimeWithinItsLimit) {
  Member member(2, MakeLog({1, 1, 1}), 3, [](Options& options) { options.apply_bytes_max = 1; });
  member.Receive(1, 1, Heartbeat{Index{3}, 0});
  std::vector<uint64_t> applied;
  while (member.raft.HasReady()) {
    const Ready ready = member.raft.TakeReady();
    if (ready.committed.empty()) continue;
    ASSERT_EQ(ready.committed.size(), 1u);
    applied.push_back(ready.committed[0].index.value());
    EXPECT_FALSE(member.raft.HasReady());  // not before it is applied
    member.raft.Applied(ready.committed[0].index);
    EXPECT_EQ(member.raft.commit_index(), Index{3});
  }
  EXPECT_THAT(applied, ElementsAre(1, 2, 3));
}

TEST(Applying, ReadsFromDiskWhatIsNotInMemoryAfterARestart) {
  RecoveredLog recovered = MakeLog({1, 1, 1, 1}, 3);
  recovered.tail.erase(recovered.tail.begin(), recovered.tail.begin() + 2);  // 3 and 4 stay
  Member member(2, std::move(recovered));
  ASSERT_TRUE(member.raft.HasReady());
  const Ready ready = member.TakeReady();
  ASSERT_EQ(ready.reads.size(), 1u);
  EXPECT_EQ(ready.reads[0].first, Index{1});
  EXPECT_EQ(ready.reads[0].last, Index{2});
  EXPECT_FALSE(member.raft.HasReady());
  member.raft.ReadCompleted(ready.reads[0].id, MakeEntries(1, {1}));  // stops early
  EXPECT_EQ(member.TakeReady().committed, MakeEntries(1, {1}));
  const Ready again = member.TakeReady();
  ASSERT_EQ(again.reads.size(), 1u);
  member.raft.ReadCompleted(again.reads[0].id, MakeEntries(2, {1}));
  EXPECT_EQ(member.TakeReady().committed, MakeEntries(2, {1}));
  EXPECT_EQ(member.TakeReady().committed, MakeEntries(3, {1}));
  EXPECT_EQ(member.raft.applied_index(), Index{3});
}

}  // namespace
}  // namespace lockd::raft
