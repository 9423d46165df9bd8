// Sessions: leases, epochs, disconnect grace, ends, and what is kept after an end.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kTtl = 10'000;
constexpr int64_t kGrace = 3'000;

Event Ended(const Client& client, SessionEndReason reason) {
  return SessionEnded{client.id, reason};
}

// ---- Opening

TEST(OpenSession, RepeatedFindsTheSameSessionUnderAHigherEpoch) {
  Driver d;
  const OpenSession open{Driver::NonceOf(1), kTtl, 0, "me"};
  const auto first = std::get<SessionResult>(d.Do(open).value);
  const auto second = std::get<SessionResult>(d.Do(open).value);
  EXPECT_FALSE(first.found);
  EXPECT_EQ(first.epoch, ConnectionEpoch(1));
  EXPECT_TRUE(second.found);
  EXPECT_EQ(second.session, first.session);
  EXPECT_EQ(second.epoch, ConnectionEpoch(2));
  EXPECT_EQ(d.db().session_count(), 1u);
}

TEST(OpenSession, RepeatedRenews) {
  Driver d;
  Client a = d.Open(kTtl);
  d.At(9'000);
  const auto again = std::get<SessionResult>(d.Do(OpenSession{a.nonce, 1'000, 0, "other"}).value);
  EXPECT_EQ(again.session, a.id);
  // By the ttl that it was opened with.
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(9'000 + ServerDurationMs(kTtl)));
  std::vector<SessionView> sessions;
  d.db().ListSessions(0, 10, &sessions);
  ASSERT_THAT(sessions, SizeIs(1));
  EXPECT_EQ(sessions[0].owner_id, "owner-1");
  EXPECT_EQ(sessions[0].ttl_ms, kTtl);
}

TEST(OpenSession, WithTheNonceOfAnEndedSessionOpensANewOne) {
  Driver d;
  Client a = d.Open(kTtl);
  d.Lock(a, "resource1");
  EXPECT_EQ(d.Close(a), Refusal::kNone);
  const auto again = std::get<SessionResult>(d.Do(OpenSession{a.nonce, kTtl, 0, "me"}).value);
  EXPECT_FALSE(again.found);
  EXPECT_NE(again.session, a.id);
  // The old one's record, kept for its reply, does not take the nonce along when it goes.
  d.KeepAlive(Client{again.session, again.epoch, a.nonce, {}, {}, {}});
  d.TickAt(9'000);
  d.KeepAlive(Client{again.session, again.epoch, a.nonce, {}, {}, {}});
  EXPECT_TRUE(std::get<SessionResult>(d.Do(OpenSession{a.nonce, kTtl, 0, "me"}).value).found);
}

TEST(OpenSession, WithTheNonceOfADeadSessionThatIsNotCleanedUpOpensANewOne) {
  Driver d;
  Settings settings;
  settings.cleanup_holds_max = 1;
  d.ChangeSettings(settings);
  Client other = d.Open(1'000);
  for (int i = 0; i < 5; ++i) d.Lock(other, absl::StrCat("other-", i));
  Client a = d.Open(2'000);
  d.At(ServerDurationMs(2'000));
  const auto again = std::get<SessionResult>(d.Do(OpenSession{a.nonce, kTtl, 0, "me"}).value);
  ASSERT_TRUE(d.db().HasBacklog());
  EXPECT_FALSE(again.found);
  EXPECT_NE(again.session, a.id);
  while (d.db().HasBacklog()) d.Tick();
  EXPECT_EQ(std::get<SessionResult>(d.Do(OpenSession{a.nonce, kTtl, 0, "me"}).value).session,
            again.session);
}

TEST(OpenSession, OutsideTheReplicatedRangesIsInvalid) {
  struct Row {
    const char* what;
    OpenSession command;
    bool valid;
  };
  const std::string nonce(kNonceBytes, 'n');
  const Row rows[] = {
      {"shortest ttl", {nonce, 1'000, 0, ""}, true},
      {"ttl too short", {nonce, 999, 0, ""}, false},
      {"longest ttl", {nonce, 3'600'000, 0, ""}, true},
      {"ttl too long", {nonce, 3'600'001, 0, ""}, false},
      {"shortest grace", {nonce, 1'000, 3'000, ""}, true},
      {"grace too short", {nonce, 1'000, 2'999, ""}, false},
      {"negative grace", {nonce, 1'000, -1, ""}, false},
      {"longest owner id", {nonce, 1'000, 0, std::string(kOwnerIdBytesMax, 'o')}, true},
      {"owner id too long", {nonce, 1'000, 0, std::string(kOwnerIdBytesMax + 1, 'o')}, false},
      {"no nonce", {"", 1'000, 0, ""}, false},
      {"nonce too long", {nonce + "n", 1'000, 0, ""}, false},
  };
  for (const Row& row : rows) {
    Driver d;
    EXPECT_EQ(d.Do(row.command).refusal, row.valid ? Refusal::kNone : Refusal::kInvalid)
        << row.what;
  }
}

// ---- Attaching

TEST(AttachSession, RaisesTheEpochAndRenews) {
  Driver d;
  Client a = d.Open(kTtl);
  d.At(9'000);
  const CommandResult result = d.Attach(a);
  EXPECT_EQ(a.epoch, ConnectionEpoch(2));
  EXPECT_TRUE(std::get<SessionResult>(result.value).found);
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(9'000 + ServerDurationMs(kTtl)));
}

// N-15
TEST(AttachSession, NeedsTheSecret) {
  Driver d;
  Client a = d.Open();
  EXPECT_EQ(d.Do(AttachSession{a.id, Driver::NonceOf(99)}).refusal, Refusal::kWrongSecret);
  EXPECT_EQ(d.KeepAlive(a), Refusal::kNone);  // the epoch is what it was
}

TEST(AttachSession, ListsFinalOutcomesThatWereNotAcknowledgedSingly) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant one = d.Lock(a, "one");
  d.Lock(a, "two");
  const Sequence granted = d.Queue(b, "one");
  const Sequence timed_out = d.Queue(b, "two", 10);
  d.Queue(b, "two");
  d.At(10);
  d.Release(a, "one", one.token);
  auto outcomes = std::get<SessionResult>(d.Attach(b).value).outcomes;
  ASSERT_THAT(outcomes, SizeIs(2));
  EXPECT_EQ(outcomes[0].first, granted);
  EXPECT_EQ(outcomes[0].second.kind, AcquireOutcomeKind::kGranted);
  EXPECT_EQ(outcomes[1].first, timed_out);
  EXPECT_EQ(outcomes[1].second.kind, AcquireOutcomeKind::kTimedOut);
  d.KeepAlive(b, {granted});
  outcomes = std::get<SessionResult>(d.Attach(b).value).outcomes;
  ASSERT_THAT(outcomes, SizeIs(1));
  EXPECT_EQ(outcomes[0].first, timed_out);
}

TEST(Epoch, OfAnOlderConnectionIsRefusedForEveryCommandThatCarriesOne) {
  Driver d;
  Client a = d.Open(kTtl, kGrace);
  const Client old = a;
  const Grant grant = d.Lock(a, "resource1");
  d.Attach(a);
  Client sender = a;
  sender.epoch = old.epoch;
  EXPECT_EQ(d.KeepAlive(sender), Refusal::kStaleEpoch);
  EXPECT_EQ(d.Close(sender), Refusal::kStaleEpoch);
  EXPECT_EQ(d.Drop(sender), Refusal::kStaleEpoch);
  EXPECT_EQ(d.Do(Driver::AcquireCommand(sender.NextHead(), "x")).refusal, Refusal::kStaleEpoch);
  EXPECT_EQ(d.Do(Release{sender.NextHead(), "resource1", grant.token}).refusal,
            Refusal::kStaleEpoch);
  EXPECT_EQ(d.Do(Cancel{sender.NextHead(), Sequence(1)}).refusal, Refusal::kStaleEpoch);
  EXPECT_EQ(d.Do(Reconcile{sender.NextHead(), {}, Sequence(9), {}}).refusal, Refusal::kStaleEpoch);
  EXPECT_TRUE(d.db().GetLock("resource1").held);
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(ServerDurationMs(kTtl)));  // nothing was armed
}

// ---- Expiry

// L-21
TEST(Expiry, ComesExactlyAtTheServersCountOfTheTtl) {
  Driver d;
  d.At(123);
  Client a = d.Open(kTtl);
  d.Lock(a, "resource1");
  EXPECT_THAT(d.TickAt(123 + ServerDurationMs(kTtl) - 1), IsEmpty());
  EXPECT_TRUE(d.db().SessionIsLive(a.id));
  EXPECT_THAT(d.TickAt(123 + ServerDurationMs(kTtl)),
              ElementsAre(Ended(a, SessionEndReason::kExpired)));
  EXPECT_FALSE(d.db().SessionIsLive(a.id));
  EXPECT_FALSE(d.db().GetLock("resource1").held);
}

// L-11: a renewal that is logged behind the end must not say yes.
TEST(Expiry, IsNotUndoneByAKeepAliveInTheSameEntry) {
  Driver d;
  Client a = d.Open(kTtl);
  d.At(ServerDurationMs(kTtl));
  EXPECT_EQ(d.KeepAlive(a), Refusal::kSessionEnded);
  EXPECT_EQ(d.Attach(a).refusal, Refusal::kSessionEnded);
}

TEST(Expiry, IsPutOffByAKeepAliveOneMillisecondBefore) {
  Driver d;
  Client a = d.Open(kTtl);
  d.At(ServerDurationMs(kTtl) - 1);
  EXPECT_EQ(d.KeepAlive(a), Refusal::kNone);
  EXPECT_THAT(d.TickAt(ServerDurationMs(kTtl)), IsEmpty());
}

TEST(Expiry, IsNotPutOffByAcquiringAndReleasing) {
  Driver d;
  Client a = d.Open(kTtl);
  d.At(9'000);
  d.Release(a, "resource1", d.Lock(a, "resource1").token);
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(ServerDurationMs(kTtl)));
}

TEST(KeepAlives, AnswerForEachSessionInOrder) {
  Driver d;
  Client a = d.Open(kTtl);
  Client dead = d.Open(1'000);
  Client moved = d.Open(kTtl);
  Client current = moved;
  d.Attach(current);
  d.At(5'000);
  const auto result = d.Do(KeepAlives{{{a.id, a.epoch, {}},
                                       {dead.id, dead.epoch, {}},
                                       {moved.id, moved.epoch, {}},
                                       {SessionId(99), ConnectionEpoch(1), {}},
                                       {current.id, current.epoch, {}}}});
  EXPECT_THAT(std::get<KeepAliveResults>(result.value).sessions,
              ElementsAre(Refusal::kNone, Refusal::kSessionEnded, Refusal::kStaleEpoch,
                          Refusal::kSessionEnded, Refusal::kNone));
  EXPECT_THAT(d.TickAt(ServerDurationMs(kTtl)), IsEmpty());
}

// ---- Closing

TEST(CloseSession, FreesItsHoldsAndTakesItsWaitersOutOfQueues) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "one");
  const Grant two = d.Lock(b, "two");
  d.Queue(a, "two");
  const Sequence waiting = d.Queue(b, "one");
  EXPECT_EQ(d.Close(a), Refusal::kNone);
  ASSERT_THAT(d.events(), SizeIs(2));
  EXPECT_EQ(d.events()[0], Ended(a, SessionEndReason::kClosed));
  EXPECT_EQ(std::get<AcquireDone>(d.events()[1]).acquire, waiting);
  EXPECT_EQ(d.db().waiter_count(), 0u);
  EXPECT_EQ(d.Release(b, "two", two.token), ReleaseOutcome::kReleased);
  EXPECT_FALSE(d.db().GetLock("two").held);
  EXPECT_EQ(d.Close(a), Refusal::kSessionEnded);
}

// L-34: an acquire that was on its way when its session was closed: ordered before the close, it is
// swept with the rest; ordered behind it, it is refused.
TEST(CloseSession, SweepsAnAcquireThatComesRightBeforeIt) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(b, "taken");
  const auto results = d.DoAll({Driver::AcquireCommand(a.NextHead(), "one", kWaitForever),
                                Driver::AcquireCommand(a.NextHead(), "taken", kWaitForever),
                                CloseSession{a.id, a.epoch}});
  EXPECT_EQ(Driver::AcquireOf(results[0]).kind, AcquireOutcomeKind::kGranted);
  EXPECT_EQ(Driver::AcquireOf(results[1]).kind, AcquireOutcomeKind::kQueued);
  EXPECT_FALSE(d.db().GetLock("one").held);
  EXPECT_EQ(d.db().waiter_count(), 0u);
  EXPECT_EQ(d.db().session_count(), 1u);
}

// L-34
TEST(CloseSession, LeavesNothingForAnAcquireThatComesAfterIt) {
  Driver d;
  Client a = d.Open();
  const auto results = d.DoAll(
      {CloseSession{a.id, a.epoch}, Driver::AcquireCommand(a.NextHead(), "one", kWaitForever)});
  EXPECT_EQ(results[1].refusal, Refusal::kSessionEnded);
  EXPECT_EQ(d.db().lock_count(), 0u);
}

TEST(CloseSession, GrantsFreedLocksInOrderOfPosition) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  Client c = d.Open();
  d.Lock(a, "one");
  d.Lock(a, "two");
  d.Lock(a, "three");
  d.Queue(c, "three");
  d.Queue(b, "one");
  d.Queue(b, "two");
  d.Close(a);
  const auto done = d.EventsOf<AcquireDone>();
  ASSERT_THAT(done, SizeIs(3));
  EXPECT_EQ(done[0].session, c.id);
  EXPECT_EQ(done[1].acquire, Sequence(1));
  EXPECT_EQ(done[2].acquire, Sequence(2));
  EXPECT_LT(done[0].result.grant.token, done[1].result.grant.token);
  EXPECT_LT(done[1].result.grant.token, done[2].result.grant.token);
}

// ---- Disconnect grace

TEST(Disconnect, EndsTheSessionExactlyAfterItsGrace) {
  Driver d;
  Client a = d.Open(kTtl, kGrace);
  d.Lock(a, "resource1");
  d.At(500);
  EXPECT_EQ(d.Drop(a), Refusal::kNone);
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(500 + ServerDurationMs(kGrace)));
  EXPECT_THAT(d.TickAt(500 + ServerDurationMs(kGrace) - 1), IsEmpty());
  EXPECT_THAT(d.TickAt(500 + ServerDurationMs(kGrace)),
              ElementsAre(Ended(a, SessionEndReason::kDisconnected)));
  EXPECT_FALSE(d.db().GetLock("resource1").held);
}

TEST(Disconnect, DoesNothingForASessionWithoutGrace) {
  Driver d;
  Client a = d.Open(kTtl, 0);
  EXPECT_EQ(d.Drop(a), Refusal::kNone);
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(ServerDurationMs(kTtl)));
}

TEST(Disconnect, IsTakenBackByAnAttach) {
  Driver d;
  Client a = d.Open(kTtl, kGrace);
  d.Drop(a);
  d.At(1'000);
  d.Attach(a);
  EXPECT_THAT(d.TickAt(ServerDurationMs(kGrace) + 1'000), IsEmpty());
}

TEST(Disconnect, IsTakenBackByAnOpenThatFindsTheSession) {
  Driver d;
  Client a = d.Open(kTtl, kGrace);
  d.Drop(a);
  d.Do(OpenSession{a.nonce, kTtl, kGrace, ""});
  EXPECT_THAT(d.TickAt(ServerDurationMs(kGrace)), IsEmpty());
}

TEST(Disconnect, IsNotTakenBackByAKeepAlive) {
  Driver d;
  Client a = d.Open(kTtl, kGrace);
  d.Drop(a);
  EXPECT_EQ(d.KeepAlive(a), Refusal::kNone);
  EXPECT_THAT(d.TickAt(ServerDurationMs(kGrace)),
              ElementsAre(Ended(a, SessionEndReason::kDisconnected)));
}

TEST(Disconnect, OfAConnectionThatWasReplacedDoesNothing) {
  Driver d;
  Client a = d.Open(kTtl, kGrace);
  const Client old = a;
  d.Attach(a);
  EXPECT_EQ(d.Drop(old), Refusal::kStaleEpoch);
  EXPECT_THAT(d.TickAt(ServerDurationMs(kGrace)), IsEmpty());
}

TEST(Disconnect, ReportedTwiceCountsFromTheFirst) {
  Driver d;
  Client a = d.Open(kTtl, kGrace);
  d.Drop(a);
  d.At(2'000);
  d.Drop(a);
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(ServerDurationMs(kGrace)));
}

TEST(Disconnect, WithAGraceBeyondTheTtlEndsAsExpired) {
  Driver d;
  Client a = d.Open(5'000, 60'000);
  d.Drop(a);
  EXPECT_THAT(d.TickAt(ServerDurationMs(5'000)), ElementsAre(Ended(a, SessionEndReason::kExpired)));
}

// ---- After the end

TEST(EndedSession, StillTellsTheReplyOfAnOldRequest) {
  Driver d;
  Client a = d.Open(kTtl);
  const Acquire acquire = Driver::AcquireCommand(a.NextHead(), "resource1");
  const AcquireResult first = Driver::AcquireOf(d.Do(acquire));
  d.Close(a);
  EXPECT_EQ(Driver::AcquireOf(d.Do(acquire)), first);
  EXPECT_FALSE(d.db().GetLock("resource1").held);
  EXPECT_EQ(d.Do(Driver::AcquireCommand(a.NextHead(), "resource1")).refusal,
            Refusal::kSessionEnded);
}

TEST(EndedSession, StillTellsTheOutcomeOfAQueuedAcquireBelowItsWindow) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  const Grant grant = d.Lock(a, "one");
  const Acquire acquire = Driver::AcquireCommand(b.NextHead(), "one", kWaitForever);
  d.Do(acquire);
  d.Release(a, "one", grant.token);
  b.acknowledged_through = b.last;  // the reply QUEUED is acknowledged, the outcome is not
  d.Acquire(b, "two");
  d.Close(b);
  EXPECT_EQ(Driver::AcquireOf(d.Do(acquire)).kind, AcquireOutcomeKind::kGranted);
}

TEST(EndedSession, AnswersEndedForAnAcquireThatStillWaited) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "one");
  const Acquire acquire = Driver::AcquireCommand(b.NextHead(), "one", kWaitForever);
  d.Do(acquire);
  d.Close(b);
  EXPECT_EQ(d.Do(acquire).refusal, Refusal::kSessionEnded);
}

TEST(EndedSession, IsForgottenAfterSixtySecondsOfClusterTime) {
  Driver d;
  Client a = d.Open(kTtl);
  const Acquire acquire = Driver::AcquireCommand(a.NextHead(), "resource1");
  d.Do(acquire);
  d.At(1'000);
  d.Close(a);
  EXPECT_EQ(d.db().NextDeadline(), ClusterTime(1'000 + kEndedSessionKeptMs));
  d.TickAt(1'000 + kEndedSessionKeptMs - 1);
  EXPECT_TRUE(d.db().SessionHasEnded(a.id));
  EXPECT_EQ(d.Do(acquire).refusal, Refusal::kNone);
  d.TickAt(1'000 + kEndedSessionKeptMs);
  EXPECT_FALSE(d.db().SessionHasEnded(a.id));
  EXPECT_EQ(d.Do(acquire).refusal, Refusal::kSessionEnded);
  EXPECT_EQ(d.db().NextDeadline(), kNeverCluster);
}

TEST(EndedSession, WithNothingToTellIsForgottenAtOnce) {
  Driver d;
  Client a = d.Open(kTtl);
  d.Close(a);
  EXPECT_EQ(d.db().NextDeadline(), kNeverCluster);
}

TEST(EndedSession, IsNotListed) {
  Driver d;
  Client a = d.Open(kTtl);
  Client b = d.Open(kTtl, kGrace);
  d.Lock(a, "one");
  d.Lock(b, "two");
  d.Queue(b, "one");
  d.Lock(b, "three");
  d.Close(a);
  std::vector<SessionView> sessions;
  EXPECT_EQ(d.db().ListSessions(0, 10, &sessions), 0u);
  ASSERT_THAT(sessions, SizeIs(1));
  EXPECT_EQ(sessions[0].session, b.id);
  EXPECT_EQ(sessions[0].holds, 3u);  // "one" came to it
  EXPECT_EQ(sessions[0].waiters, 0u);
  EXPECT_EQ(sessions[0].grace_ms, kGrace);
  EXPECT_EQ(sessions[0].remaining_ms, ServerDurationMs(kTtl));
  EXPECT_EQ(d.db().SessionGraceMs(b.id), kGrace);
  EXPECT_EQ(d.db().SessionGraceMs(a.id), 0);
}

}  // namespace
}  // namespace lockd::state
