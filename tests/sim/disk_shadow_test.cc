#include "tests/sim/disk_shadow.h"

#include <gtest/gtest.h>

#include <string>

namespace lockd::sim {
namespace {

using Verdict = DiskShadow::Verdict;

raft::Entry EntryAt(uint64_t index, uint64_t term, std::string payload = "command") {
  return {raft::Term(term), raft::Index(index), raft::EntryKind::kCommand, ClusterTime(0),
          std::move(payload)};
}

storage::LogWrite WriteOf(uint64_t term, std::vector<raft::Entry> entries) {
  storage::LogWrite write;
  write.hard_state = raft::HardState{raft::Term(term), NodeId(1), raft::Index(0)};
  write.entries = std::move(entries);
  return write;
}

raft::RecoveredLog LogOf(uint64_t term, std::vector<raft::Entry> entries) {
  raft::RecoveredLog log;
  log.hard_state = {raft::Term(term), NodeId(1), raft::Index(0)};
  log.last_index = raft::Index(entries.size());
  log.tail = std::move(entries);
  return log;
}

// Two writes were acknowledged: entries 1 and 2 of term 1, then entry 2 replaced in term 3.
class DiskShadowTest : public testing::Test {
 protected:
  DiskShadowTest() {
    shadow_.OnWriteDone(WriteOf(1, {EntryAt(1, 1), EntryAt(2, 1)}));
    shadow_.OnWriteDone(WriteOf(3, {EntryAt(2, 3)}));
  }
  Verdict Judge(const raft::RecoveredLog& log) { return shadow_.OnRecovered(log, &difference_); }

  DiskShadow shadow_;
  std::string difference_;
};

TEST_F(DiskShadowTest, WhatWasAcknowledgedIsExact) {
  EXPECT_EQ(Judge(LogOf(3, {EntryAt(1, 1), EntryAt(2, 3)})), Verdict::kExact);
}

TEST_F(DiskShadowTest, AWriteUnderWayMayBeThereOrNot) {
  const storage::LogWrite write = WriteOf(4, {EntryAt(3, 4)});
  DiskShadow other = shadow_;
  shadow_.OnWriteStarted(write);
  other.OnWriteStarted(write);
  EXPECT_EQ(Judge(LogOf(3, {EntryAt(1, 1), EntryAt(2, 3)})), Verdict::kExact);
  EXPECT_EQ(
      other.OnRecovered(LogOf(4, {EntryAt(1, 1), EntryAt(2, 3), EntryAt(3, 4)}), &difference_),
      Verdict::kExact);
}

TEST_F(DiskShadowTest, HalfOfAWriteUnderWayIsWrong) {
  shadow_.OnWriteStarted(WriteOf(4, {EntryAt(3, 4), EntryAt(4, 4)}));
  EXPECT_EQ(Judge(LogOf(4, {EntryAt(1, 1), EntryAt(2, 3), EntryAt(3, 4)})), Verdict::kWrong);
}

TEST_F(DiskShadowTest, TheLastWriteGoneBringsBackWhatItReplaced) {
  EXPECT_EQ(Judge(LogOf(1, {EntryAt(1, 1), EntryAt(2, 1)})), Verdict::kLostLastWrite);
}

TEST_F(DiskShadowTest, ALostOrForgottenPromiseIsWrong) {
  EXPECT_EQ(Judge(LogOf(3, {EntryAt(1, 1)})), Verdict::kWrong);
  EXPECT_EQ(Judge(LogOf(2, {EntryAt(1, 1), EntryAt(2, 3)})), Verdict::kWrong);
  EXPECT_EQ(Judge(LogOf(1, {EntryAt(1, 1)})), Verdict::kWrong);
}

TEST_F(DiskShadowTest, AnotherPayloadIsWrong) {
  EXPECT_EQ(Judge(LogOf(3, {EntryAt(1, 1), EntryAt(2, 3, "another")})), Verdict::kWrong);
}

}  // namespace
}  // namespace lockd::sim
