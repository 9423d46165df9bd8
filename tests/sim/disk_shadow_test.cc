#include "tests/sim/disk_shadow.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"

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

raft::SnapshotId SnapshotAt(uint64_t index, uint64_t term) {
  return {
      .base = {raft::Index(index), raft::Term(term), ClusterTime(0)}, .bytes = 9, .checksum = 9};
}

raft::RecoveredLog LogFrom(const raft::LogBase& base, uint64_t term,
                           std::vector<raft::Entry> entries) {
  raft::RecoveredLog log = LogOf(term, std::move(entries));
  log.base_index = base.index;
  log.base_term = base.term;
  log.last_index = base.index + log.tail.size();
  return log;
}

TEST_F(DiskShadowTest, ABaseForgetsWhatItCovers) {
  const raft::LogBase base = SnapshotAt(1, 1).base;
  shadow_.OnWriteDone({.base = base});
  EXPECT_FALSE(shadow_.Has(EntryAt(1, 1)));
  EXPECT_TRUE(shadow_.Has(EntryAt(2, 3)));
  DiskShadow other = shadow_;
  EXPECT_EQ(Judge(LogFrom(base, 3, {EntryAt(2, 3)})), Verdict::kExact);
  EXPECT_EQ(other.OnRecovered(LogOf(3, {EntryAt(1, 1), EntryAt(2, 3)}), &difference_),
            Verdict::kLostLastWrite);
}

TEST_F(DiskShadowTest, ABaseThatTheLogDoesNotHoldForgetsAll) {
  const raft::LogBase base = SnapshotAt(2, 2).base;
  shadow_.OnWriteDone({.entries = {EntryAt(3, 3)}, .base = base});
  EXPECT_EQ(shadow_.last_index(), raft::Index(3));
  EXPECT_EQ(Judge(LogFrom(base, 3, {EntryAt(3, 3)})), Verdict::kExact);
}

TEST_F(DiskShadowTest, OnlyASnapshotThatWasMadeTakesThePlaceOfTheLog) {
  raft::RecoveredLog log = LogFrom(SnapshotAt(5, 3).base, 3, {});
  log.hard_state.commit = raft::Index(5);
  DiskShadow other = shadow_;
  EXPECT_EQ(Judge(log), Verdict::kWrong);
  other.OnSnapshotFinishes(SnapshotAt(5, 3));
  EXPECT_EQ(other.OnRecovered(log, &difference_), Verdict::kExact);
  EXPECT_EQ(other.last_index(), raft::Index(5));
}

TEST_F(DiskShadowTest, ASnapshotOfAnEntryInTheLogDoesNotTakeItsPlace) {
  shadow_.OnSnapshotFinishes(SnapshotAt(1, 1));
  raft::RecoveredLog log = LogFrom(SnapshotAt(1, 1).base, 3, {});
  log.hard_state.commit = raft::Index(1);
  EXPECT_EQ(Judge(log), Verdict::kWrong);
}

TEST_F(DiskShadowTest, ARestoredDiskHasASnapshotAndALogThatBeginsAfterIt) {
  const raft::SnapshotId backup = SnapshotAt(5, 3);
  shadow_ = DiskShadow::OfRestored(backup);
  raft::RecoveredLog log = LogFrom(backup.base, 3, {});
  log.hard_state = {raft::Term(3), NodeId(0), raft::Index(5)};
  DiskShadow other = shadow_;
  EXPECT_EQ(Judge(log), Verdict::kExact);
  EXPECT_EQ(shadow_.OnSnapshotsFound({backup}, false), "");
  EXPECT_TRUE(absl::StartsWith(shadow_.OnSnapshotsFound({}, false), "SnapshotsSurvive: "));
  // It cannot do without its only one.
  EXPECT_EQ(shadow_.OnRefused(true, 0, 1), "");
  EXPECT_EQ(other.OnRecovered(LogOf(3, {EntryAt(1, 1), EntryAt(2, 3)}), &difference_),
            Verdict::kWrong);
}

