// The leader's data and handlers: replicates the log, decides what is committed, confirms reads.
//
// Appends are made when outputs are taken, not when a proposal comes: all that was proposed in one
// turn leaves in one message per follower, while the same entries go to the own disk. The leader's
// own copy counts for the commit only once durable.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_LEADER_H_
#define LOCKD_CONSENSUS_RAFT_LEADER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "consensus/raft/core.h"
#include "consensus/raft/membership.h"
#include "consensus/raft/progress.h"
#include "consensus/raft/read_index.h"
#include "consensus/raft/transfer.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"

namespace lockd::raft {

class Leader {
 public:
  // Appends the no-op of the term (thesis 6.4), which carries the time of the entry before it.
  explicit Leader(Core& core);

  [[nodiscard]] const std::vector<Progress>& followers() const { return followers_; }
  // First entry of this leader's term.
  [[nodiscard]] Index noop_index() const { return noop_index_; }
  [[nodiscard]] bool HasCommittedInTerm(const Core& core) const {
    return core.log().commit_index() >= noop_index_;
  }
  // Sum of size_bytes of the entries above the commit index, exactly.
  [[nodiscard]] size_t uncommitted_bytes() const { return uncommitted_bytes_; }
  [[nodiscard]] uint64_t round() const { return round_; }
  [[nodiscard]] Tick heartbeat_at() const { return heartbeat_at_; }

  // False: over uncommitted_bytes_max. One entry is always taken when nothing is uncommitted.
  [[nodiscard]] bool Propose(Core& core, ClusterTime time, std::string payload);
  // Appends a configuration, which is one step from the newest, and tracks its members from now on.
  // False as above.
  [[nodiscard]] bool ProposeConfiguration(Core& core, const ConfigurationChange& change);
  void RequestRead(uint64_t context) { reads_.Add(context); }

  // Hands over to this member; zero: to the voter that is best prepared.
  [[nodiscard]] TransferOutcome TransferLeadership(const Core& core, NodeId to);
  // While one is under way nothing may be proposed.
  [[nodiscard]] const std::optional<Transfer>& transfer() const { return transfer_; }
  // When a heartbeat or the end of a hand-over is due.
  [[nodiscard]] Tick due_at() const;

  [[nodiscard]] Transition OnTick(Core& core);
  void OnAppendReply(Core& core, NodeId from, const AppendReply& reply);
  void OnHeartbeatReply(Core& core, NodeId from, const HeartbeatReply& reply);
  void OnSnapshotChunkReply(Core& core, NodeId from, const SnapshotChunkReply& reply);
  // A write is durable: own entries may count now.
  void OnDurable(Core& core) { MaybeCommit(core); }
  // True when the read was for one of the followers.
  bool OnReadCompleted(Core& core, uint64_t id, std::vector<Entry>& entries);

  // -- snapshots --
  // Followers that need one, ascending.
  [[nodiscard]] std::vector<NodeId> SnapshotTargets() const;
  // To a follower that needs one; nothing is sent to others.
  void SendSnapshotChunk(Core& core, NodeId to, SnapshotChunk chunk);
  // The log begins later than before.
  void OnCompacted(const Core& core);

  // -- members --
  // nullptr: not tracked, as itself or a stranger.
  [[nodiscard]] const Progress* Find(NodeId id) const;
  // The configuration that removes this member is committed, and this is the last that the others
  // hear of it: the commit index, so that they need not wait for the next leader to learn of it.
  void AnnounceCommit(Core& core) { BroadcastHeartbeat(core, /*of_timer=*/false); }

  // Messages that are due: read rounds and appends.
  [[nodiscard]] bool HasOutput(const Core& core) const;
  void MakeOutput(Core& core);
  // This member leads no more: waiting reads are answered.
  void End(Core& core) { reads_.FailAll(core.released_reads()); }

 private:
  friend struct RaftCorruptor;

  [[nodiscard]] Progress* Find(NodeId id);
  [[nodiscard]] bool Append(Core& core, EntryKind kind, ClusterTime time, std::string payload);
  // In step with the configuration in force. Who stays keeps what is known of it.
  void TrackMembers(const Core& core);
  // False: nothing was sent, the entries must come from disk first.
  bool SendAppend(Core& core, Progress& progress);
  void SendEmptyAppend(Core& core, const Progress& progress);
  void SendEntries(Core& core, Progress& progress, Term prev_term, std::vector<Entry> entries);
  void BroadcastHeartbeat(Core& core, bool of_timer);
  [[nodiscard]] bool IsTimeoutNowDue(const Core& core) const {
    return transfer_.has_value() && transfer_->IsDue(followers_, core.log().last_index());
  }
  void MaybeCommit(Core& core);
  void ConfirmReads(Core& core);
  [[nodiscard]] bool IsOutOfTouch(const Core& core) const;
  [[nodiscard]] bool IsDiskStalled(const Core& core) const;

  std::vector<Progress> followers_;  // all other members, ascending by id
  Index noop_index_;
  size_t uncommitted_bytes_ = 0;
  ReadIndex reads_;
  std::optional<Transfer> transfer_;
  // Number of the newest round; fresh ones for every broadcast of heartbeats. Echoed within the
  // term only, so it may start anew with each leader.
  uint64_t round_ = 0;
  Tick heartbeat_at_;
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_LEADER_H_
