// Snapshots through the facade: who needs one, who may send and answer, what a restored one
// replaces, and what waits for which write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/consensus/raft/group.h"
#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

using State = Progress::State;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr NodeId kLeader{2};
const Configuration kMembers = MakeConfiguration({1, 2, 3});

LogBase MakeBase(uint64_t term, uint64_t index) {
  return {Index{index}, Term{term}, ClusterTime{0}};
}

SnapshotId MakeSnapshot(uint64_t term, uint64_t index) {
  return {MakeBase(term, index), 100, 7};
}

SnapshotChunk MakeChunk(uint64_t term, uint64_t index, uint64_t offset = 0) {
  return {MakeSnapshot(term, index), offset, "bytes"};
}

SnapshotChunkReply MakeInstalled(uint64_t term, uint64_t index) {
  return {MakeSnapshot(term, index), 100, true};
}

// -- the leader --

// Node 1 of three leads in term 2. Its log: 1 1 1 of term 1, the no-op at 4, all committed, and
// node 2 has it; node 3 was never heard.
Member LeaderOfTerm2() {
  Member member(1, {1, 1, 1});
  member.Lead();
  member.Receive(2, 2, MakeAccepted(3, 4));
  member.Take();
  LOCKD_CHECK(member.raft.applied_index() == Index{4});
  return member;
}

// ... and node 3 has nothing of what is left after compaction to 3.
Member LeaderWithTarget() {
  Member member = LeaderOfTerm2();
  member.raft.Compact(MakeBase(1, 3));
  member.Receive(3, 2, MakeRefused(3, 0, 0));
  member.Take();
  LOCKD_CHECK(member.follower(3).state() == State::kSnapshot);
  return member;
}

TEST(LeaderSnapshot, AFollowerWhoseNextEntryIsCompactedIsATarget) {
  Member member = LeaderOfTerm2();
  EXPECT_THAT(member.raft.SnapshotTargets(), IsEmpty());
  // It is asked from entry 2 on; then the entries up to 3 go.
  member.Receive(3, 2, MakeRefused(3, 1, 1));
  member.Take();
  EXPECT_THAT(member.raft.SnapshotTargets(), IsEmpty());
  member.raft.Compact(MakeBase(1, 3));
  EXPECT_THAT(member.raft.SnapshotTargets(), ElementsAre(NodeId{3}));
  EXPECT_EQ(member.follower(2).state(), State::kReplicate);
  CheckInvariants(member.raft);
}

// The entry right after the base needs no snapshot: what stands before it is known.
TEST(LeaderSnapshot, AFollowerThatHasTheBaseIsNoTarget) {
  Member member = LeaderOfTerm2();
  member.Receive(3, 2, MakeRefused(3, 2, 1));
  member.Take();
  member.raft.Compact(MakeBase(1, 2));
  EXPECT_THAT(member.raft.SnapshotTargets(), IsEmpty());
}

TEST(LeaderSnapshot, ARefusalWhoseHintIsBelowTheBaseMakesATarget) {
  Member member = LeaderOfTerm2();
  member.raft.Compact(MakeBase(1, 3));
  EXPECT_THAT(member.raft.SnapshotTargets(), IsEmpty());
  member.Receive(3, 2, MakeRefused(3, 1, 1));
  EXPECT_THAT(member.raft.SnapshotTargets(), ElementsAre(NodeId{3}));
}

TEST(LeaderSnapshot, ATargetGetsHeartbeatsAndNoAppends) {
  Member member = LeaderWithTarget();
  member.Propose("x");
  EXPECT_THAT(Only<AppendRequest>(member.Take(), 3), IsEmpty());
  member.raft.Tick(5);
  const std::vector<Heartbeat> heartbeats = Only<Heartbeat>(member.Take(), 3);
  ASSERT_EQ(heartbeats.size(), 1u);
  // Nothing is out that an empty append could ask for.
  member.Receive(3, 2, HeartbeatReply{heartbeats[0].round});
  EXPECT_THAT(Only<AppendRequest>(member.Take(), 3), IsEmpty());
}

