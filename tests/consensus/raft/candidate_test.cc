// Elections: who votes for whom, what counts, and what must not be disturbed.

#include "consensus/raft/candidate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "tests/consensus/raft/group.h"
#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

VoteRequest MakeVote(uint64_t term, uint64_t last_index, uint64_t last_term) {
  return {false, Term{term}, Index{last_index}, Term{last_term}};
}
VoteRequest MakePreVote(uint64_t term, uint64_t last_index, uint64_t last_term) {
  return {true, Term{term}, Index{last_index}, Term{last_term}};
}
VoteReply Granted(uint64_t term) {
  return {false, Term{term}, true};
}
VoteReply Refused(uint64_t term) {
  return {false, Term{term}, false};
}
VoteReply PreGranted(uint64_t term) {
  return {true, Term{term}, true};
}

// Node 1 of three, candidate in term 2, its vote durable.
Member MakeCandidate() {
  Member member(1, std::vector<uint64_t>{1});
  member.raft.Campaign();
  member.Take();
  member.Receive(2, 1, PreGranted(2));
  member.Take();
  LOCKD_CHECK(member.raft.role() == Role::kCandidate);
  return member;
}

TEST(Election, AsksForAPreVoteFirst) {
  Member member(1, {1});
  member.raft.Tick(60);
  EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
  EXPECT_THAT(Only<VoteRequest>(member.Take()),
              ElementsAre(MakePreVote(2, 1, 1), MakePreVote(2, 1, 1)));
}

// neither at the one who asks nor at the one who answers.
TEST(Election, APreVoteChangesNoPersistentState) {
  Member asks(1, {1});
  asks.Receive(2, 5, MakeVote(5, 1, 1));
  asks.Take();
  ASSERT_EQ(asks.raft.voted_for(), NodeId{2});
  asks.raft.Campaign();
  EXPECT_FALSE(asks.raft.HasPendingWrite());
  asks.Take();
  EXPECT_EQ(asks.raft.term(), Term{5});
  EXPECT_EQ(asks.raft.voted_for(), NodeId{2});
  asks.Receive(3, 5, MakeVote(5, 1, 1));
  EXPECT_THAT(Only<VoteReply>(asks.Take()), ElementsAre(Refused(5)));

  Member answers(2, {1});
  answers.Receive(1, 7, MakePreVote(8, 1, 1));
  EXPECT_FALSE(answers.raft.HasPendingWrite());
  EXPECT_THAT(Only<VoteReply>(answers.Take()), ElementsAre(PreGranted(8)));
  EXPECT_EQ(answers.raft.term(), Term{1});
}

TEST(Election, AVoterOfAnEarlierTermMayGrantAPreVote) {
  Member member(1, {4});
  member.raft.Campaign();
  member.Take();
  member.Receive(2, 3, PreGranted(5));
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
  EXPECT_EQ(member.raft.term(), Term{5});
}

TEST(Election, AnOutdatedPreCandidateLearnsTheTerm) {
  Member member(1, {1});
  member.raft.Campaign();
  member.Take();
  member.Receive(2, 6, VoteReply{true, Term{2}, false});
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_EQ(member.raft.term(), Term{6});
}

TEST(Election, VotesOnceInATermAndRepeatsItself) {
  Member member(3, {1});
  member.Receive(1, 2, MakeVote(2, 1, 1));
  EXPECT_THAT(Only<VoteReply>(member.Take(), 1), ElementsAre(Granted(2)));
  member.Receive(2, 2, MakeVote(2, 1, 1));
  EXPECT_THAT(Only<VoteReply>(member.Take(), 2), ElementsAre(Refused(2)));
  member.Receive(1, 2, MakeVote(2, 1, 1));
  EXPECT_THAT(Only<VoteReply>(member.Take(), 1), ElementsAre(Granted(2)));
}

TEST(Election, RefusesCandidateWithShorterLog) {
  struct {
    uint64_t last_index, last_term;
    bool granted;
  } rows[] = {{3, 2, true}, {4, 2, true}, {2, 2, false}, {9, 1, false}, {1, 3, true}};
  for (const auto& row : rows) {
    Member member(2, {1, 1, 2});
    member.Receive(1, 3, MakePreVote(4, row.last_index, row.last_term));
    member.Receive(1, 4, MakeVote(4, row.last_index, row.last_term));
    const auto replies = Only<VoteReply>(member.Take());
    ASSERT_EQ(replies.size(), 2u);
    for (const VoteReply& reply : replies) {
      EXPECT_EQ(reply.granted, row.granted) << row.last_index << " term " << row.last_term;
    }
  }
}

