#include "consensus/raft/leader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/consensus/raft/group.h"
#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Node 1 of three leads in term 2; the no-op at index 2 is durable on all, followers replicate.
Member MakeLeader(const Member::Tweak& tweak = nullptr) {
  Member member(1, std::vector<uint64_t>{1}, 3, tweak);
  member.Lead();
  member.Receive(2, 2, MakeAccepted(1, 2));
  member.Receive(3, 2, MakeAccepted(1, 2));
  member.Take();
  return member;
}

void WithTwoLearners(Options& options) {
  options.configuration.learners = {NodeId{4}, NodeId{5}};
}

uint64_t RoundOf(const std::vector<Message>& sent) {
  return Only<Heartbeat>(sent).back().round;
}

TEST(Leader, BeginsWithANoopThatCarriesTheLastTime) {
  RecoveredLog recovered = MakeLog({1});
  recovered.tail[0].time = ClusterTime{700};
  Member member(1, std::move(recovered));
  member.Lead();
  const Entry& noop = member.raft.log().At(Index{2});
  EXPECT_EQ(noop.kind, EntryKind::kNoop);
  EXPECT_EQ(noop.term, Term{2});
  EXPECT_EQ(noop.time, ClusterTime{700});
}

TEST(Leader, AllProposalsOfATurnLeaveInOneAppendAndOneWrite) {
  Member member = MakeLeader();
  member.Propose("a");
  member.Propose("b");
  const Ready ready = member.TakeReady();
  ASSERT_EQ(Only<AppendRequest>(ready.messages, 2).size(), 1u);
  EXPECT_EQ(Only<AppendRequest>(ready.messages, 2)[0].entries.size(), 2u);
  EXPECT_EQ(ready.write->entries.size(), 2u);
}

TEST(Leader, AppendsLeaveWhileTheWriteWaits) {
  Member member = MakeLeader();
  member.Propose("a");
  const Ready first = member.TakeReady(TakeWrite::kNo);
  EXPECT_FALSE(first.write.has_value());
  EXPECT_EQ(Only<AppendRequest>(first.messages, 2).size(), 1u);
  member.Propose("b");
  const Ready second = member.TakeReady();
  EXPECT_EQ(Only<AppendRequest>(second.messages, 2)[0].entries.size(), 1u);
  EXPECT_EQ(second.write->entries.size(), 2u);
}

TEST(Leader, OwnEntriesCountOnlyOnceDurable) {
  Member member = MakeLeader();
  member.Propose("a");
  const Ready ready = member.TakeReady();
  member.Complete(*ready.write);
  EXPECT_EQ(member.raft.commit_index(), Index{2});  // one of three
  member.Receive(2, 2, MakeAccepted(2, 3));
  EXPECT_EQ(member.raft.commit_index(), Index{3});

  member.Propose("b");
  const Ready held = member.TakeReady();
  member.Receive(2, 2, MakeAccepted(3, 4));
  EXPECT_EQ(member.raft.commit_index(), Index{3});  // its own write is under way
  member.Receive(3, 2, MakeAccepted(3, 4));
  EXPECT_EQ(member.raft.commit_index(), Index{4});  // two others suffice
  member.Complete(*held.write);
}

// a quorum of one is no exception.
TEST(Leader, TheOnlyMemberCommitsOnceItsOwnWriteIsDurable) {
  Member member(1, std::vector<uint64_t>{1}, 1);
  member.Lead();
  member.Propose("a");
  const Ready ready = member.TakeReady();
  EXPECT_EQ(member.raft.commit_index(), Index{2});
  EXPECT_FALSE(member.raft.HasReady());
  member.Complete(*ready.write);
  EXPECT_EQ(member.raft.commit_index(), Index{3});
}

TEST(Leader, SeveralWritesMayBeUnderWay) {
  Member member(1, std::vector<uint64_t>{1}, 1);
  member.Lead();
  member.Propose("a");
  const Ready first = member.TakeReady();
  member.Propose("b");
  const Ready second = member.TakeReady();
  EXPECT_EQ(second.write->entries.size(), 1u);
  member.Complete(*first.write);
  EXPECT_EQ(member.raft.commit_index(), Index{3});
  member.Complete(*second.write);
  EXPECT_EQ(member.raft.commit_index(), Index{4});
}

