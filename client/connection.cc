#include "client/connection.h"

#include <fcntl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "protocol/base/text.h"

namespace lockd::client {

namespace asio = boost::asio;
using boost::system::error_code;

Connection::Connection(asio::io_context& context, Listener* listener)
    : socket_(context), resolver_(context), listener_(listener) {}

void Connection::Dial(const std::string& address) {
  const absl::StatusOr<HostPort> target = ParseHostPort(address);
  if (!target.ok()) {
    // An address that a server named, and no address at all. Not from inside the call.
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->Fail(); });
    return;
  }
  error_code not_numeric;
  const asio::ip::address numeric = asio::ip::make_address(target->host, not_numeric);
  if (!not_numeric) {
    Connect(Tcp::endpoint(numeric, target->port));
    return;
  }
  resolver_.async_resolve(
      target->host, std::to_string(target->port), Tcp::resolver::numeric_service,
      [self = shared_from_this()](const error_code& error,
                                  const Tcp::resolver::results_type& found) {
        if (error || self->listener_ == nullptr) {
          self->Fail();
          return;
        }
        asio::async_connect(self->socket_, found,
                            [self](const error_code& connect_error, const Tcp::endpoint&) {
                              self->OnSocketConnected(connect_error);
                            });
      });
}

void Connection::Connect(const Tcp::endpoint& endpoint) {
  socket_.async_connect(endpoint, [self = shared_from_this()](const error_code& error) {
    self->OnSocketConnected(error);
  });
}

void Connection::OnSocketConnected(const error_code& error) {
  if (listener_ == nullptr) return;
  if (error) {
    Fail();
    return;
  }
  // Not for programs that this one starts: as long as any process has the socket, the server does
  // not see that the client has died, and its disconnect grace does not begin.
  fcntl(socket_.native_handle(), F_SETFD, FD_CLOEXEC);
  error_code ignored;
  socket_.set_option(Tcp::no_delay(true), ignored);
  Read();
  listener_->OnConnected(*this);
}

void Connection::Read() {
  socket_.async_read_some(asio::buffer(read_buffer_), [self = shared_from_this()](
                                                          const error_code& error, size_t count) {
    if (self->listener_ == nullptr) return;
    if (error) {
      self->Fail();
      return;
    }
    self->listener_->OnBytes(*self, absl::string_view(self->read_buffer_.data(), count));
    if (self->listener_ != nullptr) self->Read();
  });
}

void Connection::Send(std::string bytes) {
  if (listener_ == nullptr || bytes.empty()) return;
  if (!is_writing_) {
    writing_ = std::move(bytes);
    Write();
    return;
  }
  if (pending_.size() + bytes.size() > kPendingBytesMax) {
    // The listener is called later: it is in the middle of sending.
    error_code ignored;
    socket_.close(ignored);
    return;
  }
  if (pending_.empty()) {
    pending_ = std::move(bytes);
  } else {
    pending_ += bytes;
  }
}

void Connection::Write() {
  is_writing_ = true;
  asio::async_write(socket_, asio::buffer(writing_),
                    [self = shared_from_this()](const error_code& error, size_t) {
                      self->is_writing_ = false;
                      if (self->listener_ == nullptr) return;
                      if (error) {
                        self->Fail();
                        return;
                      }
                      if (self->pending_.empty()) return;
                      self->writing_ = std::exchange(self->pending_, {});
                      self->Write();
                    });
}

void Connection::Close() {
  listener_ = nullptr;
  error_code ignored;
  resolver_.cancel();
  socket_.close(ignored);
}

void Connection::Fail() {
  Listener* listener = std::exchange(listener_, nullptr);
  Close();
  if (listener != nullptr) listener->OnClosed(*this);
}

}  // namespace lockd::client
