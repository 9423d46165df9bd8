#include "tests/support/history/wgl.h"

#include <gtest/gtest.h>

#include "tests/support/history/scripted_history.h"

namespace lockd::history {
namespace {

using Script = ScriptedHistory;

TEST(Wgl, TooManyOperationsAreNoOpinion) {
  Script long_history;
  for (uint64_t token = 1; token <= 41; ++token) {
    long_history.Granted(token, static_cast<Time>(token), static_cast<Time>(token));
  }
  EXPECT_EQ(CheckWgl(long_history), Linearizability::kTooLong);
}

TEST(Wgl, TooManyPairsAreNoOpinion) {
  Script wide;
  for (uint64_t token = 1; token <= 10; ++token) wide.Granted(token, 0, 100).MayEnd(token, 0);
  wide.Stale(1, 0, 100).Nobody(100, 100).Owner(10, 101, 102).Owner(9, 101, 102);
  EXPECT_EQ(CheckWgl(wide, {.operations_max = 40, .pairs_max = 100}), Linearizability::kTooLong);
  EXPECT_EQ(CheckWgl(wide), Linearizability::kNot);
}

TEST(Wgl, WhatChangesNothingIsNotCounted) {
  Script history;
  for (Time time = 0; time < 100; ++time) {
    history.NotGranted(time, time + 5).UnknownAcquire(time).Owner(7, time, kNever);
  }
  EXPECT_EQ(CountWglOperations(history), 0u);
  EXPECT_EQ(CheckWgl(history), Linearizability::kLinearizable);
}

TEST(Wgl, UnknownAcquiresCountOnceATokenNeedsThem) {
  EXPECT_EQ(CountWglOperations(Script().UnknownAcquire(0).UnknownAcquire(1)), 0u);
  // The two acquires, the observation, and the end of what it saw.
  EXPECT_EQ(CountWglOperations(Script().UnknownAcquire(0).UnknownAcquire(1).Owner(1, 2, 3)), 4u);
}

TEST(Wgl, TheOrderOfConcurrentGrantsIsFoundByTrying) {
  Script history;
  for (uint64_t token = 6; token >= 1; --token) history.Granted(token, 0, 100).MayEnd(token, 50);
  EXPECT_EQ(CheckWgl(history), Linearizability::kLinearizable);
}

}  // namespace
}  // namespace lockd::history
