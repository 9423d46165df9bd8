#include "tools/sim/totals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lockd::sim {
namespace {

Totals OfOneRun() {
  Totals totals;
  totals.seeds = 1;
  totals.sum.simulated = 1'800 * kSeconds;
  totals.sum.faults.fill(2);
  totals.sum.marks.fill(3);
  totals.cpu_s = 5;
  return totals;
}

TEST(Totals, AddUp) {
  Totals totals = OfOneRun();
  Totals failed;
  failed.seeds = 1;
  failed.violations = 1;
  failed.failed_seeds = {8};
  totals.Add(OfOneRun());
  totals.Add(failed);
  EXPECT_EQ(totals.seeds, 3u);
  EXPECT_EQ(totals.violations, 1u);
  EXPECT_EQ(totals.simulated_hours(), 1.0);
  EXPECT_EQ(totals.fault_count(), 4 * kFaultCount);
  EXPECT_THAT(totals.failed_seeds, testing::ElementsAre(8));
}

TEST(Totals, WhatWasNeverSeenIsNamed) {
  Totals totals = OfOneRun();
  EXPECT_THAT(totals.Missed(), testing::IsEmpty());
  totals.sum.faults[static_cast<size_t>(Fault::kBitRot)] = 0;
  totals.sum.marks[static_cast<size_t>(Reach::kTornTailCut)] = 0;
  EXPECT_THAT(totals.Missed(), testing::ElementsAre("fault bit-rot", "mark torn_tail_cut"));
}

TEST(Totals, JsonHasWhatScriptsRead) {
  const auto json = nlohmann::json::parse(AsJson(OfOneRun()));
  EXPECT_EQ(json.at("seeds"), 1);
  EXPECT_EQ(json.at("violations"), 0);
  EXPECT_EQ(json.at("simulated_hours"), 0.5);
  EXPECT_EQ(json.at("cpu_s"), 5);
  EXPECT_EQ(json.at("faults").at("bit-rot"), 2);
  EXPECT_EQ(json.at("marks").at("torn_tail_cut"), 3);
}

TEST(Totals, TextNamesTheCommandThatReplaysAFailure) {
  Totals totals;
  totals.failed_seeds = {47};
  EXPECT_THAT(AsText(totals), testing::HasSubstr("sim --replay 47 --trace"));
}

}  // namespace
}  // namespace lockd::sim
