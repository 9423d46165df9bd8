// The log as its user sees it: what was written is there after a restart, in the right order, and a
// write costs what it should.
#include "consensus/storage/log_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/consensus/storage/log_fixture.h"

namespace lockd::storage {
namespace {

TEST_F(LogTest, ANewDirectoryHoldsAnEmptyLogAndTheDrawnIncarnation) {
  Open();
  EXPECT_TRUE(opened_.created);
  EXPECT_EQ(opened_.identity.incarnation, options_.incarnation_draw);
  EXPECT_EQ(opened_.log.last_index, raft::Index(0));
  EXPECT_TRUE(opened_.log.tail.empty());
}

TEST_F(LogTest, TheIncarnationIsDrawnOnce) {
  Open();
  options_.incarnation_draw = Incarnation(99);
  Open();
  EXPECT_FALSE(opened_.created);
  EXPECT_EQ(opened_.identity.incarnation, Incarnation(0x1122334455667788));
}

TEST_F(LogTest, EntriesAndHardStateAreThereAfterARestart) {
  Open();
  SetState(1, 3, 0);
  Append(1, 3, 1);
  SetState(1, 3, 2);
  ReopenAndExpectAll();
}

TEST_F(LogTest, AcknowledgedWritesSurviveAPowerCut) {
  Open();
  Append(1, 3, 1);
  Append(4, 4, 1, 2000);
  CutPower();
  ReopenAndExpectAll();
}

TEST_F(LogTest, AWriteOfNothingTouchesNothing) {
  Open();
  const uint64_t steps = disk_.counters().steps;
  Write({});
  EXPECT_EQ(disk_.counters().steps, steps);
}

TEST_F(LogTest, ASteadyWriteIsOneWriteAndOneSync) {
  options_.segment_bytes = 1024 * 1024;
  Open();
  Append(1, 1, 1);
  const MemFileSystem::Counters before = disk_.counters();
  for (uint64_t i = 2; i <= 101; ++i) Append(i, i, 1, 300);
  EXPECT_EQ(disk_.counters().writes - before.writes, 100u);
  EXPECT_EQ(disk_.counters().syncs - before.syncs, 100u);
  EXPECT_EQ(disk_.counters().steps - before.steps, 200u);
}

TEST_F(LogTest, TheLogGoesOnInAPreparedSegment) {
  Open();
  Append(1, 1, 1);
  for (uint64_t i = 2; i <= 40; ++i) {
    Prepare();
    const uint64_t directory_syncs = disk_.counters().directory_syncs;
    Append(i, i, 1);
    EXPECT_EQ(disk_.counters().directory_syncs, directory_syncs) << "a write waited for a file";
  }
  EXPECT_GT(opened_.store->bytes_on_disk(), 5 * options_.segment_bytes);
  ReopenAndExpectAll();
}

// In the background each slice is synced; a write that waits for the file pays for one sync.
TEST_F(LogTest, ASegmentIsPreparedInSyncedSlices) {
  options_.segment_bytes = 4 * LogStore::kSliceBytes;
  const uint64_t at_first = disk_.counters().syncs;
  Open();
  EXPECT_LE(disk_.counters().syncs - at_first, 5u);
  const uint64_t before = disk_.counters().syncs;
  std::optional<FileJob> job = opened_.store->TakeFileJob();
  ASSERT_TRUE(job.has_value());
  for (int slice = 1; slice <= 4; ++slice) {
    absl::StatusOr<bool> done = LogStore::RunFileJobSlice(&disk_, &*job);
    ASSERT_TRUE(done.ok()) << done.status();
    EXPECT_EQ(*done, slice == 4);
    EXPECT_EQ(disk_.counters().syncs - before, static_cast<uint64_t>(slice));
  }
}

// S-03: the first write into a new file is acknowledged; then the directory has its name on disk.
TEST_F(LogTest, EverySegmentIsThereAfterThePowerCutThatFollowsItsFirstWrite) {
  for (const bool is_prepared : {false, true}) {
    SCOPED_TRACE(is_prepared);
    options_.directory = absl::StrCat("/data/", is_prepared);
    model_ = LogModel();
    Open();
    for (uint64_t i = 1; i <= 20; ++i) {
      if (is_prepared) Prepare();
      Append(i, i, 1, 1000);
      CutPower();
      ReopenAndExpectAll();
      if (HasFailure()) return;
    }
    EXPECT_GT(opened_.store->bytes_on_disk(), 4 * options_.segment_bytes);
  }
}

TEST_F(LogTest, TheLogGoesOnWhenNoSegmentIsPrepared) {
  Open();
  for (uint64_t i = 1; i <= 40; ++i) Append(i, i, 1);
  ReopenAndExpectAll();
}

// The log has gone on in a segment with a higher number meanwhile: the late one must not follow it
// under its lower number.
TEST_F(LogTest, ASegmentThatIsPreparedTooLateGetsANewNumber) {
  Open();
  std::optional<FileJob> late = opened_.store->TakeFileJob();
  ASSERT_TRUE(late.has_value());
  for (uint64_t i = 1; i <= 8; ++i) Append(i, i, 1);
  absl::StatusOr<bool> done = LogStore::RunFileJobSlice(&disk_, &*late);
  ASSERT_TRUE(done.ok() && *done);
  opened_.store->FileJobDone(*late, absl::OkStatus());
  Prepare();
  for (uint64_t i = 9; i <= 16; ++i) Append(i, i, 1);
  CutPower();
  ReopenAndExpectAll();
}

TEST_F(LogTest, AWriteLargerThanASegmentGetsOneOfItsOwnSize) {
  Open();
  Append(1, 2, 1);
  Prepare();
  Append(3, 4, 1, 50'000);
  Append(5, 30, 1);
  Prepare();
  ReopenAndExpectAll();
}

// Old log  1 2 3 4 5      write  4' 5' 6'      then  1 2 3 4' 5' 6'
TEST_F(LogTest, AConflictingSuffixIsReplaced) {
  Open();
  Append(1, 5, 1);
  Append(4, 6, 2);
  ReopenAndExpectAll();
  EXPECT_EQ(opened_.log.tail.back(), MakeEntry(6, 2));
}

TEST_F(LogTest, AShorterSuffixIsReplacedAcrossManySegments) {
  Open();
  for (uint64_t i = 1; i <= 40; ++i) Append(i, i, 1);
  Append(3, 3, 2);
  CutPower();
  ReopenAndExpectAll();
  Append(4, 5, 2);
  for (uint64_t i = 5; i <= 20; ++i) Append(i, i, i);
  ReopenAndExpectAll();
}

TEST_F(LogTest, TheClusterIdIsLearnedWithAWriteAndKeptByLaterSegments) {
  Open();
  Append(1, 1, 1);
  Write({.entries = {MakeEntry(2, 1)}, .cluster_id = ClusterId(77)});
  ReopenAndExpectAll();
  EXPECT_EQ(opened_.identity.cluster_id, ClusterId(77));
  for (uint64_t i = 3; i <= 30; ++i) Append(i, i, 1);
  Write({.base = MakeBase(29, 1)});
  Prepare();
  EXPECT_FALSE(disk_.Exists(Path(2))) << "the segment that held the record should be gone";
  ReopenAndExpectAll();
}

TEST_F(LogTest, TheTailIsTheNewestEntriesWithinTheLimitAndAllFromTheCommitIndexOn) {
  Open();
  Append(1, 20, 1);
  SetState(1, 0, 18);
  options_.tail_bytes_max = 5 * MakeEntry(1, 1).size_bytes();
  Open();
  ASSERT_EQ(opened_.log.tail.size(), 5u);
  EXPECT_EQ(opened_.log.tail.front(), MakeEntry(16, 1));
  options_.tail_bytes_max = 1;
  Open();
  ASSERT_EQ(opened_.log.tail.size(), 3u);
  EXPECT_EQ(opened_.log.tail.front(), MakeEntry(18, 1));
  SetState(1, 0, 20);
  Open();
  ASSERT_EQ(opened_.log.tail.size(), 1u);
  EXPECT_EQ(opened_.log.tail.front(), MakeEntry(20, 1));
}

TEST_F(LogTest, ReadGivesAtLeastOneEntryAndNoMoreThanAskedFor) {
  Open();
  Append(1, 10, 1);
  const size_t one = MakeEntry(1, 1).size_bytes();
  auto read =
      opened_.store->Read({.first = raft::Index(3), .last = raft::Index(9), .bytes_max = 1});
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, std::vector<raft::Entry>({MakeEntry(3, 1)}));
  read =
      opened_.store->Read({.first = raft::Index(3), .last = raft::Index(9), .bytes_max = 2 * one});
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, std::vector<raft::Entry>({MakeEntry(3, 1), MakeEntry(4, 1)}));
  read = opened_.store->Read(
      {.first = raft::Index(9), .last = raft::Index(10), .bytes_max = 100 * one});
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, std::vector<raft::Entry>({MakeEntry(9, 1), MakeEntry(10, 1)}));
}

