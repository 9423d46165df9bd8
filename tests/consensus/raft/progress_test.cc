#include "consensus/raft/progress.h"

#include <gtest/gtest.h>

#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

using State = Progress::State;
using Next = Progress::Next;

// The leader's log in these tests:
//   index 1 2 3 4 5 6 7 8
//   term  1 1 2 2 4 4 6 6
const RaftLog& LeaderLog() {
  static const RaftLog log(MakeLog({1, 1, 2, 2, 4, 4, 6, 6}), SIZE_MAX);
  return log;
}

Progress Probing() {
  return Progress(NodeId{2}, Index{8}, Tick{0});
}

Progress Replicating(uint64_t match) {
  Progress progress(NodeId{2}, Index{match}, Tick{0});
  progress.Sent(Index{match}, Term{1}, 0);
  progress.Accepted(Index{match});
  LOCKD_CHECK(progress.state() == State::kReplicate);
  return progress;
}

TEST(Progress, ProbesOneAppendAtATime) {
  Progress progress = Probing();
  const Options options;
  EXPECT_TRUE(progress.CanSend(Index{9}, options));
  progress.Sent(Index{9}, Term{6}, 50);
  EXPECT_FALSE(progress.CanSend(Index{9}, options));
  EXPECT_EQ(progress.next_index(), Index{9});
  progress.Accepted(Index{9});
  EXPECT_EQ(progress.state(), State::kReplicate);
  EXPECT_EQ(progress.match_index(), Index{9});
  EXPECT_EQ(progress.next_index(), Index{10});
}

TEST(Progress, TheWindowIsBoundedByCount) {
  Options options;
  options.inflight_appends_max = 2;
  Progress progress = Replicating(1);
  progress.Sent(Index{2}, Term{1}, 10);
  EXPECT_TRUE(progress.CanSend(Index{9}, options));
  progress.Sent(Index{3}, Term{2}, 10);
  EXPECT_FALSE(progress.CanSend(Index{9}, options));
  progress.Accepted(Index{2});
  EXPECT_TRUE(progress.CanSend(Index{9}, options));
}

TEST(Progress, TheWindowIsBoundedByBytes) {
  Options options;
  options.inflight_bytes_max = 100;
  Progress progress = Replicating(1);
  progress.Sent(Index{2}, Term{1}, 99);
  EXPECT_TRUE(progress.CanSend(Index{9}, options));
  progress.Sent(Index{3}, Term{2}, 99);
  EXPECT_FALSE(progress.CanSend(Index{9}, options));
  progress.Accepted(Index{3});
  EXPECT_EQ(progress.inflight_bytes(), 0u);
  EXPECT_TRUE(progress.CanSend(Index{9}, options));
}

TEST(Progress, NothingIsSentWhenNothingIsNew) {
  EXPECT_FALSE(Replicating(8).CanSend(Index{8}, Options()));
}

TEST(Progress, OneAcknowledgementCoversTheAppendsBefore) {
  Progress progress = Replicating(1);
  for (uint64_t last : {2u, 3u, 4u}) progress.Sent(Index{last}, Term{1}, 10);
  progress.Accepted(Index{3});
  EXPECT_EQ(progress.inflight_appends(), 1u);
  EXPECT_EQ(progress.inflight_bytes(), 10u);
  EXPECT_TRUE(progress.IsInflightExact());
}

TEST(Progress, ALateAcknowledgementChangesNothing) {
  Progress progress = Replicating(4);
  progress.Accepted(Index{2});
  EXPECT_EQ(progress.match_index(), Index{4});
  EXPECT_EQ(progress.next_index(), Index{5});
}

// Thesis 3.5, end: one round trip per term, not per entry.
TEST(Progress, BackTracksOverWholeTerms) {
  struct {
    const char* what;
    uint64_t hint_index, hint_term, next;
  } rows[] = {
      {"a shorter log of ours", 5, 4, 6},
      {"its log ends in a term that we have less of", 8, 4, 7},
      {"its log ends in a term that we never had", 8, 5, 7},
      {"of a term between ours", 8, 3, 5},
      {"nothing in common", 8, 0, 1},
      {"an empty log", 0, 0, 1},
  };
  for (const auto& row : rows) {
    Progress progress = Probing();
    progress.Sent(Index{8}, Term{6}, 0);
    progress.Refused(Index{8}, Index{row.hint_index}, Term{row.hint_term}, LeaderLog());
    EXPECT_EQ(progress.next_index(), Index{row.next}) << row.what;
    EXPECT_TRUE(progress.CanSend(Index{8}, Options())) << row.what;
  }
}

TEST(Progress, ARefusalAlwaysMovesNextDown) {
  Progress progress = Probing();
  progress.Sent(Index{8}, Term{6}, 0);
  progress.Refused(Index{8}, Index{8}, Term{9}, LeaderLog());
  EXPECT_EQ(progress.next_index(), Index{8});
}

TEST(Progress, ADuplicatedRefusalOfAProbeMovesNothing) {
  Progress progress = Probing();
  progress.Sent(Index{8}, Term{6}, 0);
  progress.Refused(Index{8}, Index{4}, Term{2}, LeaderLog());
  progress.Sent(Index{5}, Term{4}, 0);
  progress.Refused(Index{8}, Index{4}, Term{2}, LeaderLog());
  EXPECT_EQ(progress.next_index(), Index{5});
  EXPECT_FALSE(progress.CanSend(Index{8}, Options()));
}

