// A new cluster out of the state of an old one.
#include "server/state/refounding.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/state/driver.h"
#include "tests/server/state/snapshot_world.h"
#include "tests/support/snapshot_content.h"

namespace lockd::state {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// ---- Where numbers go on

constexpr int64_t k2024Ms = 1'704'067'200'000;
constexpr uint64_t kMinute = uint64_t{1} << 37;
constexpr uint64_t kMillisecond = uint64_t{1} << 21;

WallTime At(int64_t minutes, int64_t ms = 0) {
  return WallTime(k2024Ms + minutes * 60'000 + ms);
}

TEST(NumbersFrom, AreTheMinuteAndTheMillisecond) {
  EXPECT_EQ(NumbersFrom(0, At(1)), kMinute);
  EXPECT_EQ(NumbersFrom(1'000'000, At(7)), 7 * kMinute);
  EXPECT_EQ(NumbersFrom(1'000'000, At(7, 1)), 7 * kMinute + kMillisecond);
  EXPECT_EQ(NumbersFrom(1'000'000, At(7, 59'999)), 7 * kMinute + 59'999 * kMillisecond);
}

// Each is above the next number of a whole minute, as well as above the clock's minute.
TEST(NumbersFrom, WaitForTheMinuteAfterTheLastNumber) {
  EXPECT_EQ(NumbersFrom(7 * kMinute, At(7, 59'999)), std::nullopt);
  EXPECT_EQ(NumbersFrom(7 * kMinute + 5, At(3)), std::nullopt);
  EXPECT_EQ(NumbersFrom(8 * kMinute - 1, At(7, 59'999)), std::nullopt);
  EXPECT_EQ(NumbersFrom(8 * kMinute - 1, At(8)), 8 * kMinute);
}

TEST(NumbersFrom, NeedAClockThatIsSet) {
  EXPECT_EQ(NumbersFrom(0, WallTime(0)), std::nullopt);
  EXPECT_EQ(NumbersFrom(0, At(-1)), std::nullopt);
  EXPECT_EQ(NumbersFrom(0, At(0, 59'999)), std::nullopt);
  EXPECT_EQ(NumbersFrom(0, At(int64_t{1} << 26)), std::nullopt);
  EXPECT_EQ(NumbersFrom(0, At((int64_t{1} << 26) - 1)), ((uint64_t{1} << 26) - 1) * kMinute);
}

// ---- The state

Refound SomeRefound(uint64_t numbers_from) {
  const Member nine{NodeId(9), "n9:7421", "n9:7420", Incarnation(99)};
  return {{ClusterId(77), kFeatureLevelMax, SnapshotWorld::SomeSettings(), {nine}}, numbers_from};
}

class Refounded : public ::testing::Test, protected SnapshotWorld {
 protected:
  Refounded() {
    GiveRoles();
    before_ = db().last_number();
    db().PrepareRefounding();
    db().CheckInvariants();
  }
  void Found() {
    ASSERT_EQ(d.Do(SomeRefound(before_ + 1'000)).refusal, Refusal::kNone);
    ours = d.Open(100'000);
  }

  uint64_t before_ = 0;
  Client ours;
};

TEST_F(Refounded, HasNoClusterAndNobodyInIt) {
  EXPECT_TRUE(db().cluster_id().is_zero());
  EXPECT_THAT(db().members(), IsEmpty());
  EXPECT_TRUE(db().last_node_id().is_zero());
  EXPECT_EQ(db().session_count(), 0u);
  EXPECT_EQ(db().waiter_count(), 0u);
  EXPECT_EQ(db().settings(), SomeSettings());
  EXPECT_EQ(db().last_number(), before_);
}

TEST_F(Refounded, IsWrittenAndReadLikeAnyState) {
  const auto loaded = LoadSnapshot(WriteSnapshot(db()));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->digest(), db().digest());
  (*loaded)->CheckInvariants();
}

TEST_F(Refounded, ItsFirstCommandFoundsTheClusterAboveAllNumbers) {
  EXPECT_EQ(d.Do(SomeRefound(before_)).refusal, Refusal::kInvalid);
  EXPECT_TRUE(db().cluster_id().is_zero());
  ASSERT_EQ(d.Do(SomeRefound(before_ + 1)).refusal, Refusal::kNone);
  EXPECT_EQ(db().cluster_id(), ClusterId(77));
  EXPECT_THAT(db().members(), SizeIs(1));
  EXPECT_EQ(db().last_node_id(), NodeId(9));
  EXPECT_EQ(db().last_number(), before_ + 1);
  EXPECT_EQ(d.Do(SomeRefound(before_ + 2)).refusal, Refusal::kInvalid);  // once
}

TEST_F(Refounded, NoSessionGoesOn) {
  Found();
  for (Client* client : {&ann, &ben, &cat, &eve, &fay, &hal}) {
    EXPECT_EQ(d.KeepAlive(*client), Refusal::kSessionEnded);
    EXPECT_EQ(d.Attach(*client).refusal, Refusal::kSessionEnded);
  }
  // With the secret of an old one comes a new one.
  const auto opened = d.Do(OpenSession{ann.nonce, 100'000, 0, "ann"});
  EXPECT_FALSE(std::get<SessionResult>(opened.value).found);
}

TEST_F(Refounded, WhatWasHeldIsFreedWhenTheLongestTtlIsOver) {
  const int64_t freed_at = d.DeadlineOf(100'000);  // Ann's, Ben's, Cat's, Eve's TTL
  Found();
  EXPECT_EQ(d.Acquire(ours, "gamma").kind, AcquireOutcomeKind::kBusy);
  const Sequence wait = d.Queue(ours, "gamma");
  EXPECT_EQ(d.KeepAlive(ours), Refusal::kNone);
  d.TickAt(freed_at - 1);
  EXPECT_THAT(d.EventsOf<AcquireDone>(), IsEmpty());
  EXPECT_TRUE(db().GetLock("gamma").held);
  EXPECT_TRUE(db().GetLock("beta").held);
  EXPECT_EQ(d.KeepAlive(ours), Refusal::kNone);
  d.At(freed_at);
  std::vector<AcquireDone> done;
  do {
    d.Tick();
    for (const AcquireDone& one : d.EventsOf<AcquireDone>()) done.push_back(one);
  } while (db().HasBacklog());
  ASSERT_THAT(done, SizeIs(1));
  EXPECT_EQ(done[0].acquire, wait);
  EXPECT_EQ(done[0].result.kind, AcquireOutcomeKind::kGranted);
  EXPECT_GT(done[0].result.grant.token, FencingToken(before_ + 1'000));
  EXPECT_FALSE(db().GetLock("beta").held);
}

TEST_F(Refounded, AMaximumHoldStillEndsIt) {
  Found();
  d.TickAt(1'000 + ServerDurationMs(60'000));
  EXPECT_FALSE(db().GetLock("alpha").held);  // Ann's; nobody waits any more
  EXPECT_TRUE(db().GetLock(LongName()).held);
}

TEST_F(Refounded, AReleaseOfAnOldHoldChangesNothing) {
  Found();
  EXPECT_EQ(d.Do(Release{eve.NextHead(), "gamma", eves_gamma.token}).refusal,
            Refusal::kSessionEnded);
  EXPECT_TRUE(db().GetLock("gamma").held);
}

// P6 holds for what the backup knows.
TEST_F(Refounded, OutcomesCanStillBeFoundOut) {
  Found();
  const auto again = d.Do(Driver::AcquireCommand(eve.Head(Sequence(3)), "gamma"));
  EXPECT_EQ(Driver::AcquireOf(again).grant.token, eves_gamma.token);
}

TEST_F(Refounded, OfALowerFeatureLevelIsRefused) {
  Refound low = SomeRefound(before_ + 1);
  low.bootstrap.feature_level = kFeatureLevelMax - 1;
  EXPECT_EQ(d.Do(low).refusal, Refusal::kInvalid);
}

TEST(Refounding, IsNotBegunInTheMiddleOfASnapshot) {
  SnapshotWorld world;
  world.db().BeginSnapshot();
  EXPECT_DEATH(world.db().PrepareRefounding(), "wrong moment");
}

}  // namespace
}  // namespace lockd::state