// R-17, the paper's figure 8: node 1 leads again in term 4; its entry of term 2 reaches a majority,
// and is not committed for that.
//
//   node 1   1 2 4       the no-op of term 4 follows
//   node 2   1 2
//   node 3   1 2  <- replicated now
//   node 5   1 3         could still win with it, were index 2 counted
TEST(Leader, EntriesOfEarlierTermsAreNotCommittedByCounting) {
  RecoveredLog recovered = MakeLog({1, 2});
  recovered.hard_state.term = Term{3};
  Member member(1, std::move(recovered), 5);
  member.Lead();
  ASSERT_EQ(member.raft.term(), Term{4});
  member.Receive(2, 4, MakeAccepted(2, 2));
  member.Receive(3, 4, MakeAccepted(2, 2));
  EXPECT_EQ(member.raft.commit_index(), Index{0});
  EXPECT_FALSE(member.raft.has_committed_in_term());
  member.Receive(2, 4, MakeAccepted(2, 3));
  member.Receive(3, 4, MakeAccepted(2, 3));
  EXPECT_EQ(member.raft.commit_index(), Index{3});  // the earlier ones ride along
  EXPECT_TRUE(member.raft.has_committed_in_term());
}

// two of them, so that they would make a majority of all five with the leader.
TEST(Leader, LearnersDoNotCountForTheCommit) {
  Member member(1, std::vector<uint64_t>{1}, 3, WithTwoLearners);
  member.Lead();
  member.Receive(4, 2, MakeAccepted(1, 2));
  member.Receive(5, 2, MakeAccepted(1, 2));
  EXPECT_EQ(member.raft.commit_index(), Index{0});
  member.Receive(2, 2, MakeAccepted(1, 2));
  EXPECT_EQ(member.raft.commit_index(), Index{2});
}

// -- pipelining --

TEST(Leader, ProbesWithOneAppendUntilItIsAnswered) {
  Member member(1, {1});
  member.Lead();
  member.Propose("a");
  EXPECT_THAT(Only<AppendRequest>(member.Take(), 2), IsEmpty());
  member.Receive(2, 2, MakeAccepted(1, 2));
  const auto appends = Only<AppendRequest>(member.Take(), 2);
  ASSERT_EQ(appends.size(), 1u);
  EXPECT_EQ(appends[0].prev_index, Index{2});
}

TEST(Leader, PipelinesUpToTheWindowOfAppends) {
  Member member = MakeLeader([](Options& options) { options.inflight_appends_max = 3; });
  for (int i = 0; i < 5; ++i) {
    member.Propose("x");
    member.Take();
  }
  EXPECT_EQ(member.follower(2).inflight_appends(), 3u);
  EXPECT_EQ(member.follower(2).next_index(), Index{6});
  member.Receive(2, 2, MakeAccepted(2, 3));
  const auto appends = Only<AppendRequest>(member.Take(), 2);
  ASSERT_EQ(appends.size(), 1u);
  EXPECT_EQ(appends[0].entries.size(), 2u);  // what the window held back leaves together
}

// large entries are cut between, never out of, the list.
TEST(Leader, AppendsAreCutAtTheirByteLimitWithoutAGap) {
  Member member = MakeLeader([](Options& options) { options.append_bytes_max = 250; });
  for (int i = 0; i < 5; ++i) member.Propose(std::string(52, 'x'));  // 100 bytes each
  member.Propose(std::string(1000, 'y'));
  Index next{3};
  std::vector<size_t> sizes;
  for (const AppendRequest& append : Only<AppendRequest>(member.Take(), 2)) {
    EXPECT_EQ(append.prev_index + 1, next);
    for (const Entry& entry : append.entries) {
      EXPECT_EQ(entry.index, next);
      ++next;
    }
    sizes.push_back(append.entries.size());
  }
  EXPECT_THAT(sizes, ElementsAre(2, 2, 1, 1));
}

