// Damage of every kind to a small log of several segments: every byte flipped, every sector zeroed
// from every byte on, every length, every file missing, old or foreign.
//
// What must hold: the log is recovered exactly, or refused with file and offset. As each batch is
// there twice, no damage in one place costs more than a head. One case cannot be told from a write
// that was under way at a crash: damage to both copies of the last batch. It is pinned here to
// exactly that batch.
#include <functional>
#include <map>

#include "absl/strings/str_cat.h"
#include "consensus/storage/recovery.h"
#include "consensus/storage/wal_format.h"
#include "consensus/storage/wal_writer.h"
#include "tests/consensus/storage/log_fixture.h"

namespace lockd::storage {
namespace {

class LogDamageTest : public LogTest {
 protected:
  // Three segments in use and one prepared; the last batch holds entries 14 and 15.
  void BuildLog() {
    Open();
    SetState(1, 3, 0);
    for (uint64_t i = 1; i <= 10; ++i) {
      Append(i, i, 1, i == 7 ? 600 : 20);
      Prepare();
    }
    Append(9, 10, 2, 30);
    Append(11, 13, 2, 150);
    SetState(2, 1, 11);
    without_last_batch_ = model_;
    Append(14, 15, 2, 300);
    Prepare();
    absl::StatusOr<std::optional<Recovery>> recovery =
        RecoverLog(&disk_, kWal, RecoveryMode::kReadOnly);
    ASSERT_TRUE(recovery.ok() && recovery->has_value());
    ASSERT_EQ((*recovery)->in_use.size(), 3u);
    ASSERT_EQ((*recovery)->spare.size(), 1u);
    newest_ = Path((*recovery)->end.life);
    end_ = (*recovery)->end.offset;
    last_batch_length_ = kBatchHeaderBytes + 2 * (kRecordHeaderBytes + 300);
    last_batch_ = end_ - 2 * PadToSector(last_batch_length_);
    for (const SegmentFile& file : (*recovery)->in_use) in_use_.push_back(Path(file.life));
    for (const SegmentFile& file : (*recovery)->spare) spare_.push_back(Path(file.life));
    opened_ = OpenedLog();
  }

  enum class Outcome { kExact, kRefused, kLostLastBatch };
  // Opens the damaged log and fails the test unless it is one of the three. Leaves the files alone.
  Outcome OpenDamaged() {
    const absl::Status status = TryOpen();
    if (!status.ok()) {
      EXPECT_TRUE(FailureOf(status) == Failure::kDamaged ||
                  FailureOf(status) == Failure::kWrongOwner)
          << status;
      EXPECT_NE(status.message().find("/data/wal/wal-"), absl::string_view::npos) << status;
      return Outcome::kRefused;
    }
    const LogModel found = LogModel::Of(&opened_);
    opened_ = OpenedLog();
    if (found == model_) return Outcome::kExact;
    EXPECT_EQ(found, without_last_batch_) << "silently wrong";
    return Outcome::kLostLastBatch;
  }

