#include "tools/sim/shrink.h"

#include <gtest/gtest.h>

#include "protocol/base/check.h"

namespace lockd::sim {
namespace {

// A run of a hundred faults and forty acquires that fails when faults 7 and 60 and acquire 3 meet.
void FailWhenThreeMeet(const SimOptions& options) {
  *options.progress = {.fault_occasions = 100, .operations = 40, .simulated = 5 * kSeconds};
  const bool meet = !options.omit_faults.Contains(7) && !options.omit_faults.Contains(60) &&
                    !options.omit_operations.Contains(3);
  LOCKD_CHECK(!meet, "ThreeMeet: and more words");
}

size_t CountLeft(const Omissions& omissions, uint64_t count) {
  size_t left = 0;
  for (uint64_t i = 0; i < count; ++i) left += omissions.Contains(i) ? 0 : 1;
  return left;
}

TEST(Shrink, LeavesOutAllThatDoesNotMatter) {
  const Shrunk shrunk = Shrink(9, 10'000, FailWhenThreeMeet);
  EXPECT_EQ(shrunk.broken, "ThreeMeet");
  EXPECT_EQ(shrunk.options.seed, 9u);
  EXPECT_EQ(CountLeft(shrunk.options.omit_faults, 100), 2u);
  EXPECT_EQ(CountLeft(shrunk.options.omit_operations, 40), 1u);
}

TEST(Shrink, StopsAfterSoManyTries) {
  const Shrunk shrunk = Shrink(9, 5, FailWhenThreeMeet);
  EXPECT_EQ(shrunk.broken, "ThreeMeet");
  EXPECT_LE(shrunk.tries, 5u);
}

// With less of it the run may fail in another way: that is another bug.
TEST(Shrink, KeepsToTheInvariantThatBroke) {
  const Shrunk shrunk = Shrink(1, 10'000, [](const SimOptions& options) {
    *options.progress = {.fault_occasions = 8, .operations = 0, .simulated = 0};
    LOCKD_CHECK(!options.omit_faults.Contains(2), "AnotherBug: without fault 2");
    LOCKD_CHECK(options.omit_faults.Contains(5), "TheBug: with fault 5");
  });
  EXPECT_EQ(shrunk.broken, "TheBug");
  EXPECT_EQ(CountLeft(shrunk.options.omit_faults, 8), 2u);
}

TEST(Shrink, SaysThatASeedDoesNotFail) {
  EXPECT_EQ(Shrink(1, 10, [](const SimOptions&) {}).broken, "");
}

TEST(Omissions, AreWrittenAndReadBack) {
  const Omissions omissions({{3, 11}, {17, 18}, {20, UINT64_MAX}});
  EXPECT_EQ(FormatOmissions(omissions), "3-10,17,20-");
  Omissions read;
  ASSERT_TRUE(ParseOmissions("3-10,17,20-", &read));
  EXPECT_EQ(read.ranges(), omissions.ranges());
}

TEST(Omissions, NonsenseIsRefused) {
  Omissions read;
  for (const char* text : {"x", "5-3", "1-2-3", "-4", "1,,x"}) {
    EXPECT_FALSE(ParseOmissions(text, &read)) << text;
  }
}

}  // namespace
}  // namespace lockd::sim
