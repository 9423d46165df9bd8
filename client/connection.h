// Connection: one TCP connection to a node, as bytes in and bytes out.
//
//   auto connection = std::make_shared<Connection>(context, &listener);
//   connection->Dial("node-a:7420");     // then OnConnected or OnClosed
//   connection->Send(bytes);             // any number of times after OnConnected
//   connection->Close();                 // no more calls of the listener
//
// One read and one write are under way at most. What is sent while a write is under way becomes the
// next write. A node that does not read is not waited for without bound: above kPendingBytesMax the
// connection is closed.
//
// The listener must outlive the connection or close it first.
//
// Threading: loop only.
#ifndef LOCKD_CLIENT_CONNECTION_H_
#define LOCKD_CLIENT_CONNECTION_H_

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace lockd::client {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  class Listener {
   public:
    virtual void OnConnected(Connection& connection) = 0;
    virtual void OnBytes(Connection& connection, absl::string_view bytes) = 0;
    // Could not connect, closed by the other side, or broken. Once, and the last call.
    virtual void OnClosed(Connection& connection) = 0;

   protected:
    ~Listener() = default;
  };

  static constexpr size_t kPendingBytesMax = 16 * 1024 * 1024;

  Connection(boost::asio::io_context& context, Listener* listener);

  void Dial(const std::string& address);
  void Send(std::string bytes);
  void Close();

 private:
  using Tcp = boost::asio::ip::tcp;

  void Connect(const Tcp::endpoint& endpoint);
  void OnSocketConnected(const boost::system::error_code& error);
  void Read();
  void Write();
  void Fail();

  Tcp::socket socket_;
  Tcp::resolver resolver_;
  Listener* listener_;  // null once closed
  std::array<char, 16 * 1024> read_buffer_;
  std::string writing_;
  std::string pending_;
  bool is_writing_ = false;
};

}  // namespace lockd::client

#endif  // LOCKD_CLIENT_CONNECTION_H_
