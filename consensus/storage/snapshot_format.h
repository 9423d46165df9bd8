// The layout of a snapshot file, and why it is so. consensus/README.md has the whole story and an
// example in hex; snapshot_writer and snapshot_reader share nothing but this header.
//
//   file  := head (512 bytes), block, block, ..., footer (32 bytes)
//   block := block header (16 bytes), content (64 KiB; the last one of a file may be shorter)
//
// All numbers are little-endian. The content, all blocks' together, is opaque here: server/state
// says what it means.
//
// - What is known at the beginning stands in the head, what is known only at the end in the footer:
//   the file is written once, front to back, and no byte of it is written twice. The footer is
//   found from the end of the file; so a file that was cut anywhere has none.
// - Each block has a checksum of its own, so that a piece of a snapshot can be sent without reading
//   the rest, and damage is known by its offset. It begins with the head's checksum, and the head
//   holds a number that no two files have in common: a block that the device kept from a file that
//   was here earlier is none of this file. The block's number is in it, too: nor is one from
//   another place.
// - The footer has the length and the checksum of the whole content: the SnapshotId by which
//   members speak of it, and a second proof that no block is missing.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_STORAGE_SNAPSHOT_FORMAT_H_
#define LOCKD_CONSENSUS_STORAGE_SNAPSHOT_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "consensus/storage/data_directory.h"

namespace lockd::storage {

inline constexpr uint32_t kSnapshotVersion = 1;
inline constexpr absl::string_view kSnapshotMagic("lockdSNP", 8);
inline constexpr absl::string_view kSnapshotEndMagic("lockdEND", 8);

// Offsets of fields in a snapshot's head; what is not named is zero.
namespace snapshot_head_at {
inline constexpr size_t kMagic = 0;         // 8
inline constexpr size_t kChecksum = 8;      // u32, CRC32C of all that follows, up to byte 512
inline constexpr size_t kVersion = 12;      // u32
inline constexpr size_t kFileNumber = 16;   // u64, no other snapshot file has it
inline constexpr size_t kBlockBytes = 24;   // u32, content of each block but the last: 65,536
inline constexpr size_t kNameBytes = 28;    // u32
inline constexpr size_t kNodeId = 32;       // u64, whose directory it was written in
inline constexpr size_t kIncarnation = 40;  // u64
inline constexpr size_t kClusterId = 48;    // u64, zero: not known yet
inline constexpr size_t kBaseIndex = 56;    // u64
inline constexpr size_t kBaseTerm = 64;     // u64
inline constexpr size_t kBaseTime = 72;     // i64
inline constexpr size_t kName = 80;         // kClusterNameBytesMax; then zeros
}  // namespace snapshot_head_at
inline constexpr size_t kSnapshotHeadBytes = 512;
static_assert(snapshot_head_at::kName + kClusterNameBytesMax <= kSnapshotHeadBytes);

// Offsets of fields in a block's header.
namespace block_at {
inline constexpr size_t kChecksum = 0;      // u32, CRC32C of the rest of the block, seeded
inline constexpr size_t kContentBytes = 4;  // u32
inline constexpr size_t kNumber = 8;        // u64, from 0
}  // namespace block_at
inline constexpr size_t kBlockHeaderBytes = 16;
inline constexpr size_t kBlockContentBytes = 64 * 1024;
inline constexpr size_t kBlockBytes = kBlockHeaderBytes + kBlockContentBytes;

// Offsets of fields in the footer.
namespace footer_at {
inline constexpr size_t kMagic = 0;             // 8
inline constexpr size_t kChecksum = 8;          // u32, CRC32C of all that follows, seeded
inline constexpr size_t kContentChecksum = 12;  // u32, CRC32C of the content, not seeded
inline constexpr size_t kContentBytes = 16;     // u64
inline constexpr size_t kBlockCount = 24;       // u64
}  // namespace footer_at
inline constexpr size_t kFooterBytes = 32;

// A snapshot's head, decoded.
struct SnapshotHead {
  uint64_t file_number = 0;
  Identity identity;  // of the directory that it was written in
  raft::LogBase base;

  friend bool operator==(const SnapshotHead&, const SnapshotHead&) = default;
};

[[nodiscard]] constexpr uint64_t BlockCountOf(uint64_t content_bytes) {
  return content_bytes / kBlockContentBytes + (content_bytes % kBlockContentBytes != 0);
}
// Of a file with this much content.
[[nodiscard]] constexpr uint64_t SnapshotFileBytes(uint64_t content_bytes) {
  return kSnapshotHeadBytes + BlockCountOf(content_bytes) * kBlockHeaderBytes + content_bytes +
         kFooterBytes;
}
[[nodiscard]] constexpr uint64_t BlockOffset(uint64_t number) {
  return kSnapshotHeadBytes + number * kBlockBytes;
}

// "snap-<index>-<term>", each of 20 digits so that names sort like snapshots; and back, nullopt for
// any other name.
struct SnapshotPlace {
  raft::Index index;
  raft::Term term;
  friend auto operator<=>(const SnapshotPlace&, const SnapshotPlace&) = default;
};
[[nodiscard]] inline SnapshotPlace PlaceOf(const raft::LogBase& base) {
  return {.index = base.index, .term = base.term};
}
[[nodiscard]] std::string SnapshotName(const SnapshotPlace& place);
[[nodiscard]] std::optional<SnapshotPlace> ParseSnapshotName(absl::string_view name);
// "draft-<number>": what a file is called until it is whole, synced and read back.
[[nodiscard]] std::string DraftName(uint64_t draft);
[[nodiscard]] std::optional<uint64_t> ParseDraftName(absl::string_view name);

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_SNAPSHOT_FORMAT_H_
