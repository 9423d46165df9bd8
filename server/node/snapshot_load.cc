#include "server/node/snapshot_load.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace lockd::node {

SnapshotLoad::SnapshotLoad(SnapshotFiles& files, const raft::SnapshotId& snapshot,
                           const state::HashKey& hash_key, bool is_backup)
    : files_(files),
      snapshot_(snapshot),
      is_backup_(is_backup),
      loader_(std::make_unique<state::SnapshotLoader>(hash_key)) {
  StartRead();
}

void SnapshotLoad::StartRead() {
  job_ = files_.Start(storage::SnapshotRead{
      .id = 0, .snapshot = snapshot_, .offset = offset_, .bytes_max = kPieceBytes});
}

absl::Status SnapshotLoad::OnJobDone(const storage::SnapshotJobDone& done) {
  if (!done.status.ok()) return done.status;
  if (done.bytes.empty()) {
    return absl::DataLossError(absl::StrCat("ends after ", offset_, " bytes"));
  }
  if (absl::Status status = loader_->Add(done.bytes); !status.ok()) return status;
  offset_ += done.bytes.size();
  if (offset_ >= snapshot_.bytes) return Finish();
  StartRead();
  return absl::OkStatus();
}

absl::Status SnapshotLoad::Finish() {
  absl::StatusOr<std::unique_ptr<state::LockDatabase>> database = loader_->Finish();
  if (!database.ok()) return database.status();
  if ((*database)->time() != snapshot_.base.time) {
    return absl::DataLossError(absl::StrCat("holds the state at time ", (*database)->time(),
                                            ", not at ", snapshot_.base.time));
  }
  // Nobody takes one before the cluster is founded.
  if ((*database)->cluster_id().is_zero() && !is_backup_) {
    return absl::DataLossError("holds the state of no cluster");
  }
  database_ = *std::move(database);
  return absl::OkStatus();
}

Discard SnapshotLoad::TakeUnfinished() {
  if (is_done()) return Discard(std::move(database_));
  return Discard(std::move(loader_));
}

}  // namespace lockd::node
