// The rules of formation.h, one by one. Nodes 1 (this one, incarnation 101), 2 (102) and 3 (103).

#include "server/node/formation.h"

#include "gtest/gtest.h"

namespace lockd::node {
namespace {

constexpr ClusterId kCluster{77};

std::vector<state::Member> Members(bool with_incarnations, int count = 3) {
  std::vector<state::Member> members;
  for (uint64_t id = 1; id <= static_cast<uint64_t>(count); ++id) {
    members.push_back({.node_id = NodeId{id},
                       .peer_address = "peer",
                       .client_address = "client",
                       .incarnation = Incarnation{with_incarnations ? 100 + id : 0}});
  }
  return members;
}

NodeOptions Options(int count = 3) {
  NodeOptions options;
  options.node_id = NodeId{1};
  options.cluster_name = "name";
  options.client_address = "here:1";
  options.incarnation = Incarnation{101};
  options.bootstrap_members = Members(false, count);
  return options;
}

raft::RecoveredLog EmptyLog() {
  return {};
}
raft::RecoveredLog SomeLog() {
  raft::RecoveredLog log;
  log.hard_state.term = raft::Term{3};
  log.last_index = raft::Index{9};
  return log;
}
raft::RecoveredLog OnlyAVote() {
  raft::RecoveredLog log;
  log.hard_state = {.term = raft::Term{3}, .voted_for = NodeId{2}, .commit = {}};
  return log;
}

PeerClaim Empty(uint64_t id) {
  return {.node_id = NodeId{id},
          .cluster_name = "name",
          .cluster_id = {},
          .incarnation = Incarnation{100 + id},
          .has_log = false,
          .term = {},
          .your_incarnation = {},
          .client_address = "there:2",
          .peer_address = "peer"};
}
PeerClaim WithTerm(uint64_t id, uint64_t term) {
  PeerClaim claim = Empty(id);
  claim.term = raft::Term{term};
  return claim;
}
PeerClaim WithLog(uint64_t id) {
  PeerClaim claim = WithTerm(id, 3);
  claim.has_log = true;
  return claim;
}
PeerClaim OfCluster(uint64_t id, uint64_t my_incarnation) {
  PeerClaim claim = WithLog(id);
  claim.cluster_id = kCluster;
  claim.your_incarnation = Incarnation{my_incarnation};
  return claim;
}

using Kind = Verdict::Kind;

TEST(Formation, ASingleNodeTakesPartAtOnce) {
  EXPECT_TRUE(Formation(Options(1), EmptyLog()).participates());
}

TEST(Formation, AnEmptyNodeWaitsForAllOthersToBeEmptyToo) {
  Formation formation(Options(), EmptyLog());
  EXPECT_FALSE(formation.participates());
  EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.participates());
  EXPECT_NE(formation.WaitsFor().find("node 3"), std::string::npos) << formation.WaitsFor();
  EXPECT_EQ(formation.OnHello(Empty(3)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.participates());
  EXPECT_TRUE(formation.term_floor().is_zero());
  EXPECT_TRUE(formation.WaitsFor().empty());
}

TEST(Formation, AMajorityOfEmptyNodesIsNotEnough) {
  // Two of three could elect each other although the third one holds what all had acknowledged.
  Formation formation(Options(), EmptyLog());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.participates());
}

TEST(Formation, AnEmptyNodeDoesNotFormWithANodeThatHasALog) {
  Formation formation(Options(), EmptyLog());
  EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kAccepted);
  EXPECT_EQ(formation.OnHello(WithLog(3)).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.participates());
}

TEST(Formation, APeerThatWasEmptyInThisRunMayHaveGoneOnMeanwhile) {
  Formation formation(Options(), EmptyLog());
  EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kAccepted);
  EXPECT_EQ(formation.OnHello(WithLog(2)).kind, Kind::kAccepted);
  EXPECT_EQ(formation.OnHello(Empty(3)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.participates());
}

