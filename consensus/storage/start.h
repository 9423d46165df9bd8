// OpenStorage: what a node does first with its data directory: recovers the log, reads every
// snapshot in full, and decides whether they fit together (start_decision.h).
//
//   directory = DataDirectory::Open(...)      // the lock, first
//   opened = OpenStorage(&file_system, {.log = {...}, .snapshot_directory = ...})
//   if (opened->snapshot) load it with SnapshotRead jobs, before anything is applied
//   Raft raft(options, opened->log.log)       // applied_index is the snapshot's
//   WAL thread: opened->log.store             file thread: opened->snapshots
//
// A refusal has changed nothing but what the recovery of the log mends by itself.
//
// Threading: before the other threads begin.
#ifndef LOCKD_CONSENSUS_STORAGE_START_H_
#define LOCKD_CONSENSUS_STORAGE_START_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "consensus/raft/types.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/log_store.h"
#include "consensus/storage/snapshot_store.h"

namespace lockd::storage {

struct StorageOptions {
  // A log based at `log.new_log_base` needs no snapshot: whoever gives it has the state.
  // `log.incarnation_draw` is drawn anew for each start, and numbers the snapshot files, too.
  LogStoreOptions log;
  std::string snapshot_directory;  // DataDirectory::snapshots_path(); made if missing
};

struct OpenedStorage {
  OpenedLog log;
  std::unique_ptr<SnapshotStore> snapshots;
  // Its content is the state at log.log.applied_index. nullopt: the state at the log's beginning.
  std::optional<raft::SnapshotId> snapshot;
  std::vector<raft::SnapshotId> kept;  // all that verify, ascending
  // What an operator may want to read about snapshots (log.notes has the rest).
  std::vector<std::string> notes;
};

// Failures: those of LogStore::Open, and kWrongOwner (11), kUnusable (12), kDamaged (14) for
// snapshots; each with file, offset and what to do.
absl::StatusOr<OpenedStorage> OpenStorage(FileSystem* file_system, const StorageOptions& options);

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_START_H_
