// Damage of every byte, every sector and every length of a log of 72 KiB in two segments:
//
//   wal-1  head | batch | batch | ... | seal | blank        in use, older
//   wal-2  head | batch | ........... | last batch | blank  in use, newest
//   wal-3  zeros                                            prepared
//
// What must hold is told by the place alone:
//
//   a head                                refused: the file, offset 0
//   a batch that is not the last one      refused: the file, the batch's offset
//   the last batch of the newest segment  that batch is gone, whole, and nothing else: it cannot be
//                                         told from a write that was under way at a crash
//   the seal, padding, blank space        recovered exactly
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
    uint64_t end = 0;  // without padding
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
    while (!(disk_.Exists(Path(3)) && CountBytesUsed(Path(2)) > kFileBytes - 3 * 1024)) {
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
      batch.end = batch.begin +
                  LoadLittle<uint32_t>(segment.whole.data() + batch.begin + batch_at::kLength);
      for (const Record& record : reader.records()) {
        batch.has_hard_state |= record.kind == RecordKind::kHardState;
        batch.is_seal |= record.kind == RecordKind::kSeal;
      }
      segment.batches.push_back(batch);
    }
    return segment;
  }

  // What a change of the bytes in [begin, end) of the segment may lead to, and where a refusal must
  // point to.
  struct Expected {
    Outcome outcome = Outcome::kExact;
    uint64_t offset = 0;
  };
  Expected ExpectedFor(const Segment& segment, uint64_t begin, uint64_t end) const {
    if (begin < kHeadBytes) return {Outcome::kRefused, 0};
    for (const Batch& batch : segment.batches) {
      if (batch.is_seal || end <= batch.begin || begin >= batch.end) continue;
      const bool is_last = &segment == &segments_.back() && &batch == &segment.batches.back();
      return {is_last ? Outcome::kLostLastBatch : Outcome::kRefused, batch.begin};
    }
    return {};
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

  void FlipAndCheck(const Segment& segment, uint64_t offset, uint8_t mask) {
    const Expected expected = ExpectedFor(segment, offset, offset + 1);
    disk_.FlipByte(segment.path, offset, mask);
    const Outcome outcome = OpenDamaged(segment.path, expected.offset);
    ASSERT_EQ(outcome, expected.outcome)
        << segment.path << " byte " << offset << " mask " << int{mask};
    if (outcome == Outcome::kExact) {
      disk_.SetContents(segment.path, segment.whole);
    } else {
      disk_.FlipByte(segment.path, offset, mask);
    }
  }

  // One sector becomes `bytes`. A copy of a whole batch may be met where none can be: it is
  // refused.
  void ReplaceSectorAndCheck(const Segment& segment, uint64_t sector, const std::string& bytes) {
    const uint64_t begin = sector * kSectorBytes;
    std::string damaged = segment.whole;
    damaged.replace(begin, kSectorBytes, bytes);
    const auto differs = std::mismatch(damaged.begin(), damaged.end(), segment.whole.begin());
    if (differs.first == damaged.end()) return;
    // Damage ends where the last changed byte is: padding may follow.
    uint64_t end = begin + kSectorBytes;
    while (damaged[end - 1] == segment.whole[end - 1]) --end;
    const uint64_t first = static_cast<uint64_t>(differs.first - damaged.begin());
    Expected expected = ExpectedFor(segment, first, end);
    disk_.SetContents(segment.path, damaged);
    const bool is_after_all =
        &segment == &segments_.back() && begin >= segment.batches.back().begin;
    if (is_after_all) expected.offset = std::max(expected.offset, EndOfLog(expected));
    const Outcome outcome = OpenDamaged(segment.path, expected.offset);
    const bool is_misplaced_batch = is_after_all && outcome == Outcome::kRefused;
    ASSERT_TRUE(outcome == expected.outcome || is_misplaced_batch)
        << segment.path << " sector " << sector;
    disk_.SetContents(segment.path, segment.whole);
  }
  // Where the log ends for a recovery that meets this.
  uint64_t EndOfLog(const Expected& expected) const {
    const Batch& last = segments_.back().batches.back();
    return expected.outcome == Outcome::kLostLastBatch ? last.begin : PadToSector(last.end);
  }

  std::vector<Segment> segments_;
  LogModel without_last_batch_;
  uint64_t cases_ = 0;
};

// The bytes that all else hangs on, and a sample of the rest.
TEST_F(WalDamage, NoFlippedByteOfHeadsHardStatesAndTheTailGoesUnnoticed) {
  uint64_t hard_state_bytes = 0;
  for (const Segment& segment : segments_) {
    for (uint64_t offset = 0; offset < kHeadBytes; offset += 3) {
      FlipAndCheck(segment, offset, 0x04);
    }
    for (const Batch& batch : segment.batches) {
      const bool is_last = &batch == &segment.batches.back();
      const uint64_t stride = is_last ? 5 : batch.has_hard_state ? 19 : 311;
      for (uint64_t offset = batch.begin; offset < batch.end; offset += stride) {
        FlipAndCheck(segment, offset, 0x10);
        hard_state_bytes += batch.has_hard_state;
      }
    }
  }
  EXPECT_GT(hard_state_bytes, 50u);
}

TEST_F(WalDamage, SlowNoFlippedByteGoesUnnoticedButInTheLastBatch) {
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

// Zeroed, full of ones, halves swapped, written with what belongs elsewhere: its neighbours in the
// same file, its twin in the other one, the first batch.
TEST_F(WalDamage, NoSectorLostOrMisplacedGoesUnnoticedButInTheLastBatch) {
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
  uint64_t lost = 0;
  for (uint64_t offset = newest.batches.back().begin; offset < kFileBytes; offset += 97) {
    std::unique_ptr<MemFileSystem> disk = disk_.CrashClone(MemFileSystem::Unsynced::kLost, nullptr);
    disk->FlipByte(newest.path, offset, 0x20);
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