TEST(Formation, StartsAboveAllTermsOfAnInterruptedAttempt) {
  // This directory may be the second one of a node that voted in term 4 with its first one.
  Formation formation(Options(), EmptyLog());
  EXPECT_EQ(formation.OnHello(WithTerm(2, 4)).kind, Kind::kAccepted);
  EXPECT_EQ(formation.OnHello(Empty(3)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.participates());
  EXPECT_EQ(formation.term_floor(), raft::Term{5});
}

TEST(Formation, ARegisteredNodeThatNeverWroteTakesPart) {
  Formation formation(Options(), EmptyLog());
  EXPECT_EQ(formation.OnHello(OfCluster(2, 101)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.participates());
  EXPECT_EQ(formation.cluster_id(), kCluster);
}

TEST(Formation, AWipedNodeLeavesForGood) {
  Formation formation(Options(), EmptyLog());
  const Verdict verdict = formation.OnHello(OfCluster(2, 999));
  EXPECT_EQ(verdict.kind, Kind::kFatal);
  EXPECT_NE(verdict.message.find("cluster 77 knows node 1"), std::string::npos);
  EXPECT_NE(verdict.message.find("add it as a new member"), std::string::npos);
  EXPECT_FALSE(formation.participates());
}

// N-12: on a port where anybody can say a hello, a hello must not end a node that serves.
TEST(Formation, ANodeThatItsLogHasRegisteredDoesNotLeaveForAHello) {
  Formation formation(Options(), SomeLog());
  ASSERT_EQ(formation.SetApplied(kCluster, Members(true), NodeId{3}).kind, Kind::kAccepted);
  EXPECT_EQ(formation.OnHello(OfCluster(2, 999)).kind, Kind::kWrongIdentity);
  PeerClaim impostor = OfCluster(2, 999);
  impostor.incarnation = Incarnation{4'711};
  EXPECT_EQ(formation.OnHello(impostor).kind, Kind::kWrongIdentity);
  EXPECT_EQ(formation.OnHello(OfCluster(2, 101)).kind, Kind::kAccepted);
}

TEST(Formation, ANodeUnknownToTheClusterWaits) {
  Formation formation(Options(), EmptyLog());
  EXPECT_EQ(formation.OnHello(OfCluster(2, 0)).kind, Kind::kAccepted);
  EXPECT_EQ(formation.OnHello(Empty(3)).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.participates());
  EXPECT_NE(formation.WaitsFor().find("does not know this node"), std::string::npos);
}

TEST(Formation, ADirectoryThatHasVotedTakesPart) {
  EXPECT_TRUE(Formation(Options(), OnlyAVote()).participates());
  EXPECT_TRUE(Formation(Options(), SomeLog()).participates());
}

TEST(Formation, ListensToNobodyWhileItWaits) {
  Formation formation(Options(), EmptyLog());
  EXPECT_EQ(formation.OnHello(OfCluster(2, 0)).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.ListensTo(NodeId{2}));
}

TEST(Formation, DoesNotListenToAPeerThatWaits) {
  Formation formation(Options(), SomeLog());
  EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.ListensTo(NodeId{2})) << "empty and not registered";
  EXPECT_EQ(formation.OnHello(WithTerm(2, 4)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.ListensTo(NodeId{2}));
}

TEST(Formation, ListensToARegisteredPeerThatNeverWrote) {
  Formation formation(Options(), SomeLog());
  EXPECT_EQ(formation.SetApplied(kCluster, Members(true), NodeId{3}).kind, Kind::kAccepted);
  EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.ListensTo(NodeId{2}));
}

TEST(Formation, RefusesAPeerWithAnotherDirectoryThanTheRegisteredOne) {
  Formation formation(Options(), SomeLog());
  EXPECT_EQ(formation.SetApplied(kCluster, Members(true), NodeId{3}).kind, Kind::kAccepted);
  PeerClaim claim = Empty(2);
  claim.incarnation = Incarnation{555};
  EXPECT_EQ(formation.OnHello(claim).kind, Kind::kWrongIdentity);
  EXPECT_FALSE(formation.ListensTo(NodeId{2}));
}

TEST(Formation, PinsTheFirstDirectoryHeardUntilOneIsRegistered) {
  Formation formation(Options(), EmptyLog());
  EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kAccepted);
  PeerClaim other = Empty(2);
  other.incarnation = Incarnation{555};
  const Verdict verdict = formation.OnHello(other);
  EXPECT_EQ(verdict.kind, Kind::kWrongIdentity);
  EXPECT_NE(verdict.message.find("another data directory"), std::string::npos);
}

TEST(Formation, StopsListeningWhenTheAppliedMembershipSaysOtherwise) {
  Formation formation(Options(), SomeLog());
  PeerClaim claim = WithLog(2);
  claim.incarnation = Incarnation{555};
  EXPECT_EQ(formation.OnHello(claim).kind, Kind::kAccepted) << "nothing registered yet";
  EXPECT_TRUE(formation.ListensTo(NodeId{2}));
  EXPECT_EQ(formation.SetApplied(kCluster, Members(true), NodeId{3}).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.ListensTo(NodeId{2}));
}

TEST(Formation, RefusesOtherClusters) {
  Formation formation(Options(), SomeLog());
  PeerClaim other_name = WithLog(2);
  other_name.cluster_name = "other";
  EXPECT_EQ(formation.OnHello(other_name).kind, Kind::kWrongCluster);
  EXPECT_EQ(formation.SetApplied(kCluster, Members(true), NodeId{3}).kind, Kind::kAccepted);
  PeerClaim other_id = OfCluster(2, 101);
  other_id.cluster_id = ClusterId{78};
  EXPECT_EQ(formation.OnHello(other_id).kind, Kind::kWrongCluster);
}

TEST(Formation, RefusesStrangersAndItself) {
  Formation formation(Options(), SomeLog());
  EXPECT_EQ(formation.OnHello(WithLog(4)).kind, Kind::kWrongIdentity);
  EXPECT_EQ(formation.OnHello(WithLog(1)).kind, Kind::kWrongIdentity);
  PeerClaim nameless = WithLog(2);
  nameless.incarnation = Incarnation{0};
  EXPECT_EQ(formation.OnHello(nameless).kind, Kind::kWrongIdentity);
}

TEST(Formation, FoundersCarryEveryIncarnation) {
  Formation formation(Options(), EmptyLog());
  EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.Founders().has_value());
  EXPECT_EQ(formation.OnHello(Empty(3)).kind, Kind::kAccepted);
  const auto founders = formation.Founders();
  ASSERT_TRUE(founders.has_value());
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ((*founders)[id - 1].incarnation, Incarnation{100 + id});
  }
  EXPECT_EQ((*founders)[0].client_address, "here:1");
  EXPECT_EQ((*founders)[1].client_address, "there:2");
}