TEST(LeaderSnapshot, ChunksGoToTargetsOnly) {
  Member member = LeaderWithTarget();
  member.raft.SendSnapshotChunk(NodeId{2}, MakeChunk(1, 3));
  member.raft.SendSnapshotChunk(NodeId{9}, MakeChunk(1, 3));
  EXPECT_THAT(member.Take(), IsEmpty());
  member.raft.SendSnapshotChunk(NodeId{3}, MakeChunk(1, 3));
  EXPECT_THAT(Only<SnapshotChunk>(member.Take(), 3), ElementsAre(MakeChunk(1, 3)));
}

TEST(LeaderSnapshot, AReplyIsHandedToTheOwnerAndChangesNothingUntilInstalled) {
  Member member = LeaderWithTarget();
  const SnapshotChunkReply reply{MakeSnapshot(1, 3), 50, false};
  member.Receive(3, 2, reply);
  EXPECT_THAT(member.TakeReady().snapshot_replies,
              ElementsAre(ReceivedChunkReply{NodeId{3}, reply}));
  EXPECT_THAT(member.raft.SnapshotTargets(), ElementsAre(NodeId{3}));
}

// A follower that takes long over a snapshot and answers its chunks is not out of touch.
TEST(LeaderSnapshot, AReplyCountsAsHearingTheFollower) {
  Member member = LeaderWithTarget();
  member.raft.Tick(20);
  member.Receive(3, 2, SnapshotChunkReply{MakeSnapshot(1, 3), 50, false});
  EXPECT_EQ(member.follower(3).heard_at(), member.raft.core().now());
}

TEST(LeaderSnapshot, AnInstalledOneAcknowledgesUpToItsBaseAndIsProbedFromThere) {
  Member member = LeaderWithTarget();
  member.Receive(3, 2, MakeInstalled(1, 3));
  EXPECT_THAT(member.raft.SnapshotTargets(), IsEmpty());
  EXPECT_EQ(member.follower(3).match_index(), Index{3});
  EXPECT_EQ(member.follower(3).state(), State::kProbe);
  const std::vector<AppendRequest> appends = Only<AppendRequest>(member.Take(), 3);
  ASSERT_EQ(appends.size(), 1u);
  EXPECT_EQ(appends[0].prev_index, Index{3});
  EXPECT_EQ(appends[0].prev_term, Term{1});
  EXPECT_EQ(appends[0].entries, MakeEntries(4, {2}));
}

// While the snapshot was on its way, the log was compacted further.
TEST(LeaderSnapshot, AnInstalledOneBelowTheBaseOfTodayNeedsANewerOne) {
  Member member = LeaderWithTarget();
  member.raft.Compact(MakeBase(2, 4));
  member.Receive(3, 2, MakeInstalled(1, 3));
  EXPECT_EQ(member.follower(3).match_index(), Index{3});
  EXPECT_THAT(member.raft.SnapshotTargets(), ElementsAre(NodeId{3}));
  EXPECT_THAT(Only<AppendRequest>(member.Take(), 3), IsEmpty());
}

TEST(LeaderSnapshot, ADuplicateOfAnInstalledReplyMovesNothingBack) {
  Member member = LeaderWithTarget();
  member.Receive(3, 2, MakeInstalled(1, 3));
  member.Take();
  member.Receive(3, 2, MakeAccepted(3, 4));
  member.Receive(3, 2, MakeInstalled(1, 3));
  EXPECT_EQ(member.follower(3).match_index(), Index{4});
  EXPECT_EQ(member.follower(3).state(), State::kReplicate);
}

TEST(LeaderSnapshot, AReplyOfAnEarlierTermIsDropped) {
  Member member = LeaderWithTarget();
  member.Receive(3, 1, MakeInstalled(1, 3));
  EXPECT_EQ(member.follower(3).match_index(), Index{0});
  EXPECT_THAT(member.TakeReady().snapshot_replies, IsEmpty());
}

