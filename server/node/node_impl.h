// Node::Impl: what node.h promises, made of the parts beside it.
//
// node_impl.cc has the start, the inputs and the turn; node_leader.cc what only a leader does;
// node_members.cc how state, log and links come to have the same members; node_snapshots.cc how a
// snapshot becomes the state, and who works on them when; node_digests.cc what it does when
// replicas differ.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_NODE_IMPL_H_
#define LOCKD_SERVER_NODE_NODE_IMPL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"
#include "consensus/storage/log_job.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "protocol/frame.h"
#include "server/node/client_connections.h"
#include "server/node/cluster_clock.h"
#include "server/node/context.h"
#include "server/node/digest_watch.h"
#include "server/node/digest_wire.h"
#include "server/node/freshness.h"
#include "server/node/group_commit.h"
#include "server/node/hand_over.h"
#include "server/node/keep_alive_collector.h"
#include "server/node/lock_manager.h"
#include "server/node/log_membership.h"
#include "server/node/member_changes.h"
#include "server/node/node.h"
#include "server/node/peer_links.h"
#include "server/node/pending_requests.h"
#include "server/node/reads.h"
#include "server/node/snapshot_backup.h"
#include "server/node/snapshot_load.h"
#include "server/node/snapshot_receiver.h"
#include "server/node/snapshot_sender.h"
#include "server/node/snapshot_taker.h"
#include "server/node/timing.h"
#include "server/node/types.h"
#include "server/state/types.h"

namespace lockd::node {

class Node::Impl {
 public:
  Impl(NodeOptions options, raft::RecoveredLog recovered, LocalTime now,
       RecoveredSnapshots snapshots);

  void OnClientFrame(ConnectionId connection, const FrameView& frame);
  void OnPeerFrame(PeerLinkId link, const FrameView& frame);
  void OnPeerClosed(PeerLinkId link);
  void OnPeerRefused(NodeId peer);
  void OnWriteDone(const storage::LogWriteDone& done);
  void OnReadDone(storage::LogReadDone done);
  void OnSnapshotJobDone(const storage::SnapshotJobDone& done);
  void TakeSnapshot() { taker_.Ask(); }
  void OnTime(LocalTime now, WallTime wall_now);
  void OnStop();
  [[nodiscard]] NodeActions TakeActions();

  NodeContext context;
  ClientConnections connections{context};
  PeerLinks peer_links{context.options, context.formation, context.outbox};
  [[nodiscard]] int64_t suppressed_ms() const { return clock_.suppressed_ms(); }

 private:
  struct Write {
    uint64_t id = 0;
    std::vector<raft::Message> messages_once_durable;
  };

  [[nodiscard]] raft::Raft& raft() { return *context.raft; }
  [[nodiscard]] const raft::Raft& raft() const { return *context.raft; }
  [[nodiscard]] bool leads() const { return !led_term_.is_zero(); }

  // -- start --
  // The state, then the membership: until both are known, the node takes part in nothing.
  [[nodiscard]] bool is_recovered() const { return !recovered_.has_value(); }
  void MakeRaft(raft::RecoveredLog recovered);
  void MakeIdleRaft();
  void SearchMembership();
  void FinishRecovery();
  void Participate();

  // -- snapshots --
  void OnLoadJobDone(const storage::SnapshotJobDone& done);
  void CarryOutSnapshots(raft::Ready& ready);
  void InstallReceived();
  void RunSnapshots();

  // -- the digest watch --
  void OnDigestMessage(const DigestMessage& message);
  void WatchDigests();
  void StopForDigest(const DigestPoint& majority, const state::Digest& own);

  // -- a turn --
  void Pump();
  void CheckStillLeads();
  void CheckLeadership();
  void BeginLeading();
  void StopLeading();
  void TellClients();
  void FinishStop();
  void CheckLeaderIsThere();
  void CarryOut(raft::Ready ready);
  void StartWrite(raft::WriteRequest write);
  void SaveClusterId();
  void ApplyCommitted();
  [[nodiscard]] bool HasTimeToApply(const raft::Entry& next) const;
  void Apply(const raft::Entry& entry);
  void Propose();
  void ProposeBootstrap();
  void ProposeRefound(state::Bootstrap founding);
  [[nodiscard]] bool IsTimeEntryDue() const;
  [[nodiscard]] LocalTime NextTimeEntry() const;
  void ProposeEntry(GroupCommit::Draft draft);
  [[nodiscard]] LocalTime NextWakeup() const;
  [[nodiscard]] LocalTime NextLeaderWakeup() const;
  void NoteWaiting();
  void SayProgress();

  // -- members --
  void AdoptMembership();
  // False: this node is none of the members, and ends.
  [[nodiscard]] bool TakeOverMembers();
  void LeaveIfRemoved();
  void FollowConfigurations();
  // True: an entry was proposed.
  [[nodiscard]] bool ProposeMembers();

  const Timing timing_{context.options};
  ClusterClock clock_{context.options.suppress_ms, context.options.turn_advance_ms_max};
  KeepAliveCollector keep_alives_{context.options.keep_alive_window_ms};
  GroupCommit group_commit_{context.options};
  PendingRequests pending_;
  Freshness freshness_;
  Reads reads_{context, connections};
  HandOver hand_over_{context, connections};
  MemberChanges member_changes_{context, connections, hand_over_};
  SnapshotTaker taker_{context};
  SnapshotBackup backup_{context, connections, taker_};
  LockManager lock_manager_{context, connections, group_commit_,   keep_alives_,
                            reads_,  hand_over_,  member_changes_, backup_};

  // The state is loaded from its snapshot, if there is one, and has the membership; else that is
  // looked for in the log.
  std::optional<SnapshotLoad> load_;
  LogMembership log_membership_;
  std::optional<raft::RecoveredLog> recovered_;  // until then

  SnapshotSender sender_{context};
  SnapshotReceiver receiver_{context};
  DigestWatch digest_watch_{context.options.node_id};

  LocalTime now_;
  WallTime wall_now_;
  LocalTime ticked_;  // up to here, time has been given to the core

  raft::Term led_term_;                    // the term in which this node leads; zero: none
  std::optional<raft::Index> serve_from_;  // serves once this is applied
  bool owes_clients_ = false;              // leads no more, and clients have not been told yet
  bool stop_is_asked_ = false;
  LocalTime proposed_at_;  // when an entry was last proposed

  std::deque<Write> writes_;  // under way, in order
  uint64_t own_jobs_ = 0;
  ClusterId saved_cluster_id_;  // in the directory, or on its way there
  std::deque<raft::Entry> to_apply_;
  size_t applied_bytes_ = 0;   // in this turn, and what counts as such
  bool is_cut_short_ = false;  // the core has, or may have, more than this turn was to do
  std::vector<state::Member> adopted_members_;
  // Why this node leaves in the next turn: what it still has to say goes out in this one.
  std::optional<std::string> leaving_;
  std::string noted_;
  std::string founding_waits_for_;  // empty: for nothing
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_NODE_IMPL_H_