// the vote is on disk before anybody hears of it, and there after a restart.
TEST(Election, AVoteLeavesOnceDurable) {
  Member member(2, {1});
  member.Receive(1, 2, MakeVote(2, 1, 1));
  EXPECT_THAT(member.TakeReady(TakeWrite::kNo).messages, IsEmpty());
  const Ready ready = member.TakeReady();
  EXPECT_THAT(ready.messages, IsEmpty());
  ASSERT_TRUE(ready.write.has_value());
  EXPECT_EQ(ready.write->hard_state, (HardState{Term{2}, NodeId{1}, Index{0}}));
  EXPECT_THAT(Only<VoteReply>(ready.write->messages_once_durable), ElementsAre(Granted(2)));

  RecoveredLog recovered = MakeLog({1});
  recovered.hard_state = *ready.write->hard_state;
  Member restarted(2, std::move(recovered));
  restarted.Receive(3, 2, MakeVote(2, 1, 1));
  EXPECT_THAT(Only<VoteReply>(restarted.Take()), ElementsAre(Refused(2)));
}

// The request claims the candidate's log; the vote given to it must not outlive what it claims.
TEST(Election, ACandidateAsksOnceItsOwnVoteIsDurableAndCountsItOnlyThen) {
  Member member(1, {1});
  member.raft.Campaign();
  member.Take();
  member.Receive(2, 1, PreGranted(2));
  const Ready ready = member.TakeReady();
  EXPECT_THAT(ready.messages, IsEmpty());
  EXPECT_EQ(Only<VoteRequest>(ready.write->messages_once_durable).size(), 2u);
  member.Receive(2, 2, Granted(2));
  EXPECT_EQ(member.raft.role(), Role::kCandidate);  // one vote: its own is not durable
  member.Complete(*ready.write);
  EXPECT_EQ(member.raft.role(), Role::kLeader);
}

// a grant of the pre-vote is not a vote, whenever it comes.
TEST(Election, ALatePreVoteGrantIsNotAVote) {
  Member member = MakeCandidate();
  member.Receive(3, 1, PreGranted(2));
  member.Receive(3, 2, PreGranted(2));
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
  member.Receive(3, 2, Granted(2));
  EXPECT_EQ(member.raft.role(), Role::kLeader);
}

TEST(Election, AnEarlyVoteIsNoPreVoteGrant) {
  Member member(1, {1});
  member.raft.Campaign();
  member.Take();
  member.Receive(2, 1, Granted(1));
  member.Receive(2, 1, Granted(2));
  EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
}

// a grant of an earlier campaign elects nobody.
TEST(Election, AVoteOfAnEarlierTermIsDropped) {
  Member member = MakeCandidate();
  member.raft.Tick(60);  // gives up term 2
  member.Take();
  member.Receive(2, 2, PreGranted(3));
  member.Take();
  ASSERT_EQ(member.raft.role(), Role::kCandidate);
  ASSERT_EQ(member.raft.term(), Term{3});
  member.Receive(3, 2, Granted(2));
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
}

// The same in the pre-vote, whose grants may carry any term up to the campaign's.
TEST(Election, APreVoteGrantOfAnEarlierCampaignIsDropped) {
  Member member(1, {4});
  member.raft.Campaign();
  member.Take();
  member.Receive(3, 3, PreGranted(4));
  EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
  member.Receive(3, 3, PreGranted(5));
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
}

TEST(Election, OneVoterCountsOnce) {
  Member member(1, std::vector<uint64_t>{1}, 5);
  member.raft.Campaign();
  member.Take();
  member.Receive(2, 1, PreGranted(2));
  member.Receive(2, 1, PreGranted(2));
  EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
  member.Receive(3, 1, PreGranted(2));
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
}

TEST(Election, AMajorityOfRefusalsEndsIt) {
  Member member = MakeCandidate();
  member.Receive(2, 2, Refused(2));
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
  member.Receive(3, 2, Refused(2));
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_EQ(member.raft.term(), Term{2});
}

TEST(Election, AsksAgainThoseThatHaveNotAnswered) {
  Member member(1, std::vector<uint64_t>{1}, 5);
  member.raft.Campaign();
  member.Take();
  member.Receive(2, 1, VoteReply{true, Term{2}, false});
  member.raft.Tick(5);
  const auto sent = member.Take();
  EXPECT_THAT(Only<VoteRequest>(sent, 2), IsEmpty());
  for (const uint64_t silent : {3u, 4u, 5u}) EXPECT_EQ(Only<VoteRequest>(sent, silent).size(), 1u);
}

