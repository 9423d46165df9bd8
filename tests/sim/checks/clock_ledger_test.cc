#include "tests/sim/checks/clock_ledger.h"

#include <gtest/gtest.h>

#include "tests/sim/checks/broken.h"

namespace lockd::sim {
namespace {

using raft::Index;
using raft::Term;

constexpr int64_t kMs = kNanosPerMilli;

class ClockLedgerTest : public testing::Test {
 protected:
  // The next entry, stamped `time` at `real_ms` and committed at once.
  std::string Entry(int64_t time, int64_t real_ms) {
    ++index_;
    ledger_.Stamped(index_, Term(1), real_ms * kMs);
    return ledger_.Committed(index_, Term(1), ClusterTime(time), real_ms * kMs);
  }

  ClockLedger ledger_;
  Index index_;
};

TEST_F(ClockLedgerTest, AClockWithinTheBoundIsFine) {
  EXPECT_THAT(Entry(1'000, 5'000), Holds());
  EXPECT_THAT(Entry(2'005, 6'000), Holds());
  EXPECT_THAT(Entry(2'005, 9'000), Holds());
  EXPECT_THAT(Entry(3'010, 10'000), Holds());
}

TEST_F(ClockLedgerTest, ATimeThatGrowsFasterThanTheBoundTrips) {
  EXPECT_THAT(Entry(1'000, 5'000), Holds());
  EXPECT_THAT(Entry(2'007, 6'000), Trips("ClusterTimeBounded"));
}

TEST_F(ClockLedgerTest, AfterARestoreTimeGoesOnFromTheBackup) {
  EXPECT_THAT(Entry(1'000, 5'000), Holds());
  EXPECT_THAT(Entry(9'000, 13'000), Holds());
  ledger_.GoOnAfter(ClusterTime(1'000));
  index_ = Index(1);
  EXPECT_THAT(Entry(1'001, 20'000), Holds());
  EXPECT_THAT(Entry(2'001, 21'000), Holds());
  ClockLedger other = ledger_;
  EXPECT_THAT(Entry(3'010, 22'000), Trips("ClusterTimeBounded"));
  ledger_ = other;
  ledger_.GoOnAfter(ClusterTime(2'001));
  EXPECT_THAT(Entry(2'000, 23'000), Trips("ClusterTimeMonotone"));
}

TEST_F(ClockLedgerTest, GainsTooSmallForOneStepAddUp) {
  EXPECT_THAT(Entry(0, 0), Holds());
  EXPECT_THAT(Entry(101, 100), Holds());
  EXPECT_THAT(Entry(202, 200), Holds());
  EXPECT_THAT(Entry(303, 300), Trips("ClusterTimeBounded"));
}

TEST_F(ClockLedgerTest, WhatTimeLostWithoutALeaderItMayNotMakeUp) {
  EXPECT_THAT(Entry(1'000, 1'000), Holds());
  EXPECT_THAT(Entry(1'000, 4'000), Holds());
  EXPECT_THAT(Entry(4'500, 4'500), Trips("ClusterTimeBounded"));
}

TEST_F(ClockLedgerTest, TheTimeOfTheStampCountsNotThatOfTheCommit) {
  EXPECT_THAT(Entry(1'000, 1'000), Holds());
  ledger_.Stamped(Index(2), Term(1), 1'010 * kMs);
  ledger_.Stamped(Index(2), Term(1), 9'000 * kMs);
  EXPECT_THAT(ledger_.Committed(Index(2), Term(1), ClusterTime(1'500), 9'000 * kMs),
              Trips("ClusterTimeBounded"));
}

TEST_F(ClockLedgerTest, ATimeThatDecreasesTrips) {
  EXPECT_THAT(Entry(1'000, 1'000), Holds());
  EXPECT_THAT(Entry(999, 2'000), Trips("ClusterTimeMonotone"));
}

TEST_F(ClockLedgerTest, FourHundredDaysAreStillExact) {
  constexpr int64_t kDays400Ms = 400LL * 24 * 3600 * 1000;
  EXPECT_THAT(Entry(0, 0), Holds());
  EXPECT_THAT(Entry(kDays400Ms / 200 * 201, kDays400Ms), Holds());
  EXPECT_THAT(Entry(kDays400Ms / 200 * 201 + 2, kDays400Ms), Trips("ClusterTimeBounded"));
}

}  // namespace
}  // namespace lockd::sim
