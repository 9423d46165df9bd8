#include "tests/sim/client_checks.h"

#include <gtest/gtest.h>

namespace lockd::sim {
namespace {

// The resource behind a lock, used by hand: no clients, so that only the resource is judged.
class Resource : public testing::Test {
 protected:
  Scheduler scheduler_{};
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
  checks_.OnOwnerRead("lock", 0, 0, FencingToken(5));
  checks_.OnOwnerRead("lock", 0, 0, FencingToken(0));
  EXPECT_DEATH(checks_.CheckHistories(), "Histories");
}

// ---- A restore

constexpr FencingToken kInBackup{3};
constexpr FencingToken kForgotten{5};
constexpr FencingToken kNew{100};

class RestoredResource : public Resource {
 protected:
  // The backup has 3, which had gone to 5 when the cluster died.
  void Restore() { checks_.OnRestored(kForgotten, {{"lock", kForgotten}}, {{"lock", kInBackup}}); }
};
using RestoredResourceDeathTest = RestoredResource;

TEST_F(RestoredResource, WhatTheBackupDoesNotKnowMayBeRefusedAndWritesNothing) {
  EXPECT_EQ(checks_.Read("lock", kForgotten, true), 0u);
  Restore();
  EXPECT_EQ(checks_.Read("lock", kNew, true), 0u);
  EXPECT_FALSE(checks_.Write("lock", kForgotten, 0, true));
  EXPECT_TRUE(checks_.Write("lock", kNew, 0, true));
}

TEST_F(RestoredResourceDeathTest, WhatTheBackupKnowsIsNotRefused) {
  Restore();
  EXPECT_TRUE(checks_.Read("lock", kNew, true).has_value());
  EXPECT_DEATH((void)checks_.Read("lock", kInBackup, true), "FencedWork");
}

TEST_F(RestoredResourceDeathTest, NorIsWhatWasGrantedSince) {
  Restore();
  EXPECT_TRUE(checks_.Read("lock", FencingToken(101), true).has_value());
  EXPECT_DEATH((void)checks_.Read("lock", kNew, true), "FencedWork");
}

// Token 3 had ended before 5 was granted: that it is shown again contradicts what was seen.
class RestoredReads : public RestoredResource {
 protected:
  RestoredReads() {
    for (const FencingToken token : {kInBackup, kForgotten, kNew}) {
      const client::OperationId operation(token.value());
      checks_.OnAcquireCalled(client_, "lock", operation);
      checks_.OnAcquireEnded(client_, "lock", operation, client::AcquireStatus::kGranted, token);
      Read(token == kNew ? 1 : 0, token);
      if (token == kInBackup) checks_.OnHoldEnded("lock", token);
      if (token == kForgotten) Restore();
      PassTime();
    }
  }
  static SimClient::Options OnHost(uint64_t host) {
    SimClient::Options options;
    options.host = HostId(host);
    return options;
  }
  void PassTime() { (void)scheduler_.RunNext(scheduler_.now() + 1); }
  void Read(size_t era, FencingToken owner) {
    checks_.OnOwnerRead("lock", scheduler_.now(), era, owner);
  }

  FaultBook no_faults_{Swarm{}, 1, Omissions()};
  SimNetwork network_{&scheduler_, 1, &no_faults_};
  SimClient client_{&scheduler_, &network_, &no_faults_, OnHost(1)};
};
using RestoredReadsDeathTest = RestoredReads;

TEST_F(RestoredReads, OfWhatCameBackSayNothing) {
  Read(1, kInBackup);
  checks_.CheckHistories();
  EXPECT_EQ(checks_.reads(), 4u);
}

TEST_F(RestoredReadsDeathTest, OfWhatCameBackSaidSomethingBefore) {
  Read(0, kInBackup);
  EXPECT_DEATH(checks_.CheckHistories(), "Histories: ObservationsWithinHolds");
}

TEST_F(RestoredReadsDeathTest, OfWhatTheBackupDoesNotKnowSaySomething) {
  Read(1, kForgotten);
  EXPECT_DEATH(checks_.CheckHistories(), "Histories: ObservationsWithinHolds");
}

TEST_F(RestoredReadsDeathTest, OfNobodySaySomething) {
  Read(1, FencingToken(0));
  PassTime();
  Read(1, kNew);
  EXPECT_DEATH(checks_.CheckHistories(), "Histories: ObservationsWithinHolds");
}

}  // namespace
}  // namespace lockd::sim
