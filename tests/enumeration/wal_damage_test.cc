// Damage of every byte, every sector and every length of a log of 72 KiB in two segments, each
// batch there twice:
//
//   wal-1  head | batch batch | batch batch | ... | seal seal | blank         in use, older
//   wal-2  head | batch batch | ................. | last last | blank         in use, newest
//   wal-3  zeros                                                              prepared
//
// What must hold is told by the place alone:
//
//   a head                                refused: the file, offset 0
//   one copy of a batch                   recovered exactly, and mended
//   both copies of
//     a batch that is not the last one    refused: the file, the batch's offset
//     the last batch                      that batch is gone, whole, and nothing else: it cannot be
//                                         told from a write that was under way at a crash
//     a seal                              recovered exactly: it is written again
//   padding, blank space                  recovered exactly
//
// Anything else would be a state that was never written.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/storage/recovery.h"
#include "consensus/storage/wal_format.h"
#include "consensus/storage/wal_reader.h"
#include "tests/consensus/storage/log_fixture.h"

namespace lockd::storage {
namespace {

constexpr uint64_t kFileBytes = 36 * 1024;

class WalDamage : public LogTest {
 protected:
  enum class Outcome { kExact, kRefused, kLostLastBatch };
  struct Batch {
    uint64_t begin = 0;
    uint64_t bytes = 0;  // without padding
    [[nodiscard]] uint64_t second() const { return begin + PadToSector(bytes); }
    [[nodiscard]] uint64_t end() const { return begin + 2 * PadToSector(bytes); }
    bool has_hard_state = false;
    bool is_seal = false;
  };
  struct Segment {
    std::string path;
    std::string whole;
    std::vector<Batch> batches;
  };

  WalDamage() { options_.segment_bytes = kFileBytes; }

  void SetUp() override {
    Open();
    SetState(1, 3, 0);
    Write({.hard_state = MakeHardState(1, 3, 0), .cluster_id = ClusterId(42)});
    uint64_t term = 1, index = 1;
    while (!(disk_.Exists(Path(3)) && CountBytesUsed(Path(2)) > kFileBytes - 8 * 1024)) {
      if (index % 20 == 0) SetState(++term, index % 3 + 1, index - 3);  // a vote
      if (index % 33 == 0) index -= 2;                                  // a conflicting suffix
      const uint64_t count = index % 3 + 1;
      Append(index, index + count - 1, term, index * 37 % 400);
      index += count;
      Prepare();
    }
    without_last_batch_ = model_;
    // A vote and entries at once, over three sectors.
    Write({.hard_state = MakeHardState(term + 1, 1, index - 2),
           .entries = {MakeEntry(index, term + 1, 600), MakeEntry(index + 1, term + 1, 600)}});
    absl::StatusOr<std::optional<Recovery>> recovery =
        RecoverLog(&disk_, kWal, RecoveryMode::kReadOnly);
    ASSERT_TRUE(recovery.ok() && recovery->has_value());
    ASSERT_EQ((*recovery)->in_use.size(), 2u);
    ASSERT_EQ((*recovery)->spare.size(), 1u);
    for (const SegmentFile& file : (*recovery)->in_use) segments_.push_back(Survey(file.life));
    ASSERT_GE(segments_[0].whole.size() + segments_[1].whole.size(), 64u * 1024);
    ASSERT_TRUE(segments_[0].batches.back().is_seal);
    opened_ = OpenedLog();
  }

  uint64_t CountBytesUsed(const std::string& path) const {
    return disk_.Contents(path).find_last_not_of('\0') + 1;
  }