TEST(Progress, ARefusalOfWhatWasAcknowledgedIsOld) {
  Progress progress = Replicating(4);
  progress.Sent(Index{6}, Term{4}, 10);
  progress.Refused(Index{3}, Index{1}, Term{1}, LeaderLog());
  EXPECT_EQ(progress.state(), State::kReplicate);
  EXPECT_EQ(progress.next_index(), Index{7});
}

TEST(Progress, ARefusalOfAPipelinedAppendGoesBackToTheGap) {
  Progress progress = Replicating(4);
  progress.Sent(Index{5}, Term{4}, 10);  // lost
  progress.Sent(Index{6}, Term{4}, 10);
  progress.Sent(Index{7}, Term{6}, 10);
  progress.Refused(Index{5}, Index{4}, Term{2}, LeaderLog());
  EXPECT_EQ(progress.state(), State::kProbe);
  EXPECT_EQ(progress.next_index(), Index{5});
  EXPECT_EQ(progress.inflight_appends(), 0u);
  EXPECT_EQ(progress.inflight_bytes(), 0u);
  progress.Refused(Index{6}, Index{4}, Term{2}, LeaderLog());  // the second one, refused too
  EXPECT_EQ(progress.next_index(), Index{5});
}

TEST(Progress, AHeartbeatAnsweredBeforeWhatWasSentEarlierRaisesTheQuestion) {
  Progress progress = Replicating(4);
  progress.Sent(Index{5}, Term{4}, 10);
  progress.HeartbeatSent(1);
  EXPECT_EQ(progress.HeartbeatAnswered(1), Next::kAskWithEmptyAppend);
  EXPECT_EQ(progress.HeartbeatAnswered(1), Next::kNothing);  // asked once
}

TEST(Progress, WhatWasSentAfterTheHeartbeatIsNotMissed) {
  Progress progress = Replicating(4);
  progress.Sent(Index{5}, Term{4}, 10);
  progress.HeartbeatSent(1);
  progress.Sent(Index{6}, Term{4}, 10);
  progress.Accepted(Index{5});
  EXPECT_EQ(progress.HeartbeatAnswered(1), Next::kNothing);
}

TEST(Progress, AnUnansweredProbeIsSentAgainAfterAHeartbeatIsAnswered) {
  Progress progress = Probing();
  progress.Sent(Index{8}, Term{6}, 0);
  progress.HeartbeatSent(1);
  EXPECT_EQ(progress.HeartbeatAnswered(0), Next::kNothing);
  EXPECT_FALSE(progress.CanSend(Index{8}, Options()));
  EXPECT_EQ(progress.HeartbeatAnswered(1), Next::kNothing);
  EXPECT_TRUE(progress.CanSend(Index{8}, Options()));
}

TEST(Progress, WaitsForItsReadFromDisk) {
  Progress progress = Replicating(4);
  progress.ReadStarted(7, Index{5});
  EXPECT_FALSE(progress.CanSend(Index{8}, Options()));
  EXPECT_TRUE(progress.ReadFinished(Index{5}));
  EXPECT_TRUE(progress.CanSend(Index{8}, Options()));
}

TEST(Progress, AReadFromBeforeABackTrackIsOfNoUse) {
  Progress progress = Replicating(1);
  progress.Sent(Index{4}, Term{2}, 10);
  progress.ReadStarted(7, Index{5});
  progress.Refused(Index{4}, Index{2}, Term{1}, LeaderLog());
  EXPECT_FALSE(progress.ReadFinished(Index{5}));
}

// -- a log that begins later --

TEST(Progress, NeedsASnapshotWhileTheNextEntryIsCompacted) {
  Progress progress = Replicating(4);
  progress.Sent(Index{6}, Term{4}, 10);
  progress.FollowBase(Index{6});  // entry 7 is next: it is sent after the base
  EXPECT_EQ(progress.state(), State::kReplicate);
  EXPECT_EQ(progress.inflight_appends(), 1u);
  progress.FollowBase(Index{7});
  EXPECT_EQ(progress.state(), State::kSnapshot);
  EXPECT_FALSE(progress.CanSend(Index{9}, Options()));
  EXPECT_EQ(progress.inflight_appends(), 0u);
  EXPECT_EQ(progress.inflight_bytes(), 0u);
}

TEST(Progress, IsProbedWhenItHasTheBase) {
  Progress progress = Replicating(4);
  progress.FollowBase(Index{7});
  progress.Accepted(Index{6});
  progress.FollowBase(Index{7});
  EXPECT_EQ(progress.state(), State::kSnapshot);
  progress.Accepted(Index{7});
  progress.FollowBase(Index{7});
  EXPECT_EQ(progress.state(), State::kProbe);
  EXPECT_EQ(progress.next_index(), Index{8});
  EXPECT_TRUE(progress.CanSend(Index{9}, Options()));
}

TEST(Progress, AHeartbeatOfOneThatNeedsASnapshotAsksForNothing) {
  Progress progress = Replicating(4);
  progress.Sent(Index{6}, Term{4}, 10);
  progress.HeartbeatSent(1);
  progress.FollowBase(Index{7});
  EXPECT_EQ(progress.HeartbeatAnswered(1), Next::kNothing);
  progress.HeartbeatSent(2);
  EXPECT_EQ(progress.HeartbeatAnswered(2), Next::kNothing);
}

TEST(Progress, AReadForOneThatNeedsASnapshotByNowIsOfNoUse) {
  Progress progress = Replicating(4);
  progress.ReadStarted(7, Index{5});
  progress.FollowBase(Index{7});
  EXPECT_FALSE(progress.ReadFinished(Index{5}));
}

}  // namespace
}  // namespace lockd::raft
