#include "tests/sim/checks/session_ledger.h"

#include <gtest/gtest.h>

#include "protocol/base/time.h"
#include "tests/sim/checks/broken.h"

namespace lockd::sim {
namespace {

constexpr int64_t kMs = kNanosPerMilli;
constexpr SessionId kSession{7};
constexpr auto kTtl = SessionLedger::Lease::kTtl;
constexpr auto kGrace = SessionLedger::Lease::kGrace;

class SessionLedgerTest : public testing::Test {
 protected:
  SessionLedger ledger_;
};

TEST_F(SessionLedgerTest, ASessionMayEndWhenItsTtlIsOverOnAFastClock) {
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 1'000 * kMs, 2'000), Holds());
  EXPECT_THAT(ledger_.Ended(kSession, 2'990 * kMs), Holds());
}

TEST_F(SessionLedgerTest, ASessionThatEndsEarlierTrips) {
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 1'000 * kMs, 2'000), Holds());
  EXPECT_THAT(ledger_.Ended(kSession, 2'990 * kMs - 1), Trips("NeverEarly"));
}

TEST_F(SessionLedgerTest, TheNewestTransmissionCounts) {
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 1'500 * kMs, 2'000), Holds());
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 1'000 * kMs, 2'000), Holds());
  EXPECT_THAT(ledger_.Ended(kSession, 3'000 * kMs), Trips("NeverEarly"));
}

TEST_F(SessionLedgerTest, AGraceThatIsOverEndsTheSessionBeforeItsTtl) {
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 0, 60'000), Holds());
  EXPECT_THAT(ledger_.Credited(kSession, kGrace, 0, 3'000), Holds());
  EXPECT_THAT(ledger_.Ended(kSession, 3'000 * kMs), Holds());
}

TEST_F(SessionLedgerTest, AnAnsweredPingPutsTheGraceOff) {
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 0, 60'000), Holds());
  EXPECT_THAT(ledger_.Credited(kSession, kGrace, 0, 3'000), Holds());
  EXPECT_THAT(ledger_.Credited(kSession, kGrace, 1'000 * kMs, 3'000), Holds());
  EXPECT_THAT(ledger_.Ended(kSession, 3'000 * kMs), Trips("NeverEarly"));
}

TEST_F(SessionLedgerTest, AClientThatGaveUpIsOwedNothing) {
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 0, 60'000), Holds());
  ledger_.GivenUp(kSession);
  EXPECT_THAT(ledger_.Ended(kSession, 1), Holds());
}

TEST_F(SessionLedgerTest, AReplyThatCountsBeyondTheEndTrips) {
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 0, 1'000), Holds());
  EXPECT_THAT(ledger_.Ended(kSession, 1'100 * kMs), Holds());
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 50 * kMs, 1'000), Holds());
  EXPECT_THAT(ledger_.Credited(kSession, kTtl, 500 * kMs, 1'000), Trips("CreditAfterTheEnd"));
}

TEST_F(SessionLedgerTest, ASecondEndTrips) {
  EXPECT_THAT(ledger_.Ended(kSession, 1), Holds());
  EXPECT_THAT(ledger_.Ended(kSession, 2), Trips("EndsOnce"));
}

}  // namespace
}  // namespace lockd::sim
