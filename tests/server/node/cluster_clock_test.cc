#include "server/node/cluster_clock.h"

#include <vector>

#include "gtest/gtest.h"
#include "protocol/base/random.h"

namespace lockd::node {
namespace {

using raft::Index;

constexpr LocalTime kStart{1'000 * kNanosPerMilli};

LocalTime After(int64_t ms) {
  return kStart + ms * kNanosPerMilli;
}

TEST(ClusterClock, GoesOnFromTheLastEntry) {
  ClusterClock clock(500, 500);
  clock.Start(ClusterTime{7'000}, kStart);
  EXPECT_EQ(clock.Now(), ClusterTime{7'000});
  clock.Advance(After(30));
  EXPECT_EQ(clock.Now(), ClusterTime{7'030});
}

TEST(ClusterClock, LosesNothingToRounding) {
  ClusterClock clock(500, 500);
  clock.Start(ClusterTime{0}, kStart);
  for (int i = 1; i <= 1'000; ++i) clock.Advance(kStart + i * (kNanosPerMilli / 10 * 7));
  EXPECT_EQ(clock.Now(), ClusterTime{700});
  EXPECT_EQ(clock.suppressed_ms(), 0);
}

TEST(ClusterClock, TakesAtMostHalfASecondFromOneTurn) {
  ClusterClock clock(500, 500);
  clock.Start(ClusterTime{0}, kStart);
  clock.Advance(After(3'600'000));
  EXPECT_EQ(clock.Now(), ClusterTime{500});
  EXPECT_EQ(clock.suppressed_ms(), 3'599'500);
}

TEST(ClusterClock, StandsStillWhileTheOldestUncommittedEntryIsTooOld) {
  ClusterClock clock(500, 500);
  clock.Start(ClusterTime{0}, kStart);
  clock.EndTurn(Index{5}, Index{4});
  clock.Advance(After(400));
  clock.EndTurn(Index{6}, Index{4});  // a younger one does not help
  EXPECT_FALSE(clock.is_suppressed());
  clock.Advance(After(800));
  EXPECT_EQ(clock.Now(), ClusterTime{500}) << "time counts until the entry is 500 ms old";
  EXPECT_TRUE(clock.is_suppressed());
  clock.EndTurn(Index{6}, Index{4});
  clock.Advance(After(1'000));
  EXPECT_EQ(clock.Now(), ClusterTime{500});
  clock.EndTurn(Index{6}, Index{6});
  clock.Advance(After(1'100));
  EXPECT_EQ(clock.Now(), ClusterTime{600}) << "it goes on once all is committed";
  EXPECT_EQ(clock.suppressed_ms(), 500);
}

TEST(ClusterClock, CountsTheAgeOfTheNextEntryOnceTheOldestIsCommitted) {
  ClusterClock clock(500, 500);
  clock.Start(ClusterTime{0}, kStart);
  clock.EndTurn(Index{5}, Index{4});
  clock.Advance(After(400));
  clock.EndTurn(Index{6}, Index{5});
  clock.Advance(After(800));
  EXPECT_EQ(clock.Now(), ClusterTime{800});
}

TEST(ClusterClock, AnEntryCommittedAfterAStallDoesNotCreditTheStall) {
  ClusterClock clock(500, 10'000);
  clock.Start(ClusterTime{0}, kStart);
  clock.EndTurn(Index{5}, Index{4});
  // No turn for five seconds; the commit arrives in the very turn that ends them.
  clock.Advance(After(5'000));
  clock.EndTurn(Index{5}, Index{5});
  EXPECT_EQ(clock.Now(), ClusterTime{500});
}

TEST(ClusterClock, EntriesInheritedFromAnOlderTermAgeFromTheElection) {
  ClusterClock clock(500, 500);
  clock.Start(ClusterTime{9'000}, kStart);
  clock.EndTurn(Index{20}, Index{3});
  clock.Advance(After(450));
  EXPECT_EQ(clock.Now(), ClusterTime{9'450});
  clock.Advance(After(900));
  EXPECT_EQ(clock.Now(), ClusterTime{9'500});
}

// The invariant of the design: whoever leads, and whatever stalls, the time between two entries is
// at most the real time between their stampings, by the leaders' clocks, plus a millisecond.
TEST(ClusterClock, NeverRunsAheadOfRealTimeAcrossLeaders) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    struct Stamp {
      int64_t real_ns;
      ClusterTime time;
    };
    std::vector<Stamp> log;
    int64_t real_ns = 0;
    ClusterTime last{0};
    for (int term = 0; term < 5; ++term) {
      real_ns += static_cast<int64_t>(random.Below(2'000)) * kNanosPerMilli;  // no leader
      // Each leader's clock runs up to 0.5 % fast or slow, from an arbitrary start.
      const int64_t rate = 10'000 + static_cast<int64_t>(random.Below(101)) - 50;
      const int64_t start_ns = static_cast<int64_t>(random.Below(1'000'000'000'000));
      const int64_t elected_ns = real_ns;
      const auto local = [&] {
        return LocalTime{start_ns + (real_ns - elected_ns) * rate / 10'000};
      };
      ClusterClock clock(500, 500);
      clock.Start(last, local());
      uint64_t index = 1, commit = 0;
      for (int turn = 0; turn < 50; ++turn) {
        real_ns +=
            static_cast<int64_t>(random.Below(random.Chance(1, 10) ? 3'000'000'000 : 60'000'000));
        clock.Advance(local());
        if (random.Chance(1, 2)) {
          ++index;
          last = clock.Now();
          log.push_back({real_ns, last});
        }
        if (random.Chance(2, 3)) commit = index;
        clock.EndTurn(Index{index}, Index{commit});
      }
    }
    for (size_t i = 0; i + 1 < log.size(); ++i) {
      for (size_t j = i + 1; j < std::min(log.size(), i + 40); ++j) {
        const int64_t grown_ms = log[j].time - log[i].time;
        const int64_t real_ms = (log[j].real_ns - log[i].real_ns) / kNanosPerMilli;
        ASSERT_GE(grown_ms, 0);
        ASSERT_LE(grown_ms, real_ms + real_ms / kDriftDivisor + 2) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace lockd::node
