// RawConnection: a TCP connection that says whatever a test wants, well-formed or not.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_E2E_RAW_CONNECTION_H_
#define LOCKD_TESTS_E2E_RAW_CONNECTION_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "protocol/frame_decoder.h"
#include "protocol/lock.pb.h"
#include "tests/e2e/cluster.h"

namespace lockd::e2e {

class RawConnection {
 public:
  // `receive_bytes`: size of the socket's receive buffer, 0 for the system's own.
  explicit RawConnection(uint16_t port, int receive_bytes = 0);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // False when the other side has closed.
  bool Send(absl::string_view bytes);
  template <typename Message>
  bool SendFrame(Opcode opcode, uint32_t request_id, const Message& message) {
    std::string bytes;
    AppendFrame(bytes, {.opcode = opcode, .request_id = request_id}, message);
    return Send(bytes);
  }
  bool SendHello();

  struct Frame {
    FrameHeader header;
    std::string payload;
  };
  // The next frame; nothing when the other side closed first, or sent none in time.
  std::optional<Frame> Read(milliseconds patience = kPatience);
  // The next frame of this kind, as this message.
  template <typename Message>
  std::optional<Message> ReadMessage(Opcode opcode) {
    while (std::optional<Frame> frame = Read()) {
      Message message;
      if (frame->header.opcode != opcode) continue;
      if (!message.ParseFromString(frame->payload)) return std::nullopt;
      return message;
    }
    return std::nullopt;
  }
  // Whether the other side closes, whatever it says before. A reason frame on the way is kept.
  bool IsClosedByServer(milliseconds patience = kPatience);
  [[nodiscard]] uint16_t local_port() const;
  [[nodiscard]] pb::ErrorCode reason() const { return reason_; }

 private:
  bool Fill(milliseconds patience);

  int fd_ = -1;
  bool is_closed_ = false;
  FrameDecoder decoder_{kPeerFrameBytesMax};
  pb::ErrorCode reason_ = pb::ERROR_CODE_UNSPECIFIED;
};

// What a client says first.
[[nodiscard]] pb::ClientHello MakeHello();

}  // namespace lockd::e2e

#endif  // LOCKD_TESTS_E2E_RAW_CONNECTION_H_
