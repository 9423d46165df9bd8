#include "protocol/frame.h"

#include <gtest/gtest.h>

#include <string>

#include "protocol/base/bytes.h"
#include "protocol/base/crc32c.h"
#include "protocol/lock.pb.h"
#include "protocol/opcode.h"

namespace lockd {
namespace {

FrameHeader SomeHeader() {
  return {Opcode::kAcquire, kFlagReply | kFlagError, GroupId(0x0201), 0x06050403};
}

TEST(Frame, LaysOutItsHeaderLittleEndian) {
  std::string bytes;
  AppendFrame(bytes, SomeHeader(), absl::string_view("xyz"));
  ASSERT_EQ(bytes.size(), kFrameHeaderBytes + 3);
  EXPECT_EQ(bytes.substr(0, 4), std::string("\x13\0\0\0", 4));
  EXPECT_EQ(bytes.substr(8), std::string("\x20\x03\x01\x02\x03\x04\x05\x06xyz"));
}

TEST(Frame, ChecksumCoversEverythingButItself) {
  std::string bytes;
  AppendFrame(bytes, SomeHeader(), absl::string_view("xyz"));
  const std::string covered = bytes.substr(0, 4) + bytes.substr(8);
  EXPECT_EQ(LoadLittle<uint32_t>(bytes.data() + 4), Crc32c(covered));
}

TEST(Frame, AppendsBehindWhatIsThere) {
  std::string alone;
  AppendFrame(alone, SomeHeader(), absl::string_view("second"));
  std::string both;
  AppendFrame(both, FrameHeader{}, absl::string_view());
  EXPECT_EQ(both.size(), kFrameHeaderBytes);
  AppendFrame(both, SomeHeader(), absl::string_view("second"));
  EXPECT_EQ(both.substr(kFrameHeaderBytes), alone);
}

TEST(Frame, OfAMessageIsTheFrameOfItsBytes) {
  pb::PingRequest ping;
  ping.set_session_id(17);
  std::string of_message;
  AppendFrame(of_message, SomeHeader(), ping);
  std::string of_bytes;
  AppendFrame(of_bytes, SomeHeader(), ping.SerializeAsString());
  EXPECT_EQ(of_message, of_bytes);
}

TEST(Frame, MayBeAsLargeAsTheLargestLimit) {
  std::string bytes;
  AppendFrame(bytes, SomeHeader(), std::string(kPeerFrameBytesMax - kFrameHeaderBytes, 'x'));
  EXPECT_EQ(bytes.size(), kPeerFrameBytesMax);
}

TEST(FrameDeathTest, AboveTheLargestLimitIsABug) {
  std::string bytes;
  const std::string payload(kPeerFrameBytesMax - kFrameHeaderBytes + 1, 'x');
  EXPECT_DEATH(AppendFrame(bytes, SomeHeader(), payload), "frame of 4194305 bytes");
}

TEST(Opcode, EachKindHasADirectionAndAName) {
  int named = 0;
  for (int number = 0; number < 256; ++number) {
    const auto opcode = static_cast<Opcode>(number);
    const bool known = OpcodeName(opcode) != "unknown";
    EXPECT_EQ(known, IsClientRequest(opcode) || IsServerToClient(opcode) || IsPeerFrame(opcode))
        << number;
    named += known ? 1 : 0;
  }
  EXPECT_EQ(named, 33);
}

TEST(Frame, CrossingTheGreatestRequestIdSkipsZero) {
  EXPECT_EQ(NextRequestId(0), 1u);
  EXPECT_EQ(NextRequestId(0x7fffffffu), 0x80000000u);
  EXPECT_EQ(NextRequestId(0xfffffffeu), 0xffffffffu);
  EXPECT_EQ(NextRequestId(0xffffffffu), 1u);
}

TEST(Opcode, NothingButHelloAndReasonIsKnownOnBothPorts) {
  for (int number = 0; number < 256; ++number) {
    const auto opcode = static_cast<Opcode>(number);
    if (opcode == Opcode::kHello || opcode == Opcode::kReason) continue;
    EXPECT_FALSE(IsPeerFrame(opcode) && (IsClientRequest(opcode) || IsServerToClient(opcode)))
        << OpcodeName(opcode);
  }
}

TEST(Opcode, ClientsDoNotSendPushesOrReasons) {
  for (const Opcode opcode :
       {Opcode::kReason, Opcode::kAcquireOutcome, Opcode::kSessionEnded, Opcode::kNotLeader}) {
    EXPECT_FALSE(IsClientRequest(opcode)) << OpcodeName(opcode);
    EXPECT_TRUE(IsServerToClient(opcode)) << OpcodeName(opcode);
  }
}

}  // namespace
}  // namespace lockd
