#include "protocol/frame_decoder.h"

#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/base/crc32c.h"

namespace lockd {

void FrameDecoder::Feed(absl::string_view bytes) {
  if (!status_.ok()) return;
  if (consumed_ > 0) {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
  }
  buffer_.append(bytes.data(), bytes.size());
}

FrameDecoder::Result FrameDecoder::Next(FrameView* frame) {
  if (!status_.ok()) return Result::kError;
  const absl::string_view rest = absl::string_view(buffer_).substr(consumed_);
  if (rest.empty()) {
    // Free the memory rather than keep it for a connection that may stay idle.
    std::string().swap(buffer_);
    consumed_ = 0;
    return Result::kNeedMore;
  }
  if (rest.size() < sizeof(uint32_t)) return Result::kNeedMore;
  const uint32_t length = LoadLittle<uint32_t>(rest.data());
  if (length < kFrameHeaderBytes || length > frame_bytes_max_) {
    status_ = absl::InvalidArgumentError(absl::StrCat("frame length ", length, " is not within ",
                                                      kFrameHeaderBytes, "..", frame_bytes_max_));
    return Result::kError;
  }
  if (rest.size() < length) return Result::kNeedMore;

  ByteReader reader(rest.substr(4, kFrameHeaderBytes - 4));
  const uint32_t crc = reader.U32();
  uint32_t computed = Crc32c(rest.substr(0, 4));
  computed = ExtendCrc32c(computed, rest.substr(8, length - 8));
  if (crc != computed) {
    status_ = absl::InvalidArgumentError("frame checksum does not match");
    return Result::kError;
  }
  frame->header.opcode = static_cast<Opcode>(reader.U8());
  frame->header.flags = reader.U8();
  frame->header.group = GroupId(reader.U16());
  frame->header.request_id = reader.U32();
  frame->payload = rest.substr(kFrameHeaderBytes, length - kFrameHeaderBytes);
  consumed_ += length;
  return Result::kFrame;
}

}  // namespace lockd
