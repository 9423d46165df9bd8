// SnapshotReceiver: a follower's side of a snapshot that its leader sends.
//
//           first piece         all pieces         finished             loaded
//   idle ──────────────► writing ────────► finishing ────────► loading ────────► loaded
//    ▲                     │ another          │                   │                 │ TakeLoaded
//    │                     ▼ snapshot         │                   │                 ▼
//    └─ given up: cannot be written, damaged; or the log has got all that is in it ─┘
//
// Pieces are written in order, one at a time, and each is answered with where the next one begins:
// once it is written, or at once when it is another one than the next. So whoever leads may go on
// where a transfer of the same snapshot broke off. The snapshot is used only from its file, once
// that is durable and has been read back; the state in use stays until the new one is whole.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_SNAPSHOT_RECEIVER_H_
#define LOCKD_SERVER_NODE_SNAPSHOT_RECEIVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "consensus/raft/types.h"
#include "consensus/storage/snapshot_job.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "server/node/context.h"
#include "server/node/snapshot_load.h"
#include "server/state/lock_database.h"

namespace lockd::node {

class SnapshotReceiver {
 public:
  // After one could not be received: a full disk is not emptied by trying.
  static constexpr int64_t kRestMs = 10'000;

  // `context` must outlive this.
  explicit SnapshotReceiver(NodeContext& context) : context_(context) {}

  void OnChunk(NodeId from, raft::SnapshotChunk chunk);
  // True: the job was one of these.
  [[nodiscard]] bool OnJobDone(const storage::SnapshotJobDone& done);
  // Once a turn, before the core is asked for what it has: gives up what the log has overtaken.
  void OnTime(LocalTime now);

  // Something of a snapshot is here or on its way.
  [[nodiscard]] bool is_busy() const { return stage_ != Stage::kIdle; }
  // An entry that is committed, whether this node has got it or not; zero: none is known.
  [[nodiscard]] raft::Index known_committed() const {
    return is_busy() ? snapshot_.base.index : raft::Index{0};
  }
  // Durable, loaded, and ahead of what is committed here. Stays so until it is taken, or overtaken.
  [[nodiscard]] bool has_loaded() const { return stage_ == Stage::kLoaded; }
  [[nodiscard]] const raft::SnapshotId& snapshot() const { return snapshot_; }
  // The state of it.
  [[nodiscard]] const state::LockDatabase& loaded() const { return load_->database(); }
  // The core has taken over its base: the state, to be used from now on; the leader is told.
  [[nodiscard]] std::unique_ptr<state::LockDatabase> TakeLoaded();

 private:
  enum class Stage : uint8_t { kIdle, kWriting, kFinishing, kLoading, kLoaded };

  void Write(raft::SnapshotChunk chunk);
  void OnWritten(const absl::Status& status);
  void OnFinished(const storage::SnapshotJobDone& done);
  void OnRead(const storage::SnapshotJobDone& done);
  // Gives up, and says why.
  void Fail(const absl::Status& status);
  void GiveUp();
  void Reply(NodeId to);
  void ReplyInstalled(NodeId to, const raft::SnapshotId& snapshot);
  [[nodiscard]] bool IsOvertaken(const raft::SnapshotId& snapshot) const;

  NodeContext& context_;
  Stage stage_ = Stage::kIdle;
  // From kWriting on.
  raft::SnapshotId snapshot_;
  NodeId from_;                       // whose piece came last
  std::optional<uint64_t> draft_;     // from the first piece on, until it has its name
  uint64_t next_offset_ = 0;          // written up to here
  uint64_t job_ = 0;                  // a write or the finish under way; zero: none
  size_t job_bytes_ = 0;              // of that write
  std::optional<SnapshotLoad> load_;  // from kLoading on

  bool has_failed_ = false;               // since OnTime
  std::optional<LocalTime> rests_until_;  // after a failure
  bool is_resting_ = false;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_SNAPSHOT_RECEIVER_H_
