// Exactly once: repeats, windows, cancel, reconcile.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kGranted = AcquireOutcomeKind::kGranted;
constexpr auto kQueued = AcquireOutcomeKind::kQueued;
constexpr auto kCancelled = AcquireOutcomeKind::kCancelled;
constexpr auto kTimedOut = AcquireOutcomeKind::kTimedOut;

// ---- Repeats

// L-28: a retried acquire whose reply was lost must not make a second, ownerless hold.
TEST(Repeat, OfAnAcquireGetsTheSameGrant) {
  Driver d;
  Client a = d.Open();
  const Acquire acquire = Driver::AcquireCommand(a.NextHead(), "resource1");
  const AcquireResult first = Driver::AcquireOf(d.Do(acquire));
  d.At(5);
  EXPECT_EQ(Driver::AcquireOf(d.Do(acquire)), first);
  EXPECT_EQ(d.db().lock_count(), 1u);
}

TEST(Repeat, OfAnAcquireThatWasReleasedDoesNotLockAgain) {
  Driver d;
  Client a = d.Open();
  const Acquire acquire = Driver::AcquireCommand(a.NextHead(), "resource1");
  const AcquireResult first = Driver::AcquireOf(d.Do(acquire));
  d.Release(a, "resource1", first.grant.token);
  EXPECT_EQ(Driver::AcquireOf(d.Do(acquire)), first);
  EXPECT_FALSE(d.db().GetLock("resource1").held);
}

TEST(Repeat, OfAQueuedAcquireIsQueuedUntilItHasAnOutcome) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  const Acquire acquire = Driver::AcquireCommand(b.NextHead(), "resource1", kWaitForever);
  EXPECT_EQ(Driver::AcquireOf(d.Do(acquire)).kind, kQueued);
  EXPECT_EQ(Driver::AcquireOf(d.Do(acquire)).kind, kQueued);
  EXPECT_EQ(d.db().waiter_count(), 1u);
  d.Release(a, "resource1", grant.token);
  const AcquireResult outcome = d.EventsOf<AcquireDone>().at(0).result;
  EXPECT_EQ(Driver::AcquireOf(d.Do(acquire)), outcome);
  // Also when the outcome was acknowledged singly while the sequence is still in the window.
  d.KeepAlive(b, {acquire.mutation.sequence});
  EXPECT_EQ(Driver::AcquireOf(d.Do(acquire)), outcome);
}

// L-27
TEST(Repeat, OfAReleaseGetsTheSameAnswerThoughTheLockIsHeldAgain) {
  Driver d;
  Client a = d.Open();
  const Grant old = d.Lock(a, "resource1");
  const Release release{a.NextHead(), "resource1", old.token};
  EXPECT_EQ(std::get<ReleaseResult>(d.Do(release).value).outcome, ReleaseOutcome::kReleased);
  const Grant now = d.Lock(a, "resource1");
  EXPECT_EQ(std::get<ReleaseResult>(d.Do(release).value).outcome, ReleaseOutcome::kReleased);
  EXPECT_EQ(d.db().GetLock("resource1").token, now.token);
}

