#include "protocol/frame_decoder.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/base/random.h"
#include "protocol/frame.h"

namespace lockd {
namespace {

using Result = FrameDecoder::Result;

struct Frame {
  FrameHeader header;
  std::string payload;
  friend bool operator==(const Frame&, const Frame&) = default;
};

std::string Encode(const Frame& frame) {
  std::string bytes;
  AppendFrame(bytes, frame.header, frame.payload);
  return bytes;
}

std::string Encode(const std::vector<Frame>& frames) {
  std::string bytes;
  for (const Frame& frame : frames) AppendFrame(bytes, frame.header, frame.payload);
  return bytes;
}

// Small frames of all shapes: no payload, one byte, many.
std::vector<Frame> SomeFrames() {
  return {{{Opcode::kHello, 0, GroupId(0), 0}, "hello"},
          {{Opcode::kPing, 0, GroupId(0), 1}, ""},
          {{Opcode::kAcquire, kFlagReply, GroupId(7), 0xffffffff}, std::string(40, '\0')},
          {{Opcode::kStatus, kFlagReply | kFlagError, GroupId(0xffff), 2}, "x"}};
}

// Everything the decoder can return now; ends at kNeedMore or kError, which is `last`.
std::vector<Frame> Drain(FrameDecoder& decoder, Result* last = nullptr) {
  std::vector<Frame> frames;
  FrameView view;
  Result result = decoder.Next(&view);
  for (; result == Result::kFrame; result = decoder.Next(&view)) {
    frames.push_back({view.header, std::string(view.payload)});
  }
  if (last != nullptr) *last = result;
  return frames;
}

std::string LengthField(uint32_t length) {
  std::string bytes;
  AppendLittle(bytes, length);
  return bytes;
}

TEST(FrameDecoder, ReturnsTheFramesOfAStreamCutAtEveryTwoPlaces) {
  const std::vector<Frame> frames = SomeFrames();
  const std::string bytes = Encode(frames);
  for (size_t first = 0; first <= bytes.size(); ++first) {
    for (size_t second = first; second <= bytes.size(); ++second) {
      FrameDecoder decoder(kHelloFrameBytesMax);
      std::vector<Frame> got;
      for (const std::string& chunk :
           {bytes.substr(0, first), bytes.substr(first, second - first), bytes.substr(second)}) {
        decoder.Feed(chunk);
        for (Frame& frame : Drain(decoder)) got.push_back(std::move(frame));
      }
      ASSERT_EQ(got, frames) << first << " " << second;
      ASSERT_EQ(decoder.buffered_bytes(), 0u);
    }
  }
}

TEST(FrameDecoder, ReturnsEachFrameAtItsLastByte) {
  const std::vector<Frame> frames = SomeFrames();
  FrameDecoder decoder(kHelloFrameBytesMax);
  for (const Frame& frame : frames) {
    const std::string bytes = Encode(frame);
    for (size_t i = 0; i < bytes.size(); ++i) {
      ASSERT_TRUE(Drain(decoder).empty()) << i;
      decoder.Feed(bytes.substr(i, 1));
      ASSERT_EQ(decoder.buffered_bytes(), i + 1);
    }
    ASSERT_EQ(Drain(decoder), std::vector<Frame>{frame});
  }
}

// N-01
TEST(FrameDecoder, RefusesAFrameWithAnyOneBitFlipped) {
  for (const Frame& frame : SomeFrames()) {
    const std::string good = Encode(frame);
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      FrameDecoder decoder(kHelloFrameBytesMax);
      decoder.Feed(bad);
      // A flipped length may announce more bytes than there are: whatever comes then does not help.
      decoder.Feed(std::string(kHelloFrameBytesMax, '\0'));
      Result last = Result::kFrame;
      ASSERT_TRUE(Drain(decoder, &last).empty()) << "bit " << bit;
      ASSERT_EQ(last, Result::kError) << "bit " << bit;
    }
  }
}

TEST(FrameDecoder, RefusesLengthsOutsideItsLimitsAtTheFourthByte) {
  constexpr auto kMax = static_cast<uint32_t>(kClientFrameBytesMax);
  for (const uint32_t length : {0u, 1u, 15u, kMax + 1, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    FrameDecoder decoder(kClientFrameBytesMax);
    FrameView view;
    decoder.Feed(LengthField(length).substr(0, 3));
    EXPECT_EQ(decoder.Next(&view), Result::kNeedMore) << length;
    decoder.Feed(LengthField(length).substr(3));
    EXPECT_EQ(decoder.Next(&view), Result::kError) << length;
    EXPECT_EQ(decoder.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StrContains(decoder.status().message(), absl::StrCat(length)));
  }
}

TEST(FrameDecoder, TakesTheSmallestAndTheLargestFrame) {
  for (const size_t length : {kFrameHeaderBytes, kClientFrameBytesMax}) {
    const Frame frame{{Opcode::kStatus, 0, GroupId(0), 1},
                      std::string(length - kFrameHeaderBytes, 'p')};
    FrameDecoder decoder(kClientFrameBytesMax);
    decoder.Feed(Encode(frame));
    EXPECT_EQ(Drain(decoder), std::vector<Frame>{frame}) << length;
  }
}

TEST(FrameDecoder, ReservesNothingForAnAnnouncedLength) {
  FrameDecoder decoder(kPeerFrameBytesMax);
  decoder.Feed(LengthField(static_cast<uint32_t>(kPeerFrameBytesMax)));
  FrameView view;
  EXPECT_EQ(decoder.Next(&view), Result::kNeedMore);
  EXPECT_LE(decoder.buffer_capacity(), 64u);
}

TEST(FrameDecoder, OwnsNoBufferWhenEmptyOrFailed) {
  FrameDecoder decoder(kClientFrameBytesMax);
  EXPECT_EQ(decoder.buffer_capacity(), 0u);
  decoder.Feed(Encode({{Opcode::kStatus, 0, GroupId(0), 1}, std::string(50'000, 'p')}));
  EXPECT_GE(decoder.buffer_capacity(), 50'000u);
  EXPECT_EQ(Drain(decoder).size(), 1u);
  EXPECT_EQ(decoder.buffer_capacity(), 0u);

  decoder.Feed(std::string(50'000, '\xff'));
  EXPECT_TRUE(Drain(decoder).empty());
  EXPECT_EQ(decoder.buffer_capacity(), 0u);
  decoder.Feed(std::string(50'000, '\xff'));
  EXPECT_EQ(decoder.buffer_capacity(), 0u);
}

TEST(FrameDecoder, HasNoMoreFramesAfterAnError) {
  FrameDecoder decoder(kHelloFrameBytesMax);
  const Frame good{{Opcode::kPing, 0, GroupId(0), 1}, "p"};
  decoder.Feed(Encode(good) + LengthField(3) + Encode(good));
  Result last = Result::kFrame;
  EXPECT_EQ(Drain(decoder, &last), std::vector<Frame>{good});
  EXPECT_EQ(last, Result::kError);
  decoder.Feed(Encode(good));
  EXPECT_TRUE(Drain(decoder, &last).empty());
  EXPECT_EQ(last, Result::kError);
  EXPECT_EQ(decoder.buffered_bytes(), 0u);
}

TEST(FrameDecoder, AppliesANewLimitFromTheNextFrameOn) {
  const Frame hello{{Opcode::kHello, 0, GroupId(0), 0}, "hello"};
  const Frame large{{Opcode::kAcquire, 0, GroupId(0), 1}, std::string(kHelloFrameBytesMax, 'n')};

  FrameDecoder strict(kHelloFrameBytesMax);
  strict.Feed(Encode({hello, large}));
  Result last = Result::kFrame;
  EXPECT_EQ(Drain(strict, &last), std::vector<Frame>{hello});
  EXPECT_EQ(last, Result::kError) << "the limit of the state before the hello still held";

  FrameDecoder raised(kHelloFrameBytesMax);
  raised.Feed(Encode({hello, large}));  // both are buffered already
  FrameView view;
  ASSERT_EQ(raised.Next(&view), Result::kFrame);
  raised.set_frame_bytes_max(kClientFrameBytesMax);
  EXPECT_EQ(view.payload, "hello") << "still valid";
  EXPECT_EQ(Drain(raised), std::vector<Frame>{large});
}

TEST(FrameDecoder, KeepsItsBufferBoundedWhenFramesAreTakenOneByOne) {
  // One small frame is fed and one taken, with a thousand waiting all the time.
  constexpr int kWaiting = 1000;
  const Frame frame{{Opcode::kPing, 0, GroupId(0), 1}, "1234"};
  const std::string bytes = Encode(frame);
  FrameDecoder decoder(kHelloFrameBytesMax);
  for (int i = 0; i < kWaiting; ++i) decoder.Feed(bytes);
  FrameView view;
  for (int i = 0; i < 100 * kWaiting; ++i) {
    decoder.Feed(bytes);
    ASSERT_EQ(decoder.Next(&view), Result::kFrame);
    ASSERT_EQ(view.payload, "1234");
    ASSERT_EQ(decoder.buffered_bytes(), kWaiting * bytes.size());
    ASSERT_LE(decoder.buffer_capacity(), 5 * kWaiting * bytes.size());
  }
}

TEST(FrameDecoder, ReturnsWhatWasSentWhateverTheChunks) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    std::vector<Frame> frames(random.Between(1, 30));
    for (Frame& frame : frames) {
      frame.header = {static_cast<Opcode>(random.Below(256)),
                      static_cast<uint8_t>(random.Below(256)),
                      GroupId(static_cast<uint16_t>(random.Below(65536))),
                      static_cast<uint32_t>(random.Next())};
      frame.payload.assign(random.Chance(1, 10) ? random.Below(20'000) : random.Below(20), 'p');
    }
    const std::string bytes = Encode(frames);
    FrameDecoder decoder(kClientFrameBytesMax);
    std::vector<Frame> got;
    FrameView view;
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = random.Chance(1, 2) ? random.Between(1, 20) : random.Between(1, 40'000);
      decoder.Feed(absl::string_view(bytes).substr(at, size));
      at += size;
      // Not always all of them: what is left is returned later.
      while (!random.Chance(1, 4) && decoder.Next(&view) == Result::kFrame) {
        got.push_back({view.header, std::string(view.payload)});
      }
    }
    for (Frame& frame : Drain(decoder)) got.push_back(std::move(frame));
    ASSERT_EQ(got, frames) << "seed " << seed;
  }
}

}  // namespace
}  // namespace lockd
