#include "consensus/raft/transfer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/consensus/raft/group.h"
#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Node 1 leads in term 2: log 1 2, the no-op at 2. Node 2 has acknowledged it, node 3 nothing yet.
Member MakeLeader(const Member::Tweak& tweak = nullptr) {
  Member member(1, {1}, 3, tweak);
  member.Lead();
  member.Receive(2, 2, MakeAccepted(1, 2));
  member.Take();
  return member;
}

ProposeOutcome Propose(Member& member) {
  return member.raft.Propose(member.raft.last_time(), "x");
}

// -- the leader --

TEST(Transfer, TellsATargetThatHasEverythingAtOnce) {
  Member member = MakeLeader();
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{2}), TransferOutcome::kStarted);
  EXPECT_EQ(member.raft.transfer_target(), NodeId{2});
  const std::vector<Message> sent = member.Take();
  EXPECT_THAT(Only<TimeoutNow>(sent), ElementsAre(TimeoutNow{}));
  EXPECT_THAT(Only<TimeoutNow>(sent, 2), ElementsAre(TimeoutNow{}));
}

//   leader   1 2 x       node 3 has nothing of term 2: it is told when it has acknowledged x
TEST(Transfer, WaitsUntilTheTargetHasEverything) {
  Member member = MakeLeader();
  member.Propose("x");
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{3}), TransferOutcome::kStarted);
  EXPECT_THAT(Only<TimeoutNow>(member.Take()), IsEmpty());
  member.Receive(3, 2, MakeAccepted(1, 2));
  EXPECT_THAT(Only<TimeoutNow>(member.Take()), IsEmpty());
  member.Receive(3, 2, MakeAccepted(2, 3));
  EXPECT_THAT(Only<TimeoutNow>(member.Take(), 3), ElementsAre(TimeoutNow{}));
}

TEST(Transfer, TakesNoProposalsMeanwhile) {
  Member member = MakeLeader();
  ASSERT_EQ(member.raft.TransferLeadership(NodeId{3}), TransferOutcome::kStarted);
  EXPECT_EQ(Propose(member), ProposeOutcome::kTransferring);
  EXPECT_EQ(member.raft.last_index(), Index{2});
}

TEST(Transfer, RepeatsTheOrderWithEveryHeartbeatOfTheTimer) {
  Member member = MakeLeader();
  ASSERT_EQ(member.raft.TransferLeadership(NodeId{2}), TransferOutcome::kStarted);
  EXPECT_EQ(Only<TimeoutNow>(member.Take()).size(), 1u);
  member.raft.Tick(4);
  EXPECT_THAT(Only<TimeoutNow>(member.Take()), IsEmpty());
  member.raft.Tick(1);
  EXPECT_EQ(Only<TimeoutNow>(member.Take()).size(), 1u);
}

TEST(Transfer, IsAbortedAfterAnElectionTimeoutAndProposalsAreTakenAgain) {
  Member member = MakeLeader();
  ASSERT_EQ(member.raft.TransferLeadership(NodeId{3}), TransferOutcome::kStarted);
  for (int tick = 1; tick < 30; ++tick) {
    member.raft.Tick();
    // Node 2 keeps it in office.
    member.Receive(2, 2, HeartbeatReply{0});
    ASSERT_EQ(member.raft.transfer_target(), NodeId{3}) << tick;
    member.Take();
  }
  EXPECT_EQ(member.raft.TicksUntilDue(), 1u);
  member.raft.Tick();
  EXPECT_EQ(member.raft.transfer_target(), NodeId{0});
  EXPECT_TRUE(member.raft.is_leader());
  EXPECT_THAT(Only<TimeoutNow>(member.Take()), IsEmpty());
  EXPECT_EQ(Propose(member), ProposeOutcome::kAccepted);
}

TEST(Transfer, EndsWithTheOffice) {
  Member member = MakeLeader();
  ASSERT_EQ(member.raft.TransferLeadership(NodeId{2}), TransferOutcome::kStarted);
  member.Receive(2, 3, VoteRequest{false, Term{3}, Index{2}, Term{2}, true});
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_EQ(member.raft.transfer_target(), NodeId{0});
  EXPECT_THAT(Only<VoteReply>(member.Take(), 2), ElementsAre(VoteReply{false, Term{3}, true}));
}

TEST(Transfer, SaysWhyNot) {
  const auto with_learner = [](Options& options) {
    options.configuration.voters = {NodeId{1}, NodeId{2}, NodeId{3}};
    options.configuration.learners = {NodeId{4}};
  };
  Member member = MakeLeader(with_learner);
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{1}), TransferOutcome::kIsLeader);
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{4}), TransferOutcome::kNotVoter);
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{9}), TransferOutcome::kNoSuchMember);
  EXPECT_EQ(member.raft.transfer_target(), NodeId{0});
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{3}), TransferOutcome::kStarted);
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{3}), TransferOutcome::kStarted);
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{0}), TransferOutcome::kStarted);
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{2}), TransferOutcome::kBusy);
  EXPECT_EQ(member.raft.transfer_target(), NodeId{3});
  Member follower(2, {1});
  EXPECT_EQ(follower.raft.TransferLeadership(NodeId{1}), TransferOutcome::kNotLeader);
}

TEST(Transfer, WithoutATargetTakesTheVoterThatHasMost) {
  Member member = MakeLeader();
  member.Propose("x");
  member.Take();
  member.Receive(3, 2, MakeAccepted(1, 3));  // node 2 has only 2
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{0}), TransferOutcome::kStarted);
  EXPECT_EQ(member.raft.transfer_target(), NodeId{3});
}

