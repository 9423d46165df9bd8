// LoadSnapshotFile: a snapshot as one file of any name (a backup), read, verified and loaded.
//
// Threading: any; the caller's thread reads the file and builds the state, which takes as long as
// both are large.
#ifndef LOCKD_SERVER_SNAPSHOT_FILE_H_
#define LOCKD_SERVER_SNAPSHOT_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "consensus/raft/types.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/snapshot_format.h"
#include "server/state/lock_database.h"

namespace lockd {

struct LoadedSnapshot {
  storage::SnapshotHead head;
  raft::SnapshotId id;
  std::unique_ptr<state::LockDatabase> database;  // never null; its digest is the one in the file
};

// Everything is checked: the head, each block, the footer, the file's length, each record, and the
// digest of the state that they make. Whose snapshot it is, is not: any node's of any cluster will
// do. `hash_key` is the database's.
//
// Errors name the path, and the offset where there is one. Damage is DataLoss
// (storage::Failure::kDamaged); what cannot be opened, or was written by a newer version, is
// FailedPrecondition (kUnusable); NotFound: there is no such file.
[[nodiscard]] absl::StatusOr<LoadedSnapshot> LoadSnapshotFile(storage::FileSystem* file_system,
                                                              const std::string& path,
                                                              const state::HashKey& hash_key = {});

}  // namespace lockd

#endif  // LOCKD_SERVER_SNAPSHOT_FILE_H_