// It has the base by other means: an append that was thought to be lost.
TEST(LeaderSnapshot, AnAcknowledgementThatReachesTheBaseEndsTheNeed) {
  Member member = LeaderWithTarget();
  member.Receive(3, 2, MakeAccepted(0, 2));
  EXPECT_THAT(member.raft.SnapshotTargets(), ElementsAre(NodeId{3}));
  member.Receive(3, 2, MakeAccepted(2, 3));
  EXPECT_THAT(member.raft.SnapshotTargets(), IsEmpty());
}

// A read for the follower was under way when what it wants was compacted.
TEST(LeaderSnapshot, AReadOfWhatIsCompactedMeanwhileIsOfNoUse) {
  Member member(1, {1, 1, 1, 1, 1}, 3, [](Options& options) { options.tail_bytes_max = 60; });
  member.Lead();
  member.Receive(2, 2, MakeAccepted(5, 6));
  Ready ready = member.TakeReady();
  while (member.raft.applied_index() < Index{6}) ready = member.TakeReady();
  member.Receive(3, 2, MakeRefused(5, 1, 1));
  ready = member.TakeReady();
  ASSERT_EQ(ready.reads.size(), 1u);
  member.raft.Compact(MakeBase(1, 5));
  member.raft.ReadCompleted(ready.reads[0].id, MakeEntries(2, {1, 1}));
  EXPECT_THAT(Only<AppendRequest>(member.Take(), 3), IsEmpty());
  EXPECT_THAT(member.raft.SnapshotTargets(), ElementsAre(NodeId{3}));
}

TEST(Compact, TheNextWriteTellsTheDiskOnce) {
  Member member = LeaderOfTerm2();
  EXPECT_FALSE(member.raft.HasPendingWrite());
  member.raft.Compact(MakeBase(1, 3));
  const Ready ready = member.TakeReady();
  ASSERT_TRUE(ready.write.has_value());
  EXPECT_EQ(ready.write->base, MakeBase(1, 3));
  EXPECT_FALSE(member.raft.HasPendingWrite());
  EXPECT_EQ(member.raft.first_index(), Index{4});
}

TEST(Compact, NothingHappensWhereTheLogBeginsLaterOrIsNotDurable) {
  Member member = LeaderOfTerm2();
  member.raft.Compact(MakeBase(1, 3));
  member.Take();
  member.raft.Compact(MakeBase(1, 3));
  member.raft.Compact(MakeBase(1, 2));
  EXPECT_FALSE(member.raft.HasPendingWrite());
  // Committed by the others' disks, applied, and still in a write here.
  member.Propose("x");
  const Ready under_way = member.TakeReady();
  member.Receive(2, 2, MakeAccepted(4, 5));
  member.Receive(3, 2, MakeInstalled(1, 3));
  member.Receive(3, 2, MakeAccepted(3, 5));
  member.TakeReady();
  ASSERT_EQ(member.raft.applied_index(), Index{5});
  member.raft.Compact(MakeBase(2, 5));
  EXPECT_EQ(member.raft.first_index(), Index{4});
  member.Complete(*under_way.write);
  member.raft.Compact(MakeBase(2, 5));
  EXPECT_EQ(member.raft.first_index(), Index{6});
  CheckInvariants(member.raft);
}

TEST(Compact, ALeaderWhoseNoopIsCompactedStillLeads) {
  Member member = LeaderOfTerm2();
  member.Propose("x");
  member.Take();
  member.Receive(2, 2, MakeAccepted(4, 5));
  member.Take();
  member.raft.Compact(MakeBase(2, 5));
  CheckInvariants(member.raft);
  member.Propose("y");
  EXPECT_EQ(Only<AppendRequest>(member.Take(), 2).size(), 1u);
}

// -- the follower --

// Node 1 of three follows node 2 in term 3. Its log: 1 1 2 2, committed and applied to 2.
Member FollowerOfTwo() {
  Member member(1, MakeLog({1, 1, 2, 2}, /*commit=*/2));
  member.Take();
  member.Receive(2, 3, Heartbeat{Index{2}, 1});
  member.Take();
  return member;
}

