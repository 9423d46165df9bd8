// Three judges of the same histories: the token-order checker, the search, and a reference that is
// too slow and too simple to be wrong. On arbitrary tiny histories all three must agree; on what a
// perfect service leaves behind nobody may complain; of what a mutation broke, most must be found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/random.h"
#include "tests/support/history/check_history.h"
#include "tests/support/history/perfect_lock.h"
#include "tests/support/history/token_order.h"
#include "tests/support/history/wgl.h"

namespace lockd::history {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// ---- The reference
//
// Tries every order of every subset of the operations that has all answered ones, without a memo.
// It moves along the line of time: each operation takes effect at a moment of its own, no earlier
// than the one before. Unlike both checkers it lets unknown acquires also take tokens that nobody
// ever speaks of, ends holds by steps of the service at its own will, and leaves nothing out.
class Reference {
 public:
  explicit Reference(const History& history)
      : history_(history),
        acquired_(history.acquires.size()),
        released_(history.releases.size()),
        observed_(history.observations.size()),
        unreported_(UnreportedTokens(history)) {}

  bool IsLinearizable() { return FromHere(-1'000, FencingToken(0), FencingToken(0), false); }

 private:
  // `is_lost`: the hold is that of an unknown acquire, which may end at any time.
  bool FromHere(Time now, FencingToken held, FencingToken largest, bool is_lost) {
    if (IsComplete()) return true;
    return TryAcquires(now, held, largest, is_lost) || TryReleases(now, held, largest, is_lost) ||
           TryObservations(now, held, largest, is_lost) || TryEnds(now, held, largest, is_lost);
  }

  bool IsComplete() const {
    for (size_t i = 0; i < acquired_.size(); ++i) {
      if (!acquired_[i] && history_.acquires[i].outcome != AcquireOutcome::kUnknown) return false;
    }
    for (size_t i = 0; i < released_.size(); ++i) {
      if (!released_[i] && history_.releases[i].outcome != ReleaseOutcome::kUnknown) return false;
    }
    for (size_t i = 0; i < observed_.size(); ++i) {
      if (!observed_[i] && history_.observations[i].returned != kNever) return false;
    }
    return true;
  }

  bool TryAcquires(Time now, FencingToken held, FencingToken largest, bool is_lost) {
    for (size_t i = 0; i < acquired_.size(); ++i) {
      const Acquire& acquire = history_.acquires[i];
      const Time at = std::max(now, acquire.invoke);
      if (acquired_[i] || at > acquire.returned) continue;
      acquired_[i] = true;
      const FencingToken token = acquire.token;
      bool works = false;
      switch (acquire.outcome) {
        case AcquireOutcome::kNotGranted:
          works = FromHere(at, held, largest, is_lost);
          break;
        case AcquireOutcome::kGranted:
          works = held.is_zero() && token > largest && FromHere(at, token, token, false);
          break;
        case AcquireOutcome::kUnknown:
          works = held.is_zero() && TryUnknownGrant(at, largest);
          break;
      }
      acquired_[i] = false;
      if (works) return true;
    }
    return false;
  }

  bool TryUnknownGrant(Time at, FencingToken largest) {
    // A token between the spoken ones: it leaves `largest` as good as it was.
    if (FromHere(at, FencingToken(999), largest, true)) return true;
    for (const FencingToken token : unreported_) {
      if (token > largest && FromHere(at, token, token, true)) return true;
    }
    return false;
  }

  bool TryReleases(Time now, FencingToken held, FencingToken largest, bool is_lost) {
    for (size_t i = 0; i < released_.size(); ++i) {
      const Release& release = history_.releases[i];
      const Time at = std::max(now, release.invoke);
      if (released_[i] || at > release.returned) continue;
      const bool is_held = held == release.token;
      if (release.outcome == ReleaseOutcome::kReleased && !is_held) continue;
      if (release.outcome == ReleaseOutcome::kStale && is_held) continue;
      released_[i] = true;
      const bool works = is_held ? FromHere(at, FencingToken(0), largest, false)
                                 : FromHere(at, held, largest, is_lost);
      released_[i] = false;
      if (works) return true;
    }
    return false;
  }

  bool TryObservations(Time now, FencingToken held, FencingToken largest, bool is_lost) {
    for (size_t i = 0; i < observed_.size(); ++i) {
      const Observation& observation = history_.observations[i];
      const Time at = std::max(now, observation.invoke);
      if (observed_[i] || at > observation.returned || held != observation.token) continue;
      observed_[i] = true;
      const bool works = FromHere(at, held, largest, is_lost);
      observed_[i] = false;
      if (works) return true;
    }
    return false;
  }

  bool TryEnds(Time now, FencingToken held, FencingToken largest, bool is_lost) {
    if (held.is_zero()) return false;
    if (is_lost) return FromHere(now, FencingToken(0), largest, false);
    return std::any_of(history_.ends.begin(), history_.ends.end(), [&](const HoldEnd& end) {
      return end.token == held &&
             FromHere(std::max(now, end.earliest), FencingToken(0), largest, false);
    });
  }

  const History& history_;
  std::vector<bool> acquired_;
  std::vector<bool> released_;
  std::vector<bool> observed_;
  const std::vector<FencingToken> unreported_;
};

// Anything at all: a few operations with small times and tokens, so that they collide.
History DrawAnyHistory(size_t operations, Random& random) {
  History history;
  for (size_t i = 0; i < operations; ++i) {
    const Time invoke = static_cast<Time>(random.Below(10));
    const Time returned = invoke + static_cast<Time>(random.Below(5));
    const FencingToken token(random.Between(1, 3));
    switch (random.Below(10)) {
      case 0:
      case 1:
      case 2:
        history.acquires.push_back({0, invoke, returned, AcquireOutcome::kGranted, token});
        break;
      case 3:
        history.acquires.push_back({0, invoke, kNever, AcquireOutcome::kUnknown, {}});
        break;
      case 4:
        if (random.Chance(1, 2)) {
          history.acquires.push_back({0, invoke, kNever, AcquireOutcome::kGranted, token});
        } else {
          history.releases.push_back({0, token, invoke, kNever, ReleaseOutcome::kUnknown});
        }
        break;
      case 5:
        history.releases.push_back({0, token, invoke, returned, ReleaseOutcome::kReleased});
        break;
      case 6:
        history.releases.push_back({0, token, invoke, returned, ReleaseOutcome::kStale});
        break;
      case 7:
        history.ends.push_back({token, invoke});
        break;
      case 8:
        history.observations.push_back({0, invoke, returned, ObservationKind::kOwner, token});
        break;
      case 9:
        history.observations.push_back({0, invoke, returned, ObservationKind::kOwner, {}});
        break;
    }
  }
  return history;
}

struct Verdicts {
  int lawful = 0;
  int broken = 0;
};

void ExpectAllAgree(size_t operations_max, int histories, uint64_t seed, Verdicts& verdicts) {
  Random random(seed);
  for (int i = 0; i < histories; ++i) {
    const History history = DrawAnyHistory(random.Between(1, operations_max), random);
    const bool is_lawful = Reference(history).IsLinearizable();
    ++(is_lawful ? verdicts.lawful : verdicts.broken);
    const std::string violation = CheckTokenOrder(history);
    ASSERT_EQ(violation.empty(), is_lawful) << i << ": " << violation << "\n" << Describe(history);
    ASSERT_EQ(CheckWgl(history) == Linearizability::kLinearizable, is_lawful) << i << "\n"
                                                                              << Describe(history);
  }
}

TEST(CrossCheck, AllThreeAgreeOnAnyTinyHistory) {
  Verdicts verdicts;
  ExpectAllAgree(6, 30'000, 1, verdicts);
  EXPECT_GT(verdicts.lawful, 5'000);
  EXPECT_GT(verdicts.broken, 5'000);
}

TEST(CrossCheck, SlowAllThreeAgreeOnManyMoreHistories) {
  Verdicts verdicts;
  ExpectAllAgree(9, 500'000, 2, verdicts);
  EXPECT_GT(verdicts.lawful, 100'000);
  EXPECT_GT(verdicts.broken, 100'000);
}

// ---- Histories of a perfect service

TEST(CrossCheck, WhatAPerfectServiceLeavesBehindIsLawful) {
  Random random(3);
  CheckCounts counts;
  for (int i = 0; i < 2'000; ++i) {
    const PerfectLockOptions options{.clients = static_cast<int>(random.Between(1, 8)),
                                     .steps = static_cast<int>(random.Between(1, 100))};
    const History history = DrawLawfulHistory(options, random);
    ASSERT_THAT(CheckHistory(history, &counts), IsEmpty()) << i << "\n" << Describe(history);
  }
  EXPECT_GT(counts.second_opinions, 2'000u);
  EXPECT_LT(counts.too_long, counts.second_opinions / 100);
}

TEST(CrossCheck, ALongLawfulHistoryOfManyWaitersIsLawful) {
  Random random(4);
  CheckCounts counts;
  const History history = DrawLawfulHistory({.clients = 30, .steps = 20'000}, random);
  ASSERT_THAT(CheckHistory(history, &counts), IsEmpty());
  EXPECT_GT(counts.second_opinions, 100u);
  EXPECT_LT(counts.too_long, counts.second_opinions / 100);
}

// ---- Mutations of them

struct Share {
  int mutated = 0;
  int found = 0;
  int by_search = 0;  // refuted by the search too, in the whole or in a window
};

bool IsRefutedBySearch(const History& history) {
  if (CheckWgl(history) == Linearizability::kNot) return true;
  const std::vector<History> windows = WindowsOf(history);
  return std::any_of(windows.begin(), windows.end(), [](const History& window) {
    return CheckWgl(window) == Linearizability::kNot;
  });
}

Share FindMutation(const Mutation& mutation, int steps, int histories, uint64_t seed) {
  Random random(seed);
  Share share;
  for (int i = 0; i < histories; ++i) {
    History history = DrawLawfulHistory({.clients = 4, .steps = steps}, random);
    if (!mutation.apply(history, random)) continue;
    ++share.mutated;
    const std::string violation = CheckHistory(history);
    EXPECT_THAT(violation, Not(StartsWith("CheckersDisagree"))) << mutation.name << " " << i;
    if (violation.empty()) continue;
    ++share.found;
    if (IsRefutedBySearch(history)) ++share.by_search;
  }
  return share;
}

class MutatedHistory : public ::testing::TestWithParam<Mutation> {
 protected:
  static void ExpectFound(const Share& share) {
    EXPECT_GT(share.mutated, 50);
    EXPECT_GE(share.found * 100, share.mutated * GetParam().found_percent_min)
        << share.found << " of " << share.mutated;
  }
};

TEST_P(MutatedHistory, IsFoundByBothCheckersAlike) {
  const Share share = FindMutation(GetParam(), 60, 300, 5);
  ExpectFound(share);
  EXPECT_EQ(share.by_search, share.found);
}

TEST_P(MutatedHistory, IsFoundInALongHistoryAndInItsWindows) {
  const Share share = FindMutation(GetParam(), 600, 60, 6);
  ExpectFound(share);
  if (GetParam().is_local) {
    EXPECT_GE(share.by_search, share.found * 9 / 10);
  }
}

INSTANTIATE_TEST_SUITE_P(All, MutatedHistory, ::testing::ValuesIn(Mutations()),
                         [](const auto& mutation) { return std::string(mutation.param.name); });

}  // namespace
}  // namespace lockd::history
