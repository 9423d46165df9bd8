// Exclusive locks: grants, queues, tokens, waits, maximum hold. L-numbers name known bugs of other
// lock services that these tests rule out.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kGranted = AcquireOutcomeKind::kGranted;
constexpr auto kTimedOut = AcquireOutcomeKind::kTimedOut;

// ---- Granting and releasing

TEST(Lock, IsGrantedAtOnceWhenFree) {
  Driver d;
  Client a = d.Open();
  d.At(70);
  const Grant grant = d.Lock(a, "resource1");
  EXPECT_EQ(grant.token, FencingToken(2));  // 1 is the session
  EXPECT_EQ(grant.fence_floor, grant.token);
  EXPECT_EQ(grant.granted_at, ClusterTime(70));
  EXPECT_EQ(grant.hold_deadline, ClusterTime(0));
  EXPECT_EQ(d.db().lock_count(), 1u);
}

TEST(Lock, IsBusyForATryOfAnotherSession) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "resource1");
  EXPECT_EQ(d.Acquire(b, "resource1").kind, AcquireOutcomeKind::kBusy);
  EXPECT_EQ(d.db().waiter_count(), 0u);
}

TEST(Lock, IsBusyForASecondAcquireOfTheSameSession) {
  Driver d;
  Client a = d.Open();
  d.Lock(a, "resource1");
  EXPECT_EQ(d.Acquire(a, "resource1").kind, AcquireOutcomeKind::kBusy);
}

TEST(Lock, IsGrantedToTheFirstWaiterByTheEntryThatFreesIt) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  const Sequence waiting = d.Queue(b, "resource1");
  d.At(40);
  EXPECT_EQ(d.Release(a, "resource1", grant.token), ReleaseOutcome::kReleased);
  const auto done = d.EventsOf<AcquireDone>();
  ASSERT_THAT(done, SizeIs(1));
  EXPECT_EQ(done[0].session, b.id);
  EXPECT_EQ(done[0].acquire, waiting);
  EXPECT_EQ(done[0].result.kind, kGranted);
  EXPECT_EQ(done[0].result.grant.granted_at, ClusterTime(40));
  EXPECT_GT(done[0].result.grant.token, grant.token);
  EXPECT_EQ(d.db().GetLock("resource1").session, b.id);
}

TEST(Lock, LeavesNothingBehindWhenFree) {
  Driver d;
  Client a = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  d.Release(a, "resource1", grant.token);
  EXPECT_EQ(d.db().lock_count(), 0u);
  const LockView view = d.db().GetLock("resource1");
  EXPECT_FALSE(view.held);
  EXPECT_EQ(view.name, "resource1");
  std::vector<LockView> locks;
  EXPECT_EQ(d.db().ListLocks("", 0, 10, &locks), 0u);
  EXPECT_THAT(locks, IsEmpty());
}