  Segment Survey(uint64_t life) {
    Segment segment{.path = Path(life), .whole = disk_.Contents(Path(life)), .batches = {}};
    auto file = disk_.Open(segment.path, FileSystem::OpenMode::kRead);
    EXPECT_TRUE(file.ok());
    WalReader reader(file->get(), kFileBytes, options_.incarnation_draw, life, kHeadBytes);
    while (reader.Next()) {
      Batch batch{.begin = reader.batch_offset()};
      batch.bytes = LoadLittle<uint32_t>(segment.whole.data() + batch.begin + batch_at::kLength);
      for (const Record& record : reader.records()) {
        batch.has_hard_state |= record.kind == RecordKind::kHardState;
        batch.is_seal |= record.kind == RecordKind::kSeal;
      }
      segment.batches.push_back(batch);
    }
    return segment;
  }

  // What a change of both copies of a batch leads to; a refusal points to where it begins.
  Outcome ExpectedWithout(const Segment& segment, const Batch& batch) const {
    if (batch.is_seal) return Outcome::kExact;
    const bool is_last = &segment == &segments_.back() && &batch == &segment.batches.back();
    return is_last ? Outcome::kLostLastBatch : Outcome::kRefused;
  }

  // Opens the damaged log; any outcome but the three fails the test. `path`, `offset`: where a
  // refusal must point to. Leaves the files as they are, but for a seal that the recovery repaired.
  Outcome OpenDamaged(const std::string& path, uint64_t offset) {
    ++cases_;
    const uint64_t writes = disk_.counters().writes;
    const absl::Status status = TryOpen();
    if (!status.ok()) {
      EXPECT_EQ(FailureOf(status), Failure::kDamaged) << status;
      const std::string where = absl::StrCat(path, " at offset ", offset, ":");
      EXPECT_NE(status.message().find(where), absl::string_view::npos) << where << "\n" << status;
      EXPECT_EQ(disk_.counters().writes, writes) << "a refusal changes nothing";
      return Outcome::kRefused;
    }
    LogModel found;
    found.hard_state = opened_.log.hard_state;
    found.cluster_id = opened_.identity.cluster_id;
    found.entries = std::move(opened_.log.tail);  // it holds all: the log is small
    opened_ = OpenedLog();
    if (found == model_) return Outcome::kExact;
    EXPECT_EQ(found, without_last_batch_) << "silently wrong";
    return Outcome::kLostLastBatch;
  }

  // One place.
  void FlipAndCheck(const Segment& segment, uint64_t offset, uint8_t mask) {
    disk_.FlipByte(segment.path, offset, mask);
    const Outcome expected = offset < kHeadBytes ? Outcome::kRefused : Outcome::kExact;
    ASSERT_EQ(OpenDamaged(segment.path, 0), expected)
        << segment.path << " byte " << offset << " mask " << int{mask};
    CheckMended(segment, offset, offset + 1);
    disk_.SetContents(segment.path, segment.whole);
  }

  // Whatever was damaged within the batches is as it was, if the log was opened.
  void CheckMended(const Segment& segment, uint64_t begin, uint64_t end) {
    for (const Batch& batch : segment.batches) {
      for (const uint64_t copy : {batch.begin, batch.second()}) {
        if (end <= copy || begin >= copy + batch.bytes) continue;
        ASSERT_EQ(disk_.Contents(segment.path), segment.whole) << "not mended";
      }
    }
  }

  // `offset` of one copy of the batch, and of the other one, too.
  void FlipBothAndCheck(const Segment& segment, const Batch& batch, uint64_t offset,
                        uint64_t other_offset) {
    disk_.FlipByte(segment.path, batch.begin + offset, 0x10);
    disk_.FlipByte(segment.path, batch.second() + other_offset, 0x08);
    ASSERT_EQ(OpenDamaged(segment.path, batch.begin), ExpectedWithout(segment, batch))
        << segment.path << " batch at " << batch.begin << " bytes " << offset << ", "
        << other_offset;
    disk_.SetContents(segment.path, segment.whole);
  }

