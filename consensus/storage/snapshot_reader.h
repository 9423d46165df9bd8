// Reading a snapshot file: what it says of itself, its blocks, and whether all of it is there.
//
//   absl::StatusOr<SnapshotOutline> outline = ReadSnapshotOutline(file);    // head and footer
//   if (outline->state == SnapshotOutline::State::kReadable) {
//     SnapshotReader reader(file, *outline);
//     reader.Read(offset, count, &bytes)                  // any place of the content
//     SnapshotVerifier verifier(file, *outline);          // or all of it, slice by slice
//   }
//
// Damage is told as a SnapshotDamage with the offset in the file; an absl::Status here says that
// reading failed.
//
// Threading: file thread only, or one thread of a tool (the File is the caller's).
#ifndef LOCKD_CONSENSUS_STORAGE_SNAPSHOT_READER_H_
#define LOCKD_CONSENSUS_STORAGE_SNAPSHOT_READER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/snapshot_format.h"

namespace lockd::storage {

struct SnapshotDamage {
  uint64_t offset = 0;  // in the file
  std::string what;
};

// What head and footer say.
struct SnapshotOutline {
  enum class State : uint8_t {
    kReadable,  // both are right and agree with the file's size; the blocks were not looked at
    kDamaged,   // anything else
    kUnknownVersion,  // a valid head, but written by a version that we are not
  };
  State state = State::kDamaged;
  uint64_t file_bytes = 0;
  bool has_head = false;       // kReadable, and kDamaged if only the rest is
  uint32_t version = 0;        // kUnknownVersion
  SnapshotDamage damage = {};  // kDamaged
  SnapshotHead head = {};      // has_head
  uint32_t seed = 0;           // kReadable, and what follows:
  raft::SnapshotId id = {};
};
// An error only when reading fails.
absl::StatusOr<SnapshotOutline> ReadSnapshotOutline(File* file);

class SnapshotReader {
 public:
  // `file` must outlive the reader and be the one that `outline` is of (kReadable).
  SnapshotReader(File* file, const SnapshotOutline& outline);

  // Appends content from `offset` on: up to `count` bytes, no more than the rest of four blocks.
  // Nothing at the content's end. Damage leaves `content` as it was.
  absl::StatusOr<std::optional<SnapshotDamage>> Read(uint64_t offset, uint64_t count,
                                                     std::string* content);

  static constexpr uint64_t kBlocksAtOnce = 4;

 private:
  File* const file_;
  const uint32_t seed_;
  const uint64_t content_bytes_;
  std::string window_;
};

// All blocks, and that together they are what the footer says.
class SnapshotVerifier {
 public:
  SnapshotVerifier(File* file, const SnapshotOutline& outline);

  // Reads the next 256 KiB; true: that was the last.
  absl::StatusOr<bool> RunSlice();
  // After RunSlice returned true; nullopt: the file is whole.
  [[nodiscard]] const std::optional<SnapshotDamage>& damage() const { return damage_; }
  // The content that the last RunSlice has read, if it found no damage.
  [[nodiscard]] absl::string_view last_slice() const { return content_; }

 private:
  SnapshotReader reader_;
  const raft::SnapshotId id_;
  uint64_t offset_ = 0;
  uint32_t checksum_ = 0;
  std::optional<SnapshotDamage> damage_;
  std::string content_;
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_SNAPSHOT_READER_H_
