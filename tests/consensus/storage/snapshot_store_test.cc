// Snapshot files as their user sees them: what was finished is there, whole, after any power cut;
// what was not is gone; and nothing older goes before two newer ones have been read in full.
#include "consensus/storage/snapshot_store.h"

#include "tests/consensus/storage/snapshot_fixture.h"

namespace lockd::storage {
namespace {

// -- making and reading --

TEST_F(SnapshotTest, ReadsBackWhatWasWrittenWhateverTheSizesOfPieces) {
  Start();
  const size_t block = kBlockContentBytes;
  uint64_t index = 0;
  for (const size_t bytes :
       {size_t{0}, size_t{1}, block - 1, block, block + 1, 4 * block, 5 * block + 7}) {
    for (const size_t piece : {size_t{777}, block, size_t{100'000}, kSnapshotWriteBytesMax}) {
      SCOPED_TRACE(testing::Message() << bytes << " bytes in pieces of " << piece);
      const std::string content = MakeContent(bytes, ++index);
      const LogBase base = MakeBase(index, 1);
      const raft::SnapshotId id = IdOfContent(base, content);
      ASSERT_TRUE(WriteDraft(1, base, content, piece).ok());
      const SnapshotJobDone done = Finish(1, id);
      ASSERT_TRUE(done.status.ok()) << done.status;
      ASSERT_FALSE(done.kept.empty());
      EXPECT_EQ(done.kept.back(), id);
      EXPECT_EQ(disk_.Contents(SnapshotPath(index, 1)).size(), SnapshotFileBytes(bytes));
      EXPECT_EQ(ReadAll(id), content);
    }
  }
}

TEST_F(SnapshotTest, AnyPlaceOfTheContentCanBeRead) {
  Start();
  const std::string content = MakeContent(400'000, 5);
  const raft::SnapshotId id = Take(5, 1, content.size());
  for (int i = 0; i < 300; ++i) {
    const uint64_t offset = random_.Below(content.size() + 10);
    const size_t bytes_max = random_.Between(1, 400'000);
    const SnapshotJobDone done = Read(id, offset, bytes_max);
    ASSERT_TRUE(done.status.ok()) << done.status;
    ASSERT_LE(done.bytes.size(), std::min(bytes_max, kSnapshotReadBytesMax));
    ASSERT_EQ(done.bytes.empty(), offset >= content.size());
    if (offset < content.size()) {
      ASSERT_EQ(done.bytes, content.substr(offset, done.bytes.size()));
    }
  }
}

TEST_F(SnapshotTest, NoSliceReadsOrWritesMoreThan256KiBAndHeaders) {
  Start();
  const std::string content = MakeContent(3'000'000, 1);
  uint64_t slices = 0;
  const auto run = [&](const SnapshotJob& job) {
    while (true) {
      const MemFileSystem::Counters before = disk_.counters();
      std::optional<SnapshotJobDone> done = storage_.snapshots->RunSlice(job);
      const MemFileSystem::Counters& after = disk_.counters();
      EXPECT_LE(after.bytes_written - before.bytes_written, 256u * 1024 + 1024);
      EXPECT_LE(after.bytes_read - before.bytes_read, 256u * 1024 + 1024);
      EXPECT_LE(after.syncs + after.directory_syncs - before.syncs - before.directory_syncs, 1u);
      ++slices;
      if (done) return *done;
    }
  };
  for (int round = 0; round < 2; ++round) {  // the second one reads the first one again
    const LogBase at = MakeBase(9 + static_cast<uint64_t>(round), 1);
    for (size_t offset = 0; offset < content.size(); offset += kSnapshotWriteBytesMax) {
      const SnapshotJobDone done =
          run(SnapshotWrite{.id = 1,
                            .draft = 1,
                            .base = at,
                            .offset = offset,
                            .bytes = content.substr(offset, kSnapshotWriteBytesMax)});
      ASSERT_TRUE(done.status.ok()) << done.status;
    }
    const uint64_t before = slices;
    const SnapshotJobDone done =
        run(SnapshotFinish{.id = 2, .draft = 1, .snapshot = IdOfContent(at, content)});
    ASSERT_TRUE(done.status.ok()) << done.status;
    EXPECT_EQ(done.kept.size(), static_cast<size_t>(round) + 1);
    EXPECT_GE(slices - before, (static_cast<uint64_t>(round) + 1) * 3'000'000 / (256 * 1024));
  }
}

TEST_F(SnapshotTest, WhatIsWrittenIsSyncedAlongTheWay) {
  Start();
  const uint64_t before = disk_.counters().syncs;
  ASSERT_TRUE(WriteDraft(1, MakeBase(1, 1), MakeContent(2'000'000, 1), 50'000).ok());
  EXPECT_GE(disk_.counters().syncs - before, 6u);
  EXPECT_LE(disk_.counters().syncs - before, 8u);
}

TEST_F(SnapshotTest, DraftsAreMadeIndependently) {
  Start();
  const std::string one = MakeContent(200'000, 1);
  const std::string two = MakeContent(200'000, 2);
  for (size_t at = 0; at < one.size(); at += 40'000) {
    for (const uint64_t draft : {1u, 2u}) {
      const SnapshotJobDone done =
          Run(SnapshotWrite{.id = ++job_id_,
                            .draft = draft,
                            .base = MakeBase(10 * draft, 1),
                            .offset = at,
                            .bytes = (draft == 1 ? one : two).substr(at, 40'000)});
      ASSERT_TRUE(done.status.ok()) << done.status;
    }
  }
  const raft::SnapshotId first = IdOfContent(MakeBase(10, 1), one);
  const raft::SnapshotId second = IdOfContent(MakeBase(20, 1), two);
  EXPECT_TRUE(Finish(2, second).status.ok());
  EXPECT_EQ(Finish(1, first).kept, (std::vector<raft::SnapshotId>{first, second}));
  EXPECT_EQ(ReadAll(first), one);
  EXPECT_EQ(ReadAll(second), two);
}

TEST_F(SnapshotTest, AWriteAtOffsetZeroBeginsTheDraftAnew) {
  Start();
  ASSERT_TRUE(WriteDraft(1, MakeBase(5, 1), MakeContent(300'000, 1)).ok());
  const std::string content = MakeContent(100, 2);
  ASSERT_TRUE(WriteDraft(1, MakeBase(6, 1), content).ok());
  const raft::SnapshotId id = IdOfContent(MakeBase(6, 1), content);
  EXPECT_EQ(Finish(1, id).kept, std::vector<raft::SnapshotId>{id});
  EXPECT_EQ(ReadAll(id), content);
}

// -- what a power cut leaves --

TEST_F(SnapshotTest, AFinishedSnapshotIsThereAfterAPowerCutAndADraftIsNot) {
  Start();
  SetState(1, 2, 0);
  Append(1, 30, 1);
  const raft::SnapshotId id = Take(20, 1, 100'000);
  ASSERT_TRUE(WriteDraft(7, MakeBase(25, 1), MakeContent(300'000, 1)).ok());
  for (const auto unsynced : {MemFileSystem::Unsynced::kKept, MemFileSystem::Unsynced::kLost}) {
    CutPower(unsynced);
    Start();
    EXPECT_EQ(storage_.snapshot, id);
    EXPECT_EQ(storage_.kept, std::vector<raft::SnapshotId>{id});
    EXPECT_EQ(Drafts(), 0u);
    EXPECT_EQ(ReadAll(id), MakeContent(100'000, 20));
  }
}

// -- purge --

TEST_F(SnapshotTest, TheTwoNewestAreKept) {
  Start();
  for (uint64_t index = 1; index <= 5; ++index) Take(index * 10, 1);
  EXPECT_EQ(Files(), (Indexes{40, 50}));
  EXPECT_EQ(IndexesOf(storage_.snapshots->kept()), (Indexes{40, 50}));
}

// One that has rotted since it was written is not one of the two, and stays for whoever looks at
// it.
TEST_F(SnapshotTest, OnlySnapshotsThatVerifyNowAreCounted) {
  Start();
  Take(10, 1);
  Take(20, 1);
  disk_.FlipByte(SnapshotPath(20, 1), 700, 1);
  SnapshotJobDone done = TryTake(30, 1);
  EXPECT_TRUE(done.status.ok()) << done.status;
  EXPECT_EQ(IndexesOf(done.kept), (Indexes{10, 30}));
  EXPECT_EQ(Files(), (Indexes{10, 20, 30}));
  done = TryTake(40, 1);
  EXPECT_EQ(IndexesOf(done.kept), (Indexes{30, 40}));
  EXPECT_EQ(Files(), (Indexes{30, 40}));
}

TEST_F(SnapshotTest, ADamagedSnapshotFoundAtTheStartIsNotCounted) {
  Start();
  SetState(1, 2, 0);
  Append(1, 40, 1);
  Take(10, 1);
  Take(20, 1);
  disk_.Truncate(SnapshotPath(20, 1), 600);
  Start();
  EXPECT_EQ(IndexesOf(storage_.kept), Indexes{10});
  EXPECT_EQ(IndexesOf(TryTake(30, 1).kept), (Indexes{10, 30}));
  EXPECT_EQ(Files(), (Indexes{10, 20, 30}));
}

TEST_F(SnapshotTest, AnOlderSnapshotThatIsFinishedLateGoesAtOnce) {
  Start();
  Take(20, 1);
  Take(30, 1);
  const SnapshotJobDone done = TryTake(10, 1);
  EXPECT_TRUE(done.status.ok()) << done.status;
  EXPECT_EQ(IndexesOf(done.kept), (Indexes{20, 30}));
  EXPECT_EQ(Files(), (Indexes{20, 30}));
}

TEST_F(SnapshotTest, ARemovalThatFailsDoesNotFailTheSnapshot) {
  Start();
  Take(10, 1);
  Take(20, 1);
  // Write, sync, rename, sync directory, unlink.
  ASSERT_TRUE(WriteDraft(1, MakeBase(30, 1), MakeContent(100, 1)).ok());
  disk_.FailAt(5);
  const SnapshotJobDone done = Finish(1, IdOfContent(MakeBase(30, 1), MakeContent(100, 1)));
  EXPECT_TRUE(done.status.ok()) << done.status;
  EXPECT_EQ(IndexesOf(done.kept), (Indexes{20, 30}));
  EXPECT_EQ(Files(), (Indexes{10, 20, 30}));
}

// -- one name, two contents --

TEST_F(SnapshotTest, AnEqualSnapshotMayReplaceOneOfItsName) {
  Start();
  const raft::SnapshotId id = Take(10, 1);
  EXPECT_EQ(Read(id, 0, 100).bytes.size(), 100u);  // open while it is replaced
  EXPECT_EQ(Take(10, 1), id);
  EXPECT_EQ(ReadAll(id), MakeContent(1'000, 10));
  EXPECT_EQ(Files(), Indexes{10});
}

TEST_F(SnapshotTest, AnotherContentDoesNotReplaceAWholeSnapshot) {
  Start();
  const raft::SnapshotId id = Take(10, 1);
  const SnapshotJobDone done = TryTake(10, 1, 1'000, /*salt=*/99);
  EXPECT_TRUE(absl::IsAlreadyExists(done.status)) << done.status;
  EXPECT_EQ(done.kept, std::vector<raft::SnapshotId>{id});
  EXPECT_EQ(Drafts(), 0u);
  EXPECT_EQ(ReadAll(id), MakeContent(1'000, 10));
}

TEST_F(SnapshotTest, ADamagedSnapshotIsReplacedByAWholeOneOfItsName) {
  Start();
  const raft::SnapshotId old = Take(10, 1);
  disk_.FlipByte(SnapshotPath(10, 1), 700, 1);
  EXPECT_TRUE(absl::IsDataLoss(Read(old, 0, 10).status));
  const SnapshotJobDone done = TryTake(10, 1, 1'000, /*salt=*/99);
  EXPECT_TRUE(done.status.ok()) << done.status;
  ASSERT_EQ(done.kept.size(), 1u);
  EXPECT_EQ(ReadAll(done.kept[0]), MakeContent(1'000, 10 + 99));
}

// -- what goes wrong --

TEST_F(SnapshotTest, AContentThatIsNotWhatItShouldBeIsNotFinished) {
  Start();
  const std::string content = MakeContent(70'000, 1);
  const LogBase base = MakeBase(10, 1);
  const raft::SnapshotId right = IdOfContent(base, content);
  raft::SnapshotId wrong[] = {right, right, right};
  wrong[0].bytes += 1;
  wrong[1].checksum += 1;
  wrong[2].base.time = ClusterTime(1);
  for (const raft::SnapshotId& id : wrong) {
    ASSERT_TRUE(WriteDraft(1, base, content).ok());
    const SnapshotJobDone done = Finish(1, id);
    EXPECT_TRUE(absl::IsDataLoss(done.status)) << done.status;
    EXPECT_TRUE(done.kept.empty());
  }
  EXPECT_EQ(NamesIn(&disk_, kSnapshots).size(), 0u);
}

// Between the write and the reading back.
TEST_F(SnapshotTest, WhatTheDeviceDidNotKeepIsFoundBeforeTheFileGetsItsName) {
  Start();
  const std::string content = MakeContent(200'000, 1);
  const raft::SnapshotId id = IdOfContent(MakeBase(10, 1), content);
  const std::string path = JoinPath(kSnapshots, DraftName(1));
  for (const uint64_t offset :
       {uint64_t{20}, uint64_t{520}, uint64_t{100'000}, SnapshotFileBytes(content.size()) - 1}) {
    SCOPED_TRACE(offset);
    ASSERT_TRUE(WriteDraft(1, id.base, content).ok());
    const SnapshotFinish job{.id = ++job_id_, .draft = 1, .snapshot = id};
    ASSERT_FALSE(storage_.snapshots->RunSlice(job).has_value());  // written and synced
    disk_.FlipByte(path, offset, 1);
    const SnapshotJobDone done = Run(job);
    EXPECT_TRUE(absl::IsDataLoss(done.status)) << done.status;
    EXPECT_EQ(NamesIn(&disk_, kSnapshots).size(), 0u);
  }
  // Nor is a sector that cannot be read taken for right.
  ASSERT_TRUE(WriteDraft(1, id.base, content).ok());
  const SnapshotFinish job{.id = ++job_id_, .draft = 1, .snapshot = id};
  ASSERT_FALSE(storage_.snapshots->RunSlice(job).has_value());
  disk_.MakeUnreadable(path, 200);
  EXPECT_FALSE(Run(job).status.ok());
  EXPECT_EQ(NamesIn(&disk_, kSnapshots).size(), 0u);
}

// Each step of it fails once. The process goes on, what was there stays, and the next one is made.
TEST_F(SnapshotTest, AnErrorAtAnyStepCostsThisSnapshotOnly) {
  Start();
  Take(10, 1);
  const raft::SnapshotId before = Take(20, 1);
  const std::string content = MakeContent(400'000, 3);
  const raft::SnapshotId id = IdOfContent(MakeBase(30, 1), content);
  for (uint64_t step = 1;; ++step) {
    SCOPED_TRACE(testing::Message() << "error at step " << step);
    disk_.FailAt(step);
    const uint64_t steps = disk_.counters().steps;
    absl::Status status = WriteDraft(1, id.base, content, 200'000);
    if (!status.ok()) {
      // Nothing more is written to this file, and no sync tried again.
      const uint64_t at_failure = disk_.counters().steps;
      EXPECT_FALSE(Finish(1, id).status.ok());
      EXPECT_EQ(disk_.counters().steps, at_failure + (step > 1)) << "but for its removal";
    } else {
      status = Finish(1, id).status;
    }
    const bool was_reached = disk_.counters().steps - steps >= step;
    disk_.ForgetFaults();
    if (!was_reached || status.ok()) break;
    EXPECT_EQ(storage_.snapshots->kept().back(), before);
    EXPECT_EQ(ReadAll(before), MakeContent(1'000, 20));
    EXPECT_EQ(Files().front(), 10u);
    if (HasFailure()) return;
  }
  EXPECT_EQ(storage_.snapshots->kept().back(), id);
  EXPECT_EQ(ReadAll(id), content);
}

// A name that is perhaps not on the device is not one of the two that older ones go for.
TEST_F(SnapshotTest, ASnapshotWhoseNameMayBeLostIsNotCounted) {
  Start();
  Take(10, 1);
  Take(20, 1);
  ASSERT_TRUE(WriteDraft(1, MakeBase(30, 1), MakeContent(100, 1)).ok());
  disk_.FailAt(4);  // write, sync, rename, sync directory
  EXPECT_FALSE(Finish(1, IdOfContent(MakeBase(30, 1), MakeContent(100, 1))).status.ok());
  EXPECT_EQ(IndexesOf(storage_.snapshots->kept()), (Indexes{10, 20}));
  EXPECT_EQ(Files(), (Indexes{10, 20, 30}));
  EXPECT_EQ(IndexesOf(TryTake(40, 1).kept), (Indexes{20, 40}));
}

TEST_F(SnapshotTest, AFullDiskGivesItsSpaceBackWhenTheDraftIsAbandoned) {
  Start();
  Take(10, 1);
  const uint64_t capacity = 400'000;
  uint64_t used = 0;
  for (const std::string& name : NamesIn(&disk_, kSnapshots)) {
    used += disk_.Contents(JoinPath(kSnapshots, name)).size();
  }
  for (const std::string& name : NamesIn(&disk_, kWal)) {
    used += disk_.Contents(JoinPath(kWal, name)).size();
  }
  disk_.set_capacity_bytes(used + capacity);
  const std::string content = MakeContent(1'000'000, 1);
  const absl::Status status = WriteDraft(1, MakeBase(20, 1), content, 100'000);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_LT(*disk_.FreeBytes("/"), capacity / 2);
  EXPECT_TRUE(Abandon(1).ok());
  EXPECT_TRUE(Abandon(1).ok()) << "there is none any more";
  EXPECT_EQ(*disk_.FreeBytes("/"), capacity);
  EXPECT_TRUE(TryTake(20, 1, 300'000).status.ok());
}

TEST_F(SnapshotTest, ADraftThatDoesNotExistIsNotContinued) {
  Start();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      Run(SnapshotWrite{.id = 1, .draft = 1, .base = MakeBase(1, 1), .offset = 10, .bytes = "x"})
          .status));
  EXPECT_TRUE(absl::IsFailedPrecondition(Finish(1, IdOfContent(MakeBase(1, 1), "x")).status));
}

TEST_F(SnapshotTest, AReadOfASnapshotThatIsGoneOrOfAnotherContentFindsNone) {
  Start();
  const raft::SnapshotId first = Take(10, 1);
  raft::SnapshotId other = first;
  other.checksum += 1;
  EXPECT_TRUE(absl::IsNotFound(Read(other, 0, 10).status));
  EXPECT_TRUE(Read(first, 0, 10).status.ok());
  Take(20, 1);
  Take(30, 1);
  EXPECT_TRUE(absl::IsNotFound(Read(first, 0, 10).status));
}

TEST_F(SnapshotTest, DamageIsToldWhenItsBlockIsReadAndNotCountedAfterwards) {
  Start();
  const raft::SnapshotId id = Take(10, 1, 300'000);
  disk_.FlipByte(SnapshotPath(10, 1), BlockOffset(2) + 100, 4);
  EXPECT_TRUE(Read(id, 0, 100'000).status.ok());
  const SnapshotJobDone done = Read(id, 150'000, 1'000);
  EXPECT_TRUE(absl::IsDataLoss(done.status)) << done.status;
  EXPECT_NE(done.status.message().find(absl::StrCat("at offset ", BlockOffset(2))),
            std::string::npos)
      << done.status;
  EXPECT_TRUE(storage_.snapshots->kept().empty());
}

// -- what only a bug of the caller can ask for --

using SnapshotDeathTest = SnapshotTest;

TEST_F(SnapshotDeathTest, AGapInADraftIsRefused) {
  Start();
  ASSERT_TRUE(WriteDraft(1, MakeBase(1, 1), "abc").ok());
  EXPECT_DEATH(
      Run(SnapshotWrite{.id = 1, .draft = 1, .base = MakeBase(1, 1), .offset = 4, .bytes = "x"}),
      "a write at 4 of a draft of 3 bytes");
}

TEST_F(SnapshotDeathTest, AnotherJobInTheMiddleOfOneIsRefused) {
  Start();
  ASSERT_TRUE(WriteDraft(1, MakeBase(1, 1), "abc").ok());
  const SnapshotFinish job{.id = 77, .draft = 1, .snapshot = IdOfContent(MakeBase(1, 1), "abc")};
  ASSERT_FALSE(storage_.snapshots->RunSlice(job).has_value());
  EXPECT_DEATH((void)Abandon(1), "while job 77 is not done");
}

}  // namespace
}  // namespace lockd::storage
