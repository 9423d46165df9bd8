// MakeRestoredLog: a state that does not come out of the log becomes the beginning of one.
//
// Threading: the caller's thread does it all, before any other works on the directory.
#ifndef LOCKD_SERVER_RESTORED_LOG_H_
#define LOCKD_SERVER_RESTORED_LOG_H_

#include "absl/status/statusor.h"
#include "consensus/raft/types.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/start.h"
#include "server/state/lock_database.h"

namespace lockd {

// In empty directories: a log without entries that begins after `base`, and the snapshot of
// `database` at `base` that it needs. Durable, and opened as a start will do it, when OK. No
// snapshot of `database` is under way. The snapshot's content, hence its id, is the same wherever
// the same backup was loaded.
[[nodiscard]] absl::StatusOr<raft::SnapshotId> MakeRestoredLog(
    storage::FileSystem* file_system, const storage::StorageOptions& options,
    const raft::LogBase& base, state::LockDatabase& database);

}  // namespace lockd

#endif  // LOCKD_SERVER_RESTORED_LOG_H_
