// FrameDecoder: bytes in, frames out, no I/O.
//
//   FrameDecoder decoder(kHelloFrameBytesMax);
//   on bytes from the connection:
//     decoder.Feed(bytes);
//     FrameView frame;
//     while (decoder.Next(&frame) == FrameDecoder::Result::kFrame) {
//       ... frame.payload is valid until the next call of Feed or Next ...
//     }
//
// The length field is checked as soon as its four bytes are there and before anything is allocated
// for the frame: the decoder holds what was fed and never reserves for what a length announces. The
// first error is final: the connection is to be closed (with the reason). A decoder that has
// returned all it was fed, or has failed, owns no buffer, so that idle connections cost nothing.
//
// Opcode, flags and payload are not judged here: what may arrive depends on the port and on the
// state of the connection.
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_FRAME_DECODER_H_
#define LOCKD_PROTOCOL_FRAME_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "protocol/frame.h"

namespace lockd {

class FrameDecoder {
 public:
  enum class Result : uint8_t { kNeedMore, kFrame, kError };

  explicit FrameDecoder(size_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

  void Feed(absl::string_view bytes);
  // The next whole frame, in order. After kError, status() says what was wrong, and no more frames
  // come, whatever is fed.
  Result Next(FrameView* frame);

  // Takes effect from the next frame on (after the hello).
  void set_frame_bytes_max(size_t bytes) { frame_bytes_max_ = bytes; }

  [[nodiscard]] const absl::Status& status() const { return status_; }
  // Bytes fed and not yet returned in a frame.
  [[nodiscard]] size_t buffered_bytes() const { return buffer_.size() - consumed_; }
  // Memory that the decoder owns: at most about four times what it was fed and has not returned
  // yet, together with the last frame.
  [[nodiscard]] size_t buffer_capacity() const;

 private:
  Result Fail(absl::Status status);
  void FreeBuffer();

  size_t frame_bytes_max_;
  std::string buffer_;
  size_t consumed_ = 0;  // of buffer_, by frames already returned
  absl::Status status_;
};

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_FRAME_DECODER_H_