TEST(Election, APreCandidateGivesWayToACandidateOfItsTerm) {
  Member member(3, {1});
  member.raft.Campaign();
  member.Take();
  member.Receive(1, 1, VoteRequest{false, Term{1}, Index{1}, Term{1}});
  EXPECT_THAT(Only<VoteReply>(member.Take()), ElementsAre(Granted(1)));
  EXPECT_EQ(member.raft.role(), Role::kFollower);
}

// Node 9 may be a member already, by an entry that this one does not have yet (thesis 4.1). That
// nobody else talks to the core is its owner's business.
TEST(Election, OneThatIsNotKnownAsAMemberIsAnsweredAndFollowed) {
  Member member(2, {1});
  member.Receive(9, 8, MakePreVote(9, 9, 7));
  EXPECT_THAT(Only<VoteReply>(member.Take(), 9), ElementsAre(PreGranted(9)));
  member.Receive(9, 8, MakeVote(8, 9, 7));
  EXPECT_THAT(Only<VoteReply>(member.Take(), 9), ElementsAre(Granted(8)));
  member.Receive(9, 8, Heartbeat{});
  EXPECT_EQ(member.raft.leader_id(), NodeId{9});
}

TEST(Election, NobodyCampaignsWithoutAVote) {
  Member member(4, std::vector<uint64_t>{1}, 3,
                [](Options& options) { options.configuration.learners = {NodeId{4}}; });
  member.raft.Campaign();
  member.raft.Tick(1000);
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_THAT(member.Take(), IsEmpty());
  // It follows all the same.
  member.Receive(1, 1, MakeAppend(1, 1, MakeEntries(2, {1})));
  EXPECT_EQ(Only<AppendReply>(member.Take()).size(), 1u);
}

// two learners and the candidate would be three of five.
TEST(Election, TheGrantsOfLearnersElectNobody) {
  Member member(1, std::vector<uint64_t>{1}, 3, [](Options& options) {
    options.configuration.learners = {NodeId{4}, NodeId{5}};
  });
  member.raft.Campaign();
  member.Take();
  for (const uint64_t learner : {4u, 5u}) member.Receive(learner, 1, PreGranted(2));
  EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
  member.Receive(2, 1, PreGranted(2));
  member.Take();
  ASSERT_EQ(member.raft.role(), Role::kCandidate);
  for (const uint64_t learner : {4u, 5u}) member.Receive(learner, 2, Granted(2));
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
}

// -- stickiness --

TEST(Stickiness, AHeardLeaderIsNotDeposed) {
  Member member(2, {1});
  member.Receive(1, 1, Heartbeat{});
  member.Take();
  member.raft.Tick(29);
  member.Receive(3, 6, MakeVote(6, 9, 5));
  member.Receive(3, 6, MakePreVote(7, 9, 5));
  EXPECT_THAT(member.Take(), IsEmpty());
  EXPECT_EQ(member.raft.term(), Term{1});
}

// at the first tick at which anybody may campaign, nobody refuses any more.
TEST(Stickiness, EndsBeforeTheFirstPossibleCampaign) {
  Member member(2, {1});
  member.Receive(1, 1, Heartbeat{});
  member.Take();
  member.raft.Tick(30);
  ASSERT_EQ(member.raft.role(), Role::kFollower);
  member.Receive(3, 1, MakePreVote(2, 1, 1));
  EXPECT_THAT(Only<VoteReply>(member.Take()), ElementsAre(PreGranted(2)));
}

TEST(Stickiness, ALeaderDoesNotYieldToACandidate) {
  Member member(1, {1});
  member.Lead();
  member.Receive(3, 9, MakeVote(9, 9, 8));
  EXPECT_TRUE(member.raft.is_leader());
  EXPECT_EQ(member.raft.term(), Term{2});
}

// a leader that asks for votes leads no more.
TEST(Stickiness, EndsWhenTheLeaderItselfCampaigns) {
  Member member(2, {1});
  member.Receive(1, 1, Heartbeat{});
  member.Take();
  member.Receive(1, 1, MakePreVote(2, 1, 1));
  EXPECT_THAT(Only<VoteReply>(member.Take()), ElementsAre(PreGranted(2)));
}

// All of them see the leader die at the same time. Whoever asks first should have won before the
// next one asks.
TEST(Stickiness, MembersThatSuspectTogetherAskOneAfterTheOther) {
  for (const uint64_t members : {3u, 5u}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      std::set<uint64_t> ticks;
      for (uint64_t id = 2; id <= members; ++id) {
        Member member(id, {1}, members, [&](Options& options) { options.seed = seed * id; });
        member.Receive(1, 1, Heartbeat{});
        member.raft.SuspectLeader();
        ticks.insert(member.raft.TicksUntilDue());
      }
      EXPECT_EQ(ticks.size(), members - 1) << "seed " << seed;
      EXPECT_LE(*ticks.rbegin(), Options{}.heartbeat_ticks);
    }
  }
}