// L-29: the session expired between the request and its retry, and the client has opened a new one
// under the same secret. Its request is a new one there: it does not adopt what belonged to the
// dead session.
TEST(Repeat, InTheSessionThatFollowsADeadOneIsANewAcquire) {
  Driver d;
  Client dead = d.Open(1'000);
  const Grant old = d.Lock(dead, "resource1");
  d.At(ServerDurationMs(1'000));
  const auto opened = std::get<SessionResult>(d.Do(OpenSession{dead.nonce, 10'000, 0, "me"}).value);
  Client next{opened.session, opened.epoch, dead.nonce, {}, {}, {}};
  const Grant grant = d.Lock(next, "resource1");
  EXPECT_EQ(next.last, dead.last);
  EXPECT_GT(grant.token, old.token);
  EXPECT_EQ(d.db().GetLock("resource1").session, next.id);
}

// L-29, with the dead session's hold still in the way because clean-up is behind.
TEST(Repeat, InTheSessionThatFollowsADeadOneWaitsForItsHoldToGo) {
  Driver d;
  Settings settings;
  settings.cleanup_holds_max = 1;
  d.ChangeSettings(settings);
  Client blocker = d.Open(1'000);
  for (int i = 0; i < 5; ++i) d.Lock(blocker, absl::StrCat("blocker-", i));
  Client dead = d.Open(1'500);
  const Grant old = d.Lock(dead, "resource1");
  d.At(ServerDurationMs(1'500));
  const auto opened = std::get<SessionResult>(d.Do(OpenSession{dead.nonce, 10'000, 0, "me"}).value);
  Client next{opened.session, opened.epoch, dead.nonce, {}, {}, {}};
  ASSERT_EQ(d.db().GetLock("resource1").token, old.token) << "the test needs a longer backlog";
  const Sequence waiting = d.Queue(next, "resource1");
  while (d.db().HasBacklog()) d.Tick();
  EXPECT_EQ(d.db().GetLock("resource1").session, next.id);
  EXPECT_GT(d.db().GetLock("resource1").token, old.token);
  EXPECT_EQ(std::get<SessionResult>(d.Attach(next).value).outcomes.at(0).first, waiting);
}

TEST(Repeat, WithinOneEntryIsARepeat) {
  Driver d;
  Client a = d.Open();
  const Acquire acquire = Driver::AcquireCommand(a.NextHead(), "resource1");
  const auto results = d.DoAll({acquire, acquire});
  EXPECT_EQ(Driver::AcquireOf(results[0]), Driver::AcquireOf(results[1]));
}

TEST(Repeat, UnderTheEpochOfAnOlderConnectionIsRefused) {
  Driver d;
  Client a = d.Open();
  const Acquire acquire = Driver::AcquireCommand(a.NextHead(), "resource1");
  d.Do(acquire);
  d.Attach(a);
  EXPECT_EQ(d.Do(acquire).refusal, Refusal::kStaleEpoch);
}

TEST(Repeat, OfASequenceAsAnotherKindOfCommandIsRefused) {
  Driver d;
  Client a = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  EXPECT_EQ(d.Do(Release{a.Head(a.last), "resource1", grant.token}).refusal, Refusal::kBadSequence);
  EXPECT_TRUE(d.db().GetLock("resource1").held);
}

// ---- The window

TEST(Window, RefusesWhatIsAcknowledged) {
  Driver d;
  Client a = d.Open();
  const Acquire old = Driver::AcquireCommand(a.NextHead(), "one");
  const Grant grant = Driver::AcquireOf(d.Do(old)).grant;
  a.acknowledged_through = a.last;
  d.Release(a, "one", grant.token);
  EXPECT_EQ(d.Do(old).refusal, Refusal::kBadSequence);
  EXPECT_FALSE(d.db().GetLock("one").held);
}

TEST(Window, RefusesARequestThatAcknowledgesItself) {
  Driver d;
  Client a = d.Open();
  Mutation head = a.NextHead();
  head.acknowledged_through = head.sequence;
  EXPECT_EQ(d.Do(Driver::AcquireCommand(head, "one")).refusal, Refusal::kBadSequence);
  // Nothing was changed: the sequence can still be used.
  head.acknowledged_through = Sequence(0);
  EXPECT_EQ(d.Do(Driver::AcquireCommand(head, "one")).refusal, Refusal::kNone);
}

TEST(Window, ReachesExactly1024AboveWhatIsAcknowledged) {
  Driver d;
  Client a = d.Open();
  EXPECT_EQ(d.Do(Driver::AcquireCommand(a.Head(Sequence(kSequenceWindow)), "one")).refusal,
            Refusal::kNone);
  EXPECT_EQ(d.Do(Driver::AcquireCommand(a.Head(Sequence(kSequenceWindow + 1)), "two")).refusal,
            Refusal::kBadSequence);
  a.acknowledged_through = Sequence(1);
  EXPECT_EQ(d.Do(Driver::AcquireCommand(a.Head(Sequence(kSequenceWindow + 1)), "two")).refusal,
            Refusal::kNone);
}

TEST(Window, TakesRequestsInAnyOrder) {
  Driver d;
  Client a = d.Open();
  for (const uint64_t sequence : {5u, 2u, 9u, 1u, 7u}) {
    EXPECT_EQ(
        d.Do(Driver::AcquireCommand(a.Head(Sequence(sequence)), absl::StrCat(sequence))).refusal,
        Refusal::kNone);
  }
  a.acknowledged_through = Sequence(5);
  EXPECT_EQ(d.Do(Driver::AcquireCommand(a.Head(Sequence(6)), "6")).refusal, Refusal::kNone);
  EXPECT_EQ(d.Do(Driver::AcquireCommand(a.Head(Sequence(4)), "4")).refusal, Refusal::kBadSequence);
  EXPECT_EQ(Driver::AcquireOf(d.Do(Driver::AcquireCommand(a.Head(Sequence(7)), "7"))).kind,
            kGranted);
}

TEST(Window, IsNotPinnedByALongWait) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  const Sequence waiting = d.Queue(b, "resource1");
  for (uint64_t i = 0; i < 3 * kSequenceWindow; ++i) {
    b.acknowledged_through = b.last;
    d.Acquire(b, "resource1");
  }
  d.Release(a, "resource1", grant.token);
  EXPECT_EQ(d.EventsOf<AcquireDone>().at(0).acquire, waiting);
  EXPECT_EQ(std::get<SessionResult>(d.Attach(b).value).outcomes.at(0).first, waiting);
}

// ---- Cancel

TEST(Cancel, OfAWaiterTakesItOutOfTheQueue) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  const Sequence waiting = d.Queue(b, "resource1", 5'000);
  EXPECT_EQ(d.Cancel(b, waiting), (CancelResult{CancelOutcome::kCancelled, OutcomeOf(kCancelled)}));
  EXPECT_THAT(d.events(), ElementsAre(Event(AcquireDone{b.id, waiting, OutcomeOf(kCancelled)})));
  d.Release(a, "resource1", grant.token);
  EXPECT_FALSE(d.db().GetLock("resource1").held);
  EXPECT_THAT(d.TickAt(5'000), IsEmpty());  // its wait deadline went with it
}

// L-32
TEST(Cancel, InTheMiddleOfAQueueKeepsTheOthersInOrder) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  Grant grant = d.Lock(a, "resource1");
  const Sequence first = d.Queue(b, "resource1");
  const Sequence second = d.Queue(b, "resource1");
  const Sequence third = d.Queue(b, "resource1");
  d.Cancel(b, second);
  d.Release(a, "resource1", grant.token);
  EXPECT_EQ(d.EventsOf<AcquireDone>().at(0).acquire, first);
  d.Release(b, "resource1", d.EventsOf<AcquireDone>().at(0).result.grant.token);
  EXPECT_EQ(d.EventsOf<AcquireDone>().at(0).acquire, third);
}

TEST(Cancel, OfAGrantIsTooLateAndTellsTheToken) {
  Driver d;
  Client a = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  const CancelResult result = d.Cancel(a, a.last);
  EXPECT_EQ(result.outcome, CancelOutcome::kTooLate);
  EXPECT_EQ(result.acquire.grant, grant);
  EXPECT_TRUE(d.db().GetLock("resource1").held);
}

TEST(Cancel, OfAHoldWhoseReplyIsForgottenStillTellsTheToken) {
  Driver d;
  Client a = d.Open();
  const Grant grant = d.Lock(a, "resource1", 9'000);
  const Sequence acquire = a.last;
  a.acknowledged_through = a.last;
  const CancelResult result = d.Cancel(a, acquire);
  EXPECT_EQ(result.outcome, CancelOutcome::kTooLate);
  EXPECT_EQ(result.acquire.kind, kGranted);
  EXPECT_EQ(result.acquire.grant, grant);
}

TEST(Cancel, OfAnAcquireThatEndedOtherwiseTellsHow) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "resource1");
  d.Acquire(b, "resource1");
  EXPECT_EQ(d.Cancel(b, b.last),
            (CancelResult{CancelOutcome::kEnded, OutcomeOf(AcquireOutcomeKind::kBusy)}));
  const Sequence waiting = d.Queue(b, "resource1", 10);
  d.TickAt(10);
  EXPECT_EQ(d.Cancel(b, waiting), (CancelResult{CancelOutcome::kEnded, OutcomeOf(kTimedOut)}));
}

TEST(Cancel, OfAnAcquireNeverSeenRefusesTheLateOriginal) {
  Driver d;
  Client a = d.Open();
  const Acquire late = Driver::AcquireCommand(a.NextHead(), "resource1");
  EXPECT_EQ(d.Cancel(a, late.mutation.sequence),
            (CancelResult{CancelOutcome::kCancelled, OutcomeOf(kCancelled)}));
  EXPECT_EQ(Driver::AcquireOf(d.Do(late)), OutcomeOf(kCancelled));
  EXPECT_EQ(d.db().lock_count(), 0u);
  // A second cancel finds it ended.
  EXPECT_EQ(d.Cancel(a, late.mutation.sequence).outcome, CancelOutcome::kEnded);
}

TEST(Cancel, OfAnAcquireNeverSeenAndAcknowledgedLeavesNothing) {
  Driver d;
  Client a = d.Open();
  const Acquire late = Driver::AcquireCommand(a.NextHead(), "resource1");
  a.acknowledged_through = a.last;
  EXPECT_EQ(d.Cancel(a, late.mutation.sequence),
            (CancelResult{CancelOutcome::kEnded, OutcomeOf(kCancelled)}));
  EXPECT_EQ(d.Do(late).refusal, Refusal::kBadSequence);
}

TEST(Cancel, Repeated) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "resource1");
  const Sequence waiting = d.Queue(b, "resource1");
  const Cancel cancel{b.NextHead(), waiting};
  const CommandResult first = d.Do(cancel);
  const CommandResult again = d.Do(cancel);
  EXPECT_EQ(std::get<CancelResult>(first.value), std::get<CancelResult>(again.value));
  EXPECT_THAT(d.events(), IsEmpty());
}

TEST(Cancel, OfWhatIsNoAcquireIsRefused) {
  Driver d;
  Client a = d.Open();
  d.Release(a, "nothing", FencingToken(1));
  EXPECT_EQ(d.Do(Cancel{a.NextHead(), Sequence(1)}).refusal, Refusal::kInvalid);
  EXPECT_EQ(d.Do(Cancel{a.NextHead(), a.last}).refusal, Refusal::kInvalid);  // itself
  EXPECT_EQ(d.Do(Cancel{a.NextHead(), Sequence(kSequenceWindow + 1)}).refusal,
            Refusal::kBadSequence);
}

TEST(Cancel, RacingWithTheGrantInOneEntryHasOneWinner) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  const Sequence waiting = d.Queue(b, "resource1");
  const Release release{a.NextHead(), "resource1", grant.token};
  const Cancel cancel{b.NextHead(), waiting};
  const auto results = d.DoAll({release, cancel});
  const auto cancelled = std::get<CancelResult>(results[1].value);
  EXPECT_EQ(cancelled.outcome, CancelOutcome::kTooLate);
  EXPECT_EQ(cancelled.acquire.grant.token, d.db().GetLock("resource1").token);
}

// ---- Acknowledging outcomes

TEST(Outcome, IsForgottenOnceAcknowledgedSinglyByAnyMutation) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "resource1");
  const Sequence waiting = d.Queue(b, "resource1", 10);
  d.TickAt(10);
  b.acknowledged = {waiting, Sequence(77)};  // an unknown number is passed over
  d.Acquire(b, "resource1");
  EXPECT_THAT(std::get<SessionResult>(d.Attach(b).value).outcomes, IsEmpty());
}

TEST(Outcome, OfAnAcquireThatStillWaitsCannotBeAcknowledged) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "resource1");
  const Sequence waiting = d.Queue(b, "resource1");
  d.KeepAlive(b, {waiting});
  d.Release(a, "resource1", grant.token);
  EXPECT_THAT(std::get<SessionResult>(d.Attach(b).value).outcomes, SizeIs(1));
}

// ---- Reconcile

TEST(Reconcile, EndsWhatTheClientForgotAndKeepsTheRest) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  Client c = d.Open();
  d.Lock(b, "taken");
  d.Lock(a, "kept");                               // 1
  d.Lock(a, "forgotten");                          // 2
  const Sequence kept_wait = d.Queue(a, "taken");  // 3
  const Sequence lost_wait = d.Queue(a, "taken");  // 4
  d.Lock(a, "above");                              // 5
  d.Queue(c, "forgotten");
  d.Attach(a);
  const auto result = d.Do(
      Reconcile{a.NextHead(), Sequence(0), Sequence(4), {Sequence(1), kept_wait, Sequence(5)}});
  EXPECT_EQ(std::get<ReconcileResult>(result.value), (ReconcileResult{1, 1}));
  ASSERT_THAT(d.events(), SizeIs(2));
  EXPECT_EQ(d.events()[0], Event(AcquireDone{a.id, lost_wait, OutcomeOf(kCancelled)}));
  EXPECT_EQ(std::get<AcquireDone>(d.events()[1]).session, c.id);
  EXPECT_TRUE(d.db().GetLock("kept").held);
  EXPECT_EQ(d.db().GetLock("forgotten").session, c.id);
  EXPECT_TRUE(d.db().GetLock("above").held);
  EXPECT_EQ(d.db().GetLock("taken").waiters, 1u);
}

TEST(Reconcile, LooksOnlyBetweenItsBounds) {
  Driver d;
  Client a = d.Open();
  for (int i = 1; i <= 6; ++i) d.Lock(a, absl::StrCat(i));
  const auto result = d.Do(Reconcile{a.NextHead(), Sequence(2), Sequence(4), {}});
  EXPECT_EQ(std::get<ReconcileResult>(result.value), (ReconcileResult{0, 2}));
  for (const char* name : {"1", "2", "5", "6"}) EXPECT_TRUE(d.db().GetLock(name).held) << name;
  for (const char* name : {"3", "4"}) EXPECT_FALSE(d.db().GetLock(name).held) << name;
}

TEST(Reconcile, FreesAllBeforeItGrantsInOrderOfPosition) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "one");
  d.Lock(a, "two");
  d.Queue(b, "two");
  d.Queue(b, "one");
  d.Do(Reconcile{a.NextHead(), Sequence(0), Sequence(2), {}});
  const auto done = d.EventsOf<AcquireDone>();
  ASSERT_THAT(done, SizeIs(2));
  EXPECT_EQ(done[0].acquire, Sequence(1));
  EXPECT_EQ(done[1].acquire, Sequence(2));
}

TEST(Reconcile, ThatCancelsAndReleasesTheSameLockDoesNotGrantItToItself) {
  Driver d;
  Client a = d.Open();
  d.Lock(a, "one");
  d.Queue(a, "one");
  const auto result = d.Do(Reconcile{a.NextHead(), Sequence(0), Sequence(2), {}});
  EXPECT_EQ(std::get<ReconcileResult>(result.value), (ReconcileResult{1, 1}));
  EXPECT_EQ(d.db().lock_count(), 0u);
}

TEST(Reconcile, WithAListThatDoesNotAscendIsInvalid) {
  Driver d;
  Client a = d.Open();
  EXPECT_EQ(d.Do(Reconcile{a.NextHead(), {}, Sequence(9), {Sequence(2), Sequence(2)}}).refusal,
            Refusal::kInvalid);
  EXPECT_EQ(d.Do(Reconcile{a.NextHead(), Sequence(9), Sequence(8), {}}).refusal, Refusal::kInvalid);
}

}  // namespace
}  // namespace lockd::state