// A follower that is far behind is fed Ready by Ready, so that its leader can do other things
// between.
TEST(Leader, AReadyHoldsNoMoreForAFollowerThanItMay) {
  Member member = MakeLeader([](Options& options) {
    options.append_bytes_max = 250;
    options.send_bytes_max = 300;
  });
  for (int i = 0; i < 9; ++i) member.Propose(std::string(52, 'x'));  // 100 bytes each
  for (const uint64_t entries : {4u, 4u, 1u}) {
    ASSERT_TRUE(member.raft.HasReady(TakeWrite::kNo));
    const Ready ready = member.TakeReady(TakeWrite::kNo);
    for (const uint64_t follower : {2u, 3u}) {
      uint64_t sent = 0;
      for (const AppendRequest& append : Only<AppendRequest>(ready.messages, follower)) {
        sent += append.entries.size();
      }
      EXPECT_EQ(sent, entries) << "two appends of two, the second one begins below the limit";
    }
  }
  EXPECT_FALSE(member.raft.HasReady(TakeWrite::kNo));
}

TEST(Leader, AHeartbeatNeverTellsACommitIndexThatTheFollowerMayNotHave) {
  Member member(1, {1});
  member.Lead();
  member.Receive(2, 2, MakeAccepted(1, 2));
  member.Take();
  member.raft.Tick(5);
  const auto sent = member.Take();
  EXPECT_EQ(Only<Heartbeat>(sent, 2).at(0).commit, Index{2});
  EXPECT_EQ(Only<Heartbeat>(sent, 3).at(0).commit, Index{0});
}

// -- lost messages --

TEST(Leader, ALostLastAppendIsFoundByTheNextHeartbeat) {
  Member member = MakeLeader();
  member.Propose("a");
  member.Take();  // lost
  member.raft.Tick(5);
  member.Receive(2, 2, HeartbeatReply{RoundOf(member.Take())});
  const auto question = Only<AppendRequest>(member.Take(), 2);
  ASSERT_EQ(question.size(), 1u);
  EXPECT_EQ(question[0].prev_index, Index{3});
  EXPECT_THAT(question[0].entries, IsEmpty());
  member.Receive(2, 2, MakeRefused(3, 2, 2));
  const auto again = Only<AppendRequest>(member.Take(), 2);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].prev_index, Index{2});
  EXPECT_EQ(again[0].entries.size(), 1u);
}

TEST(Leader, ALostAcknowledgementIsMadeUpForByTheNextHeartbeat) {
  Member member = MakeLeader();
  member.Propose("a");
  member.Take();
  member.raft.Tick(5);
  member.Receive(2, 2, HeartbeatReply{RoundOf(member.Take())});
  const auto question = Only<AppendRequest>(member.Take(), 2);
  ASSERT_EQ(question.size(), 1u);
  member.Receive(2, 2, MakeAccepted(3, 3));
  EXPECT_EQ(member.raft.commit_index(), Index{3});
}

TEST(Leader, ALostProbeIsSentAgainAfterTheNextHeartbeat) {
  Member member(1, {1});
  member.Lead();  // the probe is lost
  member.raft.Tick(5);
  const auto sent = member.Take();
  EXPECT_THAT(Only<AppendRequest>(sent, 2), IsEmpty());
  member.Receive(2, 2, HeartbeatReply{RoundOf(sent)});
  EXPECT_EQ(Only<AppendRequest>(member.Take(), 2).size(), 1u);
}

TEST(Leader, ASilentFollowerCostsOnlyHeartbeats) {
  Member member = MakeLeader();
  for (int i = 0; i < 4; ++i) {
    member.Propose("x");
    member.Receive(2, 2, MakeAccepted(2, 2));  // node 2 is there, node 3 is not
    member.raft.Tick(5);
    member.Take();
  }
  member.raft.Tick(5);
  const auto sent = member.Take();
  EXPECT_THAT(Only<AppendRequest>(sent, 3), IsEmpty());
  EXPECT_EQ(Only<Heartbeat>(sent, 3).size(), 1u);
}

// -- entries that are only on disk --

// A leader that restarted with a short memory: 1..6 on disk, 5 and 6 in memory.
Member MakeLeaderWithShortMemory() {
  RecoveredLog recovered = MakeLog({1, 1, 1, 1, 1, 1}, 5);
  recovered.tail.erase(recovered.tail.begin(), recovered.tail.begin() + 4);
  Member member(1, std::move(recovered));
  member.raft.Applied(Index{5});
  member.Lead();
  member.Receive(3, 2, MakeAccepted(6, 7));
  member.Take();
  return member;
}