TEST(FollowerSnapshot, AChunkIsHandedToTheOwnerAndCountsAsHearingTheLeader) {
  Member member = FollowerOfTwo();
  member.raft.Tick(25);
  member.Receive(2, 3, MakeChunk(3, 9));
  EXPECT_THAT(member.TakeReady().snapshot_chunks,
              ElementsAre(ReceivedChunk{kLeader, MakeChunk(3, 9)}));
  member.raft.Tick(25);
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_EQ(member.raft.leader_id(), kLeader);
}

TEST(FollowerSnapshot, AChunkOfALaterTermMakesAFollower) {
  Member member = FollowerOfTwo();
  member.raft.Campaign();
  member.Receive(3, 5, MakeChunk(3, 9));
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_EQ(member.raft.leader_id(), NodeId{3});
  EXPECT_EQ(member.TakeReady().snapshot_chunks.size(), 1u);
}

TEST(FollowerSnapshot, AChunkOfAStaleLeaderIsAnsweredWithTheTermOfToday) {
  Member member = FollowerOfTwo();
  member.Receive(3, 2, MakeChunk(2, 9));
  const Ready ready = member.TakeReady();
  EXPECT_THAT(ready.snapshot_chunks, IsEmpty());
  ASSERT_EQ(ready.messages.size(), 1u);
  EXPECT_EQ(ready.messages[0].term, Term{3});
  EXPECT_EQ(ready.messages[0].to, NodeId{3});
}

TEST(FollowerSnapshot, RepliesGoToTheLeaderThatIsFollowedOnly) {
  Member member = FollowerOfTwo();
  const SnapshotChunkReply reply{MakeSnapshot(3, 9), 50, false};
  member.raft.ReplySnapshotChunk(NodeId{3}, reply);
  EXPECT_THAT(member.Take(), IsEmpty());
  member.raft.ReplySnapshotChunk(kLeader, reply);
  EXPECT_THAT(Only<SnapshotChunkReply>(member.Take(), 2), ElementsAre(reply));
  member.raft.SuspectLeader();
  member.raft.ReplySnapshotChunk(kLeader, reply);
  member.raft.ReplySnapshotChunk(NodeId{0}, reply);
  EXPECT_THAT(member.Take(), IsEmpty());
}

// an older snapshot does not take the place of a newer state.
TEST(RestoreSnapshot, IsRefusedWhereAllOfItIsCommittedAlready) {
  Member member = FollowerOfTwo();
  EXPECT_FALSE(member.raft.RestoreSnapshot(MakeBase(1, 1), kMembers));
  EXPECT_FALSE(member.raft.RestoreSnapshot(MakeBase(1, 2), kMembers));
  EXPECT_FALSE(member.raft.HasReady());
  EXPECT_EQ(member.raft.first_index(), Index{1});
}

TEST(RestoreSnapshot, IsForFollowersOnly) {
  Member candidate = FollowerOfTwo();
  candidate.raft.Campaign();
  EXPECT_FALSE(candidate.raft.RestoreSnapshot(MakeBase(3, 9), kMembers));
  Member leader = LeaderOfTerm2();
  EXPECT_FALSE(leader.raft.RestoreSnapshot(MakeBase(2, 9), kMembers));
}

TEST(RestoreSnapshot, ReplacesAShorterLogAndGoesOnFromThere) {
  Member member = FollowerOfTwo();
  ASSERT_TRUE(member.raft.RestoreSnapshot(MakeBase(3, 9), kMembers));
  CheckInvariants(member.raft);
  EXPECT_EQ(member.raft.commit_index(), Index{9});
  EXPECT_EQ(member.raft.applied_index(), Index{9});
  EXPECT_EQ(member.raft.first_index(), Index{10});
  EXPECT_EQ(member.raft.last_index(), Index{9});
  const Ready ready = member.TakeReady();
  ASSERT_TRUE(ready.write.has_value());
  EXPECT_EQ(ready.write->base, MakeBase(3, 9));
  EXPECT_THAT(ready.committed, IsEmpty());
  member.Complete(*ready.write);
  member.Receive(2, 3, MakeAppend(9, 3, MakeEntries(10, {3}), 10));
  EXPECT_EQ(Only<AppendReply>(member.Take(), 2).back().match_index, Index{10});
  EXPECT_EQ(member.applied.back(), MakeEntry(3, 10));
}