TEST_F(LogTest, EveryRangeCanBeReadAfterCutsAndRolls) {
  Open();
  for (uint64_t i = 1; i <= 15; ++i) Append(i, i, 1, 400);
  for (uint64_t i = 6; i <= 12; ++i) Append(i, i, 2, 700);
  for (uint64_t i = 10; i <= 20; i += 2) Append(i, i + 1, 3, 100);
  for (uint64_t first = 1; first <= model_.last(); ++first) {
    for (uint64_t last = first; last <= model_.last(); ++last) {
      auto read = opened_.store->Read(
          {.first = raft::Index(first), .last = raft::Index(last), .bytes_max = ~size_t{0}});
      ASSERT_TRUE(read.ok()) << read.status();
      const auto begin = model_.entries.begin();
      ASSERT_EQ(*read, std::vector<raft::Entry>(begin + static_cast<long>(first) - 1,
                                                begin + static_cast<long>(last)));
    }
  }
}

// -- a log that does not begin at entry 1 --

TEST_F(LogTest, ANewLogMayBeginAfterASnapshot) {
  options_.new_log_base = MakeBase(100, 7);
  model_.base = MakeBase(100, 7);
  model_.hard_state = MakeHardState(7, 0, 100);
  ReopenAndExpectAll();
  EXPECT_EQ(opened_.log.last_index, raft::Index(100));
  Append(101, 103, 7);
  ReopenAndExpectAll();
}

