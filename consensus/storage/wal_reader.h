// Reading a log segment: its head, its batches in order, and what its end looks like.
//
//   WalReader reader(file, size, incarnation, position);
//   while (reader.Next()) use(reader.records());
//   if (!reader.status().ok()) ...               // reading failed
//   WalEnd end = reader.end();                   // blank, torn, or damage before valid batches
//
// A batch is read from whichever of its two copies is whole.
//
// Threading: pure value (the File is the caller's).
#ifndef LOCKD_CONSENSUS_STORAGE_WAL_READER_H_
#define LOCKD_CONSENSUS_STORAGE_WAL_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/wal_format.h"

namespace lockd::storage {

enum class HeadState : uint8_t {
  kValid,           // of some life; not necessarily the one that the file's name says
  kZero,            // never written
  kDamaged,         // anything else
  kUnknownVersion,  // valid, but written by a version that we are not
};
struct HeadReading {
  HeadState state = HeadState::kDamaged;
  uint32_t version = 0;  // kUnknownVersion
  uint32_t chain = 0;    // kValid: what the first batch continues
  SegmentHead head;      // kValid
  uint64_t file_bytes = 0;
};
// An error only when reading fails.
absl::StatusOr<HeadReading> ReadHead(File* file);

// One record; the payload lives until the reader's next call.
struct Record {
  RecordKind kind = RecordKind::kEntry;
  uint8_t detail = 0;
  uint16_t group = 0;
  uint64_t index = 0;
  uint64_t term = 0;
  uint64_t value = 0;
  absl::string_view payload;

  [[nodiscard]] raft::Entry ToEntry() const;          // kEntry
  [[nodiscard]] raft::HardState ToHardState() const;  // kHardState
  [[nodiscard]] LogBase ToBase() const;               // kBase; an entry's position and time
};

// What follows the last batch in order.
struct WalEnd {
  enum class Kind : uint8_t {
    kBlank,  // space that this life has not written
    kTorn,   // the beginning of a batch of this life, no copy of which is whole, and nothing after
    kDamaged,  // not a batch in order, but valid batches of this life at or after it
  };
  Kind kind = Kind::kBlank;
  uint64_t offset = 0;        // of the first byte that is not a batch in order
  uint64_t later_offset = 0;  // kDamaged: of the first valid batch at or after it
};

// One copy of a batch that is not what was written, and the other one, from which to write it anew.
struct BrokenCopy {
  uint64_t offset = 0;
  uint64_t whole_offset = 0;
  uint64_t bytes = 0;  // without padding
};

class WalReader {
 public:
  // Begins at `position`. `file` must outlive the reader and be of `file_bytes`.
  WalReader(File* file, uint64_t file_bytes, Incarnation incarnation, const WalPosition& position);
  // Begins in the middle, at a known batch: the first one is believed in sequence and chain.
  WalReader(File* file, uint64_t file_bytes, Incarnation incarnation, uint64_t life,
            uint64_t offset);

  // Moves to the next batch. False at the first place that is not one in order, or when reading
  // fails.
  bool Next();
  [[nodiscard]] const absl::Status& status() const { return status_; }

  [[nodiscard]] const std::vector<Record>& records() const { return records_; }
  // Of its first copy, whichever was read.
  [[nodiscard]] uint64_t batch_offset() const { return batch_offset_; }
  [[nodiscard]] const std::optional<BrokenCopy>& broken_copy() const { return broken_copy_; }
  [[nodiscard]] uint64_t batch_sequence() const { return position_.sequence - 1; }
  // After the batches read so far.
  [[nodiscard]] const WalPosition& position() const { return position_; }

  // After Next returned false with an OK status.
  [[nodiscard]] const WalEnd& end() const { return end_; }

 private:
  struct BatchHeader {
    uint32_t checksum = 0;
    uint32_t length = 0;
    uint64_t life = 0;
    uint64_t sequence = 0;
    uint32_t chain = 0;
    uint32_t record_count = 0;
  };
  // The bytes at [offset, offset + count), from the window or the file; empty beyond the end.
  absl::StatusOr<absl::string_view> Bytes(uint64_t offset, uint64_t count);
  // The batch of this life at `offset` if one with a right checksum is there, wherever it belongs.
  // It and what should be its copy are then in the window: what is judged is not read again.
  absl::StatusOr<std::optional<BatchHeader>> BatchAt(uint64_t offset);
  // The whole copy of the batch that belongs at the position. Without one, end_ says what is there.
  struct Copy {
    BatchHeader header;
    uint64_t offset = 0;
  };
  absl::StatusOr<std::optional<Copy>> FindCopy();
  [[nodiscard]] bool Belongs(const BatchHeader& header, uint64_t offset) const;
  absl::Status CompareCopies(const Copy& whole);
  bool DecodeRecords(const BatchHeader& header, absl::string_view body);

  File* const file_;
  const uint64_t file_bytes_;
  const uint32_t seed_;
  WalPosition position_;
  bool believes_first_ = false;
  uint64_t batch_offset_ = 0;
  std::optional<BrokenCopy> broken_copy_;
  WalEnd end_;
  std::vector<Record> records_;
  std::string window_;
  uint64_t window_offset_ = 0;
  absl::Status status_;
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_WAL_READER_H_
