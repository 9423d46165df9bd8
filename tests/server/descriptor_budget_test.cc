#include "server/descriptor_budget.h"

#include <gtest/gtest.h>

namespace lockd {
namespace {

// N-07
TEST(DescriptorBudget, NeverHandsOutWhatLockdItselfNeeds) {
  for (uint64_t descriptors = kDescriptorsMin; descriptors < 3'000; ++descriptors) {
    const DescriptorBudget budget = ShareDescriptors(descriptors, 10'000);
    EXPECT_LE(budget.client_connections + budget.client_lingering + 2 * budget.peer_links,
              descriptors - kOwnDescriptors)
        << descriptors;
    EXPECT_GE(budget.peer_links, 8u) << "a cluster has up to nine nodes";
    EXPECT_GE(budget.client_connections, 40u);
  }
}

TEST(DescriptorBudget, GivesWhatIsWantedWhenThereIsEnough) {
  const DescriptorBudget budget = ShareDescriptors(1'000'000, 10'000);
  EXPECT_EQ(budget.client_connections, 10'000u);
  EXPECT_EQ(budget.client_lingering, 64u);
  EXPECT_EQ(budget.peer_links, 64u);
}

}  // namespace
}  // namespace lockd
