// SnapshotWriter: writes one snapshot file front to back.
//
//   SnapshotWriter writer(std::move(file), head);     // a new, empty file
//   while (...) writer.Add(content);
//   writer.Finish();                                  // durable when OK
//
// What has been written is synced every 256 KiB, so that the device never has a long queue before a
// write of the log. After a failure every call returns it: a sync is never tried again on the same
// file.
//
// Threading: file thread only.
#ifndef LOCKD_CONSENSUS_STORAGE_SNAPSHOT_WRITER_H_
#define LOCKD_CONSENSUS_STORAGE_SNAPSHOT_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/snapshot_format.h"

namespace lockd::storage {

class SnapshotWriter {
 public:
  SnapshotWriter(std::unique_ptr<File> file, const SnapshotHead& head);

  // The next bytes of the content. Whole blocks are written at once, the rest waits in memory.
  absl::Status Add(absl::string_view content);
  // What waits, and the footer.
  absl::Status Finish();

  // Of what has been added so far.
  [[nodiscard]] const raft::SnapshotId& id() const { return id_; }
  [[nodiscard]] const absl::Status& status() const { return failed_; }
  [[nodiscard]] File* file() { return file_.get(); }

 private:
  void EncodeBlock(absl::string_view content);
  absl::Status WriteOut(bool must_sync);

  const std::unique_ptr<File> file_;
  uint32_t seed_ = 0;
  raft::SnapshotId id_;
  absl::Status failed_;
  uint64_t block_count_ = 0;
  std::string partial_;  // content that does not fill a block yet
  std::string encoded_;  // to be written at offset_
  uint64_t offset_ = 0;  // all before it is written
  uint64_t unsynced_bytes_ = 0;
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_SNAPSHOT_WRITER_H_