TEST(Leader, ReadsFromDiskForALaggingFollower) {
  Member member = MakeLeaderWithShortMemory();
  member.Receive(2, 2, MakeRefused(6, 2, 1));
  Ready ready = member.TakeReady();
  // From the entry before: its term is not known any more.
  ASSERT_EQ(ready.reads.size(), 1u);
  EXPECT_EQ(ready.reads[0].first, Index{2});
  EXPECT_EQ(ready.reads[0].last, Index{4});
  EXPECT_THAT(Only<AppendRequest>(ready.messages, 2), IsEmpty());
  member.raft.ReadCompleted(ready.reads[0].id, MakeEntries(2, {1, 1}));
  ready = member.TakeReady();
  auto appends = Only<AppendRequest>(ready.messages, 2);
  ASSERT_EQ(appends.size(), 1u);
  EXPECT_EQ(appends[0].prev_index, Index{2});
  EXPECT_EQ(appends[0].prev_term, Term{1});
  EXPECT_EQ(appends[0].entries, MakeEntries(3, {1}));

  member.Receive(2, 2, MakeAccepted(2, 3));
  ready = member.TakeReady();
  ASSERT_EQ(ready.reads.size(), 1u);
  member.raft.ReadCompleted(ready.reads[0].id, MakeEntries(3, {1}));  // only the one before
  ready = member.TakeReady();
  ASSERT_EQ(ready.reads.size(), 1u);
  EXPECT_EQ(ready.reads[0].first, Index{4});  // its term is known now
  member.raft.ReadCompleted(ready.reads[0].id, MakeEntries(4, {1}));
  ready = member.TakeReady();
  appends = Only<AppendRequest>(ready.messages, 2);
  ASSERT_EQ(appends.size(), 2u);  // from disk, then on from memory
  EXPECT_EQ(appends[0].entries, MakeEntries(4, {1}));
  EXPECT_EQ(appends[1].prev_index, Index{4});
  EXPECT_EQ(appends[1].entries.size(), 3u);
}

TEST(Leader, AReadThatCompletesAfterTheLeaderEndedIsDropped) {
  Member member = MakeLeaderWithShortMemory();
  member.Receive(2, 2, MakeRefused(6, 2, 1));
  const Ready ready = member.TakeReady();
  ASSERT_EQ(ready.reads.size(), 1u);
  member.Receive(3, 3, Heartbeat{});
  member.Take();
  member.raft.ReadCompleted(ready.reads[0].id, MakeEntries(2, {1, 1, 1}));
  EXPECT_THAT(member.Take(), IsEmpty());
}

// what is compacted has no term that could be sent; such a follower gets heartbeats only.
TEST(Leader, SendsNothingAcrossACompactedGap) {
  RecoveredLog recovered;
  recovered.hard_state = {Term{4}, NodeId{0}, Index{10}};
  recovered.base_index = Index{10};
  recovered.base_term = Term{3};
  recovered.last_index = Index{11};
  recovered.tail = MakeEntries(11, {4});
  Member member(1, std::move(recovered));
  member.Lead();
  member.Receive(2, 5, MakeRefused(11, 4, 2));
  EXPECT_FALSE(member.raft.HasReady());
  EXPECT_THAT(member.Take(), IsEmpty());
  member.raft.Tick(5);
  EXPECT_EQ(Only<Heartbeat>(member.Take(), 2).size(), 1u);
}

// -- limits --

// exact, also for entries taken over from earlier terms.
TEST(Leader, UncommittedBytesAreTheSumOverUncommittedEntries) {
  RecoveredLog recovered = MakeLog({1, 1}, 1);
  recovered.tail[1].payload = "12345";
  Member member(1, std::move(recovered));
  member.Lead();
  const size_t overhead = Entry::kOverheadBytes;
  EXPECT_EQ(member.raft.uncommitted_bytes(), 2 * overhead + 5);  // the old one and the no-op
  member.Propose("123");
  EXPECT_EQ(member.raft.uncommitted_bytes(), 3 * overhead + 8);
  member.Take();
  member.Receive(2, 2, MakeAccepted(2, 3));
  EXPECT_EQ(member.raft.uncommitted_bytes(), overhead + 3);
  member.Take();
  member.Receive(2, 2, MakeAccepted(3, 4));
  EXPECT_EQ(member.raft.uncommitted_bytes(), 0u);
}

