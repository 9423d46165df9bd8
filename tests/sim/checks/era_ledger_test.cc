#include "tests/sim/checks/era_ledger.h"

#include <gtest/gtest.h>

namespace lockd::sim {
namespace {

FencingToken Token(uint64_t token) {
  return FencingToken(token);
}

// The backup has 3 and 4. When the cluster died 4 had gone to 7, and 8 held what was free before.
class EraLedgerTest : public testing::Test {
 protected:
  void Restore() { ledger_.Begins(Token(9), at_end_, backup_); }

  const Holders backup_ = {{"a", Token(3)}, {"b", Token(4)}, {"c", Token(0)}};
  const Holders at_end_ = {{"a", Token(3)}, {"b", Token(7)}, {"c", Token(8)}};
  EraLedger ledger_;
};

TEST_F(EraLedgerTest, HoldsOfOneEraNeverMeet) {
  EXPECT_FALSE(ledger_.MayMeet(Token(3), Token(8)));
  Restore();
  EXPECT_FALSE(ledger_.MayMeet(Token(3), Token(8)));
  EXPECT_FALSE(ledger_.MayMeet(Token(11), Token(10)));
}

TEST_F(EraLedgerTest, WhatTheBackupDoesNotKnowMayMeetWhatComesAfter) {
  Restore();
  EXPECT_TRUE(ledger_.MayMeet(Token(8), Token(10)));
  EXPECT_TRUE(ledger_.MayMeet(Token(10), Token(7)));
}

TEST_F(EraLedgerTest, WhatTheBackupKnowsNeverDoes) {
  Restore();
  EXPECT_FALSE(ledger_.MayMeet(Token(3), Token(10)));
  EXPECT_FALSE(ledger_.MayMeet(Token(10), Token(4)));
}

TEST_F(EraLedgerTest, ALaterRestoreDecidesForWhatComesAfterIt) {
  Restore();
  ledger_.Begins(Token(20), {{"c", Token(15)}}, {{"c", Token(15)}});
  EXPECT_TRUE(ledger_.MayMeet(Token(3), Token(21)));
  EXPECT_FALSE(ledger_.MayMeet(Token(3), Token(15)));
  EXPECT_FALSE(ledger_.MayMeet(Token(15), Token(21)));
  EXPECT_TRUE(ledger_.MayMeet(Token(16), Token(21)));
}

TEST_F(EraLedgerTest, TokensTellTheirEra) {
  EXPECT_FALSE(ledger_.IsOfOlderEra(Token(9)));
  Restore();
  EXPECT_EQ(ledger_.era(), 1u);
  EXPECT_TRUE(ledger_.IsOfOlderEra(Token(9)));
  EXPECT_FALSE(ledger_.IsOfOlderEra(Token(10)));
}

TEST_F(EraLedgerTest, OnlyAHoldThatHadEndedSaysNothing) {
  Restore();
  EXPECT_TRUE(ledger_.SaysNothing(1, Token(4)));
  EXPECT_FALSE(ledger_.SaysNothing(1, Token(3)));
  EXPECT_FALSE(ledger_.SaysNothing(1, Token(10)));
  EXPECT_FALSE(ledger_.SaysNothing(1, Token(0)));
  EXPECT_FALSE(ledger_.SaysNothing(0, Token(4))) << "it was asked before the restore";
}

TEST_F(EraLedgerTest, AnEndIsRememberedWhenTheSameBackupIsRestoredAgain) {
  Restore();
  ledger_.Begins(Token(20), backup_, backup_);
  EXPECT_TRUE(ledger_.SaysNothing(2, Token(4)));
  EXPECT_FALSE(ledger_.SaysNothing(2, Token(3)));
}

}  // namespace
}  // namespace lockd::sim