TEST(Transfer, WithoutATargetTakesOfEqualsTheOneHeardLast) {
  Member member = MakeLeader();
  member.Receive(3, 2, MakeAccepted(1, 2));
  member.raft.Tick();
  member.Receive(3, 2, HeartbeatReply{0});
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{0}), TransferOutcome::kStarted);
  EXPECT_EQ(member.raft.transfer_target(), NodeId{3});
}

TEST(Transfer, WithoutATargetNeedsSomebodyThatWasHeard) {
  Member member = MakeLeader([](Options& options) {
    options.configuration.voters = {NodeId{1}};
    options.configuration.learners = {NodeId{2}};
  });
  EXPECT_EQ(member.raft.TransferLeadership(NodeId{0}), TransferOutcome::kNobody);
}

TEST(BestTarget, IsNeverOneThatWasNotHeardLately) {
  std::vector<Progress> followers;
  followers.emplace_back(NodeId{2}, Index{5}, Tick{10});
  followers.emplace_back(NodeId{3}, Index{5}, Tick{20});
  followers[0].Accepted(Index{5});
  followers[1].Accepted(Index{4});
  const Configuration three{{NodeId{1}, NodeId{2}, NodeId{3}}, {}, {}};
  EXPECT_EQ(BestTarget(followers, three, Tick{10}), NodeId{2});
  EXPECT_EQ(BestTarget(followers, three, Tick{11}), NodeId{3});
  EXPECT_EQ(BestTarget(followers, three, Tick{21}), NodeId{0});
}

// -- the target --

TEST(TimeoutNow, MakesACandidateAtOnceWithoutAPreVote) {
  Member member(2, {1});
  member.Receive(1, 1, TimeoutNow{});
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
  EXPECT_EQ(member.raft.term(), Term{2});
  EXPECT_THAT(member.TakeReady(TakeWrite::kNo).messages, IsEmpty());  // its vote is not durable
  const VoteRequest request{false, Term{2}, Index{1}, Term{1}, true};
  EXPECT_THAT(Only<VoteRequest>(member.Take()), ElementsAre(request, request));
  member.raft.Tick(5);  // asks again in the same words
  EXPECT_THAT(Only<VoteRequest>(member.Take()), ElementsAre(request, request));
}

TEST(TimeoutNow, OfAnOldTermOrComingTwiceChangesNothing) {
  Member member(2, {1, 1});
  member.Receive(1, 1, TimeoutNow{});
  member.Take();
  member.Receive(1, 1, TimeoutNow{});
  EXPECT_EQ(member.raft.term(), Term{2});
  EXPECT_THAT(member.Take(), IsEmpty());
}

TEST(TimeoutNow, ToALearnerChangesNothing) {
  Member member(2, {1}, 3, [](Options& options) {
    options.configuration.voters = {NodeId{1}, NodeId{3}};
    options.configuration.learners = {NodeId{2}};
  });
  member.Receive(1, 1, TimeoutNow{});
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_THAT(member.Take(), IsEmpty());
}

TEST(TimeoutNow, OfALaterTermIsFollowedFirst) {
  Member member(2, {1});
  member.Receive(1, 4, TimeoutNow{});
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
  EXPECT_EQ(member.raft.term(), Term{5});
}

TEST(TimeoutNow, AnElectionThatFindsNoWinnerGoesOnWithAPreVote) {
  Member member(2, {1});
  member.Receive(1, 1, TimeoutNow{});
  member.Take();
  member.raft.Tick(60);
  EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
  for (const VoteRequest& request : Only<VoteRequest>(member.Take())) {
    EXPECT_FALSE(request.is_transfer);
  }
}

// -- the voters --

TEST(Transfer, VotersThatHearTheLeaderVoteAllTheSame) {
  Member member(3, {1});
  member.Receive(1, 1, Heartbeat{});
  member.Take();
  member.Receive(2, 2, VoteRequest{false, Term{2}, Index{1}, Term{1}, false});
  EXPECT_THAT(member.Take(), IsEmpty());
  member.Receive(2, 2, VoteRequest{false, Term{2}, Index{1}, Term{1}, true});
  EXPECT_THAT(Only<VoteReply>(member.Take(), 2), ElementsAre(VoteReply{false, Term{2}, true}));
}

// The log restriction (thesis 3.6.1) holds for everybody.
TEST(Transfer, VotersRefuseAShorterLogAllTheSame) {
  Member member(3, {1, 1});
  member.Receive(1, 1, Heartbeat{});
  member.Take();
  member.Receive(2, 2, VoteRequest{false, Term{2}, Index{1}, Term{1}, true});
  EXPECT_THAT(Only<VoteReply>(member.Take(), 2), ElementsAre(VoteReply{false, Term{2}, false}));
}

// -- all of them --

TEST(Transfer, MovesLeadershipInOneExchange) {
  Group group(3);
  group.Elect(1);
  group.Propose(1, "a");
  group.Settle();
  ASSERT_EQ(group[1].TransferLeadership(NodeId{3}), TransferOutcome::kStarted);
  group.Settle();  // not a tick
  EXPECT_EQ(group.leader(), 3u);
  EXPECT_FALSE(group[1].is_leader());
  EXPECT_EQ(group[1].leader_id(), NodeId{3});
  ASSERT_EQ(group.Propose(3, "b"), ProposeOutcome::kAccepted);
  group.Tick(5);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_THAT(group.commands(id), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace lockd::raft
