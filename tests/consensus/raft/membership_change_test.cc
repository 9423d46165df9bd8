// Members come and go: what a joint configuration asks for, who may campaign and lead, and what
// becomes of members that are removed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/consensus/raft/group.h"
#include "tests/consensus/raft/member.h"

namespace lockd::raft {

inline void PrintTo(const Configuration& configuration, std::ostream* out) {
  *out << Describe(configuration);
}
inline void PrintTo(const ReleasedRead& read, std::ostream* out) {
  *out << Describe(read);
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// New half {1 4 5}, old half {1 2 3}.
const Configuration kJoint = MakeConfiguration({1, 4, 5}, {1, 2, 3});

ChangeOutcome Change(Member& member, const Configuration& configuration) {
  const ChangeOutcome outcome = member.raft.ProposeConfiguration({configuration, {}});
  CheckInvariants(member.raft);
  return outcome;
}

// Node 1 of {1 2 3} leads in term 2: entry 1 of term 1, the no-op at 2, which is committed.
Member CommittedLeader(const Member::Tweak& tweak = nullptr) {
  Member member(1, {1}, 3, tweak);
  member.Lead();
  for (const uint64_t other : {2u, 3u}) member.Receive(other, 2, MakeAccepted(1, 2));
  member.Take();
  LOCKD_CHECK(member.raft.has_committed_in_term());
  return member;
}

// ... and the joint configuration stands at 3, durable here, with nobody else yet.
Member JointLeader() {
  Member member = CommittedLeader();
  LOCKD_CHECK(Change(member, kJoint) == ChangeOutcome::kAccepted);
  member.Take();
  return member;
}

// -- what a leader refuses --

TEST(ProposeConfiguration, IsTheLeadersBusiness) {
  Member member(2, {1});
  EXPECT_EQ(Change(member, kJoint), ChangeOutcome::kNotLeader);
}

// what earlier leaders appended may be committed without this one's knowledge.
TEST(ProposeConfiguration, WaitsUntilAnEntryOfTheTermIsCommitted) {
  Member member(1, {1});
  member.Lead();
  EXPECT_EQ(Change(member, kJoint), ChangeOutcome::kTooEarly);
  member.Receive(2, 2, MakeAccepted(1, 2));
  EXPECT_EQ(Change(member, kJoint), ChangeOutcome::kAccepted);
}

//
TEST(ProposeConfiguration, WaitsUntilTheOneBeforeIsCommitted) {
  Member member = JointLeader();
  EXPECT_EQ(Change(member, LeaveJoint(kJoint)), ChangeOutcome::kChangeUnderWay);
  member.Receive(2, 2, MakeAccepted(2, 3));
  EXPECT_EQ(Change(member, LeaveJoint(kJoint)), ChangeOutcome::kChangeUnderWay);
  member.Receive(4, 2, MakeAccepted(2, 3));
  EXPECT_EQ(Change(member, LeaveJoint(kJoint)), ChangeOutcome::kAccepted);
}

TEST(ProposeConfiguration, TakesNothingThatIsNotOneStep) {
  Member member = CommittedLeader();
  for (const Configuration& configuration :
       {MakeConfiguration({1, 2}), MakeConfiguration({1, 2, 3, 4}), MakeConfiguration({4}, {1, 2}),
        MakeConfiguration({}), MakeConfiguration({1, 2, 3}, {}, {3})}) {
    EXPECT_EQ(Change(member, configuration), ChangeOutcome::kNotOneStep);
  }
  EXPECT_EQ(member.raft.last_index(), Index{2});
}

TEST(ProposeConfiguration, TakesNothingDuringAHandOver) {
  Member member = CommittedLeader();
  ASSERT_EQ(member.raft.TransferLeadership(NodeId{2}), TransferOutcome::kStarted);
  EXPECT_EQ(Change(member, kJoint), ChangeOutcome::kTransferring);
}

TEST(ProposeConfiguration, CountsAsUncommitted) {
  Member member = CommittedLeader([](Options& options) { options.uncommitted_bytes_max = 200; });
  member.Propose(std::string(150, 'x'));
  EXPECT_EQ(Change(member, kJoint), ChangeOutcome::kTooManyUncommitted);
  EXPECT_EQ(member.raft.configuration_index(), Index{0});
  member.Take();
  member.Receive(2, 2, MakeAccepted(2, 3));
  Index index;
  EXPECT_EQ(member.raft.ProposeConfiguration({kJoint, "more"}, &index), ChangeOutcome::kAccepted);
  EXPECT_EQ(index, Index{4});
  EXPECT_EQ(member.raft.uncommitted_bytes(),
            Encode({kJoint, "more"}).size() + Entry::kOverheadBytes);
}

// -- in force --

TEST(InForce, FromTheAppendOnAtTheLeader) {
  Member member = JointLeader();
  EXPECT_EQ(member.raft.configuration(), kJoint);
  EXPECT_EQ(member.raft.configuration_index(), Index{3});
  EXPECT_FALSE(member.raft.is_configuration_committed());
  // It looks after the new ones, and knows of the others what it knew.
  EXPECT_EQ(member.follower(4).match_index(), Index{0});
  EXPECT_EQ(member.follower(2).match_index(), Index{2});
}

TEST(InForce, FromTheAppendOnAtAFollower) {
  Member member(2, {1});
  member.Receive(1, 1, MakeAppend(1, 1, {MakeConfigurationEntry(1, 2, kJoint)}));
  EXPECT_EQ(member.raft.configuration(), kJoint);
  EXPECT_FALSE(member.raft.is_configuration_committed());
  member.Receive(1, 1, Heartbeat{Index{2}, 1});
  EXPECT_TRUE(member.raft.is_configuration_committed());
}

// leader 1   1 2 C     node 1 is cut off with its change; node 2 leads and writes another entry 3
TEST(InForce, NoMoreWhenItsEntryIsTruncated) {
  Group group(3);
  group.Elect(1);
  group.Isolate(1);
  ASSERT_EQ(group.ProposeConfiguration(1, MakeConfiguration({1, 2}, {1, 2, 3})),
            ChangeOutcome::kAccepted);
  group.Settle();
  EXPECT_EQ(group[1].configuration_index(), Index{2});
  group.ElectOver(2);
  group.Propose(2, "x");
  group.Heal();
  group.Tick(40);
  EXPECT_EQ(group[1].configuration(), MakeConfiguration({1, 2, 3}));
  EXPECT_EQ(group[1].configuration_index(), Index{0});
  EXPECT_EQ(group[1].leader_id(), NodeId{2});
  EXPECT_THAT(group.commands(1), ElementsAre("x"));
}

TEST(InForce, AfterARestartAsBefore) {
  Group group(3);
  group.Elect(1);
  group.Join(4);
  group.Change(1, {1, 2, 3}, {4});
  for (const size_t tail_entries : {SIZE_MAX, size_t{0}}) {
    group.Propose(1, "x");
    group.Tick(5);
    for (const uint64_t id : {1u, 4u}) {
      group.Crash(id);
      group.Restart(id, tail_entries);
      EXPECT_EQ(group[id].configuration(), MakeConfiguration({1, 2, 3}, {}, {4}));
      EXPECT_EQ(group[id].configuration_index(), Index{2});
    }
    group.ElectOver(1);
  }
}

// -- a joint configuration decides with both halves --

struct Acknowledged {
  std::vector<uint64_t> by;
  bool is_committed;
};

TEST(Joint, CommitsWithAMajorityOfEachHalf) {
  const Acknowledged rows[] = {
      {{}, false},     {{2}, false},   {{2, 3}, false}, {{4}, false},
      {{4, 5}, false}, {{2, 4}, true}, {{3, 5}, true},  {{2, 3, 4}, true},
  };
  for (const Acknowledged& row : rows) {
    Member member = JointLeader();
    for (const uint64_t id : row.by) member.Receive(id, 2, MakeAccepted(2, 3));
    EXPECT_EQ(member.raft.commit_index(), Index{row.is_committed ? 3u : 2u})
        << testing::PrintToString(row.by);
  }
}

TEST(Joint, ElectsWithAMajorityOfEachHalf) {
  for (const auto& [first, second] : {std::pair{2u, 4u}, std::pair{5u, 3u}}) {
    RecoveredLog log = MakeLog({1, 1, 1});
    Place(log, 3, kJoint);
    Member member(1, std::move(log));
    member.raft.Campaign();
    const std::vector<Message> asked = member.Take();
    for (const uint64_t id : {2u, 3u, 4u, 5u}) EXPECT_EQ(Only<VoteRequest>(asked, id).size(), 1u);
    member.Receive(first, 1, VoteReply{true, Term{2}, true});
    EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
    member.Receive(second, 1, VoteReply{true, Term{2}, true});
    ASSERT_EQ(member.raft.role(), Role::kCandidate);
    member.Take();
    member.Receive(first, 2, VoteReply{false, Term{2}, true});
    EXPECT_EQ(member.raft.role(), Role::kCandidate);
    member.Receive(second, 2, VoteReply{false, Term{2}, true});
    EXPECT_EQ(member.raft.role(), Role::kLeader);
  }
}

TEST(Joint, OneHalfThatRefusesIsEnoughToLose) {
  RecoveredLog log = MakeLog({1, 1, 1});
  Place(log, 3, kJoint);
  Member member(1, std::move(log));
  member.raft.Campaign();
  member.Take();
  for (const uint64_t id : {4u, 5u}) member.Receive(id, 1, VoteReply{true, Term{2}, true});
  for (const uint64_t id : {2u, 3u}) member.Receive(id, 1, VoteReply{true, Term{2}, false});
  EXPECT_EQ(member.raft.role(), Role::kFollower);
}

//
TEST(Joint, ConfirmsReadsWithAMajorityOfEachHalf) {
  Member member = JointLeader();
  member.raft.RequestRead(7);
  const uint64_t round = Only<Heartbeat>(member.Take(), 2).at(0).round;
  for (const uint64_t id : {4u, 5u}) member.Receive(id, 2, HeartbeatReply{round});
  member.Take();
  EXPECT_THAT(member.released, IsEmpty());
  member.Receive(3, 2, HeartbeatReply{round});
  member.Take();
  EXPECT_THAT(member.released, ElementsAre(ReleasedRead{7, true, Index{2}}));
}

// Only node 2 is asked no more; node 1 alone is the majority of {1}.
TEST(Joint, AReadThatWaitsForOneThatGoesIsAnswered) {
  Member member = CommittedLeader();
  ASSERT_EQ(Change(member, MakeConfiguration({1}, {1, 2, 3})), ChangeOutcome::kAccepted);
  member.Take();
  member.Receive(2, 2, MakeAccepted(2, 3));
  member.raft.RequestRead(7);
  member.Take();
  EXPECT_THAT(member.released, IsEmpty());
  ASSERT_EQ(Change(member, MakeConfiguration({1})), ChangeOutcome::kAccepted);
  member.Take();
  EXPECT_THAT(member.released, ElementsAre(ReleasedRead{7, true, Index{3}}));
}

TEST(Joint, ALeaderThatHearsOnlyOneHalfStepsDown) {
  const std::pair<std::vector<uint64_t>, bool> rows[] = {
      {{2, 3}, false}, {{4, 5}, false}, {{2, 4}, true}};
  for (const auto& [heard, stays] : rows) {
    Member member = JointLeader();
    for (int tick = 0; tick < 40; ++tick) {
      member.raft.Tick();
      for (const uint64_t id : heard) {
        if (member.raft.is_leader()) member.Receive(id, 2, HeartbeatReply{0});
      }
      member.Take();
      // Whom it has begun to look after has as long as anybody else to answer.
      ASSERT_TRUE(member.raft.is_leader() || tick >= 28) << tick;
    }
    EXPECT_EQ(member.raft.is_leader(), stays) << testing::PrintToString(heard);
  }
}

TEST(Joint, AHandOverGoesToOneThatStays) {
  Member member = JointLeader();
  member.Receive(2, 2, MakeAccepted(2, 3));  // has most, and is on its way out
  member.Receive(4, 2, MakeRefused(2, 0, 0));
  ASSERT_EQ(member.raft.TransferLeadership(NodeId{0}), TransferOutcome::kStarted);
  EXPECT_NE(member.raft.transfer_target(), NodeId{2});
  EXPECT_NE(member.raft.transfer_target(), NodeId{3});
}

// -- learners --

TEST(Learners, ComeInOneStepAndHoldNothingUp) {
  Group group(3);
  group.Elect(1);
  group.Join(4);
  group.Isolate(4);
  group.Change(1, {1, 2, 3}, {4});
  EXPECT_EQ(group[1].configuration_index(), Index{2}) << "one entry";
  group.Propose(1, "a");
  group.Settle();
  EXPECT_THAT(group.commands(1), ElementsAre("a"));
  EXPECT_FALSE(group[1].HasHeardOf(NodeId{4}));
  EXPECT_EQ(group[1].MatchIndexOf(NodeId{4}), Index{0});
  group.Heal();
  group.Tick(10);
  EXPECT_THAT(group.commands(4), ElementsAre("a"));
  EXPECT_TRUE(group[1].HasHeardOf(NodeId{4}));
  EXPECT_EQ(group[1].MatchIndexOf(NodeId{4}), group[1].last_index());
  EXPECT_EQ(group[1].MatchIndexOf(NodeId{1}), group[1].durable_index());
  EXPECT_EQ(group[1].MatchIndexOf(NodeId{9}), Index{0});
  EXPECT_TRUE(group[1].HasHeardOf(NodeId{1}));
  EXPECT_FALSE(group[2].HasHeardOf(NodeId{1})) << "only a leader knows";
  EXPECT_EQ(group[2].MatchIndexOf(NodeId{2}), Index{0});
  // Not of late.
  group.Isolate(4);
  group.Tick(31);
  EXPECT_TRUE(group[1].is_leader());
  EXPECT_FALSE(group[1].HasHeardOf(NodeId{4}));
}

TEST(Learners, ArePromotedAndCountThen) {
  Group group(2);
  group.Elect(1);
  group.Join(3);
  group.Change(1, {1, 2}, {3});
  group.Crash(2);
  group.Propose(1, "a");
  group.Settle();
  EXPECT_THAT(group.commands(1), IsEmpty()) << "the learner has it, and has no vote";
  group.Restart(2);
  group.Tick(10);
  EXPECT_THAT(group.commands(1), ElementsAre("a"));
  group.Change(1, {1, 2, 3});
  group.Crash(2);
  group.Propose(1, "b");
  group.Settle();
  EXPECT_THAT(group.commands(1), ElementsAre("a", "b"));
  group.Crash(1);
  group.Restart(2);
  group.Tick(300);
  EXPECT_EQ(group.leader(), 3u) << "only it has everything";
}

// One that joins does not know anybody, and campaigns for nothing.
TEST(Learners, OneThatJoinsWaits) {
  Group group(1);
  group.Join(2);
  group[2].Campaign();
  group[2].SuspectLeader();
  group.Tick(200);
  EXPECT_EQ(group[2].role(), Role::kFollower);
  EXPECT_EQ(group[2].term(), Term{0});
  EXPECT_EQ(group[2].TicksUntilDue(), 5u);
}

// -- snapshots --

// node 4 hears of the members by a snapshot only.
TEST(Snapshots, TellWhoTheMembersAre) {
  Group group(3);
  group.Elect(1);
  group.Join(4);
  group.Isolate(4);
  group.Change(1, {1, 2, 3}, {4});
  group.TakeSnapshot(1);
  group.Compact(1, 2);
  EXPECT_EQ(group[1].configuration_index(), Index{2}) << "compacted, and in force";
  group.Heal();
  group.Tick(10);
  EXPECT_THAT(group[1].SnapshotTargets(), ElementsAre(NodeId{4}));
  group.SendSnapshots(1);
  group.Settle();
  const Configuration members = MakeConfiguration({1, 2, 3}, {}, {4});
  EXPECT_EQ(group[4].configuration(), members);
  EXPECT_EQ(group[4].configuration_index(), Index{2});
  for (const uint64_t id : {1u, 4u}) {
    group.Crash(id);
    group.Restart(id);
    EXPECT_EQ(group[id].configuration(), members);
  }
  // What the snapshot said is in force until the next one, and truncated only down to it.
  group.ElectOver(1);
  group.Change(1, {1, 2, 3, 4});
  group.Tick(10);
  EXPECT_EQ(group[4].configuration(), MakeConfiguration({1, 2, 3, 4}));
}

// -- members that go --

// the leader commits with the votes of those that stay, tells them, and goes.
TEST(Removal, ALeaderThatRemovesItselfLeadsUntilThatIsCommitted) {
  Member member = CommittedLeader();
  ASSERT_EQ(Change(member, MakeConfiguration({2, 3}, {1, 2, 3})), ChangeOutcome::kAccepted);
  member.Take();
  for (const uint64_t id : {2u, 3u}) member.Receive(id, 2, MakeAccepted(2, 3));
  ASSERT_EQ(Change(member, MakeConfiguration({2, 3})), ChangeOutcome::kAccepted);
  member.Take();
  member.raft.RequestRead(7);
  member.Receive(2, 2, MakeAccepted(3, 4));
  member.Take();
  EXPECT_TRUE(member.raft.is_leader());
  EXPECT_EQ(member.raft.commit_index(), Index{3}) << "its own copy does not count";
  EXPECT_EQ(member.raft.Propose(member.raft.last_time(), "x"), ProposeOutcome::kAccepted);
  member.Take();
  member.Receive(3, 2, MakeAccepted(3, 4));
  EXPECT_EQ(member.raft.commit_index(), Index{4});
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  const std::vector<Message> sent = member.Take();
  EXPECT_EQ(Only<Heartbeat>(sent, 2).back().commit, Index{4});
  EXPECT_EQ(Only<Heartbeat>(sent, 3).back().commit, Index{4});
  // Nobody waits for ever.
  ASSERT_EQ(member.released.size(), 1u);
  member.raft.Campaign();
  member.raft.Tick(1000);
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_THAT(member.Take(), IsEmpty());
}

TEST(Removal, OfTheLeaderLeavesTheOthersToElectOne) {
  Group group(3);
  group.Elect(1);
  ASSERT_EQ(group.ProposeConfiguration(1, MakeConfiguration({2, 3}, {1, 2, 3})),
            ChangeOutcome::kAccepted);
  group.Settle();
  ASSERT_TRUE(group[1].is_leader());
  ASSERT_EQ(group.ProposeConfiguration(1, MakeConfiguration({2, 3})), ChangeOutcome::kAccepted);
  group.Settle();
  EXPECT_EQ(group.leader(), 0u);
  for (const uint64_t id : {2u, 3u}) EXPECT_TRUE(group[id].is_configuration_committed()) << id;
  group.Tick(300);
  ASSERT_THAT(group.leader(), testing::AnyOf(2u, 3u));
  group.Propose(group.leader(), "x");
  group.Tick(5);
  EXPECT_THAT(group.commands(2), ElementsAre("x"));
  EXPECT_THAT(group.commands(1), IsEmpty());
}

// node 4 never hears that it is removed, and asks for votes for ever.
TEST(Removal, WhoIsRemovedDisturbsNobody) {
  Group group(4);
  group.Elect(1);
  group.Change(1, {1, 2, 3});
  EXPECT_EQ(group[4].configuration(), MakeConfiguration({1, 2, 3}, {1, 2, 3, 4}));
  const Term term = group[1].term();
  for (int round = 0; round < 10; ++round) {
    group.Tick(50);
    group.Propose(1, "x");
  }
  EXPECT_TRUE(group[1].is_leader());
  EXPECT_EQ(group[4].role(), Role::kPreCandidate);
  for (const uint64_t id : {1u, 2u, 3u, 4u}) EXPECT_EQ(group[id].term(), term) << id;
}

// Thesis 4.2.2, figure 4.6.
//
//    1     1 2 J            J: {1} and {4 5 6}, committed
//    4     1 2 J
//    5     1 2 J            down for good
//    6     1 2 J {1}        wrote that 4, 5 and 6 go, and was cut off
//
// Node 1 needs two of {4 5 6}, and node 6, which has more, refuses. Node 6 has no vote in its
// newest configuration, and must campaign all the same.
TEST(Removal, WhoHoldsItsOwnRemovalAloneCampaignsSoThatItIsCommitted) {
  Group group(6);
  group.Elect(6);
  group.Change(6, {4, 5, 6});
  ASSERT_EQ(group.ProposeConfiguration(6, MakeConfiguration({1}, {4, 5, 6})),
            ChangeOutcome::kAccepted);
  group.Settle();
  group.Isolate(6);
  ASSERT_EQ(group.ProposeConfiguration(6, MakeConfiguration({1})), ChangeOutcome::kAccepted);
  group.Settle();
  ASSERT_FALSE(group[6].is_configuration_committed());
  for (const uint64_t id : {2u, 3u, 5u, 6u}) group.Crash(id);
  group.Tick(300);
  EXPECT_EQ(group.leader(), 0u) << "two of {4 5 6} are away";
  group.Restart(6);
  group.Heal();
  group.Tick(600);
  EXPECT_EQ(group.leader(), 1u);
  EXPECT_EQ(group[1].configuration(), MakeConfiguration({1}));
  EXPECT_TRUE(group[1].is_configuration_committed());
  EXPECT_FALSE(group[6].is_leader());
}

// ... but not when a configuration without it is known to be committed.
TEST(Removal, WhoIsRemovedAndKnowsThatItIsCommittedDoesNotCampaign) {
  for (const bool is_committed : {false, true}) {
    RecoveredLog log = MakeLog({1, 1, 1}, /*commit=*/is_committed ? 3 : 2);
    Place(log, 2, MakeConfiguration({2, 3}, {1, 2, 3}));
    Place(log, 3, MakeConfiguration({2, 3}));
    Member member(1, std::move(log));
    EXPECT_EQ(member.raft.TicksUntilDue() > 5, !is_committed);
    member.raft.Tick(100);
    EXPECT_EQ(member.raft.role(), is_committed ? Role::kFollower : Role::kPreCandidate);
    CheckInvariants(member.raft);
  }
}

// The grants of those that stay decide; its own is none of them.
TEST(Removal, TheCandidateThatIsOnItsWayOutDoesNotCountItself) {
  RecoveredLog log = MakeLog({1, 1, 1}, /*commit=*/2);
  Place(log, 2, MakeConfiguration({2, 3}, {1, 2, 3}));
  Place(log, 3, MakeConfiguration({2, 3}));
  Member member(1, std::move(log));
  member.raft.Campaign();
  member.Take();
  member.Receive(2, 1, VoteReply{true, Term{2}, true});
  EXPECT_EQ(member.raft.role(), Role::kPreCandidate);
  member.Receive(3, 1, VoteReply{true, Term{2}, true});
  EXPECT_EQ(member.raft.role(), Role::kCandidate);
}

}  // namespace
}  // namespace lockd::raft