// compact everything, restart, append one.
TEST_F(LogTest, ALogCompactedToNothingGoesOnAfterItsBase) {
  Open();
  Append(1, 10, 1);
  SetState(1, 0, 10);
  Write({.base = MakeBase(10, 1)});
  ReopenAndExpectAll();
  EXPECT_EQ(opened_.log.last_index, raft::Index(10));
  EXPECT_TRUE(opened_.log.tail.empty());
  Append(11, 11, 2);
  ReopenAndExpectAll();
}

// the vote is not lost with the segments that compaction removes.
TEST_F(LogTest, VoteAndTermSurviveTheRemovalOfTheSegmentThatHeldThem) {
  Open();
  SetState(4, 3, 0);
  for (uint64_t i = 1; i <= 30; ++i) Append(i, i, 4);
  Write({.base = MakeBase(29, 4)});
  Prepare();
  EXPECT_FALSE(disk_.Exists(Path(1)));
  CutPower();
  ReopenAndExpectAll();
  EXPECT_EQ(opened_.log.hard_state.voted_for, NodeId(3));
}

// R-46 (b): install a snapshot far ahead, append a few, crash.
TEST_F(LogTest, ASnapshotBeyondTheLogReplacesItAll) {
  Open();
  Append(1, 10, 1);
  Write({.hard_state = MakeHardState(5, 0, 500),
         .entries = {MakeEntry(501, 5), MakeEntry(502, 5)},
         .base = MakeBase(500, 5)});
  CutPower();
  ReopenAndExpectAll();
  EXPECT_EQ(opened_.log.base_index, raft::Index(500));
}

TEST_F(LogTest, ASnapshotOfAnotherHistoryReplacesTheLogThoughItIsShorter) {
  Open();
  Append(1, 10, 1);
  Write({.hard_state = MakeHardState(2, 0, 5), .base = MakeBase(5, 2)});
  EXPECT_EQ(opened_.store->last_index(), raft::Index(5));
  ReopenAndExpectAll();
}

