#include "server/net/frame_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <utility>

namespace lockd::net {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

FrameConnection::FrameConnection(tcp::socket socket, uint64_t id, size_t output_bytes_max,
                                 std::vector<char>* read_buffer, FrameConnectionHandler* handler,
                                 std::shared_ptr<size_t> open_sockets)
    : socket_(std::move(socket)),
      linger_timer_(socket_.get_executor()),
      id_(id),
      output_bytes_max_(output_bytes_max),
      read_buffer_(read_buffer),
      handler_(handler),
      open_sockets_(std::move(open_sockets)),
      decoder_(kHelloFrameBytesMax) {
  ++*open_sockets_;
}

FrameConnection::~FrameConnection() {
  Close();
}

void FrameConnection::Start() {
  error_code ignored;  // a socket that refuses these still works, only slower
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  ProbeWhenSilent();
  WaitReadable();
}

void FrameConnection::ProbeWhenSilent() {
  // A socket that refuses one of these is only noticed later to be dead.
  const auto set = [this](int option, int value) {
    (void)setsockopt(socket_.native_handle(), IPPROTO_TCP, option, &value, sizeof(value));
  };
  set(TCP_KEEPIDLE, kProbeAfterSeconds);
  set(TCP_KEEPINTVL, kProbeEverySeconds);
  set(TCP_KEEPCNT, kProbes);
  // The same patience with data that nobody acknowledges, also while probes are answered by a
  // window of zero.
  set(TCP_USER_TIMEOUT, (kProbeAfterSeconds + kProbes * kProbeEverySeconds) * 1'000);
  error_code ignored;
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
}

std::string FrameConnection::remote_address() const {
  error_code error;
  const tcp::endpoint endpoint = socket_.remote_endpoint(error);
  if (error) return "unknown";
  return endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
}

// ---- Reading
// ----------------------------------------------------------------------------------------------------------------

void FrameConnection::WaitReadable() {
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    if (self->state_ == State::kClosed) return;
    if (error) {
      self->Fail();
    } else {
      self->OnReadable();
    }
  });
}

void FrameConnection::OnReadable() {
  // One read for each readiness: a connection that never stops sending cannot keep the loop from
  // the others. What is left makes the next wait complete at once.
  error_code error;
  const size_t count = socket_.read_some(asio::buffer(*read_buffer_), error);
  if (error && error != asio::error::would_block && error != asio::error::try_again) {
    Fail();
    return;
  }
  if (!error && state_ == State::kOpen) {
    decoder_.Feed(absl::string_view(read_buffer_->data(), count));
    DeliverFrames();
  }
  if (state_ != State::kClosed && !is_deaf_) WaitReadable();
}

void FrameConnection::DeliverFrames() {
  while (state_ == State::kOpen) {
    decoder_.set_frame_bytes_max(handler_->FrameBytesMax(*this));
    FrameView frame;
    switch (decoder_.Next(&frame)) {
      case FrameDecoder::Result::kNeedMore:
        if (decoder_.buffered_bytes() > 0) handler_->OnConnectionPartial(*this);
        return;
      case FrameDecoder::Result::kFrame:
        handler_->OnConnectionFrame(*this, frame);
        break;
      case FrameDecoder::Result::kError:
        is_deaf_ = true;  // until the owner closes, which it does at the end of its turn
        handler_->OnConnectionGarbage(*this, decoder_.status());
        return;
    }
  }
}

// ---- Writing
// ----------------------------------------------------------------------------------------------------------------

bool FrameConnection::Send(std::string bytes) {
  if (state_ != State::kOpen) return false;
  if (unsent_.empty()) {
    unsent_ = std::move(bytes);
  } else {
    unsent_.append(bytes);
  }
  // While the socket is full, only its readiness starts the next send.
  const bool is_healthy = is_waiting_writable_ || Flush();
  if (is_healthy && unsent_.size() - unsent_offset_ <= output_bytes_max_) return true;
  Close();
  return false;
}

bool FrameConnection::Flush() {
  while (unsent_offset_ < unsent_.size()) {
    error_code error;
    const size_t sent = socket_.write_some(
        asio::buffer(unsent_.data() + unsent_offset_, unsent_.size() - unsent_offset_), error);
    if (error == asio::error::would_block || error == asio::error::try_again) {
      WaitWritable();
      return true;
    }
    if (error) return false;
    unsent_offset_ += sent;
  }
  unsent_.clear();
  unsent_offset_ = 0;
  if (unsent_.capacity() > kKeptOutputBytes) std::string().swap(unsent_);
  return true;
}

void FrameConnection::WaitWritable() {
  is_waiting_writable_ = true;
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](error_code error) {
    self->is_waiting_writable_ = false;
    if (self->state_ == State::kClosed) return;
    // Drop what has been sent, so that a buffer that is never quite empty does not grow.
    self->unsent_.erase(0, self->unsent_offset_);
    self->unsent_offset_ = 0;
    if (error || !self->Flush()) {
      self->Fail();
    } else if (self->state_ == State::kClosing && self->unsent_.empty()) {
      self->BeginLinger();
    }
  });
}

// ---- Closing
// ----------------------------------------------------------------------------------------------------------------

void FrameConnection::CloseWhenSent() {
  if (state_ != State::kOpen) return;
  state_ = State::kClosing;
  linger_timer_.expires_after(std::chrono::milliseconds(kLingerMs));
  linger_timer_.async_wait([self = shared_from_this()](error_code) { self->Close(); });
  if (unsent_.empty()) BeginLinger();
}

void FrameConnection::BeginLinger() {
  state_ = State::kLingering;
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  // Reading had stopped at the garbage; from here on what comes is thrown away undecoded.
  if (std::exchange(is_deaf_, false)) WaitReadable();
}

void FrameConnection::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  --*open_sockets_;
  linger_timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
}

void FrameConnection::Fail() {
  const bool tell = state_ == State::kOpen;
  Close();
  if (tell) handler_->OnConnectionClosed(*this);
}

}  // namespace lockd::net
