#include "server/net/listener.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace lockd::net {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

absl::StatusOr<tcp::endpoint> Resolve(asio::io_context* io, const HostPort& address) {
  tcp::resolver resolver(*io);
  error_code error;
  const auto results = resolver.resolve(address.host, std::to_string(address.port), error);
  if (error || results.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot resolve ", address.ToString(), ": ", error.message()));
  }
  return results.begin()->endpoint();
}

Listener::Listener(asio::io_context* io) : acceptor_(*io), rest_timer_(*io) {}

absl::Status Listener::Open(const HostPort& address) {
  // The packaged Asio has no blocking resolve without an io_context; the acceptor's own serves.
  auto& io = static_cast<asio::io_context&>(acceptor_.get_executor().context());
  const absl::StatusOr<tcp::endpoint> endpoint = Resolve(&io, address);
  if (!endpoint.ok()) return endpoint.status();
  error_code error;
  acceptor_.open(endpoint->protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(*endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) return absl::OkStatus();
  if (error == asio::error::address_in_use) {
    return absl::UnavailableError(
        absl::StrCat("port in use: ", address.ToString(),
                     " (another process listens there; stop it or choose another port)"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot listen on ", address.ToString(), ": ", error.message()));
}

void Listener::Start(OnAccepted on_accepted) {
  on_accepted_ = std::move(on_accepted);
  Accept();
}

void Listener::Close() {
  error_code ignored;
  acceptor_.close(ignored);
  rest_timer_.cancel();
}

uint16_t Listener::port() const {
  error_code error;
  const tcp::endpoint endpoint = acceptor_.local_endpoint(error);
  return error ? 0 : endpoint.port();
}

void Listener::Accept() {
  acceptor_.async_accept([this](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
    if (!error) {
      on_accepted_(std::move(socket));
      Accept();
      return;
    }
    // Out of descriptors or memory, or the connection was gone before it was accepted: rest, then
    // go on. Connections wait in the kernel's queue meanwhile.
    rest_timer_.expires_after(std::chrono::milliseconds(kRestMs));
    rest_timer_.async_wait([this](error_code rest_error) {
      if (!rest_error && acceptor_.is_open()) Accept();
    });
  });
}

}  // namespace lockd::net
