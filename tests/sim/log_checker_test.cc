// The checks of LogChecker that need no cluster, broken by hand.
#include "tests/sim/log_checker.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

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

// Entries 1 and 2 of terms 1 and 3 are committed.
class BaseIsCommittedDeathTest : public testing::Test {
 protected:
  BaseIsCommittedDeathTest() {
    for (const auto& [index, term] : {std::pair{1, 1}, std::pair{2, 3}}) {
      checker_.Append(
          {raft::Term(static_cast<uint64_t>(term)), raft::Index(static_cast<uint64_t>(index)),
           raft::EntryKind::kNoop, ClusterTime(10 * index), /*payload=*/""},
          raft::Term(3));
    }
  }
  void Check(uint64_t index, uint64_t term, int64_t time) {
    checker_.CheckBase(NodeId(7), {raft::Index(index), raft::Term(term), ClusterTime(time)});
  }

  LogChecker checker_{{.on_committed = [](const raft::Entry&) {},
                       .on_session_expired = [](SessionId) {},
                       .on_hold_ended = [](const std::string&, FencingToken) {}}};
};

TEST_F(BaseIsCommittedDeathTest, ALogThatBeginsAfterWhatNobodyCommittedTripsIt) {
  Check(1, 1, 10);
  Check(2, 3, 20);
  EXPECT_DEATH(Check(3, 3, 30),
               "BaseIsCommitted: node 7 begins its log after index 3, which nobody committed");
}

TEST_F(BaseIsCommittedDeathTest, ALogThatBeginsAfterAnotherEntryTripsIt) {
  const std::string message = "BaseIsCommitted: node 7 begins its log after another entry at index";
  EXPECT_DEATH(Check(2, 2, 20), message) << "another term";
  EXPECT_DEATH(Check(2, 3, 19), message) << "another time";
}

}  // namespace
}  // namespace lockd::sim
