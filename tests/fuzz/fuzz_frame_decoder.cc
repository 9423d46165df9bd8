// FrameDecoder against any bytes in any chunks.
//
//   input: u8 mode | u8 chunk seed | the byte stream
//
// Mode bit 0 repairs the checksums of the stream first, so that the fuzzer gets past them. What
// must hold: the chunks do not change what is decoded; the frames, encoded again, are the stream
// that was consumed; memory stays in proportion to what was fed.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/random.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"

namespace lockd {
namespace {

constexpr size_t kFrameBytesMax = 4096;

struct Decoded {
  std::string frames;  // encoded again
  FrameDecoder::Result end = FrameDecoder::Result::kNeedMore;
};

void Drain(FrameDecoder& decoder, Decoded* decoded) {
  FrameView view;
  do {
    decoded->end = decoder.Next(&view);
    if (decoded->end == FrameDecoder::Result::kFrame) {
      AppendFrame(decoded->frames, view.header, view.payload);
    }
  } while (decoded->end == FrameDecoder::Result::kFrame);
}

Decoded DecodeInChunks(const std::string& stream, uint64_t seed) {
  FrameDecoder decoder(kFrameBytesMax);
  Random random(seed);
  Decoded decoded;
  for (size_t at = 0; at < stream.size();) {
    const size_t size = random.Between(1, random.Chance(1, 2) ? 8 : 600);
    decoder.Feed(absl::string_view(stream).substr(at, size));
    at += size;
    Drain(decoder, &decoded);
    LOCKD_CHECK(decoder.buffered_bytes() < kFrameBytesMax);
    LOCKD_CHECK(decoder.buffer_capacity() <= 4 * (kFrameBytesMax + size));
  }
  if (decoded.end == FrameDecoder::Result::kError) {
    LOCKD_CHECK(!decoder.status().ok());
    LOCKD_CHECK(decoder.buffer_capacity() == 0);
  } else {
    LOCKD_CHECK(decoded.frames.size() + decoder.buffered_bytes() == stream.size());
  }
  return decoded;
}

void RepairChecksums(std::string& stream) {
  for (size_t at = 0; at + kFrameHeaderBytes <= stream.size();) {
    const uint32_t length = LoadLittle<uint32_t>(stream.data() + at);
    if (length < kFrameHeaderBytes || length > stream.size() - at) return;
    const absl::string_view frame = absl::string_view(stream).substr(at, length);
    const uint32_t crc = ExtendCrc32c(Crc32c(frame.substr(0, 4)), frame.substr(8));
    StoreLittle(stream.data() + at + 4, crc);
    at += length;
  }
}

void RunOne(absl::string_view input) {
  ByteReader reader(input);
  const uint8_t mode = reader.U8();
  const uint8_t seed = reader.U8();
  if (!reader.ok()) return;
  std::string stream(reader.Bytes(reader.remaining()));
  if ((mode & 1) != 0) RepairChecksums(stream);

  Decoded whole;
  FrameDecoder decoder(kFrameBytesMax);
  decoder.Feed(stream);
  Drain(decoder, &whole);
  LOCKD_CHECK(absl::string_view(stream).substr(0, whole.frames.size()) == whole.frames);

  const Decoded in_chunks = DecodeInChunks(stream, seed);
  LOCKD_CHECK(in_chunks.frames == whole.frames);
  LOCKD_CHECK(in_chunks.end == whole.end);
}

}  // namespace
}  // namespace lockd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::RunOne(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
