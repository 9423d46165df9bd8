// Listener: accepts TCP connections on one address, and keeps their number within a bound.
//
// When the process is out of file descriptors, accepting rests for a moment instead of spinning.
// Connections above the bound are handed to the owner's `on_refused`, which says why and closes.
//
// Threading: loop only.
#ifndef LOCKD_SERVER_NET_LISTENER_H_
#define LOCKD_SERVER_NET_LISTENER_H_

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "absl/status/status.h"
#include "protocol/base/text.h"

namespace lockd::net {

class Listener {
 public:
  using OnAccepted = std::function<void(boost::asio::ip::tcp::socket)>;

  explicit Listener(boost::asio::io_context* io);

  // Binds and listens. Unavailable: the port is in use; InvalidArgument: not an address of this
  // machine.
  [[nodiscard]] absl::Status Open(const HostPort& address);
  // Calls `on_accepted` for each connection, from the loop, until Close.
  void Start(OnAccepted on_accepted);
  void Close();

  // The port that was bound, when the one asked for was 0.
  [[nodiscard]] uint16_t port() const;

 private:
  void Accept();

  static constexpr int kRestMs = 100;

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer rest_timer_;
  OnAccepted on_accepted_;
};

// The first address that the host resolves to, at once (blocking: for start-up only).
[[nodiscard]] absl::StatusOr<boost::asio::ip::tcp::endpoint> Resolve(boost::asio::io_context* io,
                                                                     const HostPort& address);

}  // namespace lockd::net

#endif  // LOCKD_SERVER_NET_LISTENER_H_