TEST(Leader, RefusesProposalsAboveTheLimitUntilSomeHaveCommitted) {
  Member member = MakeLeader([](Options& options) { options.uncommitted_bytes_max = 200; });
  const auto propose = [&](size_t bytes) {
    return member.raft.Propose(ClusterTime{0}, std::string(bytes, 'x'));
  };
  EXPECT_EQ(propose(1000), ProposeOutcome::kAccepted);  // alone it is taken, however large
  EXPECT_EQ(propose(1), ProposeOutcome::kTooManyUncommitted);
  member.Take();
  member.Receive(2, 2, MakeAccepted(2, 3));
  EXPECT_EQ(propose(52), ProposeOutcome::kAccepted);
  EXPECT_EQ(propose(52), ProposeOutcome::kAccepted);
  EXPECT_EQ(propose(1), ProposeOutcome::kTooManyUncommitted);
  CheckInvariants(member.raft);
}

// a proposal is for this leader in this term; others say so and keep it.
TEST(Leader, OnlyALeaderTakesProposals) {
  Member member(2, {1});
  Index index{77};
  EXPECT_EQ(member.raft.Propose(ClusterTime{0}, "x", &index), ProposeOutcome::kNotLeader);
  EXPECT_EQ(index, Index{77});
  EXPECT_THAT(member.Take(), IsEmpty());
}

// -- stepping down --

TEST(Leader, StepsDownWhenItHasNotHeardAMajority) {
  Member member = MakeLeader();
  member.raft.Tick(29);
  EXPECT_TRUE(member.raft.is_leader());
  member.raft.Tick(1);
  EXPECT_FALSE(member.raft.is_leader());
  EXPECT_EQ(member.raft.term(), Term{2});
  EXPECT_EQ(member.raft.voted_for(), NodeId{1});
}

TEST(Leader, StaysWhileOneOfTwoFollowersAnswers) {
  Member member = MakeLeader();
  for (int i = 0; i < 100; ++i) {
    member.raft.Tick(5);
    member.Receive(2, 2, HeartbeatReply{RoundOf(member.Take())});
  }
  EXPECT_TRUE(member.raft.is_leader());
}

// the answers of learners do not keep a leader in office.
TEST(Leader, LearnersDoNotKeepItInOffice) {
  Member member(1, std::vector<uint64_t>{1}, 3, WithTwoLearners);
  member.Lead();
  for (int i = 0; i < 5; ++i) {
    member.raft.Tick(5);
    const uint64_t round = RoundOf(member.Take());
    member.Receive(4, 2, HeartbeatReply{round});
    member.Receive(5, 2, HeartbeatReply{round});
  }
  ASSERT_TRUE(member.raft.is_leader());
  member.raft.Tick(5);
  EXPECT_FALSE(member.raft.is_leader());
}

TEST(Leader, StepsDownForAHigherTerm) {
  Member member = MakeLeader();
  member.Receive(2, 7, HeartbeatReply{1});
  EXPECT_EQ(member.raft.role(), Role::kFollower);
  EXPECT_EQ(member.raft.term(), Term{7});
  EXPECT_EQ(member.raft.leader_id(), NodeId{0});
}

// S-12: a leader whose disk hangs answers everybody and commits nothing of its own.
TEST(Leader, StepsDownWhenItsDiskStalls) {
  Member member = MakeLeader([](Options& options) { options.write_stall_ticks_max = 40; });
  member.Propose("a");
  const Ready ready = member.TakeReady();
  uint64_t ticks = 0;
  while (member.raft.is_leader() && ticks < 100) {
    member.raft.Tick();
    ++ticks;
    if (member.raft.is_leader()) member.Receive(2, 2, HeartbeatReply{1});
  }
  EXPECT_EQ(ticks, 41u);
  member.Complete(*ready.write);
}

