#include "protocol/frame.h"

#include <google/protobuf/message_lite.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"

namespace lockd {
namespace {

constexpr size_t kLengthOffset = 0;
constexpr size_t kCrcOffset = 4;
constexpr size_t kOpcodeOffset = 8;

// Appends the header with length and checksum still blank; returns where the frame starts.
size_t BeginFrame(std::string& to, const FrameHeader& header) {
  const size_t start = to.size();
  AppendLittle<uint32_t>(to, 0);
  AppendLittle<uint32_t>(to, 0);
  AppendLittle(to, static_cast<uint8_t>(header.opcode));
  AppendLittle(to, header.flags);
  AppendLittle(to, header.group.value());
  AppendLittle(to, header.request_id);
  return start;
}

void EndFrame(std::string& to, size_t start) {
  const size_t length = to.size() - start;
  LOCKD_CHECK(length <= kPeerFrameBytesMax, "frame of ", length, " bytes");
  char* frame = to.data() + start;
  StoreLittle(frame + kLengthOffset, static_cast<uint32_t>(length));
  uint32_t crc = Crc32c(absl::string_view(frame + kLengthOffset, kCrcOffset));
  crc = ExtendCrc32c(crc, absl::string_view(frame + kOpcodeOffset, length - kOpcodeOffset));
  StoreLittle(frame + kCrcOffset, crc);
}

}  // namespace

void AppendFrame(std::string& to, const FrameHeader& header,
                 const google::protobuf::MessageLite& message) {
  const size_t start = BeginFrame(to, header);
  LOCKD_CHECK(message.AppendToString(&to), "a message of ours does not encode");
  EndFrame(to, start);
}

void AppendFrame(std::string& to, const FrameHeader& header, absl::string_view payload) {
  const size_t start = BeginFrame(to, header);
  to.append(payload.data(), payload.size());
  EndFrame(to, start);
}

}  // namespace lockd
