#include "server/node/snapshot_files.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::node {

uint64_t SnapshotFiles::Start(storage::SnapshotJob job) {
  const uint64_t id = ++last_job_;
  std::visit([id](auto& kind) { kind.id = id; }, job);
  outbox_.StartSnapshotJob(std::move(job));
  return id;
}

std::optional<raft::SnapshotId> SnapshotFiles::Newest(raft::Index first_index) const {
  if (kept_.empty() || kept_.back().base.index + 1 < first_index) return std::nullopt;
  return kept_.back();
}

bool SnapshotFiles::IsKept(const raft::SnapshotId& snapshot) const {
  return std::find(kept_.begin(), kept_.end(), snapshot) != kept_.end();
}

void SnapshotFiles::OnFinished(std::vector<raft::SnapshotId> kept, raft::Raft& raft) {
  kept_ = std::move(kept);
  if (kept_.size() < 2) return;
  const raft::LogBase& older = kept_[kept_.size() - 2].base;
  // One that was received may be ahead of what is applied here.
  if (older.index <= raft.applied_index()) raft.Compact(older);
}

void SnapshotFiles::Forget(const raft::SnapshotId& snapshot) {
  std::erase(kept_, snapshot);
}

void SnapshotFiles::OnUnreadable(const raft::SnapshotId& snapshot, const absl::Status& status) {
  Forget(snapshot);
  if (absl::IsNotFound(status)) return;
  outbox_.Warn(absl::StrCat("the snapshot of entry ", snapshot.base.index,
                            " cannot be read to send it: ", std::string(status.message())));
}

}  // namespace lockd::node
