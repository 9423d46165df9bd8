#include "tests/client/loopback_node.h"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include "tests/server/node/node_env.h"
#include "tests/support/mem_file_system.h"

namespace lockd {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using node::ConnectionId;

struct LoopbackNode::Impl {
  struct Peer {
    explicit Peer(tcp::socket accepted) : socket(std::move(accepted)) {}
    tcp::socket socket;
    ConnectionId connection;
    std::array<char, 16 * 1024> buffer;
  };

  Impl()
      : env(1),
        acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        timer(context),
        last_tick(std::chrono::steady_clock::now()) {
    address = "127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
    env.options(1).client_address = address;
    env.UseDisk(1, &disk);
    env.StartAll();
    env.Settle();
    Accept();
    Tick();
    thread = std::thread([this] { context.run(); });
  }

  void Accept() {
    acceptor.async_accept([this](const error_code& error, tcp::socket socket) {
      if (error) return;
      auto peer = std::make_shared<Peer>(std::move(socket));
      peer->connection = env.Connect(1);
      peers[peer->connection] = peer;
      Read(peer);
      Accept();
    });
  }

  void Read(const std::shared_ptr<Peer>& peer) {
    peer->socket.async_read_some(
        asio::buffer(peer->buffer), [this, peer](const error_code& error, size_t count) {
          if (frozen) return;
          if (error) {
            if (peers.erase(peer->connection) > 0) env.Disconnect(1, peer->connection);
            return;
          }
          env.SendBytes(1, peer->connection, std::string(peer->buffer.data(), count));
          Flush();
          Read(peer);
        });
  }

  void Tick() {
    timer.expires_after(std::chrono::milliseconds(5));
    timer.async_wait([this](const error_code& error) {
      if (error || frozen) return;
      const auto now = std::chrono::steady_clock::now();
      const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_tick);
      last_tick += elapsed;
      env.RunFor(elapsed.count());
      Flush();
      Tick();
    });
  }

  void Flush() {
    env.Settle();
    for (auto it = peers.begin(); it != peers.end();) {
      Peer& peer = *it->second;
      std::string bytes;
      for (const node::Received& received : env.TakeReceived(1, peer.connection)) {
        AppendFrame(bytes, received.header, received.payload);
      }
      error_code ignored;
      if (!bytes.empty()) asio::write(peer.socket, asio::buffer(bytes), ignored);
      if (env.WasClosed(1, peer.connection)) {
        peer.socket.close(ignored);
        it = peers.erase(it);
      } else {
        ++it;
      }
    }
  }

  storage::MemFileSystem disk;
  node::NodeEnv env;
  asio::io_context context{1};
  tcp::acceptor acceptor;
  asio::steady_timer timer;
  std::chrono::steady_clock::time_point last_tick;
  std::map<ConnectionId, std::shared_ptr<Peer>> peers;
  bool frozen = false;
  std::string address;
  std::thread thread;
};

LoopbackNode::LoopbackNode() : impl_(std::make_unique<Impl>()), address_(impl_->address) {}

LoopbackNode::~LoopbackNode() {
  impl_->context.stop();
  impl_->thread.join();
}

void LoopbackNode::Freeze() {
  asio::post(impl_->context, [impl = impl_.get()] { impl->frozen = true; });
}

void LoopbackNode::DropConnections() {
  asio::post(impl_->context, [impl = impl_.get()] {
    for (auto& [connection, peer] : impl->peers) {
      error_code ignored;
      peer->socket.close(ignored);
      impl->env.Disconnect(1, connection);
    }
    impl->peers.clear();
  });
}

}  // namespace lockd
