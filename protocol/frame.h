// The frame: a 16-byte little-endian header, then one protobuf message.
//
//   offset  0        4        8        9       10      12           16
//           length   crc32c   opcode   flags   group   request id   payload (length - 16 bytes)
//
//   length      u32  of the whole frame, header included
//   crc32c      u32  over the length and everything from the opcode to the end
//   opcode      u8   see opcode.h
//   flags       u8   kFlagReply, kFlagError; the other bits are 0
//   group       u16  Raft group, 0 today
//   request id  u32  chosen by the asking side, unique among those in flight on its connection;
//                    0 for pushes, hellos and peer frames
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_FRAME_H_
#define LOCKD_PROTOCOL_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "protocol/base/ids.h"
#include "protocol/opcode.h"

namespace google::protobuf {
class MessageLite;
}

namespace lockd {

inline constexpr size_t kFrameHeaderBytes = 16;

// Largest whole frame, by connection state and port. Checked against the length field before
// anything is allocated.
inline constexpr size_t kHelloFrameBytesMax = 1024;            // before the hello of the other side
inline constexpr size_t kClientFrameBytesMax = 64 * 1024;      // client port, after hello
inline constexpr size_t kPeerFrameBytesMax = 4 * 1024 * 1024;  // peer port, after hello

inline constexpr uint8_t kFlagReply = 1;  // answers the request with this request id
inline constexpr uint8_t kFlagError = 2;  // the payload is pb::Error instead of the opcode's reply
inline constexpr uint8_t kFlagsKnown = kFlagReply | kFlagError;

struct FrameHeader {
  Opcode opcode = Opcode::kHello;
  uint8_t flags = 0;
  GroupId group{};
  uint32_t request_id = 0;

  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

// The request id after `last`, for a side that counts: after the greatest comes 1, because 0 would
// be a push.
[[nodiscard]] constexpr uint32_t NextRequestId(uint32_t last) {
  return last == UINT32_MAX ? 1 : last + 1;
}

// A decoded frame; `payload` points into memory that the decoder's owner keeps.
struct FrameView {
  FrameHeader header;
  absl::string_view payload;
};

// Appends one whole frame to `to`. The message's encoding is deterministic (no maps in our .proto
// files). A frame above kPeerFrameBytesMax is a bug of the caller.
void AppendFrame(std::string& to, const FrameHeader& header,
                 const google::protobuf::MessageLite& message);
void AppendFrame(std::string& to, const FrameHeader& header, absl::string_view payload);

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_FRAME_H_
