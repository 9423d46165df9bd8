#include "server/net/client_connections.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/lock.pb.h"

namespace lockd::net {

using boost::asio::ip::tcp;
using node::ConnectionId;

ClientConnections::ClientConnections(const ClientLimits& limits, node::Node* node,
                                     std::vector<char>* read_buffer, std::function<void()> on_input)
    : limits_(limits), node_(node), read_buffer_(read_buffer), on_input_(std::move(on_input)) {}

ClientConnections::~ClientConnections() {
  CloseAll();
}

void ClientConnections::Accept(tcp::socket socket) {
  if (*open_sockets_ >= limits_.connections_max) {
    Refuse(std::move(socket));
    return;
  }
  const uint64_t id = next_id_++;
  auto connection = std::make_shared<FrameConnection>(
      std::move(socket), id, limits_.output_bytes_max, read_buffer_, this, open_sockets_);
  connections_.emplace(id, connection);
  node_->OnClientConnected(ConnectionId(id));
  connection->Start();
  on_input_();
}

void ClientConnections::Refuse(tcp::socket socket) {
  if (*open_sockets_ >= limits_.connections_max + limits_.lingering_max)
    return;  // closed by its destructor
  pb::Reason reason;
  reason.set_code(pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  reason.set_message(absl::StrCat("this node serves at most ", limits_.connections_max,
                                  " client connections; try another node, or again later"));
  std::string bytes;
  AppendFrame(bytes, {.opcode = Opcode::kReason}, reason);
  auto connection = std::make_shared<FrameConnection>(
      std::move(socket), 0, limits_.output_bytes_max, read_buffer_, this, open_sockets_);
  connection->Start();
  if (connection->Send(std::move(bytes))) connection->CloseWhenSent();
}

void ClientConnections::Carry(node::ClientOutput output) {
  const auto found = connections_.find(output.connection.value());
  if (found == connections_.end()) return;  // went away in this very turn
  const std::shared_ptr<FrameConnection> connection = found->second;
  const bool sent = output.bytes.empty() || connection->Send(std::move(output.bytes));
  if (output.close) {
    connections_.erase(found);
    connection->CloseWhenSent();
  } else if (!sent) {
    connections_.erase(found);
    node_->OnClientClosed(output.connection);
    on_input_();
  }
}

void ClientConnections::CloseAll() {
  for (auto& [id, connection] : connections_) connection->Close();
  connections_.clear();
}

void ClientConnections::OnConnectionFrame(FrameConnection& connection, const FrameView& frame) {
  node_->OnClientFrame(ConnectionId(connection.id()), frame);
  on_input_();
}

void ClientConnections::OnConnectionPartial(FrameConnection& connection) {
  node_->OnClientPartial(ConnectionId(connection.id()));
  on_input_();
}

void ClientConnections::OnConnectionGarbage(FrameConnection& connection,
                                            const absl::Status& error) {
  node_->OnClientGarbage(ConnectionId(connection.id()), error);
  on_input_();
}

void ClientConnections::OnConnectionClosed(FrameConnection& connection) {
  const ConnectionId id(connection.id());
  connections_.erase(connection.id());
  node_->OnClientClosed(id);
  on_input_();
}

size_t ClientConnections::FrameBytesMax(FrameConnection& connection) {
  return node_->ClientFrameBytesMax(ConnectionId(connection.id()));
}

}  // namespace lockd::net