TEST_F(DiskShadowTest, FinishedSnapshotsAreThereAndNoOthers) {
  const raft::SnapshotId first = SnapshotAt(1, 1);
  const raft::SnapshotId second = SnapshotAt(2, 3);
  shadow_.OnSnapshotFinishes(first);
  shadow_.OnSnapshotsKept({first});
  EXPECT_TRUE(absl::StartsWith(shadow_.OnSnapshotsFound({}, false), "SnapshotsSurvive: "));
  EXPECT_TRUE(absl::StartsWith(shadow_.OnSnapshotsFound({first, second}, false),
                               "SnapshotsWereFinished: "));
  shadow_.OnSnapshotFinishes(second);
  EXPECT_EQ(shadow_.OnSnapshotsFound({first, second}, false), "");
  EXPECT_EQ(shadow_.durable_index(), raft::Index(2));
  const raft::SnapshotId third = SnapshotAt(3, 3);
  shadow_.OnSnapshotFinishes(third);
  EXPECT_TRUE(absl::StartsWith(shadow_.OnSnapshotsFound({third}, false), "SnapshotsSurvive: "));
  EXPECT_EQ(shadow_.OnSnapshotsFound({second, third}, false), "");
  EXPECT_EQ(shadow_.OnSnapshotsFound({second}, true), "");
}

TEST_F(DiskShadowTest, OneSnapshotCanBeSparedWhenTwoReachTheLog) {
  EXPECT_TRUE(shadow_.CanSpareASnapshot());  // the log is whole
  shadow_.OnSnapshotFinishes(SnapshotAt(1, 1));
  shadow_.OnSnapshotFinishes(SnapshotAt(2, 3));
  shadow_.OnSnapshotsKept({SnapshotAt(1, 1), SnapshotAt(2, 3)});
  shadow_.OnWriteDone({.base = SnapshotAt(1, 1).base});
  EXPECT_TRUE(shadow_.CanSpareASnapshot());
  shadow_.OnWriteStarted({.base = SnapshotAt(2, 3).base});
  EXPECT_FALSE(shadow_.CanSpareASnapshot());
}

// Two snapshots that reach the log, and damage: which start may refuse?
TEST_F(DiskShadowTest, ARefusalIsAllowedOnlyWhenOneSnapshotIsNotEnough) {
  shadow_.OnSnapshotFinishes(SnapshotAt(1, 1));
  shadow_.OnSnapshotFinishes(SnapshotAt(2, 3));
  shadow_.OnSnapshotsKept({SnapshotAt(1, 1), SnapshotAt(2, 3)});
  shadow_.OnWriteDone({.base = SnapshotAt(1, 1).base});
  EXPECT_TRUE(absl::StartsWith(shadow_.OnRefused(false, 0, 0), "SoundDiskAccepted: "));
  EXPECT_TRUE(absl::StartsWith(shadow_.OnRefused(true, 0, 0), "OlderSnapshotUsed: "));
  EXPECT_TRUE(absl::StartsWith(shadow_.OnRefused(true, 0, 1), "OlderSnapshotUsed: "));
  EXPECT_EQ(shadow_.OnRefused(true, 0, 2), "");
  EXPECT_EQ(shadow_.OnRefused(true, 1, 0), "");
  // The log begins after the newer one: without that there is none.
  shadow_.OnWriteDone({.base = SnapshotAt(2, 3).base});
  EXPECT_EQ(shadow_.OnRefused(true, 0, 1), "");
}

TEST_F(DiskShadowTest, AnotherPayloadIsWrong) {
  EXPECT_EQ(Judge(LogOf(3, {EntryAt(1, 1), EntryAt(2, 3, "another")})), Verdict::kWrong);
}

}  // namespace
}  // namespace lockd::sim
