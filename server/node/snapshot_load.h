// SnapshotLoad: a snapshot file becomes a state, piece by piece, beside the state that is in use.
//
//   SnapshotLoad load(files, snapshot, hash_key);     // starts the first read
//   for each answer:  load.OnJobDone(done)            // starts the next one, or is done
//   if (load.is_done()) state = load.Take()
//
// The file's checksums were compared when it was finished or opened, and are again at each read;
// the state's own digest is compared at the end. What does not agree is damage or a bug, and is
// never used.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_SNAPSHOT_LOAD_H_
#define LOCKD_SERVER_NODE_SNAPSHOT_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "consensus/raft/types.h"
#include "consensus/storage/snapshot_job.h"
#include "server/node/snapshot_files.h"
#include "server/state/lock_database.h"
#include "server/state/snapshot_loader.h"

namespace lockd::node {

class SnapshotLoad {
 public:
  // What one turn loads.
  static constexpr size_t kPieceBytes = 128 * 1024;

  // `files` must outlive this. Only a backup may hold the state of a cluster that is not founded
  // yet.
  SnapshotLoad(SnapshotFiles& files, const raft::SnapshotId& snapshot,
               const state::HashKey& hash_key, bool is_backup = false);

  [[nodiscard]] const raft::SnapshotId& snapshot() const { return snapshot_; }
  // The number of the read under way.
  [[nodiscard]] uint64_t job() const { return job_; }
  // The answer to it. Not OK: the snapshot cannot be loaded, and this is of no more use.
  [[nodiscard]] absl::Status OnJobDone(const storage::SnapshotJobDone& done);
  [[nodiscard]] bool is_done() const { return database_ != nullptr; }
  // When it is done.
  [[nodiscard]] const state::LockDatabase& database() const { return *database_; }
  // The state, which is that after the snapshot's base.
  [[nodiscard]] std::unique_ptr<state::LockDatabase> Take() { return std::move(database_); }
  // Gives up what is there so far, for the rim to destroy.
  [[nodiscard]] Discard TakeUnfinished();

 private:
  void StartRead();
  [[nodiscard]] absl::Status Finish();

  SnapshotFiles& files_;
  const raft::SnapshotId snapshot_;
  const bool is_backup_;
  uint64_t offset_ = 0;
  uint64_t job_ = 0;
  std::unique_ptr<state::SnapshotLoader> loader_;
  std::unique_ptr<state::LockDatabase> database_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_SNAPSHOT_LOAD_H_
