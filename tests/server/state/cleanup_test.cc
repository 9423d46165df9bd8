// Clean-up of what is dead: its order, its budget, and that being behind with it cannot be seen.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

void SetBudget(Driver& d, uint64_t budget) {
  Settings settings;
  settings.cleanup_holds_max = budget;
  d.ChangeSettings(settings);
}

TEST(CleanUp, GoesByDeadlineThenByIdOverAllKinds) {
  Driver d;
  Client live = d.Open(60'000);
  Client first = d.Open(1'000);
  Client second = d.Open(1'000);
  d.Lock(live, "held");
  const Grant hold = d.Lock(live, "short", 1'000);
  const Sequence wait = d.Queue(live, "held", ServerDurationMs(1'000));
  Client third = d.Open(1'000);
  // All five have the same deadline; their ids were drawn in this order.
  d.TickAt(ServerDurationMs(1'000));
  EXPECT_THAT(
      d.events(),
      ElementsAre(Event(SessionEnded{first.id, SessionEndReason::kExpired}),
                  Event(SessionEnded{second.id, SessionEndReason::kExpired}),
                  Event(HoldExpired{live.id, hold.token}),
                  Event(AcquireDone{live.id, wait, OutcomeOf(AcquireOutcomeKind::kTimedOut)}),
                  Event(SessionEnded{third.id, SessionEndReason::kExpired})));
}

// L-15
TEST(CleanUp, OfASessionWithManyHoldsTakesSeveralEntries) {
  Driver d;
  SetBudget(d, 4);
  Client a = d.Open(1'000);
  for (int i = 0; i < 10; ++i) d.Lock(a, absl::StrCat(i));
  // One unit to begin, then one for each hold.
  d.TickAt(ServerDurationMs(1'000));
  EXPECT_THAT(d.events(), SizeIs(1));
  EXPECT_EQ(d.db().lock_count(), 7u);
  EXPECT_TRUE(d.db().HasBacklog());
  EXPECT_EQ(d.db().session_count(), 0u);
  d.Tick();
  EXPECT_THAT(d.events(), IsEmpty());  // the end is told once
  EXPECT_EQ(d.db().lock_count(), 3u);
  d.Tick();
  EXPECT_EQ(d.db().lock_count(), 0u);
  EXPECT_FALSE(d.db().HasBacklog());
}

TEST(CleanUp, HandsOnTheLocksOfEachSliceAtOnce) {
  Driver d;
  SetBudget(d, 3);
  Client a = d.Open(1'000);
  Client b = d.Open(60'000);
  for (int i = 0; i < 4; ++i) d.Lock(a, absl::StrCat(i));
  d.Queue(b, "3");
  d.Queue(b, "0");
  d.TickAt(ServerDurationMs(1'000));
  EXPECT_EQ(d.db().GetLock("0").session, b.id);
  EXPECT_EQ(d.db().GetLock("3").session, a.id);  // not cleaned up yet
  d.Tick();
  EXPECT_EQ(d.db().GetLock("3").session, b.id);
}

// L-12: what was not finished once is not forgotten.
TEST(CleanUp, StaysArmedUntilItIsDone) {
  Driver d;
  SetBudget(d, 1);
  for (int i = 0; i < 20; ++i) {
    Client a = d.Open(1'000);
    d.Lock(a, absl::StrCat(i));
  }
  d.At(ServerDurationMs(1'000));
  int entries = 0;
  do {
    d.Tick();
    ++entries;
  } while (d.db().HasBacklog());
  EXPECT_EQ(entries, 40);
  EXPECT_EQ(d.db().lock_count(), 0u);
  EXPECT_EQ(d.db().session_count(), 0u);
}

// L-15: a crowd that dies at once is taken in bounded portions, and others are served meanwhile.
TEST(CleanUp, OfACrowdIsBoundedAndDoesNotKeepOthersFromTheirLocks) {
  Driver d;
  SetBudget(d, 100);
  Client live = d.Open(60'000);
  std::vector<Command> opens;
  for (uint64_t i = 0; i < 2'000; ++i) {
    opens.push_back(OpenSession{Driver::NonceOf(1'000 + i), 1'000, 0, ""});
  }
  d.DoAll(opens);
  d.At(ServerDurationMs(1'000));
  int entries = 0;
  while (d.db().session_count() > 1) {
    const Grant grant = d.Lock(live, "resource1");
    EXPECT_LE(d.EventsOf<SessionEnded>().size(), 100u);
    d.Release(live, "resource1", grant.token);
    entries += 2;
  }
  EXPECT_EQ(entries, 20);
}

TEST(CleanUp, BehindHandLeavesDeadSessionsDeadForEveryCommand) {
  Driver d;
  Client blocker = d.Open(1'000);
  Client a = d.Open(1'500, 3'000);
  for (int i = 0; i < 5; ++i) d.Lock(blocker, absl::StrCat("b", i));
  const Acquire acquire = Driver::AcquireCommand(a.NextHead(), "mine");
  const AcquireResult granted = Driver::AcquireOf(d.Do(acquire));
  SetBudget(d, 1);
  d.TickAt(ServerDurationMs(1'500));
  ASSERT_TRUE(d.db().HasBacklog());
  ASSERT_EQ(d.db().GetLock("mine").session, a.id);

  EXPECT_FALSE(d.db().SessionIsLive(a.id));
  EXPECT_EQ(d.KeepAlive(a), Refusal::kSessionEnded);
  EXPECT_EQ(d.Attach(a).refusal, Refusal::kSessionEnded);
  EXPECT_EQ(d.Close(a), Refusal::kSessionEnded);
  EXPECT_EQ(d.Do(Driver::AcquireCommand(a.NextHead(), "new")).refusal, Refusal::kSessionEnded);
  ASSERT_EQ(d.db().GetLock("mine").session, a.id) << "the test needs a longer backlog";
  EXPECT_EQ(Driver::AcquireOf(d.Do(acquire)), granted);  // it can still be found out
}

TEST(CleanUp, BehindHandLeavesADeadHoldInTheWay) {
  Driver d;
  SetBudget(d, 1);
  Client dead = d.Open(1'000);
  Client live = d.Open(60'000);
  for (int i = 0; i < 5; ++i) d.Lock(dead, absl::StrCat(i));
  d.At(ServerDurationMs(1'000));
  EXPECT_EQ(d.Acquire(live, "4").kind, AcquireOutcomeKind::kBusy);
  const Sequence waiting = d.Queue(live, "4");
  while (d.db().HasBacklog()) d.Tick();
  EXPECT_EQ(d.db().GetLock("4").session, live.id);
  EXPECT_EQ(std::get<SessionResult>(d.Attach(live).value).outcomes.at(0).first, waiting);
}

TEST(CleanUp, BehindHandLeavesAHoldBeyondItsMaximumDead) {
  Driver d;
  SetBudget(d, 1);
  Client dead = d.Open(1'000);
  Client live = d.Open(60'000);
  for (int i = 0; i < 5; ++i) d.Lock(dead, absl::StrCat(i));
  const Grant grant = d.Lock(live, "mine", 1'500);
  d.At(ServerDurationMs(1'500));
  EXPECT_EQ(d.Release(live, "mine", grant.token), ReleaseOutcome::kStale);
  ASSERT_TRUE(d.db().GetLock("mine").held);
  EXPECT_EQ(std::get<ReconcileResult>(
                d.Do(Reconcile{live.NextHead(), Sequence(0), Sequence(1), {}}).value),
            ReconcileResult{});
  while (d.db().HasBacklog()) d.Tick();
  EXPECT_FALSE(d.db().GetLock("mine").held);
}

TEST(CleanUp, BehindHandACancelFindsATimedOutWaitTimedOut) {
  Driver d;
  SetBudget(d, 1);
  Client dead = d.Open(1'000);
  Client live = d.Open(60'000);
  for (int i = 0; i < 5; ++i) d.Lock(dead, absl::StrCat(i));
  const Sequence waiting = d.Queue(live, "4", 1'500);
  const Sequence other = d.Queue(live, "4", 1'500);
  d.At(1'500);
  const auto timed_out = OutcomeOf(AcquireOutcomeKind::kTimedOut);
  EXPECT_EQ(d.Cancel(live, waiting), (CancelResult{CancelOutcome::kEnded, timed_out}));
  EXPECT_THAT(d.EventsOf<AcquireDone>(), ElementsAre(AcquireDone{live.id, waiting, timed_out}));
  EXPECT_EQ(
      std::get<ReconcileResult>(d.Do(Reconcile{live.NextHead(), Sequence(0), other, {}}).value),
      ReconcileResult{});
  EXPECT_THAT(d.EventsOf<AcquireDone>(), ElementsAre(AcquireDone{live.id, other, timed_out}));
}

TEST(CloseSession, WithVeryManyHoldsIsDoneOverSeveralEntries) {
  Driver d;
  SetBudget(d, 4);
  Client a = d.Open(60'000);
  for (int i = 0; i < 10; ++i) d.Lock(a, absl::StrCat(i));
  d.At(5'000);
  EXPECT_EQ(d.Close(a), Refusal::kNone);
  EXPECT_EQ(d.db().lock_count(), 7u);
  EXPECT_TRUE(d.db().HasBacklog());
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(5'000));
  d.Tick();
  EXPECT_EQ(d.db().lock_count(), 3u);
  d.Tick();
  EXPECT_EQ(d.db().lock_count(), 0u);
  EXPECT_FALSE(d.db().HasBacklog());
}

}  // namespace
}  // namespace lockd::state
