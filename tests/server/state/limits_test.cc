// Every replicated limit, reached: the last that fits, the first that does not, the name in the
// answer, and that what freed a place makes room.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/state/driver.h"

namespace lockd::state {
namespace {

using ::testing::SizeIs;
using ::testing::StrEq;

constexpr auto kLimit = AcquireOutcomeKind::kLimit;

TEST(Limit, SessionsMax) {
  Driver d;
  Settings settings;
  settings.sessions_max = 2;
  d.ChangeSettings(settings);
  Client a = d.Open();
  d.Open();
  const CommandResult refused = d.Do(OpenSession{Driver::NonceOf(77), 10'000, 0, ""});
  EXPECT_EQ(refused.refusal, Refusal::kLimit);
  EXPECT_THAT(refused.limit, StrEq("sessions_max"));
  // Finding a session needs no room.
  EXPECT_EQ(d.Do(OpenSession{a.nonce, 10'000, 0, ""}).refusal, Refusal::kNone);
  ++a.epoch;
  EXPECT_EQ(d.Close(a), Refusal::kNone);
  d.Open();
}

TEST(Limit, SessionsMaxBoundsKeptEndedSessionsToo) {
  Driver d;
  Settings settings;
  settings.sessions_max = 2;
  d.ChangeSettings(settings);
  for (int i = 0; i < 4; ++i) {
    Client a = d.Open();
    d.Acquire(a, "resource1");  // leaves a reply to be found out
    d.Close(a);
  }
  EXPECT_THAT(d.Do(OpenSession{Driver::NonceOf(77), 10'000, 0, ""}).limit, StrEq("sessions_max"));
  d.TickAt(kEndedSessionKeptMs);
  d.Open();
}

TEST(Limit, LocksMax) {
  Driver d;
  Settings settings;
  settings.locks_max = 2;
  d.ChangeSettings(settings);
  Client a = d.Open();
  Client b = d.Open();
  const Grant one = d.Lock(a, "one");
  d.Lock(b, "two");
  const CommandResult refused = d.Do(Driver::AcquireCommand(a.NextHead(), "three", kWaitForever));
  EXPECT_EQ(Driver::AcquireOf(refused), OutcomeOf(kLimit, LimitKind::kLocksMax));
  EXPECT_THAT(refused.limit, StrEq("locks_max"));
  // A queue hands on without needing more room.
  d.Queue(b, "one");
  d.Release(a, "one", one.token);
  EXPECT_EQ(d.db().GetLock("one").session, b.id);
}

TEST(Limit, LocksPerSessionMax) {
  Driver d;
  Settings settings;
  settings.locks_per_session_max = 2;
  d.ChangeSettings(settings);
  Client a = d.Open();
  const Grant one = d.Lock(a, "one");
  d.Lock(a, "two");
  const CommandResult refused = d.Do(Driver::AcquireCommand(a.NextHead(), "three"));
  EXPECT_EQ(Driver::AcquireOf(refused), OutcomeOf(kLimit, LimitKind::kLocksPerSessionMax));
  EXPECT_THAT(refused.limit, StrEq("locks_per_session_max"));
  d.Release(a, "one", one.token);
  d.Lock(a, "three");
}

TEST(Limit, LocksPerSessionMaxIsCheckedAnewAtGrant) {
  Driver d;
  Settings settings;
  settings.locks_per_session_max = 1;
  d.ChangeSettings(settings);
  Client holder = d.Open();
  Client a = d.Open();
  Client next = d.Open();
  const Grant grant = d.Lock(holder, "resource1");
  const Sequence waiting = d.Queue(a, "resource1");
  d.Queue(next, "resource1");
  d.Lock(a, "other");
  d.Release(holder, "resource1", grant.token);
  ASSERT_THAT(d.events(), SizeIs(2));
  EXPECT_EQ(d.events()[0],
            Event(AcquireDone{a.id, waiting, OutcomeOf(kLimit, LimitKind::kLocksPerSessionMax)}));
  EXPECT_EQ(d.db().GetLock("resource1").session, next.id);
}

TEST(Limit, WaitersMax) {
  Driver d;
  Settings settings;
  settings.waiters_max = 2;
  d.ChangeSettings(settings);
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "resource1");
  const Sequence first = d.Queue(b, "resource1");
  d.Queue(a, "resource1");
  const CommandResult refused =
      d.Do(Driver::AcquireCommand(b.NextHead(), "resource1", kWaitForever));
  EXPECT_EQ(Driver::AcquireOf(refused), OutcomeOf(kLimit, LimitKind::kWaitersMax));
  EXPECT_THAT(refused.limit, StrEq("waiters_max"));
  // The outcome of a cancelled wait takes its place until it is acknowledged.
  d.Cancel(b, first);
  EXPECT_EQ(d.Acquire(b, "resource1", kWaitForever).kind, kLimit);
  d.KeepAlive(b, {first});
  d.Queue(b, "resource1");
}

TEST(Limit, WaitersPerSessionMax) {
  Driver d;
  Settings settings;
  settings.waiters_per_session_max = 2;
  d.ChangeSettings(settings);
  Client a = d.Open();
  Client b = d.Open();
  d.Lock(a, "resource1");
  const Sequence first = d.Queue(b, "resource1", 10);
  d.Queue(b, "resource1");
  const CommandResult refused =
      d.Do(Driver::AcquireCommand(b.NextHead(), "resource1", kWaitForever));
  EXPECT_EQ(Driver::AcquireOf(refused), OutcomeOf(kLimit, LimitKind::kWaitersPerSessionMax));
  EXPECT_THAT(refused.limit, StrEq("waiters_per_session_max"));
  d.Queue(a, "resource1");  // another session has its own room
  // Outcomes that nobody acknowledges are bounded with the waiters.
  d.TickAt(10);
  EXPECT_EQ(d.Acquire(b, "resource1", kWaitForever).kind, kLimit);
  d.KeepAlive(b, {first});
  d.Queue(b, "resource1");
}

TEST(Limit, IsRememberedAsTheReply) {
  Driver d;
  Settings settings;
  settings.locks_max = 1;
  d.ChangeSettings(settings);
  Client a = d.Open();
  const Grant one = d.Lock(a, "one");
  const Acquire acquire = Driver::AcquireCommand(a.NextHead(), "two");
  d.Do(acquire);
  d.Release(a, "one", one.token);
  const CommandResult repeated = d.Do(acquire);
  EXPECT_EQ(Driver::AcquireOf(repeated).kind, kLimit);
  EXPECT_THAT(repeated.limit, StrEq("locks_max"));
}

TEST(Limit, LoweredEndsNothingThatExists) {
  Driver d;
  Client a = d.Open();
  Client b = d.Open();
  Client c = d.Open();
  const Grant one = d.Lock(a, "one");
  d.Lock(b, "two");
  d.Queue(b, "one");
  Settings settings;
  settings.locks_max = 1;
  settings.sessions_max = 1;
  settings.waiters_max = 1;
  d.ChangeSettings(settings);
  EXPECT_EQ(d.KeepAlive(c), Refusal::kNone);
  EXPECT_EQ(d.db().lock_count(), 2u);
  // But what is granted from now on has to fit.
  d.Release(a, "one", one.token);
  EXPECT_EQ(d.EventsOf<AcquireDone>().at(0).result, OutcomeOf(kLimit, LimitKind::kLocksMax));
}

TEST(Settings, OutOfRangeAreRefusedWhole) {
  struct Row {
    const char* what;
    void (*change)(Settings&);
  };
  const Row rows[] = {
      {"ttl_min 0", [](Settings& s) { s.session_ttl_ms_min = 0; }},
      {"ttl_max below ttl_min", [](Settings& s) { s.session_ttl_ms_max = 999; }},
      {"grace_min 0", [](Settings& s) { s.grace_ms_min = 0; }},
      {"no sessions", [](Settings& s) { s.sessions_max = 0; }},
      {"no locks", [](Settings& s) { s.locks_max = 0; }},
      {"more locks than ids", [](Settings& s) { s.locks_max = uint64_t{1} << 32; }},
      {"no waiters", [](Settings& s) { s.waiters_max = 0; }},
      {"no locks of a session", [](Settings& s) { s.locks_per_session_max = 0; }},
      {"no waiters of a session", [](Settings& s) { s.waiters_per_session_max = 0; }},
      {"no clean-up", [](Settings& s) { s.cleanup_holds_max = 0; }},
  };
  for (const Row& row : rows) {
    Driver d;
    Settings settings;
    row.change(settings);
    EXPECT_EQ(d.Do(SetSettings{settings}).refusal, Refusal::kInvalid) << row.what;
    EXPECT_EQ(d.db().settings(), Settings{}) << row.what;
  }
}

}  // namespace
}  // namespace lockd::state
