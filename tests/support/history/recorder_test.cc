#include "tests/support/history/recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/history/check_history.h"

namespace lockd::history {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(HistoryRecorder, KeepsTheOperationsOfEachLockApart) {
  HistoryRecorder recorder;
  const OperationId a = recorder.OnInvokeAcquire("a", 1, 10);
  const OperationId b = recorder.OnInvokeAcquire("b", 1, 11);
  recorder.OnAcquireDone(b, 20, AcquireOutcome::kGranted, FencingToken(1));
  recorder.OnAcquireDone(a, 21, AcquireOutcome::kGranted, FencingToken(2));
  ASSERT_THAT(recorder.histories(), SizeIs(2));
  EXPECT_EQ(recorder.histories()[0].lock, "a");
  EXPECT_EQ(recorder.histories()[0].acquires.at(0).token, FencingToken(2));
  EXPECT_EQ(recorder.histories()[1].acquires.at(0).returned, 20);
  EXPECT_EQ(recorder.operation_count(), 2u);
  EXPECT_THAT(CheckHistories(recorder.histories()), IsEmpty());
}

TEST(HistoryRecorder, WhatIsNeverDoneIsUnknown) {
  HistoryRecorder recorder;
  recorder.OnInvokeAcquire("a", 1, 10);
  recorder.OnInvokeRelease("a", 1, FencingToken(1), 20);
  const History& history = recorder.histories().at(0);
  EXPECT_EQ(history.acquires.at(0).outcome, AcquireOutcome::kUnknown);
  EXPECT_EQ(history.releases.at(0).outcome, ReleaseOutcome::kUnknown);
}

TEST(HistoryRecorder, AnUnknownOutcomeHasNoReturn) {
  HistoryRecorder recorder;
  const OperationId acquire = recorder.OnInvokeAcquire("a", 1, 10);
  recorder.OnAcquireDone(acquire, 20, AcquireOutcome::kUnknown, FencingToken(0));
  const OperationId release = recorder.OnInvokeRelease("a", 1, FencingToken(1), 20);
  recorder.OnReleaseDone(release, 30, ReleaseOutcome::kUnknown);
  EXPECT_EQ(recorder.histories().at(0).acquires.at(0).returned, kNever);
  EXPECT_EQ(recorder.histories().at(0).releases.at(0).returned, kNever);
}

TEST(HistoryRecorder, AGrantThatItsClientNeverHeardOfStillExcludesOthers) {
  HistoryRecorder recorder;
  const OperationId lost = recorder.OnInvokeAcquire("a", 1, 10);
  recorder.OnGrantSeen(lost, FencingToken(1));
  recorder.OnAcquireDone(lost, 15, AcquireOutcome::kUnknown, FencingToken(0));
  const OperationId other = recorder.OnInvokeAcquire("a", 2, 20);
  recorder.OnAcquireDone(other, 30, AcquireOutcome::kGranted, FencingToken(2));
  EXPECT_THAT(CheckHistories(recorder.histories()), StartsWith("HoldsDoNotOverlap: "));
  recorder.OnHoldEnded("a", FencingToken(1), 25);
  EXPECT_THAT(CheckHistories(recorder.histories()), IsEmpty());
}

TEST(HistoryRecorder, AGrantSeenLateDoesNotChangeWhatItsClientHeard) {
  HistoryRecorder recorder;
  const OperationId acquire = recorder.OnInvokeAcquire("a", 1, 10);
  recorder.OnAcquireDone(acquire, 20, AcquireOutcome::kGranted, FencingToken(1));
  recorder.OnGrantSeen(acquire, FencingToken(1));
  EXPECT_EQ(recorder.histories().at(0).acquires.at(0).returned, 20);
}

TEST(HistoryRecorder, AnObservationWithoutAnAnswerSaysNothing) {
  HistoryRecorder recorder;
  recorder.OnInvokeObservation("a", 1, ObservationKind::kOwner, 10);
  EXPECT_THAT(CheckHistories(recorder.histories()), IsEmpty());
  const OperationId seen = recorder.OnInvokeObservation("a", 1, ObservationKind::kOwner, 10);
  recorder.OnObservationDone(seen, 20, FencingToken(7));
  EXPECT_THAT(CheckHistories(recorder.histories()), StartsWith("ObservationsWithinHolds: "));
}

TEST(HistoryRecorder, AnOperationIsSmall) {
  EXPECT_LE(sizeof(Acquire), 40u);
  EXPECT_LE(sizeof(Release), 40u);
  EXPECT_LE(sizeof(Observation), 40u);
}

}  // namespace
}  // namespace lockd::history
