#include "server/node/node.h"

#include <utility>

#include "server/node/node_impl.h"

namespace lockd::node {

Node::Node(NodeOptions options, raft::RecoveredLog recovered, LocalTime now,
           RecoveredSnapshots snapshots)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(recovered), now,
                                   std::move(snapshots))) {}
Node::~Node() = default;

void Node::OnClientConnected(ConnectionId connection) {
  impl_->connections.OnConnected(connection);
}
void Node::OnClientFrame(ConnectionId connection, const FrameView& frame) {
  impl_->OnClientFrame(connection, frame);
}
void Node::OnClientPartial(ConnectionId connection) {
  impl_->connections.OnPartial(connection);
}
void Node::OnClientGarbage(ConnectionId connection, const absl::Status& error) {
  if (impl_->connections.IsOpen(connection)) {
    impl_->connections.Refuse(connection, pb::ERROR_CODE_PROTOCOL, error.message());
  }
}
void Node::OnClientClosed(ConnectionId connection) {
  impl_->connections.OnClosed(connection);
}
size_t Node::ClientFrameBytesMax(ConnectionId connection) const {
  return impl_->connections.FrameBytesMax(connection);
}

const std::vector<state::Member>& Node::peers() const {
  return impl_->context.formation.peers();
}
void Node::OnPeerDialed(NodeId peer, PeerLinkId link) {
  impl_->peer_links.OnDialed(peer, link);
}
void Node::OnPeerAccepted(PeerLinkId link) {
  impl_->peer_links.OnAccepted(link);
}
void Node::OnPeerFrame(PeerLinkId link, const FrameView& frame) {
  impl_->OnPeerFrame(link, frame);
}
void Node::OnPeerPartial(PeerLinkId link) {
  impl_->peer_links.OnPartial(link);
}
bool Node::PeerIsGreeted(PeerLinkId link) const {
  return impl_->peer_links.IsGreeted(link);
}
void Node::OnPeerGarbage(PeerLinkId link, const absl::Status& error) {
  impl_->peer_links.OnGarbage(link, error);
}
void Node::OnPeerClosed(PeerLinkId link) {
  impl_->OnPeerClosed(link);
}
void Node::OnPeerRefused(NodeId peer) {
  impl_->OnPeerRefused(peer);
}
NodeId Node::PeerOf(PeerLinkId link) const {
  return impl_->peer_links.PeerOf(link);
}
size_t Node::PeerFrameBytesMax(PeerLinkId link) const {
  return impl_->peer_links.FrameBytesMax(link);
}

void Node::OnWriteDone(storage::LogWriteDone done) {
  impl_->OnWriteDone(done);
}
void Node::OnReadDone(storage::LogReadDone done) {
  impl_->OnReadDone(std::move(done));
}
void Node::OnSnapshotJobDone(const storage::SnapshotJobDone& done) {
  impl_->OnSnapshotJobDone(done);
}
void Node::OnFreeBytes(uint64_t free_bytes) {
  impl_->context.disk_space.OnFreeBytes(free_bytes, &impl_->context.outbox);
}
void Node::OnTime(LocalTime now, WallTime wall_now) {
  impl_->OnTime(now, wall_now);
}
void Node::OnStop() {
  impl_->OnStop();
}
NodeActions Node::TakeActions() {
  return impl_->TakeActions();
}
void Node::TakeSnapshot() {
  impl_->TakeSnapshot();
}
void Node::set_rim_status(const RimStatus& status) {
  impl_->context.rim = status;
}

const raft::Raft& Node::raft() const {
  return *impl_->context.raft;
}
const state::LockDatabase& Node::database() const {
  return *impl_->context.database;
}
bool Node::is_loading() const {
  return impl_->context.is_loading;
}
raft::Index Node::snapshot_index() const {
  return impl_->context.snapshots.newest_index();
}
uint64_t Node::snapshots_taken() const {
  return impl_->context.snapshots.taken;
}
uint64_t Node::snapshots_received() const {
  return impl_->context.snapshots.received;
}
uint64_t Node::digest_alarms() const {
  return impl_->context.digest_alarms;
}
bool Node::is_forming() const {
  return impl_->context.is_forming();
}
bool Node::is_serving() const {
  return impl_->context.is_serving;
}
int64_t Node::suppressed_ms() const {
  return impl_->suppressed_ms();
}

}  // namespace lockd::node
