// Node: the whole lockd node but its rim. Events in, actions out.
//
// The rim (server/net over Asio, or the simulator) owns sockets, threads, clocks and files; it
// feeds the node and carries out what comes back. A turn:
//
//   for each thing that happened:  node.On...(...)
//   node.OnTime(monotonic now, wall now)
//   NodeActions actions = node.TakeActions()
//
// Frames are already split by FrameDecoder and checked for length and checksum. OnTime comes last,
// with clocks read after the last receive of the turn: whatever the turn proposes is stamped with
// a time that is not before its arrival. All actions are carried out, those of one kind in their
// order; the next turn is at actions.next_wakeup at the latest. Clocks may stand still between
// turns but never go back.
//
// Peer links: every node dials every other one and sends its own messages on the link that it
// dialled; on a link that it accepted it only receives (and answers the hello). A link exists for
// the node from OnPeerDialed / OnPeerAccepted until OnPeerClosed or until the node closes it; the
// same holds for client connections. What arrives on one that does not exist is ignored.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_NODE_H_
#define LOCKD_SERVER_NODE_NODE_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "consensus/raft/raft.h"
#include "consensus/storage/log_job.h"
#include "consensus/storage/snapshot_job.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "protocol/frame.h"
#include "server/node/types.h"
#include "server/state/lock_database.h"
#include "server/state/types.h"

namespace lockd::node {

class Node {
 public:
  Node(NodeOptions options, raft::RecoveredLog recovered, LocalTime now,
       RecoveredSnapshots snapshots = {});
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // -- client port --
  void OnClientConnected(ConnectionId connection);
  void OnClientFrame(ConnectionId connection, const FrameView& frame);
  // The byte stream was not frames (FrameDecoder's error): answered with a reason frame and close.
  void OnClientGarbage(ConnectionId connection, const absl::Status& error);
  // All whole frames of what arrived are delivered, and a piece of one is left: the rest must come
  // in time.
  void OnClientPartial(ConnectionId connection);
  // Closed by the other side, broken, or dropped by the rim. Not called for connections that the
  // node itself closed.
  void OnClientClosed(ConnectionId connection);
  // Largest frame that the decoder of this connection may accept now (hello first).
  [[nodiscard]] size_t ClientFrameBytesMax(ConnectionId connection) const;

  // -- peer port --
  // Other members to keep a link to, ascending; changes only inside other calls.
  [[nodiscard]] const std::vector<state::Member>& peers() const;
  void OnPeerDialed(NodeId peer, PeerLinkId link);
  void OnPeerAccepted(PeerLinkId link);
  void OnPeerFrame(PeerLinkId link, const FrameView& frame);
  // The byte stream was not frames: the link is closed with a reason.
  void OnPeerGarbage(PeerLinkId link, const absl::Status& error);
  // As OnClientPartial.
  void OnPeerPartial(PeerLinkId link);
  void OnPeerClosed(PeerLinkId link);
  // Dialling this member was refused: nobody listens there. Where links to it existed and have all
  // broken, its process is gone, which is a hint that a leader died, for speed only. Never call it
  // for a mere time-out.
  void OnPeerRefused(NodeId peer);
  // Who is at the other end; zero where that is not known.
  [[nodiscard]] NodeId PeerOf(PeerLinkId link) const;
  [[nodiscard]] size_t PeerFrameBytesMax(PeerLinkId link) const;
  // Whether the link's other side has said a hello that was accepted.
  [[nodiscard]] bool PeerIsGreeted(PeerLinkId link) const;

  // -- disk --
  void OnWriteDone(storage::LogWriteDone done);
  void OnReadDone(storage::LogReadDone done);
  void OnSnapshotJobDone(const storage::SnapshotJobDone& done);
  // What the disk has left, as measured now and then.
  void OnFreeBytes(uint64_t free_bytes);

  // -- time, last in each turn --
  void OnTime(LocalTime now, WallTime wall_now);
  // An orderly stop begins. A leader first hands its leadership over, for at most an election
  // timeout, while requests wait. Then connections are told to go elsewhere and closed, no new work
  // is taken, and actions say has_stopped. The node still takes part in consensus until the rim
  // lets go of it.
  void OnStop();

  [[nodiscard]] NodeActions TakeActions();

  // Somebody wants a snapshot of the present state: it is taken as soon as can be.
  void TakeSnapshot();

  void set_rim_status(const RimStatus& status);

  // -- for checks (simulator, tests) and the rim's health line --
  [[nodiscard]] const raft::Raft& raft() const;
  [[nodiscard]] const state::LockDatabase& database() const;
  // The state is still being read from its snapshot: what database() shows is nothing yet.
  [[nodiscard]] bool is_loading() const;
  // The newest snapshot that this node has, by the entry that it is the state after; zero: none.
  [[nodiscard]] raft::Index snapshot_index() const;
  [[nodiscard]] uint64_t snapshots_taken() const;
  [[nodiscard]] uint64_t snapshots_received() const;
  // Points at which this node, as the leader, found that no majority has one state.
  [[nodiscard]] uint64_t digest_alarms() const;
  // Has not been part of a cluster yet: takes no part in elections and acknowledges nothing.
  [[nodiscard]] bool is_forming() const;
  // Leads, and answers requests: all that was committed before its election is applied.
  [[nodiscard]] bool is_serving() const;
  // Cluster time that was held back so far, by a stall, an outage or a pause.
  [[nodiscard]] int64_t suppressed_ms() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_NODE_H_
