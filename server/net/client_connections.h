// ClientConnections: the client port's sockets, by connection id.
//
// Feeds frames into the node and carries its output out. Bounded: above the number of connections
// allowed, a newcomer gets a reason frame and is closed; a connection whose output does not drain
// is dropped.
//
// Threading: loop only.
#ifndef LOCKD_SERVER_NET_CLIENT_CONNECTIONS_H_
#define LOCKD_SERVER_NET_CLIENT_CONNECTIONS_H_

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/net/frame_connection.h"
#include "server/node/node.h"

namespace lockd::net {

struct ClientLimits {
  size_t connections_max = 10'000;
  // Refused connections that still linger over their reason frame; more than these are closed
  // without a word.
  size_t lingering_max = 64;
  size_t output_bytes_max = 4 * 1024 * 1024;  // waiting to be sent, for each connection
};

class ClientConnections final : public FrameConnectionHandler {
 public:
  // `on_input` tells the runner that the node has something to say. All pointers outlive this
  // object.
  ClientConnections(const ClientLimits& limits, node::Node* node, std::vector<char>* read_buffer,
                    std::function<void()> on_input);
  ~ClientConnections();

  void Accept(boost::asio::ip::tcp::socket socket);
  void Carry(node::ClientOutput output);
  void CloseAll();

  [[nodiscard]] size_t size() const { return connections_.size(); }

 private:
  void OnConnectionFrame(FrameConnection& connection, const FrameView& frame) override;
  void OnConnectionPartial(FrameConnection& connection) override;
  void OnConnectionGarbage(FrameConnection& connection, const absl::Status& error) override;
  void OnConnectionClosed(FrameConnection& connection) override;
  size_t FrameBytesMax(FrameConnection& connection) override;

  void Refuse(boost::asio::ip::tcp::socket socket);

  const ClientLimits limits_;
  node::Node* const node_;
  std::vector<char>* const read_buffer_;
  const std::function<void()> on_input_;

  uint64_t next_id_ = 1;
  absl::flat_hash_map<uint64_t, std::shared_ptr<FrameConnection>> connections_;
  // Sockets open in all, lingering ones included.
  std::shared_ptr<size_t> open_sockets_ = std::make_shared<size_t>(0);
};

}  // namespace lockd::net

#endif  // LOCKD_SERVER_NET_CLIENT_CONNECTIONS_H_
