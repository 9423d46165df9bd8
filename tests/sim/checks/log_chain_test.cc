#include "tests/sim/checks/log_chain.h"

#include <gtest/gtest.h>

#include "tests/sim/checks/broken.h"

namespace lockd::sim {
namespace {

using raft::Index;
using raft::Term;

constexpr NodeId kA{1};
constexpr NodeId kB{2};

raft::Entry Entry(uint64_t index, uint64_t term, const std::string& payload = "x",
                  int64_t time = 0) {
  return {Term(term), Index(index), raft::EntryKind::kCommand, ClusterTime(time), payload};
}

class LogChainTest : public testing::Test {
 protected:
  LogChain chain_;
};

TEST_F(LogChainTest, EqualLogsAreFine) {
  for (const NodeId node : {kA, kB}) {
    EXPECT_THAT(chain_.Holds(node, Entry(1, 1)), Holds());
    EXPECT_THAT(chain_.Holds(node, Entry(2, 1)), Holds());
    EXPECT_EQ(chain_.last_index(node), Index(2));
  }
}

TEST_F(LogChainTest, AnUncommittedSuffixMayBeReplaced) {
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1)), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(2, 1)), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(3, 1)), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(2, 2)), Holds());
  EXPECT_EQ(chain_.last_index(kA), Index(2));
  EXPECT_EQ(chain_.TermAt(kA, Index(2)), Term(2));
  EXPECT_EQ(chain_.TermAt(kA, Index(3)), Term(0));
}

TEST_F(LogChainTest, LogsOfARestoredClusterBeginAfterTheBackup) {
  const raft::LogBase base{Index(7), Term(3), ClusterTime(50)};
  chain_ = LogChain(base);
  EXPECT_THAT(chain_.Begins(kA, base), Holds());
  EXPECT_THAT(chain_.Begins(kB, base), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(8, 4, "x", 50)), Holds());
  EXPECT_THAT(chain_.Holds(kB, Entry(8, 4, "y", 50)), Trips("LogMatching"));
  EXPECT_THAT(chain_.Holds(kA, Entry(9, 3, "x", 50)), Trips("TermsNeverDecrease"));
  EXPECT_THAT(chain_.Begins(kB, {Index(6), Term(3), ClusterTime(50)}), Trips("BaseWasHeld"));
  EXPECT_THAT(chain_.Begins(kB, {Index(7), Term(2), ClusterTime(50)}), Trips("BaseWasHeld"));
  EXPECT_THAT(chain_.Begins(kB, base), Holds());
  EXPECT_THAT(chain_.Holds(kB, Entry(8, 3, "x", 49)), Trips("TimeNeverDecreases"));
}

TEST_F(LogChainTest, TwoEntriesOfOneIndexAndTermTrip) {
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1, "x")), Holds());
  EXPECT_THAT(chain_.Holds(kB, Entry(1, 1, "y")), Trips("LogMatching"));
}

TEST_F(LogChainTest, EqualEntriesBehindDifferentOnesTrip) {
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1)), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(2, 3)), Holds());
  EXPECT_THAT(chain_.Holds(kB, Entry(1, 2)), Holds());
  EXPECT_THAT(chain_.Holds(kB, Entry(2, 3)), Trips("LogMatching"));
}

TEST_F(LogChainTest, WhatWasEverSeenIsRememberedWhenNobodyHoldsItAnyMore) {
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1, "x")), Holds());
  chain_.Ends(kA, Index(0));
  EXPECT_EQ(chain_.last_index(kA), Index(0));
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1, "y")), Trips("LogMatching"));
}

TEST_F(LogChainTest, AnEntryThatChangesInPlaceTrips) {
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1, "x")), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1, "x")), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1, "y")), Trips("EntryUnchanged"));
}

TEST_F(LogChainTest, ALogThatBeginsAfterASnapshotGoesOnAsTheOthersDid) {
  for (uint64_t index = 1; index <= 3; ++index) {
    EXPECT_THAT(chain_.Holds(kA, Entry(index, 1)), Holds());
  }
  EXPECT_THAT(chain_.Holds(kB, Entry(1, 1)), Holds());
  EXPECT_THAT(chain_.Begins(kB, {Index(2), Term(1), ClusterTime(0)}), Holds());
  EXPECT_EQ(chain_.last_index(kB), Index(2));
  EXPECT_EQ(chain_.TermAt(kB, Index(1)), Term(0));
  EXPECT_EQ(chain_.TermAt(kB, Index(2)), Term(1));
  LogChain other = chain_;
  EXPECT_THAT(chain_.Holds(kB, Entry(3, 1)), Holds());
  EXPECT_THAT(other.Holds(kB, Entry(3, 1, "y")), Trips("LogMatching"));
}

TEST_F(LogChainTest, ASnapshotOfAnEntryThatNobodyHeldTrips) {
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1)), Holds());
  EXPECT_THAT(chain_.Begins(kB, {Index(1), Term(2), ClusterTime(0)}), Trips("BaseWasHeld"));
}

TEST_F(LogChainTest, AnOldLogMayComeBackThatASnapshotHadReplacedInMemoryOnly) {
  for (uint64_t index = 1; index <= 4; ++index) {
    EXPECT_THAT(chain_.Holds(kA, Entry(index, 1)), Holds());
  }
  for (uint64_t index = 1; index <= 2; ++index) {
    EXPECT_THAT(chain_.Holds(kB, Entry(index, 1)), Holds());
  }
  EXPECT_THAT(chain_.Begins(kB, {Index(4), Term(1), ClusterTime(0)}), Holds());
  chain_.Ends(kB, Index(2));
  EXPECT_THAT(chain_.Holds(kB, Entry(2, 1)), Holds());
  EXPECT_THAT(chain_.Holds(kB, Entry(3, 1)), Holds());
}

TEST_F(LogChainTest, AGapTrips) {
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1)), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(3, 1)), Trips("LogContiguous"));
}

TEST_F(LogChainTest, ATermThatDecreasesTrips) {
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 2)), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(2, 1)), Trips("TermsNeverDecrease"));
}

TEST_F(LogChainTest, ATimeThatDecreasesTrips) {
  EXPECT_THAT(chain_.Holds(kA, Entry(1, 1, "x", 5)), Holds());
  EXPECT_THAT(chain_.Holds(kA, Entry(2, 1, "x", 4)), Trips("TimeNeverDecreases"));
}

}  // namespace
}  // namespace lockd::sim