TEST(RestoreSnapshot, KeepsWhatFollowsTheVeryEntry) {
  Member member = FollowerOfTwo();
  ASSERT_TRUE(member.raft.RestoreSnapshot(MakeBase(2, 3), kMembers));
  CheckInvariants(member.raft);
  EXPECT_EQ(member.raft.first_index(), Index{4});
  EXPECT_EQ(member.raft.last_index(), Index{4});
  EXPECT_EQ(member.raft.durable_index(), Index{4});
}

// entries that contradict what is committed do not stay behind the base.
TEST(RestoreSnapshot, ForgetsAConflictingSuffix) {
  Member member = FollowerOfTwo();
  ASSERT_TRUE(member.raft.RestoreSnapshot(MakeBase(3, 3), kMembers));
  CheckInvariants(member.raft);
  EXPECT_EQ(member.raft.last_index(), Index{3});
  EXPECT_EQ(member.raft.log().last_term(), Term{3});
  EXPECT_EQ(member.TakeReady().write->base, MakeBase(3, 3));
}

TEST(RestoreSnapshot, TheWordThatItIsInstalledWaitsForTheWriteOfItsBase) {
  Member member = FollowerOfTwo();
  ASSERT_TRUE(member.raft.RestoreSnapshot(MakeBase(3, 9), kMembers));
  member.raft.ReplySnapshotChunk(kLeader, MakeInstalled(3, 9));
  Ready ready = member.TakeReady(TakeWrite::kNo);
  EXPECT_THAT(ready.messages, IsEmpty());
  ready = member.TakeReady();
  EXPECT_THAT(ready.messages, IsEmpty());
  ASSERT_TRUE(ready.write.has_value());
  EXPECT_THAT(Only<SnapshotChunkReply>(ready.write->messages_once_durable, 2),
              ElementsAre(MakeInstalled(3, 9)));
  // Said again while that write is under way.
  member.raft.ReplySnapshotChunk(kLeader, MakeInstalled(3, 9));
  EXPECT_THAT(member.TakeReady().messages, IsEmpty());
  member.Complete(*ready.write);
  EXPECT_THAT(Only<SnapshotChunkReply>(member.Take(), 2), ElementsAre(MakeInstalled(3, 9)));
}

// The log got there by appends; what is committed by other disks is not durable on this one yet.
TEST(FollowerSnapshot, TheWordThatItIsInstalledWaitsForTheEntriesUpToItsBase) {
  Member member = FollowerOfTwo();
  member.Receive(2, 3, MakeAppend(4, 2, MakeEntries(5, {3, 3}), 6));
  const Ready ready = member.TakeReady();
  ASSERT_EQ(member.raft.commit_index(), Index{6});
  member.raft.ReplySnapshotChunk(kLeader, MakeInstalled(3, 5));
  EXPECT_THAT(Only<SnapshotChunkReply>(member.Take(), 2), IsEmpty());
  member.Complete(*ready.write);
  EXPECT_THAT(Only<SnapshotChunkReply>(member.Take(), 2), ElementsAre(MakeInstalled(3, 5)));
}

TEST(FollowerSnapshot, InstalledWithoutTheStateIsABug) {
  Member member = FollowerOfTwo();
  EXPECT_DEATH(member.raft.ReplySnapshotChunk(kLeader, MakeInstalled(3, 9)), "not committed here");
}

