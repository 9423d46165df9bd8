// SnapshotSender: a leader's newest snapshot, to followers whose next entry is no longer in its
// log.
//
//   leader                            follower
//     ├── piece of no bytes ────────────►│    how far are you?
//     │◄─────────── next_offset ─────────┤    nowhere, or where an earlier transfer of this very
//     │                                  │    snapshot broke off
//     ├── piece at next_offset ─────────►│
//     │◄─────────── next_offset ─────────┤    once it is written there
//     :                                  :
//     │◄─────────── installed ───────────┤    once it is in use there: the core goes on with the
//     log
//
// One piece is under way to each follower, all at one pace. An answer that does not come is asked
// for by a piece of no bytes: so a follower that is away costs next to nothing, and what is lost is
// found out from what the follower says. A transfer stays with its snapshot while that is on disk,
// also when newer ones have been taken.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_SNAPSHOT_SENDER_H_
#define LOCKD_SERVER_NODE_SNAPSHOT_SENDER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "consensus/raft/types.h"
#include "consensus/storage/snapshot_job.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "server/node/context.h"
#include "server/node/snapshot_pace.h"

namespace lockd::node {

class SnapshotSender {
 public:
  static constexpr size_t kPieceBytes = storage::kSnapshotReadBytesMax;

  // `context` must outlive this.
  explicit SnapshotSender(NodeContext& context)
      : context_(context), pace_(context.options.snapshot_bytes_per_s) {}

  void OnReply(NodeId from, const raft::SnapshotChunkReply& reply);
  // True: the job was one of these.
  [[nodiscard]] bool OnJobDone(const storage::SnapshotJobDone& done);
  // Whenever something may have changed, at least once a turn: goes on with what is due.
  void OnTime(LocalTime now);
  // A follower needs a snapshot and there is none that would help it.
  [[nodiscard]] bool needs_snapshot() const { return needs_snapshot_; }
  // When OnTime has something to do; kNeverLocal: not before something happens.
  [[nodiscard]] LocalTime NextWakeup() const;

 private:
  // To one follower.
  struct Transfer {
    raft::SnapshotId snapshot;
    bool is_met = false;  // the follower has said how far it is
    uint64_t next_offset = 0;
    uint64_t read = 0;  // the job that reads from there; zero: none
    // An answer is awaited: to a question, to the piece that began at `out`, or the one that it is
    // installed.
    bool is_waiting = false;
    std::optional<uint64_t> out;
    std::optional<LocalTime> ask_at;  // set at the next OnTime
  };

  void FollowTargets();
  [[nodiscard]] bool StaysWithItsSnapshot(const Transfer& transfer) const;
  void GoOn(NodeId to, Transfer& transfer, LocalTime now);
  void Ask(NodeId to, Transfer& transfer);
  [[nodiscard]] int64_t AnswerNs() const;

  NodeContext& context_;
  SnapshotPace pace_;
  std::map<NodeId, Transfer> transfers_;
  bool needs_snapshot_ = false;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_SNAPSHOT_SENDER_H_