  LogModel without_last_batch_;
  std::vector<std::string> in_use_, spare_;
  std::string newest_;
  uint64_t last_batch_ = 0, last_batch_length_ = 0, end_ = 0;
};

TEST_F(LogDamageTest, AFlippedByteCostsNothingButInAHead) {
  BuildLog();
  for (const std::string& path : in_use_) {
    const std::string whole = disk_.Contents(path);
    for (uint64_t offset = 0; offset < options_.segment_bytes; ++offset) {
      disk_.FlipByte(path, offset, static_cast<uint8_t>(1u << (offset % 8)));
      const Outcome expected = offset < kHeadBytes ? Outcome::kRefused : Outcome::kExact;
      ASSERT_EQ(OpenDamaged(), expected) << path << " " << offset;
      disk_.SetContents(path, whole);
    }
  }
}

// Bytes in both copies.
TEST_F(LogDamageTest, NoByteFlippedTwiceGoesUnnoticedButInTheLastBatch) {
  BuildLog();
  uint64_t lost = 0, refused = 0;
  const uint64_t padded = PadToSector(last_batch_length_);
  for (const std::string& path : in_use_) {
    const std::string whole = disk_.Contents(path);
    for (uint64_t offset = kHeadBytes; offset + padded < options_.segment_bytes; ++offset) {
      for (const uint64_t distance : {kSectorBytes, padded}) {
        const auto mask = static_cast<uint8_t>(1u << (offset % 8));
        disk_.FlipByte(path, offset, mask);
        disk_.FlipByte(path, offset + distance, mask);
        const Outcome outcome = OpenDamaged();
        const bool in_first = offset >= last_batch_ && offset < last_batch_ + last_batch_length_;
        const bool in_second = offset + distance >= last_batch_ + padded &&
                               offset + distance < last_batch_ + padded + last_batch_length_;
        ASSERT_EQ(outcome == Outcome::kLostLastBatch, path == newest_ && in_first && in_second)
            << path << " " << offset << " and " << offset + distance;
        lost += outcome == Outcome::kLostLastBatch;
        refused += outcome == Outcome::kRefused;
        disk_.SetContents(path, whole);
      }
    }
  }
  EXPECT_GE(lost, last_batch_length_);
  EXPECT_GT(refused, 1'000u);
}

TEST_F(LogDamageTest, ABrokenCopyIsWrittenAnewOnceAndToldOf) {
  BuildLog();
  for (const uint64_t offset : {uint64_t{512 + 9}, uint64_t{1024 + 9}}) {
    const std::string whole = disk_.Contents(in_use_[0]);
    disk_.FlipByte(in_use_[0], offset, 0x10);
    Open();
    EXPECT_EQ(disk_.Contents(in_use_[0]), whole);
    ASSERT_EQ(opened_.notes.size(), 1u);
    EXPECT_NE(opened_.notes[0].find(absl::StrCat("at offset ", offset - 9)), std::string::npos)
        << opened_.notes[0];
    CutPower();
    EXPECT_EQ(disk_.Contents(in_use_[0]), whole) << "not durable";
    Open();
    EXPECT_TRUE(opened_.notes.empty());
  }
}

// Two faults in a row: a crash cuts off a write in both its copies, and then what was acknowledged
// last is damaged. The write that was cut off did not overwrite the copy of the one before it.
TEST_F(LogDamageTest, DamageToTheLastBatchBeforeATornWriteIsMendedToo) {
  Open();
  SetState(1, 3, 0);  // at 512
  Append(1, 1, 1);    // at 1,536
  for (const uint64_t offset : {1536u + 9, 2048u + 9}) {
    Open();
    ASSERT_TRUE(TryWrite({.entries = {MakeEntry(2, 1)}}).ok());  // at 2,560
    opened_ = OpenedLog();
    disk_.FlipByte(Path(1), 2560 + 60, 0x04);  // as if the crash had come before it was synced
    disk_.FlipByte(Path(1), 3072 + 60, 0x04);
    disk_.FlipByte(Path(1), offset, 0x04);
    ReopenAndExpectAll();
    EXPECT_EQ(opened_.notes.size(), 2u) << "one that was mended, one that was cut";
  }
}

TEST_F(LogDamageTest, AFlippedByteInAPreparedSegmentDoesNotMatter) {
  BuildLog();
  for (uint64_t offset = 0; offset < options_.segment_bytes; offset += 7) {
    disk_.FlipByte(spare_.front(), offset, 0x10);
    ASSERT_EQ(OpenDamaged(), Outcome::kExact) << offset;
    disk_.FlipByte(spare_.front(), offset, 0x10);
  }
}

// S-02: zeros from each byte to the end of its sector.
TEST_F(LogDamageTest, AZeroedSectorCostsNothingButInAHead) {
  BuildLog();
  for (const std::string& path : in_use_) {
    const std::string whole = disk_.Contents(path);
    for (uint64_t offset = 0; offset < options_.segment_bytes; ++offset) {
      std::string damaged = whole;
      const uint64_t end = (offset / kSectorBytes + 1) * kSectorBytes;
      std::fill(damaged.begin() + static_cast<long>(offset),
                damaged.begin() + static_cast<long>(end), '\0');
      if (damaged == whole) continue;
      disk_.SetContents(path, damaged);
      const Outcome expected = offset < kHeadBytes ? Outcome::kRefused : Outcome::kExact;
      ASSERT_EQ(OpenDamaged(), expected) << path << " " << offset;
    }
    disk_.SetContents(path, whole);
  }
}

TEST_F(LogDamageTest, ATruncatedSegmentIsRefusedWhateverIsLeftOfIt) {
  BuildLog();
  for (const std::string& path : in_use_) {
    const std::string whole = disk_.Contents(path);
    for (uint64_t size = 0; size < options_.segment_bytes; ++size) {
      disk_.Truncate(path, size);
      ASSERT_EQ(OpenDamaged(), Outcome::kRefused) << path << " " << size;
      disk_.SetContents(path, whole);
    }
  }
}

TEST_F(LogDamageTest, ATornLastBatchIsCutAndTheLogGoesOn) {
  BuildLog();
  disk_.FlipByte(newest_, last_batch_ + 600, 0xff);
  disk_.FlipByte(newest_, last_batch_ + PadToSector(last_batch_length_) + 100, 0xff);
  model_ = without_last_batch_;
  ReopenAndExpectAll();
  EXPECT_TRUE(opened_.tail_was_torn);
  Append(14, 14, 2);
  ReopenAndExpectAll();
  EXPECT_FALSE(opened_.tail_was_torn);
}

// -- the decision table: one row for each thing that can have happened to the directory --

struct Row {
  std::string what;
  std::function<void()> damage;
  int exit_status;
  std::string says;  // the message names this
};

TEST_F(LogDamageTest, TheDecisionTable) {
  BuildLog();
  const std::map<std::string, std::string> whole = [this] {
    std::map<std::string, std::string> files;
    for (const std::vector<std::string>* paths : {&in_use_, &spare_}) {
      for (const std::string& path : *paths) files[path] = disk_.Contents(path);
    }
    return files;
  }();
  const auto flip = [this](size_t segment, uint64_t offset) {
    return [this, segment, offset] { disk_.FlipByte(in_use_[segment], offset, 0x20); };
  };
  // Of a batch of one sector.
  const auto flip_both = [this](size_t segment, uint64_t offset) {
    return [this, segment, offset] {
      disk_.FlipByte(in_use_[segment], offset, 0x20);
      disk_.FlipByte(in_use_[segment], offset + 512, 0x20);
    };
  };
  const auto remove = [this](const std::string& path) {
    return [this, path] { disk_.Remove(path); };
  };
  const auto copy = [this, &whole](const std::string& from, const std::string& to) {
    return [this, &whole, from, to] { disk_.SetContents(to, whole.at(from)); };
  };
  const std::string oldest = in_use_[0], middle = in_use_[1];
  LogStoreOptions other = options_;

  const Row rows[] = {
      {"nothing", [] {}, 0, ""},
      // Recovered as it was.
      {"prepared segment missing", remove(spare_[0]), 0, ""},
      {"prepared segment holds an older life", copy(oldest, spare_[0]), 0, ""},
      {"a file that is none of ours", [this] { disk_.SetContents("/data/wal/x", "?"); }, 0, ""},
      {"a file that was being prepared",
       [this] { disk_.SetContents("/data/wal/preparing-000000000009", "?"); }, 0, ""},
      {"padding of a batch", flip(0, 2 * 512 - 1), 0, ""},
      {"first copy of the first batch", flip(0, 512 + 40), 0, ""},
      {"second copy of the first batch", flip(0, 1024 + 40), 0, ""},
      {"blank space of the newest", [this] { disk_.FlipByte(newest_, end_ + 9, 1); }, 0, ""},
      {"seal of the oldest",
       [this, oldest] {
         const uint64_t last = disk_.Contents(oldest).find_last_not_of('\0');
         disk_.FlipByte(oldest, last, 1);
         disk_.FlipByte(oldest, last - 512, 1);
       },
       0, ""},
      // Refused: a file is missing.
      {"oldest segment missing", remove(oldest), 14, "wal-000000000001"},
      {"middle segment missing", remove(middle), 14, "wal-000000000002"},
      {"newest segment missing", remove(newest_), 14, "wal-000000000003"},
      {"all but the prepared one missing",
       [&] {
         for (const std::string& path : in_use_) disk_.Remove(path);
       },
       14, "wal-000000000004"},
      // Refused: a file is damaged.
      {"head of the oldest", flip(0, 100), 14, "wal-000000000001"},
      {"head of the middle", flip(1, 100), 14, "wal-000000000002"},
      {"head of the newest", flip(2, 100), 14, "wal-000000000003"},
      {"first batch", flip_both(0, 512 + 40), 14, "at offset 512"},
      {"last batch of an older segment", flip_both(1, kSmallSegmentBytes - kSealBytes - 1024 + 3),
       14, "wal-000000000002"},
      {"a batch of the newest that is not the last", flip_both(2, 512 + 50), 14, "at offset 512"},
      // Refused: a file of another place or time.
      {"middle is a copy of the oldest", copy(oldest, middle), 14, "wal-000000000002"},
      {"newest is a copy of the middle", copy(middle, newest_), 14, "wal-000000000003"},
      {"oldest is a copy of the prepared", copy(spare_[0], oldest), 14, "wal-000000000001"},
      {"middle with batches in another order",
       [this, middle] {
         std::string bytes = disk_.Contents(middle);
         std::swap_ranges(bytes.begin() + 512, bytes.begin() + 1536, bytes.begin() + 1536);
         disk_.SetContents(middle, bytes);
       },
       14, "at offset 512"},
      {"started as another node", [&] { options_.node_id = NodeId(3); }, 11, "belongs to node 2"},
      {"started in another cluster", [&] { options_.cluster_name = "mail"; }, 11,
       "cluster \"orders\""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    options_ = other;
    row.damage();
    const absl::Status status = TryOpen();
    EXPECT_EQ(ExitStatusOf(status), row.exit_status) << status;
    EXPECT_NE(status.message().find(row.says), absl::string_view::npos) << status;
    if (status.ok()) {
      EXPECT_EQ(LogModel::Of(&opened_), model_);
    }
    opened_ = OpenedLog();
    const std::vector<std::string> names = disk_.List(kWal).value();
    for (const std::string& name : names) disk_.Remove(JoinPath(kWal, name));
    for (const auto& [path, contents] : whole) disk_.SetContents(path, contents);
  }
}

// A segment of another node's log under the next name would otherwise be taken for the newest, and
// all of ours for old ones to be recycled.
TEST_F(LogDamageTest, ASegmentOfAnotherLogIsRefusedAndNothingIsThrownAway) {
  MemFileSystem other_disk;
  ASSERT_TRUE(other_disk.CreateDirectory("/data").ok());
  LogStoreOptions other = options_;
  other.incarnation_draw = Incarnation(5);
  absl::StatusOr<OpenedLog> opened = LogStore::Open(&other_disk, other);
  ASSERT_TRUE(opened.ok());
  uint64_t i = 1;
  while (!other_disk.Exists(Path(9))) {
    ASSERT_TRUE(
        opened->store
            ->Write({.hard_state = MakeHardState(1, 0, 0), .entries = {MakeEntry(i++, 1, 1000)}})
            .ok());
  }
  BuildLog();
  disk_.SetContents(Path(9), other_disk.Contents(Path(9)));
  EXPECT_EQ(ExitStatusOf(TryOpen()), 11);
  // Also when it is the whole of another log that ended earlier than ours.
  disk_.Remove(Path(9));
  disk_.SetContents("/data/wal/wal-000000000002", other_disk.Contents(Path(2)));
  EXPECT_EQ(ExitStatusOf(TryOpen()), 11);
}

// A batch of this very life whose checksum is right, but in the place of a later one: without the
// chain, term and vote would go back.
TEST_F(LogDamageTest, AnOldBatchInThePlaceOfALaterOneIsRefused) {
  Open();
  for (uint64_t term = 1; term <= 3; ++term) SetState(term, 1, 0);
  std::string bytes = disk_.Contents(Path(1));
  bytes.replace(512 + 2 * 1024, 1024, bytes, 512, 1024);
  disk_.SetContents(Path(1), bytes);
  const absl::Status status = TryOpen();
  EXPECT_EQ(ExitStatusOf(status), 14) << status;
  EXPECT_NE(status.message().find("at offset 2560"), absl::string_view::npos) << status;
}

// The crash comes after the newest segment was begun and before the older one names it. Whatever is
// acknowledged from then on must not vanish with the newest segment.
TEST_F(LogDamageTest, ASealThatACrashPreventedIsMadeUpForByTheRecovery) {
  Open();
  for (uint64_t i = 1; i <= 5; ++i) Append(i, i, 1);  // with the next one the segment is full
  Append(6, 6, 1);
  Prepare();
  disk_.CutPowerAt(4);  // head, batch, sync; then the seal
  ASSERT_FALSE(TryWrite({.entries = {MakeEntry(7, 1)}}).ok());
  CutPower();
  model_.Apply({.entries = {MakeEntry(7, 1)}});  // was synced, though not acknowledged
  ReopenAndExpectAll();
  Append(8, 8, 1);
  CutPower();
  disk_.Remove(Path(2));
  EXPECT_EQ(ExitStatusOf(TryOpen()), 14);
}

// Batches with a right checksum and chain that LogStore would not have written.
TEST_F(LogDamageTest, WhatNoLogStoreWritesIsRefused) {
  const struct {
    std::string what;
    std::function<void(WalWriter*)> add;
    int exit_status;
    std::string says;
  } rows[] = {
      {"a gap", [](WalWriter* w) { w->AddEntry(MakeEntry(7, 2)); }, 14, "entry 7 after entry 5"},
      {"an entry at the base", [](WalWriter* w) { w->AddEntry(MakeEntry(3, 2)); }, 14,
       "based on 3"},
      {"a commit index beyond the end",
       [](WalWriter* w) { w->AddHardState(MakeHardState(2, 1, 6)); }, 14,
       "entry 6 was known to be committed"},
      {"an entry of a term that was never on record",
       [](WalWriter* w) { w->AddEntry(MakeEntry(6, 3)); }, 14, "the term on record is 2"},
      {"a base beyond the end", [](WalWriter* w) { w->AddBase(MakeBase(9, 2), false); }, 14,
       "base 9 beyond entry 5"},
      {"a seal into nothing", [](WalWriter* w) { w->AddSeal(5); }, 14, "wal-000000000005"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    disk_.Crash(MemFileSystem::Unsynced::kLost, nullptr);
    model_ = LogModel();
    options_.directory = absl::StrCat("/data/", row.what);
    Open();
    SetState(2, 1, 0);
    Append(1, 5, 2);
    SetState(2, 1, 3);
    Write({.base = MakeBase(3, 2)});
    absl::StatusOr<std::optional<Recovery>> recovery =
        RecoverLog(&disk_, options_.directory, RecoveryMode::kReadOnly);
    ASSERT_TRUE(recovery.ok() && recovery->has_value());
    auto file =
        disk_.Open(JoinPath(options_.directory, SegmentName(1)), FileSystem::OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok());
    WalWriter writer(options_.incarnation_draw);
    row.add(&writer);
    ASSERT_TRUE(writer.Append(file->get(), &(*recovery)->end).ok());
    const absl::Status status = TryOpen();
    EXPECT_EQ(ExitStatusOf(status), row.exit_status) << status;
    EXPECT_NE(status.message().find(row.says), absl::string_view::npos) << status;
  }
}

TEST_F(LogDamageTest, AReadErrorDuringRecoveryIsRefused) {
  BuildLog();
  for (uint64_t count = 1; count <= 6; ++count) {
    disk_.FailReadAt(count);
    const absl::Status status = TryOpen();
    EXPECT_EQ(ExitStatusOf(status), 14) << status;
  }
}

TEST_F(LogDamageTest, ALogOfAnotherFormatIsRefusedAsUnusable) {
  BuildLog();
  for (const uint32_t version : {kWalVersion - 1, kWalVersion + 1}) {
    std::string bytes = disk_.Contents(newest_);
    StoreLittle<uint32_t>(bytes.data() + head_at::kVersion, version);
    const absl::string_view covered(bytes.data() + head_at::kVersion,
                                    kHeadBytes - head_at::kVersion);
    StoreLittle<uint32_t>(bytes.data() + head_at::kChecksum, Crc32c(covered));
    disk_.SetContents(newest_, bytes);
    const absl::Status status = TryOpen();
    EXPECT_EQ(ExitStatusOf(status), 12) << status;
    EXPECT_NE(status.message().find(absl::StrCat("version ", version)), absl::string_view::npos)
        << status;
    EXPECT_EQ(status.message().find("newer one") != absl::string_view::npos, version > kWalVersion);
  }
}

// Second copies in a row: one note for the file.
TEST_F(LogDamageTest, ManyBrokenCopiesAreMendedTogether) {
  BuildLog();
  const std::string whole = disk_.Contents(in_use_[0]);
  for (uint64_t offset = 1024; offset < 5 * 1024; offset += 1024) {
    disk_.FlipByte(in_use_[0], offset + 3, 0x10);
  }
  Open();
  EXPECT_EQ(disk_.Contents(in_use_[0]), whole);
  ASSERT_EQ(opened_.notes.size(), 1u);
  EXPECT_NE(opened_.notes[0].find("at offset 1024, and 3 more"), std::string::npos)
      << opened_.notes[0];
  CutPower();
  EXPECT_EQ(disk_.Contents(in_use_[0]), whole) << "not durable";
}

}  // namespace
}  // namespace lockd::storage
