#include "server/node/outbox.h"

namespace lockd::node {

ClientOutput& Outbox::OfClient(ConnectionId connection) {
  const auto [place, is_new] = clients_.try_emplace(connection, actions_.clients.size());
  if (is_new) actions_.clients.push_back({.connection = connection, .bytes = {}, .close = false});
  return actions_.clients[place->second];
}

PeerOutput& Outbox::OfPeer(PeerLinkId link) {
  const auto [place, is_new] = peers_.try_emplace(link, actions_.peers.size());
  if (is_new) actions_.peers.push_back({.link = link, .bytes = {}, .close = false});
  return actions_.peers[place->second];
}

void Outbox::SendToClient(ConnectionId connection, const FrameHeader& header,
                          const google::protobuf::MessageLite& message) {
  ClientOutput& output = OfClient(connection);
  if (!output.close) AppendFrame(output.bytes, header, message);
}

void Outbox::CloseClient(ConnectionId connection) {
  OfClient(connection).close = true;
}

void Outbox::SendToPeer(PeerLinkId link, const FrameHeader& header,
                        const google::protobuf::MessageLite& message) {
  PeerOutput& output = OfPeer(link);
  if (output.close) return;
  const size_t before = output.bytes.size();
  AppendFrame(output.bytes, header, message);
  peer_bytes_ += output.bytes.size() - before;
}

void Outbox::ClosePeer(PeerLinkId link) {
  OfPeer(link).close = true;
}

void Outbox::Die(Fatal fatal) {
  if (!actions_.fatal) actions_.fatal = std::move(fatal);
}

NodeActions Outbox::Take(LocalTime next_wakeup) {
  NodeActions taken = std::exchange(actions_, NodeActions{});
  taken.next_wakeup = next_wakeup;
  // A node that cannot go on says so again at every turn.
  actions_.fatal = taken.fatal;
  clients_.clear();
  peers_.clear();
  peer_bytes_ = 0;
  return taken;
}

}  // namespace lockd::node
