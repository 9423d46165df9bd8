// ClusterClock: the time that a leader stamps into log entries.
//
// It starts at the time of the last entry in the log when the node is elected, and adds what the
// node's own monotonic clock advances: time without a leader does not count. Less is added when
//   - a turn took longer than turn_advance_ms_max (the process was stopped, the machine suspended);
//   - the oldest uncommitted entry was older than suppress_ms (a stalled disk, no majority):
// what a cluster could not do anything about never expires a crowd. What is held back is counted.
//
// Invariant: between two entries the time grows by no more than the real time between their
// stampings, times the drift of the leader's clock, plus one millisecond of rounding; across
// leaders too, because a new one starts from an entry that was stamped before its election.
//
// Order of use: Start; in each turn first Advance, then stamp entries with Now(), then EndTurn.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_CLUSTER_CLOCK_H_
#define LOCKD_SERVER_NODE_CLUSTER_CLOCK_H_

#include <cstdint>
#include <deque>

#include "consensus/raft/types.h"
#include "protocol/base/time.h"

namespace lockd::node {

class ClusterClock {
 public:
  ClusterClock(int64_t suppress_ms, int64_t turn_advance_ms_max)
      : suppress_ns_(suppress_ms * kNanosPerMilli),
        turn_advance_ns_max_(turn_advance_ms_max * kNanosPerMilli) {}

  // The node was elected; `last_entry` is the time of the last entry in its log.
  void Start(ClusterTime last_entry, LocalTime now);
  void Advance(LocalTime now);
  // The turn leaves the leader's log like this.
  void EndTurn(raft::Index last_index, raft::Index commit_index);

  [[nodiscard]] ClusterTime Now() const { return base_ + elapsed_ns_ / kNanosPerMilli; }
  // The time stands still: the oldest uncommitted entry is too old.
  [[nodiscard]] bool is_suppressed() const;
  [[nodiscard]] int64_t suppressed_ms() const { return suppressed_ns_ / kNanosPerMilli; }

 private:
  // Uncommitted entries up to `last_index` and above the one before are there since `since`.
  struct Uncommitted {
    raft::Index last_index;
    LocalTime since;
  };

  const int64_t suppress_ns_;
  const int64_t turn_advance_ns_max_;
  ClusterTime base_;
  int64_t elapsed_ns_ = 0;  // counted since base_
  LocalTime turn_;          // of the last Advance
  // As of the last EndTurn: an entry that was committed since counts as uncommitted for the whole
  // time in between, which errs on the side of standing still.
  std::deque<Uncommitted> uncommitted_;
  int64_t suppressed_ns_ = 0;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_CLUSTER_CLOCK_H_