TEST_F(LogTest, ASnapshotOfThisHistoryKeepsWhatIsAboveIt) {
  Open();
  Append(1, 10, 1);
  Write({.base = MakeBase(5, 1)});
  EXPECT_EQ(opened_.store->last_index(), raft::Index(10));
  ReopenAndExpectAll();
}

// a base that comes late, or twice, does not bring anything back.
TEST_F(LogTest, ABaseBelowTheCurrentOneChangesNothing) {
  Open();
  Append(1, 20, 1);
  SetState(1, 0, 15);
  Write({.base = MakeBase(10, 1)});
  for (const uint64_t index : {3u, 10u}) {
    Write({.base = MakeBase(index, 1)});
    EXPECT_EQ(opened_.store->last_index(), raft::Index(20));
    ReopenAndExpectAll();
    EXPECT_EQ(opened_.log.base_index, raft::Index(10));
  }
}

// R-46 (a): a snapshot at the very end of the log and one open segment: whatever is in that
// segment, entries keep their own numbers.
TEST_F(LogTest, ASnapshotAndOneOpenSegmentAreEnoughToGoOn) {
  Open();
  for (uint64_t i = 1; i <= 30; ++i) Append(i, i, 1, 300);
  SetState(1, 0, 30);
  Write({.base = MakeBase(30, 1)});
  Prepare();
  CutPower();
  ReopenAndExpectAll();
  EXPECT_EQ(opened_.log.base_index, raft::Index(30));
  Append(31, 31, 1);
  CutPower();
  ReopenAndExpectAll();
  EXPECT_EQ(opened_.log.tail, std::vector<raft::Entry>({MakeEntry(31, 1)}));
}

TEST_F(LogTest, SegmentsThatAreNotNeededAreRecycledAndDiskUseIsBounded) {
  Open();
  for (uint64_t i = 1; i <= 400; ++i) {
    Append(i, i, 1, 300);
    if (i % 10 == 0) Write({.base = MakeBase(i - 5, 1)});
    Prepare();
  }
  EXPECT_LE(opened_.store->bytes_on_disk(), 8 * options_.segment_bytes);
  ReopenAndExpectAll();
}

// Six entries in each segment: [1..6] [7..12] [13..18] [19, 20]
TEST_F(LogTest, ASegmentIsRecycledOnceTheBaseCoversItsLastEntryAndNotBefore) {
  for (uint64_t base = 4; base <= 20; ++base) {
    SCOPED_TRACE(testing::Message() << "base " << base);
    options_.directory = absl::StrCat("/data/", base);
    model_ = LogModel();
    Open();
    for (uint64_t i = 1; i <= 20; ++i) Append(i, i, 1);
    Write({.base = MakeBase(base, 1)});
    // The newest one stays whatever it holds; of the others, the first becomes the next segment.
    const uint64_t retired = std::min<uint64_t>(base / 6, 3);
    std::optional<FileJob> job = opened_.store->TakeFileJob();
    ASSERT_TRUE(job.has_value());
    EXPECT_EQ(job->kind, retired > 0 ? FileJob::Kind::kRecycle : FileJob::Kind::kPrepare);
    EXPECT_EQ(job->old_life, retired > 0 ? 1u : 0u);
    EXPECT_EQ(opened_.store->TakeFileJob().has_value(), false) << "two may wait to be recycled";
    absl::StatusOr<bool> done = false;
    while (done.ok() && !*done) done = LogStore::RunFileJobSlice(&disk_, &*job);
    opened_.store->FileJobDone(*job, done.status());
    ReopenAndExpectAll();
  }
}

