#include "server/restored_log.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "consensus/storage/failure.h"
#include "consensus/storage/snapshot_job.h"
#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"

namespace lockd {
namespace {

using storage::Failure;
using storage::MakeFailure;

absl::Status Run(storage::SnapshotStore& store, const storage::SnapshotJob& job) {
  std::optional<storage::SnapshotJobDone> done;
  while (!done) done = store.RunSlice(job);
  if (done->status.ok()) return absl::OkStatus();
  return MakeFailure(Failure::kWriteFailed, done->status.message());
}

absl::StatusOr<raft::SnapshotId> WriteSnapshot(storage::SnapshotStore& store,
                                               const raft::LogBase& base,
                                               state::LockDatabase& database) {
  constexpr uint64_t kDraft = 1;
  raft::SnapshotId id{.base = base, .bytes = 0, .checksum = 0};
  database.BeginSnapshot();
  for (bool is_last = false; !is_last;) {
    storage::SnapshotWrite write{.id = 1, .draft = kDraft, .base = base, .offset = id.bytes};
    is_last = database.NextSnapshotPiece(storage::kSnapshotWriteBytesMax, &write.bytes);
    id.bytes += write.bytes.size();
    id.checksum = ExtendCrc32c(id.checksum, write.bytes);
    if (write.bytes.empty()) continue;
    if (absl::Status status = Run(store, std::move(write)); !status.ok()) return status;
  }
  absl::Status finished =
      Run(store, storage::SnapshotFinish{.id = 1, .draft = kDraft, .snapshot = id});
  if (!finished.ok()) return finished;
  return id;
}

}  // namespace

absl::StatusOr<raft::SnapshotId> MakeRestoredLog(storage::FileSystem* file_system,
                                                 const storage::StorageOptions& options,
                                                 const raft::LogBase& base,
                                                 state::LockDatabase& database) {
  absl::StatusOr<storage::OpenedStorage> made = storage::OpenStorage(file_system, options);
  if (!made.ok()) return made.status();
  const absl::StatusOr<raft::SnapshotId> written = WriteSnapshot(*made->snapshots, base, database);
  if (!written.ok()) return written.status();
  // A log that is shorter than its snapshot is made to begin after it.
  made = storage::OpenStorage(file_system, options);
  if (!made.ok()) return made.status();
  LOCKD_CHECK(made->snapshot == *written && made->log.log.last_index == base.index,
              "a restored log does not begin after its snapshot");
  return written;
}

}  // namespace lockd