  // One sector becomes `bytes`. In blank space a copy of a whole batch of this segment is met where
  // none can be: it is refused.
  void ReplaceSectorAndCheck(const Segment& segment, uint64_t sector, const std::string& bytes) {
    const uint64_t begin = sector * kSectorBytes;
    std::string damaged = segment.whole;
    damaged.replace(begin, kSectorBytes, bytes);
    if (damaged == segment.whole) return;
    disk_.SetContents(segment.path, damaged);
    const uint64_t end_of_log = segments_.back().batches.back().end();
    const bool is_after_all = &segment == &segments_.back() && begin >= end_of_log;
    const Outcome outcome = OpenDamaged(segment.path, is_after_all ? end_of_log : 0);
    if (begin < kHeadBytes) {
      ASSERT_EQ(outcome, Outcome::kRefused) << segment.path << " sector " << sector;
    } else if (!is_after_all) {
      ASSERT_EQ(outcome, Outcome::kExact) << segment.path << " sector " << sector;
    } else {
      ASSERT_NE(outcome, Outcome::kLostLastBatch) << segment.path << " sector " << sector;
    }
    disk_.SetContents(segment.path, segment.whole);
  }

  std::vector<Segment> segments_;
  LogModel without_last_batch_;
  uint64_t cases_ = 0;
};

// The bytes that all else hangs on, and a sample of the rest.
TEST_F(WalDamage, AFlippedByteCostsNothingButInAHeadSampled) {
  uint64_t hard_state_bytes = 0;
  for (const Segment& segment : segments_) {
    for (uint64_t offset = 0; offset < kHeadBytes; offset += 3) {
      FlipAndCheck(segment, offset, 0x04);
    }
    for (const Batch& batch : segment.batches) {
      const bool is_last = &batch == &segment.batches.back();
      const uint64_t stride = is_last ? 5 : batch.has_hard_state ? 19 : 311;
      for (uint64_t offset = batch.begin; offset < batch.end(); offset += stride) {
        FlipAndCheck(segment, offset, 0x10);
        hard_state_bytes += batch.has_hard_state;
      }
    }
  }
  EXPECT_GT(hard_state_bytes, 50u);
}

TEST_F(WalDamage, SlowAFlippedByteCostsNothingButInAHead) {
  for (const Segment& segment : segments_) {
    for (uint64_t offset = 0; offset < kFileBytes; ++offset) {
      FlipAndCheck(segment, offset, static_cast<uint8_t>(1u << (offset % 8)));
      if (offset % 16 == 5) {
        for (int mask : {0xff, 0x80, 0x01, 0x55}) {
          FlipAndCheck(segment, offset, static_cast<uint8_t>(mask));
        }
      }
      if (HasFailure()) return;
    }
  }
  std::printf("corruption cases: %llu (bytes flipped)\n", static_cast<unsigned long long>(cases_));
  EXPECT_GE(cases_, 64u * 1024 * 5 / 4);
}

TEST_F(WalDamage, NoBatchBrokenInBothCopiesGoesUnnoticedButTheLast) {
  for (const Segment& segment : segments_) {
    for (const Batch& batch : segment.batches) {
      for (uint64_t offset = 0; offset < batch.bytes; offset += 7) {
        FlipBothAndCheck(segment, batch, offset, offset);
        FlipBothAndCheck(segment, batch, offset, batch.bytes - 1 - offset);
        if (HasFailure()) return;
      }
    }
  }
  std::printf("corruption cases: %llu (bytes of both copies)\n",
              static_cast<unsigned long long>(cases_));
  EXPECT_GE(cases_, 64u * 1024 / 2 / 7);
}

// Zeroed, full of ones, halves swapped, written with what belongs elsewhere: its neighbours in the
// same file, its twin in the other one, the first batch.
TEST_F(WalDamage, ASectorLostOrMisplacedCostsNothingButInAHead) {
  for (size_t i = 0; i < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    const Segment& other = segments_[1 - i];
    const auto sector_of = [](const Segment& from, uint64_t sector) {
      return from.whole.substr(sector * kSectorBytes, kSectorBytes);
    };
    for (uint64_t sector = 0; sector < kFileBytes / kSectorBytes; ++sector) {
      const std::string own = sector_of(segment, sector);
      std::vector<std::string> replacements = {
          std::string(kSectorBytes, '\0'), std::string(kSectorBytes, '\xff'),
          own.substr(kSectorBytes / 2) + own.substr(0, kSectorBytes / 2), sector_of(other, sector),
          sector_of(segment, 1)};
      if (sector > 0) replacements.push_back(sector_of(segment, sector - 1));
      if (sector > 1) replacements.push_back(sector_of(segment, sector - 2));
      for (const std::string& bytes : replacements) {
        ReplaceSectorAndCheck(segment, sector, bytes);
        if (HasFailure()) return;
      }
    }
  }
  std::printf("corruption cases: %llu (sectors)\n", static_cast<unsigned long long>(cases_));
  EXPECT_GE(cases_, kFileBytes / kSectorBytes * 2 * 5);
}

// A file that is shorter than it was made is refused, however little is missing: all of it may have
// been acknowledged.
TEST_F(WalDamage, SlowNoTruncationGoesUnnoticed) {
  for (const Segment& segment : segments_) {
    for (uint64_t size = kFileBytes; size-- > 0;) {
      disk_.Truncate(segment.path, size);
      // Without a head there is nothing to say how long the file was.
      ASSERT_EQ(OpenDamaged(segment.path, size < kHeadBytes ? 0 : size), Outcome::kRefused)
          << segment.path << " " << size;
    }
    disk_.SetContents(segment.path, segment.whole);
  }
  std::printf("corruption cases: %llu (truncations)\n", static_cast<unsigned long long>(cases_));
  EXPECT_EQ(cases_, 2 * kFileBytes);
}

// Also the prepared file: nothing of the log is in it, whatever is in it.
TEST_F(WalDamage, AShortOrGarbledPreparedFileDoesNotMatter) {
  for (uint64_t size = 0; size < kFileBytes; size += 509) {
    disk_.SetContents(Path(3), std::string(size, 'g'));
    ASSERT_EQ(OpenDamaged("", 0), Outcome::kExact) << size;
  }
}

// What was recovered, exactly or without its last batch, is a log that goes on: into the next
// segment, and through another crash.
TEST_F(WalDamage, ALogThatStartsInSpiteOfDamageGoesOn) {
  const Segment& newest = segments_.back();
  const Batch& last = newest.batches.back();
  uint64_t lost = 0;
  for (uint64_t offset = last.begin; offset < kFileBytes; offset += 97) {
    std::unique_ptr<MemFileSystem> disk = disk_.CrashClone(MemFileSystem::Unsynced::kLost, nullptr);
    disk->FlipByte(newest.path, offset, 0x20);
    if (offset < last.second()) disk->FlipByte(newest.path, last.second() + 60, 0x20);
    absl::StatusOr<OpenedLog> opened = LogStore::Open(disk.get(), options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    LogModel model = LogModel::Of(&*opened);
    ASSERT_TRUE(model == model_ || model == without_last_batch_) << offset;
    lost += model == without_last_batch_;
    const uint64_t term = model.hard_state.term.value() + 2;
    for (uint64_t i = 0; i < 8; ++i) {
      const LogWrite write{.hard_state = MakeHardState(term, 1, model.last()),
                           .entries = {MakeEntry(model.last() + 1, term, 700)}};
      ASSERT_TRUE(opened->store->Write(write).ok());
      model.Apply(write);
      RunFileJobs(disk.get(), opened->store.get());
    }
    opened->store.reset();
    disk->Crash(MemFileSystem::Unsynced::kLost, nullptr);
    opened = LogStore::Open(disk.get(), options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ASSERT_EQ(LogModel::Of(&*opened), model) << offset;
  }
  EXPECT_GT(lost, 5u);
}

}  // namespace
}  // namespace lockd::storage
