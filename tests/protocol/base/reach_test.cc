#include "protocol/base/reach.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

namespace lockd {
namespace {

TEST(Reach, AMarkCountsHowOftenItWasPassed) {
  const ReachCounters before = ReachCounts();
  for (int i = 0; i < 3; ++i) LOCKD_REACH(kTornTailCut);
  const ReachCounters after = ReachCounts();
  for (size_t mark = 0; mark < kReachCount; ++mark) {
    const bool is_it = static_cast<Reach>(mark) == Reach::kTornTailCut;
    EXPECT_EQ(after[mark] - before[mark], is_it ? 3u : 0u) << kReachNames[mark];
  }
}

TEST(Reach, NamesAreDistinctAndSnakeCase) {
  EXPECT_GE(kReachCount, 25u);
  const std::set<absl::string_view> distinct(kReachNames.begin(), kReachNames.end());
  EXPECT_EQ(distinct.size(), kReachCount);
  for (const absl::string_view name : kReachNames) {
    EXPECT_TRUE(std::all_of(name.begin(), name.end(), [](unsigned char c) {
      return std::islower(c) != 0 || c == '_';
    })) << std::string(name);
  }
}

TEST(Reach, AMarkKnowsItsName) {
  EXPECT_EQ(ReachName(Reach::kConflictingSuffixCut), "conflicting_suffix_cut");
  EXPECT_EQ(ReachName(Reach::kOutcomeRepeated), "outcome_repeated");
}

}  // namespace
}  // namespace lockd
