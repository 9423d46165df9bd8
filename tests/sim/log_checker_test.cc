// The checks of LogChecker that need no cluster, broken by hand.
#include "tests/sim/log_checker.h"

#include <gtest/gtest.h>

namespace lockd::sim {
namespace {

TEST(LogCheckerDeathTest, AStaleReadOfAnEntryThatNobodyCommittedTripsIt) {
  const LogChecker checker({});
  EXPECT_DEATH(checker.OnStaleRead("a", raft::Index(1), FencingToken(0)),
               "StaleReadsTrue: entry 1 is shown as applied and was never committed");
}

TEST(LogCheckerDeathTest, AStaleReadThatShowsAHolderThatNeverWasTripsIt) {
  const LogChecker checker({});
  checker.OnStaleRead("a", raft::Index(0), FencingToken(0));
  EXPECT_DEATH(checker.OnStaleRead("a", raft::Index(0), FencingToken(5)),
               "StaleReadsTrue: a node shows token 5 for a after entry 0, there it was 0");
}

}  // namespace
}  // namespace lockd::sim
