// SnapshotTaker: snapshots of this node's own state.
//
//   applied bytes since the last one >= snapshot_log_bytes, or somebody asks
//     ─► Begin on the database: the state at this very entry
//     ─► a piece each turn ─► SnapshotWrite, at the pace of snapshot_bytes_per_s
//     ─► SnapshotFinish ─► the log forgets what two snapshots cover
//
// The state goes on changing meanwhile. At most one piece is made in a turn and a few writes are
// under way. One that fails is given up with a warning; the next one is tried when as much log as
// usual has come together again, since a full disk is not emptied by trying.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_SNAPSHOT_TAKER_H_
#define LOCKD_SERVER_NODE_SNAPSHOT_TAKER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>

#include "absl/status/status.h"
#include "consensus/raft/types.h"
#include "consensus/storage/snapshot_job.h"
#include "protocol/base/time.h"
#include "server/node/context.h"
#include "server/node/snapshot_pace.h"
#include "server/state/lock_database.h"
#include "server/state/types.h"

namespace lockd::node {

// A snapshot, and what is in it.
struct TakenSnapshot {
  raft::SnapshotId id;
  uint64_t locks = 0;
  uint64_t sessions = 0;
  state::Digest digest = {};
};
// The state as it is now, which `id` is a snapshot of.
[[nodiscard]] TakenSnapshot Describe(const raft::SnapshotId& id,
                                     const state::LockDatabase& database);

class SnapshotTaker {
 public:
  static constexpr size_t kPieceBytes = 64 * 1024;
  static constexpr size_t kJobsMax = 4;
  // Nobody's asking makes it try again sooner than this after a failure.
  static constexpr int64_t kRestMs = 10'000;

  // `context` must outlive this.
  explicit SnapshotTaker(NodeContext& context)
      : context_(context), pace_(context.options.snapshot_bytes_per_s) {}

  // An entry of this size was applied.
  void OnApplied(size_t bytes) { log_bytes_ += bytes; }
  // One is wanted of the state as it is now, or later.
  void Ask() { is_asked_ = true; }
  [[nodiscard]] bool is_taking() const { return draft_.has_value(); }
  // The one under way is the state after this entry; zero: none is.
  [[nodiscard]] raft::Index taking_index() const {
    return draft_ ? draft_->taken.id.base.index : raft::Index{0};
  }
  // The last one that was finished here; it need not be kept any more.
  [[nodiscard]] const std::optional<TakenSnapshot>& last_taken() const { return last_taken_; }
  // For so long Ask is of no use, because of the last failure; 0: it is.
  [[nodiscard]] int64_t RestMs(LocalTime now) const;
  [[nodiscard]] const absl::Status& last_failure() const { return last_failure_; }

  // Once a turn, when all is applied that will be: begins if it is time and `may_begin`, or goes on
  // by one piece.
  void OnTime(LocalTime now, bool may_begin);
  // True: the job was one of these.
  [[nodiscard]] bool OnJobDone(const storage::SnapshotJobDone& done);
  // Gives up what is under way.
  void Cancel();
  // The database is about to be replaced by that of a snapshot.
  void OnStateReplaced();
  // When OnTime has something to do; kNeverLocal: not before something happens.
  [[nodiscard]] LocalTime NextWakeup() const;

 private:
  struct Draft {
    uint64_t number = 0;
    TakenSnapshot taken;      // its id: of what has been written so far
    std::set<uint64_t> jobs;  // under way
    bool is_whole = false;    // the last one finishes it
  };

  [[nodiscard]] bool IsDue(LocalTime now);
  void Begin();
  void MakePiece(LocalTime now);
  void OnFinished(const storage::SnapshotJobDone& done);
  void Fail(const absl::Status& status);
  [[nodiscard]] bool HasRoom() const { return !draft_->is_whole && draft_->jobs.size() < kJobsMax; }

  NodeContext& context_;
  SnapshotPace pace_;
  size_t log_bytes_ = 0;  // applied since the last one began
  bool is_asked_ = false;
  absl::Status last_failure_;
  bool has_failed_ = false;               // since OnTime
  std::optional<LocalTime> rests_until_;  // after a failure
  std::optional<Draft> draft_;
  std::optional<TakenSnapshot> last_taken_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_SNAPSHOT_TAKER_H_
