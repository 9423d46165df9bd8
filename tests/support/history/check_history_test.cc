// Each rule by hand: histories of one lock on a line of time, lawful ones beside those that break
// exactly one rule. Both checkers judge each; the token-order checker names the rule.
//
//      0    10    20    30    40    50
//   1  [acquire]     [release]
//   2       [......acquire......]            waits, and is granted as 1 is released
#include "tests/support/history/check_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/history/scripted_history.h"
#include "tests/support/history/token_order.h"
#include "tests/support/history/wgl.h"

namespace lockd::history {
namespace {

using ::testing::IsEmpty;
using ::testing::StartsWith;

using Script = ScriptedHistory;

void ExpectLawful(const History& history) {
  EXPECT_THAT(CheckTokenOrder(history), IsEmpty()) << Describe(history);
  EXPECT_EQ(CheckWgl(history), Linearizability::kLinearizable) << Describe(history);
  EXPECT_THAT(CheckHistory(history), IsEmpty());
}

void ExpectBroken(const std::string& rule, const History& history) {
  EXPECT_THAT(CheckTokenOrder(history), StartsWith(rule + ": ")) << Describe(history);
  EXPECT_EQ(CheckWgl(history), Linearizability::kNot) << Describe(history);
  EXPECT_THAT(CheckHistory(history), StartsWith(rule + ": "));
}

TEST(CheckHistory, AnEmptyHistoryIsLawful) {
  ExpectLawful(Script());
}

TEST(CheckHistory, HoldsOneAfterAnotherAreLawful) {
  ExpectLawful(
      Script().Granted(1, 0, 10).Released(1, 20, 30).Granted(2, 40, 50).Released(2, 60, 70));
}

TEST(CheckHistory, AWaiterMayBeGrantedWhileTheReleaseIsUnderWay) {
  ExpectLawful(Script().Granted(1, 0, 10).Released(1, 20, 30).Granted(2, 5, 25));
}

TEST(CheckHistory, EqualTimesMayBeOrderedEitherWay) {
  ExpectLawful(Script().Granted(1, 0, 10).Released(1, 20, 30).Granted(2, 5, 20));
  ExpectBroken("HoldsDoNotOverlap",
               Script().Granted(1, 0, 10).Released(1, 20, 30).Granted(2, 5, 19));
}

// ---- (1) TokensDistinct

TEST(CheckHistory, OneTokenIsNotGrantedTwice) {
  ExpectBroken("TokensDistinct", Script().Granted(1, 0, 10).Granted(1, 40, 50).MayEnd(1, 20));
}

TEST(CheckHistory, TheTokenZeroIsNotGranted) {
  ExpectBroken("TokensDistinct", Script().Granted(0, 0, 10));
}

// ---- (2) TokensFollowTime

TEST(CheckHistory, ALaterGrantHasALargerToken) {
  ExpectBroken("TokensFollowTime",
               Script().Granted(2, 0, 10).Released(2, 20, 30).Granted(1, 40, 50));
}

TEST(CheckHistory, ConcurrentGrantsMayHaveTokensInEitherOrder) {
  ExpectLawful(Script().Granted(2, 0, 50).Granted(1, 0, 50).MayEnd(1, 10));
  ExpectLawful(Script().Granted(1, 0, 50).Granted(2, 0, 50).MayEnd(1, 10));
}

// ---- (3) HoldsDoNotOverlap

TEST(CheckHistory, AHoldThatDoesNotEndLetsNobodyIn) {
  ExpectBroken("HoldsDoNotOverlap", Script().Granted(1, 0, 10).Granted(2, 20, 30));
}

TEST(CheckHistory, AHoldThatDoesNotEndRefutesAGrantThatNeverReturned) {
  ExpectBroken("HoldsDoNotOverlap", Script().Granted(1, 0, 10).Granted(2, 20, kNever));
  ExpectLawful(Script().Granted(1, 0, 10).MayEnd(1, 90).Granted(2, 20, kNever));
}

TEST(CheckHistory, AHoldMayEndFromItsLawfulTimeOn) {
  ExpectLawful(Script().Granted(1, 0, 10).MayEnd(1, 30).Granted(2, 20, 30));
  ExpectBroken("HoldsDoNotOverlap", Script().Granted(1, 0, 10).MayEnd(1, 31).Granted(2, 20, 30));
}

TEST(CheckHistory, AReleaseOfUnknownOutcomeMayTakeEffectMuchLater) {
  ExpectLawful(Script().Granted(1, 0, 10).UnknownRelease(1, 20).Granted(2, 15, 900));
  ExpectBroken("HoldsDoNotOverlap",
               Script().Granted(1, 0, 10).UnknownRelease(1, 20).Granted(2, 15, 19));
}

TEST(CheckHistory, AnAcknowledgedReleaseIsTheEndNotAnEarlierExpiry) {
  // Had the expiry at 20 ended it, the release would have been stale.
  ExpectBroken("HoldsDoNotOverlap",
               Script().Granted(1, 0, 10).MayEnd(1, 20).Granted(2, 15, 30).Released(1, 40, 50));
}

TEST(CheckHistory, ManyHoldsMayPassWithinTheLastMomentOfTheirAcquires) {
  Script lawful;
  for (uint64_t token = 1; token <= 8; ++token) lawful.Granted(token, 0, 50).MayEnd(token, 40);
  ExpectLawful(lawful);
}

// ---- (4) ReleaseFollowsGrant, StaleMeansNotHeld

TEST(CheckHistory, WhatNobodyWasGrantedIsNotReleased) {
  ExpectBroken("ReleaseFollowsGrant", Script().Released(7, 0, 10));
}

TEST(CheckHistory, ReleasesNamingATokenThatNobodyGotAreRefused) {
  ExpectLawful(Script().Granted(1, 0, 10).Stale(7, 20, 30).UnknownRelease(9, 20));
}

TEST(CheckHistory, AReleaseIsNotAcknowledgedBeforeTheGrantIsAskedFor) {
  ExpectBroken("ReleaseFollowsGrant", Script().Granted(1, 20, 30).Released(1, 0, 10));
  ExpectLawful(Script().Granted(1, 20, 30).Released(1, 0, 20));
}

TEST(CheckHistory, ATokenIsReleasedOnce) {
  ExpectBroken("ReleaseFollowsGrant",
               Script().Granted(1, 0, 10).Released(1, 20, 30).Released(1, 20, 30));
}

TEST(CheckHistory, AReleaseIsRefusedAfterTheHoldEnded) {
  ExpectLawful(Script().Granted(1, 0, 10).MayEnd(1, 20).Stale(1, 15, 25));
  ExpectLawful(Script().Granted(1, 0, 10).Released(1, 20, 30).Stale(1, 25, 28));
}

TEST(CheckHistory, AReleaseIsNotRefusedWhileTheHoldLasts) {
  ExpectBroken("StaleMeansNotHeld", Script().Granted(1, 0, 10).Stale(1, 20, 30));
  ExpectBroken("StaleMeansNotHeld", Script().Granted(1, 0, 10).MayEnd(1, 31).Stale(1, 20, 30));
}

TEST(CheckHistory, ARefusedReleaseMayComeBeforeTheGrant) {
  ExpectLawful(Script().Stale(1, 0, 10).Granted(1, 20, 30));
  // It pushes the grant behind 15, where there is still room for it.
  ExpectLawful(Script().Granted(1, 0, 20).Stale(1, 15, 18).Released(1, 40, 50));
  ExpectBroken("StaleMeansNotHeld",
               Script().Granted(1, 0, 14).Stale(1, 15, 18).Released(1, 40, 50));
}

// ---- (5) ObservationsWithinHolds

TEST(CheckHistory, AnOwnerIsSeenWhileItHolds) {
  ExpectLawful(Script().Granted(1, 0, 10).Owner(1, 15, 18).Released(1, 20, 30));
  ExpectLawful(Script().Granted(1, 0, 10).Released(1, 20, 30).Owner(1, 25, 40));
}

TEST(CheckHistory, AnOwnerIsNotSeenBeforeItAsked) {
  ExpectBroken("ObservationsWithinHolds", Script().Owner(1, 0, 10).Granted(1, 20, 30));
}

TEST(CheckHistory, AnOwnerIsNotSeenAfterItsRelease) {
  ExpectBroken("ObservationsWithinHolds",
               Script().Granted(1, 0, 10).Released(1, 20, 30).Owner(1, 35, 40));
}

TEST(CheckHistory, AnOwnerIsNotSeenAfterTheNextGrant) {
  ExpectBroken("ObservationsWithinHolds",
               Script().Granted(1, 0, 10).MayEnd(1, 20).Granted(2, 25, 30).Owner(1, 35, 40));
}

TEST(CheckHistory, AnOwnerThatNobodyGotIsSeen) {
  ExpectBroken("ObservationsWithinHolds", Script().Granted(1, 0, 10).Owner(7, 15, 20));
}

TEST(CheckHistory, NobodyIsSeenBetweenHolds) {
  ExpectLawful(Script()
                   .Nobody(0, 5)
                   .Granted(1, 10, 20)
                   .Released(1, 30, 40)
                   .Nobody(35, 50)
                   .Granted(2, 45, 60)
                   .Released(2, 70, 80)
                   .Nobody(90, 95));
}

TEST(CheckHistory, NobodyIsNotSeenDuringAHold) {
  ExpectBroken("ObservationsWithinHolds", Script().Granted(1, 0, 10).Nobody(20, 30));
  ExpectBroken("ObservationsWithinHolds",
               Script().Granted(1, 0, 10).Nobody(20, 30).Released(1, 40, 50));
}

TEST(CheckHistory, NobodySeenDuringTheAcquireDelaysTheHold) {
  ExpectLawful(Script().Granted(1, 0, 30).Nobody(20, 25).Released(1, 40, 50));
  // The owner was seen by 15, so that it held the lock when nobody was seen.
  ExpectBroken("ObservationsWithinHolds",
               Script().Granted(1, 0, 30).Owner(1, 10, 15).Nobody(20, 25).Released(1, 40, 50));
}

// ---- (6) RenewalsWithinHolds

TEST(CheckHistory, ARenewalIsConfirmedWhileTheHoldLasts) {
  ExpectLawful(Script().Granted(1, 0, 10).MayEnd(1, 20).Renewed(1, 30, 40).Granted(2, 25, 50));
}

TEST(CheckHistory, ARenewalIsNotConfirmedAfterTheRelease) {
  ExpectBroken("RenewalsWithinHolds",
               Script().Granted(1, 0, 10).Released(1, 20, 30).Renewed(1, 40, 50));
}

TEST(CheckHistory, ARenewalIsNotConfirmedAfterTheNextGrant) {
  ExpectBroken("RenewalsWithinHolds",
               Script().Granted(1, 0, 10).MayEnd(1, 20).Granted(2, 15, 30).Renewed(1, 35, 40));
}

// ---- Unknown acquires

TEST(CheckHistory, AnUnknownAcquireNeedNotHaveHappened) {
  ExpectLawful(Script().UnknownAcquire(0).Granted(1, 10, 20).Released(1, 30, 40));
}

TEST(CheckHistory, AnUnknownAcquireMayHaveGotTheTokenThatIsSeen) {
  ExpectLawful(Script().UnknownAcquire(0).Owner(1, 10, 20).Granted(2, 5, 30));
  ExpectBroken("ObservationsWithinHolds", Script().UnknownAcquire(21).Owner(1, 10, 20));
}

TEST(CheckHistory, AnUnknownAcquireGotOneTokenOnly) {
  ExpectBroken("ObservationsWithinHolds",
               Script().UnknownAcquire(0).Owner(1, 10, 20).Owner(2, 30, 40));
  ExpectLawful(Script().UnknownAcquire(0).UnknownAcquire(35).Owner(1, 10, 20).Owner(2, 30, 40));
}

TEST(CheckHistory, AHoldOfAnUnknownAcquireStillExcludesOthers) {
  ExpectBroken("HoldsDoNotOverlap",
               Script().UnknownAcquire(0).Released(1, 20, 30).Granted(2, 10, 19));
}

// ---- Windows, and the whole recording

Script Chain(uint64_t holds) {
  Script chain;
  for (uint64_t token = 1; token <= holds; ++token) {
    const Time begin = static_cast<Time>(token) * 100;
    chain.Granted(token, begin - 150, begin).Released(token, begin + 30, begin + 60);
    chain.MayEnd(token, begin + 45).NotGranted(begin, begin + 10);
  }
  return chain;
}

TEST(CheckHistory, ALongHistoryIsJudgedInWindowsByTheSearch) {
  CheckCounts counts;
  EXPECT_THAT(CheckHistory(Chain(200), &counts), IsEmpty());
  EXPECT_EQ(counts.second_opinions, 49u);  // eight holds each, four of them shared with the next
  EXPECT_EQ(counts.too_long, 0u);
}

TEST(CheckHistory, EveryTwoSuccessiveHoldsMeetInAWindow) {
  const Script chain = Chain(100);
  uint64_t seen_through = 1;
  for (const History& window : WindowsOf(chain)) {
    EXPECT_LE(window.acquires.front().token.value(), seen_through);
    seen_through = window.acquires.back().token.value();
    EXPECT_EQ(window.releases.size(), window.acquires.size());
  }
  EXPECT_EQ(seen_through, 100u);
}

TEST(CheckHistory, AnOverlapDeepInALongHistoryIsFoundByBoth) {
  Script chain = Chain(100);
  chain.Renewed(50, 5'040, 5'130);
  ASSERT_THAT(CheckHistory(chain), IsEmpty());
  chain.Renewed(50, 5'101, 5'130);  // token 51 was granted at 5'100
  EXPECT_THAT(CheckHistory(chain), StartsWith("RenewalsWithinHolds: "));
  int refuted = 0;
  for (const History& window : WindowsOf(chain)) {
    if (CheckWgl(window) == Linearizability::kNot) ++refuted;
  }
  EXPECT_GE(refuted, 1);
}

TEST(CheckHistories, TokensFollowTimeAcrossLocks) {
  EXPECT_THAT(CheckHistories({Script().Granted(5, 0, 10), Script().Granted(6, 20, 30)}), IsEmpty());
  EXPECT_THAT(CheckHistories({Script().Granted(5, 0, 10), Script().Granted(4, 20, 30)}),
              StartsWith("TokensFollowTime: "));
}

TEST(CheckHistories, OneTokenMayStandForSeveralLocks) {
  EXPECT_THAT(CheckHistories({Script().Granted(5, 0, 10), Script().Granted(5, 20, 30)}), IsEmpty());
}

TEST(CheckHistories, TheViolationNamesTheLock) {
  EXPECT_THAT(CheckHistories({Script(), Script().Released(1, 0, 1)}),
              ::testing::HasSubstr("lock scripted"));
}

}  // namespace
}  // namespace lockd::history
