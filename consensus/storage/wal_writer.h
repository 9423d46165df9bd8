// WalWriter: builds batches of log records and writes each with one call.
//
//   writer.Clear();
//   writer.AddHardState(...); writer.AddEntry(...); ...
//   if (position.offset + writer.bytes_on_disk() fits) writer.Append(file, &position);
//
// The buffer is kept from batch to batch, so that the steady state allocates nothing.
//
// Threading: pure value (the File is the caller's).
#ifndef LOCKD_CONSENSUS_STORAGE_WAL_WRITER_H_
#define LOCKD_CONSENSUS_STORAGE_WAL_WRITER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "consensus/raft/types.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/log_job.h"
#include "consensus/storage/wal_format.h"
#include "protocol/base/ids.h"

namespace lockd::storage {

// The 512 bytes of a segment's head.
[[nodiscard]] std::string EncodeHead(const SegmentHead& head);
// The position of the first batch after such a head.
[[nodiscard]] WalPosition FirstPosition(const SegmentHead& head, absl::string_view encoded_head);

class WalWriter {
 public:
  explicit WalWriter(Incarnation incarnation);

  void Clear();
  void AddEntry(const raft::Entry& entry);
  void AddHardState(const raft::HardState& state);
  void AddBase(const LogBase& base, bool forgets_all);
  void AddCluster(ClusterId cluster_id);
  void AddSeal(uint64_t next_life);

  [[nodiscard]] bool empty() const { return record_count_ == 0; }
  // Of the batch and its copy, padded.
  [[nodiscard]] uint64_t bytes_on_disk() const { return 2 * PadToSector(buffer_.size()); }

  // Completes the batch for this position and writes it and its copy with one call; no sync.
  // Advances the position. The batch may be appended again elsewhere until Clear.
  absl::Status Append(File* file, WalPosition* position);

 private:
  void AddRecord(RecordKind kind, uint8_t detail, uint64_t index, uint64_t term, uint64_t value,
                 absl::string_view payload);

  const Incarnation incarnation_;
  std::string buffer_;
  uint32_t record_count_ = 0;
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_WAL_WRITER_H_