TEST(Lock, ShowsTheFiveFieldsOfItsRecord) {
  Driver d;
  Client a = d.Open(10'000);
  Client b = d.Open();
  d.At(500);
  const Grant grant = d.Lock(a, "resource1");
  d.Queue(b, "resource1");
  const LockView view = d.db().GetLock("resource1");
  EXPECT_EQ(view.name, "resource1");
  EXPECT_TRUE(view.held);
  EXPECT_EQ(view.owner_id, "owner-1");
  EXPECT_EQ(view.session, a.id);
  EXPECT_EQ(view.token, grant.token);
  EXPECT_EQ(view.waiters, 1u);
  EXPECT_EQ(view.granted_wall, WallTime(1'000'500));
  // The session was opened at 0.
  EXPECT_EQ(view.expiration_wall, WallTime(1'000'000 + ServerDurationMs(10'000)));
}

TEST(Lock, NamesMayBeAnyBytesUpToTheLongest) {
  Driver d;
  Client a = d.Open();
  const std::string names[] = {std::string(1, '\0'),   std::string("a\0b", 3),
                               std::string("a\0c", 3), std::string(42, 'x'),
                               std::string(43, 'x'),   std::string(kLockNameBytesMax, 'y'),
                               "\xff\x1b[2J\n"};
  for (const std::string& name : names) d.Lock(a, name);
  for (const std::string& name : names) {
    EXPECT_TRUE(d.db().GetLock(name).held);
    EXPECT_EQ(d.db().GetLock(name).name, name);
  }
  EXPECT_EQ(d.Do(Driver::AcquireCommand(a.NextHead(), "")).refusal, Refusal::kInvalid);
  EXPECT_EQ(
      d.Do(Driver::AcquireCommand(a.NextHead(), std::string(kLockNameBytesMax + 1, 'y'))).refusal,
      Refusal::kInvalid);
}

TEST(Lock, ListingPagesThroughAllHeldLocksWithThePrefix) {
  Driver d;
  Client a = d.Open();
  for (int i = 0; i < 100; ++i) {
    d.Lock(a, absl::StrCat("a/", i));
    d.Lock(a, absl::StrCat("b/", i));
  }
  std::vector<std::string> names;
  uint64_t cursor = 0;
  do {
    std::vector<LockView> page;
    cursor = d.db().ListLocks("b/", cursor, 7, &page);
    EXPECT_LE(page.size(), 7u);
    for (const LockView& lock : page) names.push_back(lock.name);
  } while (cursor != 0);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
  EXPECT_EQ(names.size(), 100u);
}

// ---- Queues

// L-06: order by something else than arrival. The session that was opened first asks last.
TEST(LockQueue, IsInOrderOfArrivalNotOfSession) {
  Driver d;
  Client early = d.Open();
  Client a = d.Open();
  Client late = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  d.Queue(late, "resource1");
  EXPECT_EQ(d.Acquire(early, "resource1", kWaitForever).waiters_before, 1u);
  d.Release(a, "resource1", grant.token);
  EXPECT_EQ(d.db().GetLock("resource1").session, late.id);
}

// L-07: a release with ten thousand waiters is one grant and one message.
TEST(LockQueue, OneReleaseIsOneGrantWhateverItsLength) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  std::vector<Command> waits;
  for (int i = 0; i < 10'000; ++i) {
    b.acknowledged_through = b.last;
    waits.push_back(Driver::AcquireCommand(b.NextHead(), "resource1", kWaitForever));
  }
  d.DoAll(waits);
  EXPECT_EQ(d.db().waiter_count(), 10'000u);
  d.Release(a, "resource1", grant.token);
  EXPECT_THAT(d.events(), SizeIs(1));
  EXPECT_EQ(d.db().waiter_count(), 9'999u);
}

// L-08: tokens drawn when a request is queued come out of order once somebody in front leaves.
TEST(LockQueue, TokensAreDrawnAtGrant) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  Client c = d.Open();
  Grant last = d.Lock(a, "resource1");
  const Sequence first_try = d.Queue(b, "resource1", 1'000);
  d.Queue(c, "resource1");
  d.TickAt(1'000);
  EXPECT_THAT(d.events(), ElementsAre(Event(AcquireDone{b.id, first_try, OutcomeOf(kTimedOut)})));
  d.Queue(b, "resource1");
  d.Release(a, "resource1", last.token);
  const Grant to_c = d.EventsOf<AcquireDone>().at(0).result.grant;
  EXPECT_EQ(d.db().GetLock("resource1").session, c.id);
  EXPECT_GT(to_c.token, last.token);
  d.Release(c, "resource1", to_c.token);
  const Grant to_b = d.EventsOf<AcquireDone>().at(0).result.grant;
  EXPECT_EQ(d.db().GetLock("resource1").session, b.id);
  EXPECT_GT(to_b.token, to_c.token);
}

// L-08
TEST(LockQueue, TokensIncreaseOverAllLocks) {
  Driver d;
  Client a = d.Open();
  FencingToken last;
  for (int i = 0; i < 50; ++i) {
    const std::string name = absl::StrCat("lock-", i % 7, "-", i % 2);
    const Grant grant = d.Lock(a, name);
    EXPECT_GT(grant.token, last);
    last = grant.token;
    EXPECT_EQ(d.Release(a, name, grant.token), ReleaseOutcome::kReleased);
  }
}

// L-01: the waiter's session died while it waited.
TEST(LockQueue, SkipsAWaiterWhoseSessionIsDead) {
  Driver d;
  Client holder = d.Open(60'000);
  Client dead = d.Open(2'000);
  Client next = d.Open(60'000);
  const Grant grant = d.Lock(holder, "resource1");
  d.Queue(dead, "resource1");
  d.Queue(next, "resource1");
  d.At(ServerDurationMs(2'000));
  d.Release(holder, "resource1", grant.token);
  EXPECT_EQ(d.db().GetLock("resource1").session, next.id);
}

// L-01, with clean-up so far behind that the dead session still stands in the queue at the release.
TEST(LockQueue, SkipsADeadWaiterThatIsNotCleanedUpYet) {
  Driver d;
  Settings settings;
  settings.cleanup_holds_max = 1;
  d.ChangeSettings(settings);
  Client other = d.Open(1'000);
  for (int i = 0; i < 5; ++i) d.Lock(other, absl::StrCat("other-", i));
  Client holder = d.Open(60'000);
  Client dead = d.Open(2'000);
  Client late = d.Open(60'000);
  Client next = d.Open(60'000);
  const Grant grant = d.Lock(holder, "resource1");
  d.Queue(dead, "resource1");
  const Sequence too_late = d.Queue(late, "resource1", 1'500);
  d.Queue(next, "resource1");
  d.At(ServerDurationMs(2'000));
  d.Release(holder, "resource1", grant.token);
  ASSERT_TRUE(d.db().HasBacklog());
  EXPECT_EQ(d.db().GetLock("resource1").session, next.id);
  // The dead session is not answered here; the timed-out wait of a live one is, before the grant.
  const auto done = d.EventsOf<AcquireDone>();
  ASSERT_THAT(done, SizeIs(2));
  EXPECT_EQ(done[0], (AcquireDone{late.id, too_late, OutcomeOf(kTimedOut)}));
  EXPECT_EQ(done[1].session, next.id);
}

// L-02: a waiter leaves the queue when its session ends, not when its turn comes.
TEST(LockQueue, LosesAWaiterWhenItsSessionExpires) {
  Driver d;
  Client holder = d.Open(60'000);
  Client dead = d.Open(5'000);
  d.Lock(holder, "resource1");
  d.Queue(dead, "resource1");
  d.TickAt(ServerDurationMs(5'000) - 1);
  EXPECT_EQ(d.db().waiter_count(), 1u);
  d.TickAt(ServerDurationMs(5'000));
  EXPECT_EQ(d.db().waiter_count(), 0u);
  EXPECT_THAT(d.events(), ElementsAre(Event(SessionEnded{dead.id, SessionEndReason::kExpired})));
}

// L-03: the holder dies, and the first of its waiters with it.
TEST(LockQueue, PassesOnFromADeadHolderOverADeadWaiter) {
  Driver d;
  Client holder = d.Open(1'000);
  Client dead = d.Open(1'000);
  Client live = d.Open(1'000);
  d.Lock(holder, "resource1");
  d.Queue(dead, "resource1");
  d.Queue(live, "resource1");
  d.At(900);
  d.KeepAlive(live);
  d.TickAt(ServerDurationMs(1'000));
  const auto done = d.EventsOf<AcquireDone>();
  ASSERT_THAT(done, SizeIs(1));
  EXPECT_EQ(done[0].session, live.id);
  EXPECT_THAT(d.EventsOf<SessionEnded>(), SizeIs(2));
}

// ---- Waits

TEST(Wait, EndsExactlyAtItsDeadline) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "resource1");
  d.At(100);
  const Sequence waiting = d.Queue(b, "resource1", 250);
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(350));
  EXPECT_THAT(d.TickAt(349), IsEmpty());
  EXPECT_THAT(d.TickAt(350), ElementsAre(Event(AcquireDone{b.id, waiting, OutcomeOf(kTimedOut)})));
}

TEST(Wait, IsOverForAReleaseInTheEntryOfItsDeadline) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  d.Queue(b, "resource1", 250);
  d.At(250);
  d.Release(a, "resource1", grant.token);
  EXPECT_FALSE(d.db().GetLock("resource1").held);
}

TEST(Wait, IsGrantedOneMillisecondBeforeItsDeadline) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  d.Queue(b, "resource1", 250);
  d.At(249);
  d.Release(a, "resource1", grant.token);
  EXPECT_EQ(d.db().GetLock("resource1").session, b.id);
}

// L-32: timed-out waiters that stay block all who come later.
TEST(Wait, LeavesNoResidueInTheQueue) {
  Driver d;
  Client a = d.Open(60'000);
  Client b = d.Open(60'000);
  const Grant grant = d.Lock(a, "resource1");
  for (int i = 1; i <= 20; ++i) d.Queue(b, "resource1", i);
  d.TickAt(20);
  EXPECT_EQ(d.db().waiter_count(), 0u);
  EXPECT_THAT(d.events(), SizeIs(20));
  d.Release(a, "resource1", grant.token);
  EXPECT_EQ(d.db().lock_count(), 0u);
  d.Lock(b, "resource1");
}

// ---- Release

// L-27: the retry of an old unlock must not free one's own newer hold.
TEST(Release, OfAnOldTokenChangesNothing) {
  Driver d;
  Client a = d.Open();
  const Grant old = d.Lock(a, "resource1");
  d.Release(a, "resource1", old.token);
  const Grant now = d.Lock(a, "resource1");
  EXPECT_EQ(d.Release(a, "resource1", old.token), ReleaseOutcome::kStale);
  EXPECT_EQ(d.db().GetLock("resource1").token, now.token);
}

// L-36: an unlock that does not look at the owner.
TEST(Release, OfAnotherSessionsTokenChangesNothing) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  EXPECT_EQ(d.Release(b, "resource1", grant.token), ReleaseOutcome::kStale);
  EXPECT_TRUE(d.db().GetLock("resource1").held);
}

TEST(Release, OfAnotherNameUnderTheRightTokenChangesNothing) {
  Driver d;
  Client a = d.Open();
  const Grant one = d.Lock(a, "one");
  d.Lock(a, "two");
  EXPECT_EQ(d.Release(a, "two", one.token), ReleaseOutcome::kStale);
  EXPECT_EQ(d.Release(a, "three", one.token), ReleaseOutcome::kStale);
  EXPECT_EQ(d.db().lock_count(), 2u);
}

// ---- Maximum hold

TEST(MaximumHold, FreesTheLockAtTheServersCountOfIt) {
  Driver d;
  Client a = d.Open(60'000);
  Client b = d.Open(60'000);
  d.At(100);
  const Grant grant = d.Lock(a, "resource1", 1'000);
  EXPECT_EQ(grant.hold_deadline, ClusterTime(1'100));  // the client's count
  const Sequence waiting = d.Queue(b, "resource1");
  EXPECT_THAT(d.TickAt(100 + ServerDurationMs(1'000) - 1), IsEmpty());
  d.TickAt(100 + ServerDurationMs(1'000));
  ASSERT_THAT(d.events(), SizeIs(2));
  EXPECT_EQ(d.events()[0], Event(HoldExpired{a.id, grant.token}));
  EXPECT_EQ(std::get<AcquireDone>(d.events()[1]).acquire, waiting);
  EXPECT_TRUE(d.db().SessionIsLive(a.id));
  EXPECT_EQ(d.Release(a, "resource1", grant.token), ReleaseOutcome::kStale);
}

TEST(MaximumHold, OfAWaiterCountsFromItsGrant) {
  Driver d;
  Client a = d.Open(60'000);
  Client b = d.Open(60'000);
  const Grant grant = d.Lock(a, "resource1");
  d.Queue(b, "resource1", kWaitForever, 1'000);
  d.At(5'000);
  d.Release(a, "resource1", grant.token);
  EXPECT_EQ(d.EventsOf<AcquireDone>().at(0).result.grant.hold_deadline, ClusterTime(6'000));
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(5'000 + ServerDurationMs(1'000)));
}

TEST(MaximumHold, IsDisarmedByTheRelease) {
  Driver d;
  Client a = d.Open(60'000);
  const Grant grant = d.Lock(a, "resource1", 1'000);
  d.Release(a, "resource1", grant.token);
  const Grant again = d.Lock(a, "resource1");
  EXPECT_THAT(d.TickAt(5'000), IsEmpty());
  EXPECT_EQ(d.db().GetLock("resource1").token, again.token);
}

}  // namespace
}  // namespace lockd::state
