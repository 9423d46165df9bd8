// The follower's data and handlers: takes entries from the leader, and campaigns when it hears
// none.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_FOLLOWER_H_
#define LOCKD_CONSENSUS_RAFT_FOLLOWER_H_

#include "consensus/raft/core.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::raft {

class Follower {
 public:
  // `leader` zero: not known yet.
  Follower(Core& core, NodeId leader);

  [[nodiscard]] NodeId leader_id() const { return leader_id_; }
  [[nodiscard]] Tick election_at() const { return election_at_; }

  [[nodiscard]] Transition OnTick(const Core& core) const;
  void OnAppendRequest(Core& core, NodeId from, AppendRequest request);
  void OnHeartbeat(Core& core, NodeId from, const Heartbeat& heartbeat);
  void OnSnapshotChunk(Core& core, NodeId from, SnapshotChunk chunk);
  // To the leader that this member follows; to anybody else nothing is sent.
  void ReplySnapshotChunk(Core& core, NodeId to, SnapshotChunkReply reply) const;

  // A leader was heard within election_ticks_min: votes for others are not given (leader
  // stickiness, thesis 4.2.3). For liveness only.
  [[nodiscard]] bool HasLiveLeader(const Core& core) const;
  // The leader is thought to be dead: its lease ends, and this member campaigns soon.
  void SuspectLeader(Core& core);
  // A vote was given: the candidate gets the time to win.
  void PutOffElection(Core& core) { election_at_ = core.DrawElectionTick(); }

 private:
  friend struct RaftCorruptor;

  void HeardLeader(Core& core, NodeId leader);

  NodeId leader_id_;
  Tick heard_at_;     // when leader_id_ was last heard; meaningful only with a leader
  Tick election_at_;  // campaigns then
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_FOLLOWER_H_