TEST(LeaderDeathTest, AnAcknowledgementBeyondItsLogIsABug) {
  Member member = MakeLeader();
  EXPECT_DEATH(member.Receive(2, 2, MakeAccepted(2, 9)), "beyond the leader's last");
}

TEST(LeaderDeathTest, TwoLeadersInOneTermAreABug) {
  Member member = MakeLeader();
  EXPECT_DEATH(member.Receive(2, 2, Heartbeat{}), "leads in term 2");
}

// -- whole groups --

// The paper's figure 7: the leader of term 8 meets six logs and makes them like its own.
TEST(GroupReplication, MakesEveryLogOfFigure7LikeTheLeaders) {
  const std::vector<std::vector<uint64_t>> logs = {
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6},        // the leader
      {1, 1, 1, 4, 4, 5, 5, 6, 6},           // a
      {1, 1, 1, 4},                          // b
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},     // c
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},  // d
      {1, 1, 1, 4, 4, 4, 4},                 // e
      {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},     // f
  };
  Group group(7);
  for (uint64_t id = 1; id <= 7; ++id) {
    group.Crash(id);
    group.disk(id).entries = MakeEntries(1, logs[id - 1]);
    group.disk(id).hard_state.term = Term{7};
    group.Restart(id);
  }
  group.Elect(1);
  ASSERT_EQ(group[1].term(), Term{8});
  group.Tick(5);
  for (uint64_t id = 1; id <= 7; ++id) {
    EXPECT_EQ(group.disk(id).entries, group.disk(1).entries) << "node " << id;
    EXPECT_EQ(group.applied(id).size(), 11u) << "node " << id;
  }
}

TEST(GroupReplication, BackTrackingTakesOneRoundTripPerTerm) {
  std::vector<uint64_t> of_leader(1000, 1);
  std::vector<uint64_t> of_follower(1000, 1);
  for (size_t i = 300; i < 1000; ++i) {
    of_leader[i] = i < 600 ? 3 : 5;
    of_follower[i] = i < 700 ? 2 : 4;
  }
  Group group(3);
  for (uint64_t id = 1; id <= 3; ++id) {
    group.Crash(id);
    group.disk(id).entries = MakeEntries(1, id == 3 ? of_follower : of_leader);
    group.disk(id).hard_state.term = Term{5};
    group.Restart(id);
  }
  size_t refusals = 0;
  group.lose = [&](const Message& message) {
    const auto* reply = std::get_if<AppendReply>(&message.body);
    if (reply != nullptr && !reply->accepted) ++refusals;
    return false;
  };
  group.Elect(1);
  EXPECT_EQ(group.disk(3).entries, group.disk(1).entries);
  EXPECT_LE(refusals, 4u);
  EXPECT_GE(refusals, 1u);
}

// R-26 for three: whatever is applied anywhere survives the loss of everything not synced.
TEST(GroupReplication, WhatIsAppliedSurvivesALossOfPowerEverywhere) {
  Group group(3);
  group.Elect(1);
  group.HoldDisk(3, true);
  group.Propose(1, "a");
  group.Settle();
  EXPECT_THAT(group.commands(1), ElementsAre("a"));
  group.HoldDisk(1, true);
  group.HoldDisk(2, true);
  group.Propose(1, "b");
  group.Settle();
  EXPECT_THAT(group.commands(1), ElementsAre("a"));  // "b" is on no disk
  for (uint64_t id = 1; id <= 3; ++id) {
    group.Crash(id);
    group.HoldDisk(id, false);
    group.Restart(id);
  }
  group.Tick(130);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_THAT(group.commands(id), ElementsAre("a"));
}

// A slow disk of the leader does not hold up what a majority of others has.
TEST(GroupReplication, CommitsWithoutTheLeadersOwnDisk) {
  Group group(3);
  group.Elect(1);
  group.HoldDisk(1, true);
  group.Propose(1, "a");
  group.Settle();
  EXPECT_THAT(group.commands(1), ElementsAre("a"));
  EXPECT_LT(group[1].durable_index(), group[1].commit_index());
}

}  // namespace
}  // namespace lockd::raft