TEST(Stickiness, EndsWhenTheLeaderIsSuspected) {
  Member member(2, {1});
  member.Receive(1, 1, Heartbeat{});
  member.Take();
  member.raft.SuspectLeader();
  member.Receive(3, 1, MakePreVote(2, 1, 1));
  EXPECT_THAT(Only<VoteReply>(member.Take()), ElementsAre(PreGranted(2)));
  member.raft.Tick(5);
  EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
}

TEST(Stickiness, ASuspicionThatWasWrongIsForgotten) {
  Member member(2, {1});
  member.Receive(1, 1, Heartbeat{});
  member.raft.SuspectLeader();
  member.Receive(1, 1, Heartbeat{});
  member.raft.Tick(29);
  EXPECT_EQ(member.raft.role(), Role::kFollower);
}

// -- whole groups --

// timeouts one or two ticks above the lease, the tightest range in which they can differ.
TEST(GroupElection, TimeoutsRightAboveTheLeaseElectALeader) {
  Group group(3, [](Options& options) {
    options.election_ticks_min = 10;
    options.election_ticks_max = 12;
  });
  group.Elect(1);
  group.Crash(1);
  for (int i = 0; i < 100 && group.leader() == 0; ++i) group.Tick(11);
  EXPECT_NE(group.leader(), 0u);
}

// node 1 was cut off and comes back with a higher term and a shorter log.
TEST(GroupElection, AMemberWithAHigherTermAndAShortLogDoesNotBlockElections) {
  Group group(4);
  group.Elect(3);
  group.Isolate(1);
  group.Propose(3, "a");
  group.Settle();
  group.Crash(1);
  group.disk(1).hard_state.term = Term{20};  // as a candidate that nobody heard
  group.Restart(1);
  group.Heal();
  group.Tick(300);
  const uint64_t leader = group.leader();
  ASSERT_NE(leader, 0u);
  EXPECT_NE(leader, 1u);
  group.Propose(leader, "b");
  group.Tick(10);
  EXPECT_THAT(group.commands(1), ElementsAre("a", "b"));
}

// R-12, partial partition:
//
//     4 --- 2 --- 1
//           |   /          1, 2, 3 hear each other, 4 hears only 2, 5 only 3; 3 leads
//           |  /
//     5 --- 3
TEST(GroupElection, APartialPartitionDoesNotUnseatTheLeader) {
  Group group(5);
  group.Elect(3);
  for (uint64_t other : {1u, 3u, 5u}) group.Cut(4, other);
  for (uint64_t other : {1u, 2u, 4u}) group.Cut(5, other);
  const Term before = group[3].term();
  for (int i = 0; i < 60; ++i) {
    group.Tick(10);
    ASSERT_NE(group.leader(), 0u);
    EXPECT_EQ(group.Propose(group.leader(), "x"), ProposeOutcome::kAccepted);
  }
  group.Settle();
  EXPECT_LE(group[3].term() - before, 2u);
  EXPECT_EQ(group.commands(group.leader()).size(), 60u);
}

// A member that was cut off comes back without disturbing anybody (thesis 9.6).
TEST(GroupElection, AReturningMemberDoesNotDisturb) {
  Group group(3);
  group.Elect(1);
  group.Isolate(3);
  group.Tick(500);
  EXPECT_EQ(group[3].role(), Role::kPreCandidate);
  group.Heal();
  group.Tick(20);
  EXPECT_EQ(group.leader(), 1u);
  EXPECT_EQ(group[1].term(), group[3].term());
  EXPECT_EQ(group[3].role(), Role::kFollower);
}

TEST(GroupElection, ALeaderThatIsCutOffStepsDownBeforeAnotherIsElected) {
  Group group(3);
  group.Elect(1);
  group.Tick(5);
  group.Isolate(1);
  for (int i = 0; i < 130; ++i) {
    group.Tick(1);
    EXPECT_LE((group[1].is_leader() ? 1 : 0) + (group[2].is_leader() ? 1 : 0) +
                  (group[3].is_leader() ? 1 : 0),
              1);
  }
  EXPECT_FALSE(group[1].is_leader());
  EXPECT_NE(group.leader(), 0u);
}

}  // namespace
}  // namespace lockd::raft
