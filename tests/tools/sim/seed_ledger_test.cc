#include "tools/sim/seed_ledger.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace lockd::sim {
namespace {

class SeedLedgerTest : public testing::Test {
 protected:
  SeedLedgerTest() { std::filesystem::remove(path_); }
  ~SeedLedgerTest() override { std::filesystem::remove(path_); }

  const std::string path_ =
      testing::TempDir() + testing::UnitTest::GetInstance()->current_test_info()->name() + ".txt";
};

TEST_F(SeedLedgerTest, GoesOnWhereTheLastSoakOfThisBuildStopped) {
  Totals totals;
  totals.failed_seeds = {7};
  {
    SeedLedger ledger(path_);
    ASSERT_TRUE(ledger.Open().ok());
    EXPECT_EQ(ledger.next_seed(), 1u);
    ASSERT_TRUE(ledger.Add(1, 128, totals).ok());
    EXPECT_EQ(ledger.next_seed(), 129u);
  }
  SeedLedger again(path_);
  ASSERT_TRUE(again.Open().ok());
  EXPECT_EQ(again.next_seed(), 129u);
}

TEST_F(SeedLedgerTest, AnotherBuildBeginsAnew) {
  std::ofstream(path_) << "# a comment\n\n00000000 1..500 violations 0 hours 1.00\n";
  SeedLedger ledger(path_);
  ASSERT_NE(ledger.build(), "00000000");
  ASSERT_TRUE(ledger.Open().ok());
  EXPECT_EQ(ledger.next_seed(), 1u);
}

TEST_F(SeedLedgerTest, WhatIsNoLedgerIsRefusedWithItsLine) {
  std::ofstream(path_) << "# a comment\nhello\n";
  SeedLedger ledger(path_);
  const absl::Status status = ledger.Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("line 2"), absl::string_view::npos) << status;
}

TEST_F(SeedLedgerTest, AFileThatCannotBeWrittenIsAnErrorBeforeAnythingRuns) {
  SeedLedger ledger(testing::TempDir() + "no/such/folder/ledger.txt");
  EXPECT_EQ(ledger.Open().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace lockd::sim
