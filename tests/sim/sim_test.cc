#include "tests/sim/simulation.h"

#include <gtest/gtest.h>

#include "tests/sim/failing_seed.h"

namespace lockd::sim {
namespace {

SimReport RunSeed(uint64_t seed) {
  const FailingSeed named(seed);
  return RunSimulation({.seed = seed});
}

TEST(Simulation, FirstSeedsKeepAllInvariantsAndConverge) {
  for (uint64_t seed = 1; seed <= 4; ++seed) EXPECT_GT(RunSeed(seed).grants, 100u) << seed;
}

// A fault that no run ever sees proves nothing.
TEST(Simulation, SlowEveryKindOfFaultIsInjected) {
  FaultCounts faults{};
  for (uint64_t seed = 101; seed <= 140; ++seed) {
    const SimReport report = RunSeed(seed);
    for (size_t i = 0; i < kFaultCount; ++i) faults[i] += report.faults[i];
  }
  for (size_t i = 0; i < kFaultCount; ++i) {
    EXPECT_GT(faults[i], 0u) << "never injected: " << std::string(FaultName(static_cast<Fault>(i)));
  }
}

TEST(Simulation, TheSameSeedGivesTheSameRun) {
  for (const uint64_t seed : {3u, 14u}) {
    const SimReport first = RunSeed(seed);
    const SimReport second = RunSeed(seed);
    EXPECT_EQ(first.hash, second.hash) << seed;
    EXPECT_EQ(first.events, second.events) << seed;
  }
}

// Verdicts are told while some nodes are of the version that knows none.
TEST(Simulation, SlowDigestsAreComparedInTheMiddleOfAnUpgrade) {
  SimReport sum;
  for (const uint64_t seed : {1u, 5u, 14u, 23u}) sum.Add(RunSeed(seed));
  EXPECT_GT(sum.faults[static_cast<size_t>(Fault::kNodeUpgraded)], 8u);
  EXPECT_GT(sum.mixed_verdicts, 8u);
}

// What is left out for shrinking is really left out, and only that.
TEST(Simulation, OmittedFaultsAndOperationsDoNotHappen) {
  const FailingSeed named(5);
  SimOptions options{.seed = 5};
  const SimReport whole = RunSimulation(options);
  options.omit_faults = Omissions({{0, UINT64_MAX}});
  options.omit_operations = Omissions({{10, UINT64_MAX}});
  const SimReport calm = RunSimulation(options);
  EXPECT_GT(whole.fault_occasions, 100u);
  for (const uint64_t count : calm.faults) EXPECT_EQ(count, 0u);
  EXPECT_EQ(calm.acquires, 10u);
  EXPECT_GT(whole.acquires, 100u);
}

}  // namespace
}  // namespace lockd::sim