TEST(Formation, ACommonFeatureLevelIsOneThatEveryMemberUnderstands) {
  Formation formation(Options(), EmptyLog());
  EXPECT_EQ(formation.CommonFeatureLevel(), state::kFeatureLevelMax);
  PeerClaim newer = Empty(2);
  newer.feature_level_max = state::kFeatureLevelMax + 3;
  EXPECT_EQ(formation.OnHello(newer).kind, Verdict::Kind::kAccepted);
  EXPECT_EQ(formation.CommonFeatureLevel(), state::kFeatureLevelMax);
  PeerClaim older = Empty(3);
  older.feature_level_max = 0;
  EXPECT_EQ(formation.OnHello(older).kind, Verdict::Kind::kAccepted);
  EXPECT_EQ(formation.CommonFeatureLevel(), 0u);
}

TEST(Formation, ADirectoryOfAnOlderIncarnationIsFoundOutByItsOwnLog) {
  Formation formation(Options(), SomeLog());
  std::vector<state::Member> members = Members(true);
  members[0].incarnation = Incarnation{999};
  EXPECT_EQ(formation.SetApplied(kCluster, members, NodeId{3}).kind, Kind::kFatal);
}

TEST(Formation, ANodeThatIsNoMemberAnyMoreLeaves) {
  Formation formation(Options(), SomeLog());
  std::vector<state::Member> members = Members(true);
  members.erase(members.begin());
  EXPECT_EQ(formation.SetApplied(kCluster, members, NodeId{3}).kind, Kind::kRemoved);
}

