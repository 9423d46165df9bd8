#include "tests/sim/client_checks.h"

#include <gtest/gtest.h>

namespace lockd::sim {
namespace {

// The resource behind a lock, used by hand: no clients, so that only the resource is judged.
class Resource : public testing::Test {
 protected:
  const Scheduler scheduler_{};
  const std::vector<std::unique_ptr<SimClient>> clients_{};
  ClientChecks checks_{&scheduler_, &clients_};
};
using ResourceDeathTest = Resource;

TEST_F(Resource, AHolderReadsAndWrites) {
  EXPECT_EQ(checks_.Read("lock", FencingToken(5), true), 0u);
  EXPECT_TRUE(checks_.Write("lock", FencingToken(5), 0, true));
  EXPECT_EQ(checks_.Read("lock", FencingToken(7), true), 1u);
  EXPECT_EQ(checks_.works(), 1u);
}

TEST_F(Resource, ALateWriteIsRefusedOnceANewerHolderWasThere) {
  EXPECT_EQ(checks_.Read("lock", FencingToken(5), true), 0u);
  EXPECT_EQ(checks_.Read("lock", FencingToken(7), true), 0u);
  EXPECT_FALSE(checks_.Write("lock", FencingToken(5), 0, false));
  EXPECT_EQ(checks_.stale_writes_refused(), 1u);
}

TEST_F(ResourceDeathTest, ARefusedHolderTripsFencedWork) {
  EXPECT_TRUE(checks_.Read("lock", FencingToken(7), true).has_value());
  EXPECT_DEATH((void)checks_.Write("lock", FencingToken(5), 0, true), "FencedWork");
}

TEST_F(ResourceDeathTest, AWriteOverAnothersTripsNoLostUpdate) {
  EXPECT_EQ(checks_.Read("lock", FencingToken(5), true), 0u);
  EXPECT_TRUE(checks_.Write("lock", FencingToken(5), 0, true));
  EXPECT_DEATH((void)checks_.Write("lock", FencingToken(5), 0, true), "NoLostUpdate");
}

TEST_F(ResourceDeathTest, ASessionThatEndsEarlyTripsNeverEarly) {
  checks_.OnLease(SessionId(3), 0, 1'000);
  EXPECT_DEATH(checks_.OnSessionExpired(SessionId(3)), "NeverEarly");
}

// Nobody released the first hold, and nothing ended it.
TEST_F(ResourceDeathTest, AnAnswerThatContradictsTheHistoryTripsHistories) {
  checks_.OnOwnerRead("lock", 0, FencingToken(5));
  checks_.OnOwnerRead("lock", 0, FencingToken(0));
  EXPECT_DEATH(checks_.CheckHistories(), "Histories");
}

}  // namespace
}  // namespace lockd::sim
