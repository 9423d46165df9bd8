#include "tests/e2e/raw_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "protocol/base/check.h"
#include "protocol/opcode.h"

namespace lockd::e2e {

RawConnection::RawConnection(uint16_t port, int receive_bytes) {
  std::signal(SIGPIPE, SIG_IGN);
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  LOCKD_CHECK(fd_ >= 0, "no socket");
  if (receive_bytes > 0)
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // each Send is a packet
  is_closed_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0;
}

RawConnection::~RawConnection() {
  close(fd_);
}

bool RawConnection::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

pb::ClientHello MakeHello() {
  pb::ClientHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version_min(kProtocolVersionMin);
  hello.set_version_max(kProtocolVersionMax);
  return hello;
}

bool RawConnection::SendHello() {
  return SendFrame(Opcode::kHello, 0, MakeHello());
}

uint16_t RawConnection::local_port() const {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool RawConnection::Fill(milliseconds patience) {
  pollfd polled{fd_, POLLIN, 0};
  if (is_closed_ || poll(&polled, 1, static_cast<int>(patience.count())) <= 0) return false;
  char buffer[16 * 1024];
  const ssize_t count = recv(fd_, buffer, sizeof(buffer), 0);
  if (count <= 0) {
    is_closed_ = true;
    return false;
  }
  decoder_.Feed(absl::string_view(buffer, static_cast<size_t>(count)));
  return true;
}

std::optional<RawConnection::Frame> RawConnection::Read(milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (true) {
    FrameView view;
    if (decoder_.Next(&view) == FrameDecoder::Result::kFrame) {
      pb::Reason reason;
      if (view.header.opcode == Opcode::kReason &&
          reason.ParseFromArray(view.payload.data(), static_cast<int>(view.payload.size()))) {
        reason_ = reason.code();
      }
      return Frame{view.header, std::string(view.payload)};
    }
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    if (left.count() <= 0 || !Fill(left)) return std::nullopt;
  }
}

bool RawConnection::IsClosedByServer(milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (!is_closed_ && Clock::now() < deadline) Read(milliseconds(100));
  return is_closed_;
}

}  // namespace lockd::e2e