// ---- Members that change

// As node 1 of three, and the cluster's ids went up to `last`.
Formation MemberWith(uint64_t last) {
  Formation formation(Options(), SomeLog());
  EXPECT_EQ(formation.SetApplied(kCluster, Members(true), NodeId{last}).kind, Kind::kAccepted);
  return formation;
}

std::vector<uint64_t> PeersOf(const Formation& formation) {
  std::vector<uint64_t> ids;
  for (const state::Member& peer : formation.peers()) ids.push_back(peer.node_id.value());
  return ids;
}

using Peers = std::vector<uint64_t>;

NodeOptions Joiner() {
  NodeOptions options = Options();
  options.bootstrap_members.clear();
  options.joins = true;
  options.contact_address = "contact";
  return options;
}

TEST(Formation, TellsOneThatNobodyAddedHowToAddIt) {
  Formation formation = MemberWith(3);
  const Verdict verdict = formation.OnHello(Empty(4));
  EXPECT_EQ(verdict.kind, Kind::kWrongIdentity);
  EXPECT_NE(verdict.message.find("lockctl member add --peer peer --node-id 4"), std::string::npos);
}

TEST(Formation, TellsOneThatWasRemovedThatItWas) {
  Formation formation = MemberWith(5);
  EXPECT_TRUE(formation.IsRemoved(NodeId{5}));
  EXPECT_FALSE(formation.IsRemoved(NodeId{3}));
  EXPECT_FALSE(formation.IsRemoved(NodeId{6}));
  const Verdict verdict = formation.OnHello(OfCluster(5, 101));
  EXPECT_EQ(verdict.kind, Kind::kWrongIdentity);
  EXPECT_NE(verdict.message.find("was removed"), std::string::npos);
  EXPECT_FALSE(formation.ListensTo(NodeId{5}));
}

