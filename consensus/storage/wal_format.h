// The layout of a log segment, and why it is so. consensus/README.md has the whole story and an
// example in hex; wal_writer and wal_reader share nothing but this header.
//
//   segment := head (512 bytes), batch, its copy, batch, its copy, ..., blank space up to
//              segment_bytes
//   batch   := batch header (32 bytes), record, record, ..., padding to a multiple of 512
//   record  := record header (32 bytes), payload
//
// All numbers are little-endian. One LogWrite is one batch, one File::Write and one sync.
//
// - The batch, not the record, has the checksum: after a crash a batch is there as a whole or not
//   at all, whichever of its sectors reached the device (catalogue S-04).
// - Every batch is there twice, byte for byte, both copies in the same write. Damage to one of them
//   costs nothing, wherever it is; and above all damage to the last batch of the log, which nothing
//   follows, is not mistaken for a write that a crash cut off. Both are kept for good: the copy of
//   the last batch must outlive a later write that a crash cuts off.
// - Batches begin at sector boundaries: a power cut in the middle of a write can garble the sectors
//   of that write only, never a batch that has been acknowledged.
// - Each use of a file as a segment is a life with a number of its own, never used again in this
//   directory. The checksum of a batch begins with a seed made from the directory's incarnation and
//   the life, so that what an earlier life left in a recycled file is blank space, and a batch
//   copied from elsewhere is none. (The incarnation is a random number that clients never see,
//   hence nobody can put bytes that look like a batch into a payload.)
// - Each batch carries the checksum of the one before it and counts up a sequence number: a batch
//   that is missing, old or out of place breaks the chain.
// - The head repeats all that is not entries: hard state, base, identity, and where exactly the
//   segment before it ended. So older segments can go without being asked what else they held.
// - A segment ends with a seal that names the next one, written before anything in the next one is
//   acknowledged: a log whose newest segment is missing is not mistaken for a shorter log.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_STORAGE_WAL_FORMAT_H_
#define LOCKD_CONSENSUS_STORAGE_WAL_FORMAT_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "consensus/storage/data_directory.h"
#include "consensus/storage/log_job.h"
#include "protocol/base/bytes.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/ids.h"

namespace lockd::storage {

inline constexpr uint32_t kWalVersion = 2;
inline constexpr absl::string_view kWalMagic("lockdWAL", 8);

// What the device writes as one; both the unit of a torn write and the alignment of batches.
inline constexpr size_t kSectorBytes = 512;
inline constexpr uint64_t kSegmentBytesMin = 4096;

[[nodiscard]] constexpr uint64_t PadToSector(uint64_t bytes) {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

// Offsets of fields in a segment's head.
namespace head_at {
inline constexpr size_t kMagic = 0;           // 8
inline constexpr size_t kChecksum = 8;        // u32, CRC32C of all that follows, up to byte 512
inline constexpr size_t kVersion = 12;        // u32
inline constexpr size_t kLife = 16;           // u64
inline constexpr size_t kPreviousLife = 24;   // u64, zero: none
inline constexpr size_t kPreviousEnd = 32;    // u64, where its last batch ended (before its seal)
inline constexpr size_t kPreviousChain = 40;  // u32, checksum of that batch
inline constexpr size_t kNameBytes = 44;      // u32
inline constexpr size_t kSegmentBytes = 48;   // u64, size of the file
inline constexpr size_t kSequence = 56;       // u64, of the first batch
inline constexpr size_t kNodeId = 64;         // u64
inline constexpr size_t kIncarnation = 72;    // u64
inline constexpr size_t kClusterId = 80;      // u64, zero: not known yet
inline constexpr size_t kTerm = 88;           // u64
inline constexpr size_t kVotedFor = 96;       // u64
inline constexpr size_t kCommit = 104;        // u64
inline constexpr size_t kBaseIndex = 112;     // u64
inline constexpr size_t kBaseTerm = 120;      // u64
inline constexpr size_t kBaseTime = 128;      // i64
inline constexpr size_t kLastIndex = 136;     // u64, the last entry before this segment
inline constexpr size_t kLastTerm = 144;      // u64
inline constexpr size_t kLastTime = 152;      // i64
inline constexpr size_t kName = 160;          // kClusterNameBytesMax; then zeros
}  // namespace head_at
inline constexpr size_t kHeadBytes = kSectorBytes;
static_assert(head_at::kName + kClusterNameBytesMax <= kHeadBytes);

// Offsets of fields in a batch header.
namespace batch_at {
inline constexpr size_t kChecksum = 0;   // u32, CRC32C of the rest of the batch, seeded
inline constexpr size_t kLength = 4;     // u32, header and records, without padding
inline constexpr size_t kLife = 8;       // u64
inline constexpr size_t kSequence = 16;  // u64
inline constexpr size_t kChain =
    24;  // u32, checksum of the batch before; of the head for the first
inline constexpr size_t kRecordCount = 28;  // u32
}  // namespace batch_at
inline constexpr size_t kBatchHeaderBytes = 32;

// Offsets of fields in a record header.
namespace record_at {
inline constexpr size_t kKind = 0;          // u8, RecordKind
inline constexpr size_t kDetail = 1;        // u8
inline constexpr size_t kGroup = 2;         // u16, GroupId
inline constexpr size_t kPayloadBytes = 4;  // u32
inline constexpr size_t kIndex = 8;         // u64
inline constexpr size_t kTerm = 16;         // u64
inline constexpr size_t kValue = 24;        // u64
}  // namespace record_at
inline constexpr size_t kRecordHeaderBytes = 32;

// What the fields of a record mean; those not named are zero.
enum class RecordKind : uint8_t {
  kEntry = 1,  // detail: raft::EntryKind; index, term; value: cluster time; payload. An index not
               // above the last one supersedes all entries from it on.
  kHardState = 2,  // index: commit; term; value: voted for
  kBase = 3,       // index, term; value: cluster time; detail 1: forget all entries, also above
  kCluster = 4,    // value: cluster id
  kSeal = 5,       // value: life of the next segment; always alone in its batch
};
inline constexpr uint8_t kBaseForgetsAll = 1;
// A seal's batch and its copy, for which each segment keeps room.
inline constexpr uint64_t kSealBytes = 2 * kSectorBytes;

// A segment's head, decoded.
struct SegmentHead {
  uint64_t life = 0;
  uint64_t previous_life = 0;
  uint64_t previous_end = 0;
  uint32_t previous_chain = 0;
  uint64_t segment_bytes = 0;
  uint64_t sequence = 0;
  Identity identity;
  raft::HardState hard_state;
  LogBase base;
  LogBase last;  // index, term and time of the last entry before this segment

  friend bool operator==(const SegmentHead&, const SegmentHead&) = default;
};

// Where the next batch goes and what it must continue.
struct WalPosition {
  uint64_t life = 0;
  uint64_t offset = 0;
  uint64_t sequence = 0;
  uint32_t chain = 0;

  friend bool operator==(const WalPosition&, const WalPosition&) = default;
};

// What the checksums of all batches of a life begin with.
[[nodiscard]] inline uint32_t LifeSeed(Incarnation incarnation, uint64_t life) {
  char bytes[16];
  StoreLittle<uint64_t>(bytes, incarnation.value());
  StoreLittle<uint64_t>(bytes + 8, life);
  return Crc32c(absl::string_view(bytes, sizeof(bytes)));
}

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_WAL_FORMAT_H_
