#include "protocol/frame_decoder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/base/crc32c.h"

namespace lockd {

void FrameDecoder::Feed(absl::string_view bytes) {
  if (!status_.ok()) return;
  // Moving the rest to the front only once at least as much has been consumed keeps the cost linear
  // in the bytes fed, however many frames wait in the buffer and however few are taken between two
  // calls.
  if (consumed_ > 0 && consumed_ >= buffered_bytes()) {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
  }
  buffer_.append(bytes.data(), bytes.size());
}

FrameDecoder::Result FrameDecoder::Next(FrameView* frame) {
  if (!status_.ok()) return Result::kError;
  const absl::string_view rest = absl::string_view(buffer_).substr(consumed_);
  if (rest.empty()) {
    FreeBuffer();
    return Result::kNeedMore;
  }
  if (rest.size() < sizeof(uint32_t)) return Result::kNeedMore;
  const uint32_t length = LoadLittle<uint32_t>(rest.data());
  if (length < kFrameHeaderBytes || length > frame_bytes_max_) {
    return Fail(absl::InvalidArgumentError(absl::StrCat(
        "frame length ", length, " is not within ", kFrameHeaderBytes, "..", frame_bytes_max_)));
  }
  if (rest.size() < length) return Result::kNeedMore;

  ByteReader reader(rest.substr(4, kFrameHeaderBytes - 4));
  const uint32_t crc = reader.U32();
  uint32_t computed = Crc32c(rest.substr(0, 4));
  computed = ExtendCrc32c(computed, rest.substr(8, length - 8));
  if (crc != computed) {
    return Fail(absl::InvalidArgumentError("frame checksum does not match"));
  }
  frame->header.opcode = static_cast<Opcode>(reader.U8());
  frame->header.flags = reader.U8();
  frame->header.group = GroupId(reader.U16());
  frame->header.request_id = reader.U32();
  frame->payload = rest.substr(kFrameHeaderBytes, length - kFrameHeaderBytes);
  consumed_ += length;
  return Result::kFrame;
}

size_t FrameDecoder::buffer_capacity() const {
  // An empty std::string keeps a few bytes inside itself, which are no memory of their own.
  return buffer_.capacity() == std::string().capacity() ? 0 : buffer_.capacity();
}

FrameDecoder::Result FrameDecoder::Fail(absl::Status status) {
  status_ = std::move(status);
  FreeBuffer();
  return Result::kError;
}

// clear() would keep the memory for a connection that may stay idle for hours.
void FrameDecoder::FreeBuffer() {
  std::string().swap(buffer_);
  consumed_ = 0;
}

}  // namespace lockd