TEST(Formation, LeavesWhenAMemberSaysThatItWasRemoved) {
  Formation formation = MemberWith(3);
  PeerClaim claim = OfCluster(2, 0);
  claim.removed_you = true;
  PeerClaim impostor = claim;
  impostor.incarnation = Incarnation{4'711};
  EXPECT_EQ(formation.OnHello(impostor).kind, Kind::kWrongIdentity);
  PeerClaim foreign = claim;
  foreign.cluster_id = ClusterId{78};
  EXPECT_EQ(formation.OnHello(foreign).kind, Kind::kWrongCluster);
  PeerClaim stranger = claim;
  stranger.node_id = NodeId{4};
  EXPECT_EQ(formation.OnHello(stranger).kind, Kind::kWrongIdentity);
  EXPECT_EQ(formation.OnHello(claim).kind, Kind::kRemoved);
}

// It was let in, and got nothing of the log before the cluster changed its mind.
TEST(Formation, AJoinerThatTakesPartAndHasNothingYetLeavesWhenItWasRemoved) {
  Formation formation(Joiner(), EmptyLog());
  PeerClaim claim = OfCluster(2, 101);
  EXPECT_EQ(formation.OnHello(claim).kind, Kind::kAccepted);
  ASSERT_TRUE(formation.participates());
  claim.your_incarnation = {};
  claim.removed_you = true;
  EXPECT_EQ(formation.OnHello(claim).kind, Kind::kRemoved);
  claim.cluster_id = ClusterId{78};
  EXPECT_NE(formation.OnHello(claim).kind, Kind::kRemoved);
}

TEST(Formation, AnEmptyDirectoryUnderAnIdThatWasRemovedLeaves) {
  PeerClaim claim = OfCluster(2, 0);
  claim.removed_you = true;
  EXPECT_EQ(Formation(Options(), EmptyLog()).OnHello(claim).kind, Kind::kRemoved);
  EXPECT_EQ(Formation(Joiner(), EmptyLog()).OnHello(claim).kind, Kind::kRemoved);
}

TEST(Formation, AGuestIsOneThatKnowsThisNodeAndCameLaterThanWhatIsApplied) {
  Formation formation = MemberWith(3);
  EXPECT_EQ(formation.OnHello(OfCluster(4, 999)).kind, Kind::kWrongIdentity);
  EXPECT_EQ(formation.OnHello(OfCluster(4, 0)).kind, Kind::kWrongIdentity);
  EXPECT_EQ(PeersOf(formation), (Peers{2, 3}));
  EXPECT_EQ(formation.OnHello(OfCluster(4, 101)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.ListensTo(NodeId{4}));
  EXPECT_EQ(PeersOf(formation), (Peers{2, 3, 4}));
  // What is applied later says that it has come and gone.
  EXPECT_EQ(formation.SetApplied(kCluster, Members(true), NodeId{4}).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.ListensTo(NodeId{4}));
  EXPECT_EQ(PeersOf(formation), (Peers{2, 3}));
}

TEST(Formation, AMemberThatStandsInTheLogIsOne) {
  Formation formation = MemberWith(3);
  formation.SetAddedInLog({{.node_id = NodeId{4}, .peer_address = "four"}});
  EXPECT_EQ(PeersOf(formation), (Peers{2, 3, 4}));
  EXPECT_EQ(formation.OnHello(OfCluster(4, 0)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.ListensTo(NodeId{4}));
  formation.SetAddedInLog({});  // taken back
  EXPECT_EQ(PeersOf(formation), (Peers{2, 3}));
  EXPECT_FALSE(formation.ListensTo(NodeId{4}));
}

TEST(Formation, AJoinerAsksItsContactAndTakesPartOnceItIsRegistered) {
  Formation formation(Joiner(), EmptyLog());
  EXPECT_FALSE(formation.participates());
  ASSERT_EQ(PeersOf(formation), Peers{0});
  EXPECT_EQ(formation.peers().front().peer_address, "contact");
  EXPECT_NE(formation.WaitsFor().find("asking contact"), std::string::npos);
  // Two that join do not make a cluster.
  EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kWrongIdentity);
  EXPECT_EQ(formation.OnHello(OfCluster(2, 0)).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.participates());
  EXPECT_FALSE(formation.ListensTo(NodeId{2}));
  EXPECT_EQ(formation.OnHello(OfCluster(2, 101)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.participates());
  EXPECT_TRUE(formation.ListensTo(NodeId{2}));
  EXPECT_EQ(formation.cluster_id(), kCluster);
  EXPECT_EQ(PeersOf(formation), Peers{2});
}

TEST(Formation, AJoinerUnderAnIdThatAnotherDirectoryHasLeaves) {
  Formation formation(Joiner(), EmptyLog());
  EXPECT_EQ(formation.OnHello(OfCluster(2, 999)).kind, Kind::kFatal);
}

TEST(Formation, AJoinerReadsWhatWasBeforeIt) {
  NodeOptions options = Joiner();
  options.node_id = NodeId{4};
  Formation formation(options, EmptyLog());
  EXPECT_EQ(formation.SetApplied(kCluster, Members(true), NodeId{3}).kind, Kind::kAccepted);
  EXPECT_EQ(PeersOf(formation), (Peers{1, 2, 3}));
  // One that does not join has no business there.
  NodeOptions member = Options();
  member.node_id = NodeId{4};
  EXPECT_EQ(Formation(member, SomeLog()).SetApplied(kCluster, Members(true), NodeId{3}).kind,
            Kind::kFatal);
}

TEST(Formation, HearsABoundedNumberOfStrangers) {
  Formation formation(Joiner(), EmptyLog());
  for (uint64_t id = 2; id < 66; ++id) {
    EXPECT_EQ(formation.OnHello(OfCluster(id, 0)).kind, Kind::kAccepted);
  }
  EXPECT_EQ(formation.OnHello(OfCluster(66, 0)).kind, Kind::kWrongIdentity);
  EXPECT_EQ(formation.OnHello(OfCluster(65, 101)).kind, Kind::kAccepted) << "heard before";
}

TEST(Formation, MembersThatCameAndWentLeaveRoomForStrangers) {
  Formation formation = MemberWith(3);
  for (uint64_t id = 4; id < 80; ++id) {
    EXPECT_EQ(formation.OnHello(OfCluster(id, 101)).kind, Kind::kAccepted) << id;
    EXPECT_TRUE(formation.ListensTo(NodeId{id}));
    EXPECT_EQ(formation.SetApplied(kCluster, Members(true), NodeId{id}).kind, Kind::kAccepted);
    EXPECT_EQ(formation.ClaimOf(NodeId{id}), nullptr);
  }
}

// ---- From a backup

raft::SnapshotId Backup(uint32_t checksum = 1) {
  return {.base = {.index = raft::Index{50}, .term = raft::Term{3}, .time = ClusterTime(9)},
          .bytes = 400,
          .checksum = checksum};
}
NodeOptions RestoredOptions(int count = 3) {
  NodeOptions options = Options(count);
  options.restored_from = Backup();
  return options;
}
raft::RecoveredLog RestoredLog() {
  raft::RecoveredLog log;
  log.hard_state.term = raft::Term{3};
  log.base_index = log.last_index = raft::Index{50};
  log.base_term = raft::Term{3};
  return log;
}
PeerClaim Restored(uint64_t id) {
  PeerClaim claim = Empty(id);
  claim.restored_from = Backup();
  return claim;
}

TEST(Formation, ARestoredDirectoryWaitsForAllFoundersAsAnEmptyOneDoes) {
  Formation formation(RestoredOptions(), RestoredLog());
  EXPECT_FALSE(formation.participates());
  EXPECT_EQ(formation.OnHello(Restored(2)).kind, Kind::kAccepted);
  EXPECT_FALSE(formation.participates());
  EXPECT_EQ(formation.OnHello(Restored(3)).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.participates());
  EXPECT_TRUE(formation.ListensTo(NodeId{2}));
}

TEST(Formation, ARestoredDirectoryThatHasVotedTakesPart) {
  raft::RecoveredLog log = RestoredLog();
  log.hard_state.term = raft::Term{4};
  EXPECT_TRUE(Formation(RestoredOptions(), log).participates());
}

TEST(Formation, FoundersComeFromOneBackup) {
  Formation formation(RestoredOptions(), RestoredLog());
  EXPECT_EQ(formation.OnHello(Empty(2)).kind, Kind::kWrongCluster);
  PeerClaim other = Restored(2);
  other.restored_from = Backup(2);
  EXPECT_EQ(formation.OnHello(other).kind, Kind::kWrongCluster);
  EXPECT_EQ(Formation(Options(), EmptyLog()).OnHello(Restored(2)).kind, Kind::kWrongCluster);
}

// Then the cluster says who belongs to it.
TEST(Formation, TheBackupOfAFoundedClusterDoesNotMatter) {
  Formation formation(RestoredOptions(), RestoredLog());
  PeerClaim founded = OfCluster(2, 101);
  EXPECT_EQ(formation.OnHello(founded).kind, Kind::kAccepted);
  EXPECT_TRUE(formation.participates());
}

}  // namespace
}  // namespace lockd::node
