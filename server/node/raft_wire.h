// The Raft core's messages as frames of the peer port, and back.
//
// The link says who the sender is, and a frame is only ever for the node that it arrives at, so
// neither stands in the frame.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_RAFT_WIRE_H_
#define LOCKD_SERVER_NODE_RAFT_WIRE_H_

#include "absl/status/statusor.h"
#include "consensus/raft/types.h"
#include "protocol/frame.h"
#include "protocol/raft.pb.h"
#include "server/node/outbox.h"
#include "server/node/types.h"

namespace lockd::node {

void SendRaftMessage(const raft::Message& message, PeerLinkId link, Outbox& outbox);

// InvalidArgument: not a Raft frame, or a payload that no node of this version sends. What the
// message means is for the core to judge.
[[nodiscard]] absl::StatusOr<raft::Message> ParseRaftMessage(NodeId from, NodeId to,
                                                             const FrameView& frame);

// As it stands in messages of both kinds, and in a hello.
void SetSnapshot(const raft::SnapshotId& snapshot, pb::SnapshotId* wire);
[[nodiscard]] raft::SnapshotId SnapshotFromWire(const pb::SnapshotId& wire);

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_RAFT_WIRE_H_
