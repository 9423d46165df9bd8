// SnapshotFiles: what the parts of a node that deal with snapshots share: which ones are kept on
// disk, the numbers of jobs and drafts, and what status shows.
//
// Two that verified are kept, and the log begins after the older one's base: so a damaged newest
// snapshot costs nothing, and a follower that is a little behind finds its entries in the log.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_SNAPSHOT_FILES_H_
#define LOCKD_SERVER_NODE_SNAPSHOT_FILES_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"
#include "consensus/storage/snapshot_job.h"
#include "server/node/outbox.h"

namespace lockd::node {

class SnapshotFiles {
 public:
  // `outbox` must outlive this.
  SnapshotFiles(Outbox& outbox, std::vector<raft::SnapshotId> kept)
      : outbox_(outbox), kept_(std::move(kept)) {}

  // Gives the job its number and starts it. Jobs are carried out and answered in this order.
  uint64_t Start(storage::SnapshotJob job);
  // A number that no other draft of this process has.
  [[nodiscard]] uint64_t NewDraft() { return ++last_draft_; }

  // Those that verified when they were last looked at, ascending.
  [[nodiscard]] const std::vector<raft::SnapshotId>& kept() const { return kept_; }
  [[nodiscard]] bool IsKept(const raft::SnapshotId& snapshot) const;
  [[nodiscard]] raft::Index newest_index() const {
    return kept_.empty() ? raft::Index{0} : kept_.back().base.index;
  }
  // The newest one from which a follower can go on with this log.
  [[nodiscard]] std::optional<raft::SnapshotId> Newest(raft::Index first_index) const;

  // A snapshot was finished: these are kept now. The log forgets what it need not hold any more.
  void OnFinished(std::vector<raft::SnapshotId> kept, raft::Raft& raft);
  // It is not used again.
  void Forget(const raft::SnapshotId& snapshot);
  // It could not be read, which is a warning unless newer ones have taken its place. It is not used
  // again.
  void OnUnreadable(const raft::SnapshotId& snapshot, const absl::Status& status);

  // -- for status --
  uint64_t taken = 0;
  uint64_t received = 0;  // and installed

 private:
  Outbox& outbox_;
  std::vector<raft::SnapshotId> kept_;
  uint64_t last_job_ = 0;
  uint64_t last_draft_ = 0;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_SNAPSHOT_FILES_H_