// what was on its way to the state machine is in the snapshot, and does not come again.
TEST(RestoreSnapshot, DropsWhatWasHandedOutOrReadForApplying) {
  Member member(1, MakeLog({1, 1, 1, 1}, /*commit=*/0), 3,
                [](Options& options) { options.apply_bytes_max = 60; });
  member.Receive(2, 3, MakeAppend(4, 1, {}, 4));
  const Ready ready = member.raft.TakeReady();
  ASSERT_EQ(ready.committed.size(), 1u);  // handed out, never applied
  ASSERT_TRUE(member.raft.RestoreSnapshot(MakeBase(2, 9), kMembers));
  CheckInvariants(member.raft);
  EXPECT_THAT(member.raft.TakeReady().committed, IsEmpty());
  member.raft.Applied(Index{1});  // too late
  EXPECT_EQ(member.raft.applied_index(), Index{9});
}

TEST(RestoreSnapshot, AReadForApplyingThatComesLaterIsOfNoUse) {
  RecoveredLog recovered = MakeLog({1, 1, 1, 1}, /*commit=*/3);
  recovered.tail.erase(recovered.tail.begin(), recovered.tail.begin() + 2);
  Member member(1, std::move(recovered));
  const Ready ready = member.TakeReady();
  ASSERT_EQ(ready.reads.size(), 1u);
  member.Receive(2, 3, Heartbeat{Index{3}, 1});
  ASSERT_TRUE(member.raft.RestoreSnapshot(MakeBase(2, 9), kMembers));
  member.raft.ReadCompleted(ready.reads[0].id, MakeEntries(1, {1, 1}));
  CheckInvariants(member.raft);
  EXPECT_THAT(member.TakeReady().committed, IsEmpty());
}

TEST(RestoreSnapshot, OfAnotherTermDropsTheWordThatItIsInstalled) {
  Member member = FollowerOfTwo();
  ASSERT_TRUE(member.raft.RestoreSnapshot(MakeBase(3, 9), kMembers));
  member.raft.ReplySnapshotChunk(kLeader, MakeInstalled(3, 9));
  member.Receive(3, 4, Heartbeat{Index{0}, 1});
  const Ready ready = member.TakeReady();
  ASSERT_TRUE(ready.write.has_value());
  EXPECT_EQ(ready.write->base, MakeBase(3, 9));
  EXPECT_THAT(ready.write->messages_once_durable, IsEmpty());
}

TEST(RecoveredLog, WhatASnapshotHoldsCountsAsAppliedAndCommitted) {
  RecoveredLog recovered = MakeLog({1, 1, 1, 1}, /*commit=*/2);
  recovered.applied_index = Index{3};
  Member member(1, std::move(recovered));
  EXPECT_EQ(member.raft.applied_index(), Index{3});
  EXPECT_EQ(member.raft.commit_index(), Index{3});
  EXPECT_THAT(member.TakeReady().committed, IsEmpty());
  member.Receive(2, 3, MakeAppend(4, 1, {}, 4));
  member.Take();
  EXPECT_THAT(member.applied, ElementsAre(MakeEntry(1, 4)));
}

// -- a group --

TEST(GroupSnapshot, AFollowerThatWasAwayCatchesUpByASnapshot) {
  Group group(3);
  group.Elect(1);
  group.Isolate(3);
  for (const char* command : {"a", "b", "c"}) group.Propose(1, command);
  group.Settle();
  group.TakeSnapshot(1);
  group.Compact(1, 4);
  group.Heal();
  group.Tick(10);
  EXPECT_THAT(group[1].SnapshotTargets(), ElementsAre(NodeId{3}));
  group.SendSnapshots(1);
  group.Propose(1, "d");
  group.Settle();
  group.Tick(10);
  EXPECT_THAT(group.commands(3), ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(group.disk(3).base.index, Index{4});
  // Memory is what a start would find.
  group.Crash(3);
  group.Restart(3);
  group.Tick(10);
  EXPECT_THAT(group.commands(3), ElementsAre("a", "b", "c", "d"));
}

}  // namespace
}  // namespace lockd::raft