TEST_F(LogTest, BytesOnDiskAreThoseOfTheFiles) {
  Open();
  for (uint64_t i = 1; i <= 100; ++i) {
    Append(i, i, 1, i % 20 == 0 ? 5'000 : 300);
    if (i % 7 == 0) Write({.base = MakeBase(i - 3, 1)});
    Prepare();
    uint64_t bytes = 0;
    const absl::StatusOr<std::vector<std::string>> names = disk_.List(kWal);
    for (const std::string& name : *names) bytes += disk_.Contents(JoinPath(kWal, name)).size();
    ASSERT_EQ(opened_.store->bytes_on_disk(), bytes) << "after entry " << i;
  }
}

// A recycled file is full of valid records of its earlier life; none of them may be seen.
TEST_F(LogTest, RecordsOfAnEarlierLifeAreBlankSpace) {
  Open();
  for (uint64_t i = 1; i <= 30; ++i) Append(i, i, 1, 300);
  Write({.base = MakeBase(30, 1)});
  for (uint64_t i = 31; i <= 60; ++i) {
    Prepare();
    Append(i, i, 1, 300);
    ReopenAndExpectAll();
    EXPECT_FALSE(opened_.tail_was_torn);
  }
}

// -- failures are final --

TEST_F(LogTest, AfterAFailedSyncNothingIsWrittenEverAgain) {
  Open();
  Append(1, 1, 1);
  disk_.FailAt(2);  // the sync of the next write
  absl::Status failed = TryWrite({.entries = {MakeEntry(2, 1)}});
  EXPECT_EQ(FailureOf(failed), Failure::kWriteFailed);
  EXPECT_EQ(ExitStatusOf(failed), 15);
  const uint64_t steps = disk_.counters().steps;
  EXPECT_EQ(TryWrite({.entries = {MakeEntry(2, 1)}}), failed);
  EXPECT_EQ(TryWrite({}), failed);
  EXPECT_EQ(disk_.counters().steps, steps) << "a poisoned log touched the disk";
}

// S-01: the page cache shows what the device never got, and a second sync says OK.
TEST_F(LogTest, WhatAFailedSyncLeftInTheCacheIsNotBelieved) {
  Open();
  Append(1, 1, 1);
  disk_.FailAt(2);
  ASSERT_FALSE(TryWrite({.entries = {MakeEntry(2, 1)}}).ok());
  CutPower(MemFileSystem::Unsynced::kKept);  // only the process ends; the cache stays
  ReopenAndExpectAll();
  CutPower(MemFileSystem::Unsynced::kLost);
  ReopenAndExpectAll();
}

TEST_F(LogTest, AFullDiskEndsTheWriteThatNeedsASegment) {
  Open();
  Append(1, 1, 1);
  disk_.set_capacity_bytes(options_.segment_bytes + 100);
  absl::Status status;
  uint64_t next = 2;
  while (status.ok()) {
    Prepare();  // fails and does no harm
    const LogWrite write{.entries = {MakeEntry(next++, 1)}};
    status = TryWrite(write);
    if (status.ok()) model_.Apply(write);
  }
  EXPECT_EQ(ExitStatusOf(status), 15) << status;
  EXPECT_GE(model_.entries.size(), 5u);
  disk_.set_capacity_bytes(MemFileSystem::kNever);
  CutPower(MemFileSystem::Unsynced::kKept);
  ReopenAndExpectAll();
}

TEST_F(LogTest, AReadThatFindsOtherBytesSaysDamaged) {
  Open();
  for (uint64_t i = 1; i <= 20; ++i) Append(i, i, 1);
  const LogRead all{.first = raft::Index(1), .last = raft::Index(20), .bytes_max = 1000};
  disk_.FlipByte(Path(1), 512 + 70, 0x40);
  EXPECT_TRUE(opened_.store->Read(all).ok()) << "the other copy of that batch is whole";
  disk_.FlipByte(Path(1), 1024 + 90, 0x40);
  EXPECT_EQ(ExitStatusOf(opened_.store->Read(all).status()), 14);
}

// -- bugs of the caller are caught before they are on disk --

using LogDeathTest = LogTest;

TEST_F(LogDeathTest, AGapIsRefused) {
  Open();
  Append(1, 1, 1);
  EXPECT_DEATH((void)TryWrite({.entries = {MakeEntry(3, 1)}}), "entry 3 after 1");
}

TEST_F(LogDeathTest, ACommittedEntryIsNotCut) {
  Open();
  Append(1, 5, 1);
  SetState(2, 0, 3);
  EXPECT_DEATH((void)TryWrite({.entries = {MakeEntry(3, 2)}}), "is committed");
}

TEST_F(LogDeathTest, TheTermNeverGoesBack) {
  Open();
  SetState(5, 0, 0);
  EXPECT_DEATH((void)TryWrite({.hard_state = MakeHardState(4, 0, 0)}), "term 4 after 5");
}

}  // namespace
}  // namespace lockd::storage
