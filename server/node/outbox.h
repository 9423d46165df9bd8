// Outbox: what a turn has to say and to do, collected until the rim takes it.
//
// All frames for one connection become one string, in the order in which they were put in, so that
// the rim sends once per connection and turn. Connections keep the order of their first frame.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_OUTBOX_H_
#define LOCKD_SERVER_NODE_OUTBOX_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "protocol/base/time.h"
#include "protocol/frame.h"
#include "server/node/types.h"

namespace lockd::node {

class Outbox {
 public:
  // Frames to a connection that is being closed are dropped.
  void SendToClient(ConnectionId connection, const FrameHeader& header,
                    const google::protobuf::MessageLite& message);
  void CloseClient(ConnectionId connection);

  void SendToPeer(PeerLinkId link, const FrameHeader& header,
                  const google::protobuf::MessageLite& message);
  void ClosePeer(PeerLinkId link);
  // What this turn has for peers so far.
  [[nodiscard]] size_t peer_bytes() const { return peer_bytes_; }

  void StartDisk(DiskJob job) { actions_.disk.push_back(std::move(job)); }
  void StartSnapshotJob(storage::SnapshotJob job) {
    actions_.snapshot_jobs.push_back(std::move(job));
  }
  void Discard(node::Discard state) { actions_.discards.push_back(std::move(state)); }
  void Note(std::string text) { actions_.notes.push_back({false, std::move(text)}); }
  void Warn(std::string text) { actions_.notes.push_back({true, std::move(text)}); }
  // The first reason to end counts.
  void Die(int exit_status, std::string message) {
    Die({.exit_status = exit_status, .message = std::move(message)});
  }
  void Die(Fatal fatal);
  [[nodiscard]] bool is_dying() const { return actions_.fatal.has_value(); }

  [[nodiscard]] NodeActions Take(LocalTime next_wakeup);

 private:
  ClientOutput& OfClient(ConnectionId connection);
  PeerOutput& OfPeer(PeerLinkId link);

  NodeActions actions_;
  // Places in actions_.clients and actions_.peers.
  absl::flat_hash_map<ConnectionId, size_t> clients_;
  absl::flat_hash_map<PeerLinkId, size_t> peers_;
  size_t peer_bytes_ = 0;  // sum over actions_.peers
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_OUTBOX_H_
