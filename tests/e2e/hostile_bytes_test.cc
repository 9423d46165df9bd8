// Hostile bytes: cut, flipped, random, nested, oversized, on both ports; names and secrets that
// must not come out raw. N-numbers name kinds of attack.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/base/random.h"
#include "protocol/raft.pb.h"
#include "tests/e2e/hostile.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using HostileBytes = Hostile;

std::string HelloBytes() {
  std::string bytes;
  AppendFrame(bytes, {.opcode = Opcode::kHello}, MakeHello());
  return bytes;
}

std::string FrameOf(Opcode opcode, uint32_t request_id, const std::string& payload) {
  std::string bytes;
  AppendFrame(bytes, {.opcode = opcode, .request_id = request_id}, absl::string_view(payload));
  return bytes;
}

std::vector<Opcode> ClientRequests() {
  std::vector<Opcode> requests;
  for (int opcode = 0; opcode < 256; ++opcode) {
    const auto request = static_cast<Opcode>(opcode);
    if (IsClientRequest(request) && request != Opcode::kHello) requests.push_back(request);
  }
  return requests;
}

// N-01
TEST_F(HostileSilence, EveryPrefixOfAFrameIsClosedWhenNothingFollows) {
  const std::string hello = HelloBytes();
  std::vector<std::unique_ptr<RawConnection>> connections;
  for (size_t cut = 0; cut < hello.size(); ++cut) {
    connections.push_back(std::make_unique<RawConnection>(port()));
    ASSERT_TRUE(connections.back()->Send(absl::string_view(hello).substr(0, cut)));
  }
  for (size_t cut = 0; cut < hello.size(); ++cut) {
    EXPECT_TRUE(connections[cut]->IsClosedByServer()) << cut;
    EXPECT_EQ(connections[cut]->reason(), pb::ERROR_CODE_TIMEOUT) << cut;
  }
}

// N-01
TEST_F(HostileBytes, AFrameMayComeByteByByte) {
  RawConnection connection(port());
  pb::GetLockRequest get;
  get.set_name("lock");
  std::string bytes = HelloBytes();
  AppendFrame(bytes, {.opcode = Opcode::kGetLock, .request_id = 9}, get);
  for (const char byte : bytes) ASSERT_TRUE(connection.Send(absl::string_view(&byte, 1)));
  EXPECT_TRUE(connection.ReadMessage<pb::ServerHello>(Opcode::kHello));
  EXPECT_TRUE(connection.ReadMessage<pb::GetLockReply>(Opcode::kGetLock));
}

// N-01: random bytes and frames with a flipped bit, before and after the hello.
TEST_F(HostileBytes, RandomBytesAreClosedAndCostNoMemory) {
  const auto round = [&](uint64_t seed) {
    Random random(seed);
    auto connection = random.Chance(1, 2) ? Greet() : std::make_unique<RawConnection>(port());
    pb::GetLockRequest get;
    get.set_name(std::string(random.Below(200), 'n'));
    std::string bytes;
    AppendFrame(bytes, {.opcode = Opcode::kGetLock, .request_id = 1}, get);
    if (random.Chance(1, 2)) {
      bytes[4 + random.Below(bytes.size() - 4)] ^= static_cast<char>(1 << random.Below(8));
    } else {
      for (char& byte : bytes) byte = static_cast<char>(random.Below(256));
      bytes[3] = '\x7f';  // a length that nobody accepts
    }
    connection->Send(bytes);
    EXPECT_TRUE(connection->IsClosedByServer()) << "seed " << seed;
    EXPECT_EQ(connection->reason(), pb::ERROR_CODE_PROTOCOL) << "seed " << seed;
  };
  for (uint64_t seed = 0; seed < 50; ++seed) round(seed);
  const uint64_t rss_before = Status().rss_bytes;
  for (uint64_t seed = 50; seed < 400; ++seed) round(seed);
  EXPECT_LT(Status().rss_bytes, rss_before + 4 * 1024 * 1024);
}

// N-02
TEST_F(HostileBytes, TheLargestFramesAreTakenAndOneByteMoreIsNot) {
  // Before the hello: 1 KiB, header included.
  pb::ClientHello hello = MakeHello();
  hello.set_client_name(std::string(500, 'c'));
  std::string bytes;
  AppendFrame(bytes, {.opcode = Opcode::kHello}, hello);
  hello.set_client_name(std::string(500 + 1'024 - bytes.size(), 'c'));
  bytes.clear();
  AppendFrame(bytes, {.opcode = Opcode::kHello}, hello);
  ASSERT_EQ(bytes.size(), 1'024u);
  RawConnection largest(port());
  ASSERT_TRUE(largest.Send(bytes));
  EXPECT_TRUE(largest.ReadMessage<pb::ServerHello>(Opcode::kHello));
  // After it: 64 KiB. The name in it is too long, but the frame is not.
  ASSERT_TRUE(largest.Send(FrameOf(Opcode::kGetLock, 1, std::string(64 * 1024 - 16, '\xff'))));
  EXPECT_TRUE(largest.IsClosedByServer());
  EXPECT_EQ(largest.reason(), pb::ERROR_CODE_PROTOCOL);
  auto valid = Greet();
  pb::GetLockRequest get;
  get.set_name(std::string(64 * 1024 - 16 - 4, 'n'));
  std::string frame;
  AppendFrame(frame, {.opcode = Opcode::kGetLock, .request_id = 1}, get);
  ASSERT_EQ(frame.size(), 64u * 1024);
  ASSERT_TRUE(valid->Send(frame));
  const auto error = valid->ReadMessage<pb::Error>(Opcode::kGetLock);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), pb::ERROR_CODE_INVALID_ARGUMENT);

  for (const uint32_t length : {0u, 1u, 15u, 65'537u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    auto connection = Greet();
    std::string field;
    AppendLittle(field, length);
    connection->Send(field);
    EXPECT_TRUE(connection->IsClosedByServer()) << length;
    EXPECT_EQ(connection->reason(), pb::ERROR_CODE_PROTOCOL) << length;
    if (length == 65'537) continue;
    RawConnection peer(cluster_.peer_port(0));
    peer.Send(field);
    EXPECT_TRUE(peer.IsClosedByServer()) << length;
    EXPECT_EQ(peer.reason(), pb::ERROR_CODE_PROTOCOL) << length;
  }
}

// N-02: what a length announces is not reserved.
TEST_F(HostileBytes, AnnouncedLengthsCostNothing) {
  std::vector<std::unique_ptr<RawConnection>> connections;
  const uint64_t rss_before = Status().rss_bytes;
  for (int i = 0; i < 300; ++i) {
    connections.push_back(Greet());
    std::string field;
    AppendLittle<uint32_t>(field, 64 * 1024);
    ASSERT_TRUE(connections.back()->Send(field));
  }
  EXPECT_LT(Status().rss_bytes, rss_before + 300 * 16 * 1024);
}

// N-04: what a parser of nested and repeated fields may stumble over, as the payload of every
// request. Each gets an error or ends its connection; none ends anything else.
TEST_F(HostileBytes, PayloadsThatParsersStumbleOverAreRefused) {
  const std::string nested_groups(30'000,
                                  '\x9b');  // field 99 * 2 of group after group, never ended
  std::string nested_fields;
  for (int i = 0; i < 2'000; ++i) nested_fields = absl::StrCat("\x0a", "\x7f", nested_fields);
  const std::string payloads[] = {
      nested_groups + "\x06",
      std::string(30'000, '\x0b'),  // field 1 as a group in a group in a group
      nested_fields,
      std::string("\x0c", 1),      // the end of a group that never began
      std::string("\x00\x01", 2),  // field 0
      std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12),  // 11 bytes of varint
      std::string("\x0a\xff\xff\xff\xff\x07", 6),  // 2 GiB of text announced
      std::string("\x0a\x05\x01", 3),              // cut off
      std::string("\x98\x06\x01", 3),              // field 99
      std::string("\x0f\x0e\x07", 3),              // wire types that do not exist
  };
  for (const Opcode opcode : ClientRequests()) {
    for (size_t i = 0; i < std::size(payloads); ++i) {
      auto connection = Greet();
      ASSERT_TRUE(connection->Send(FrameOf(opcode, 1, payloads[i])));
      const auto frame = connection->Read();
      ASSERT_TRUE(frame.has_value()) << OpcodeName(opcode) << " payload " << i;
      EXPECT_TRUE(frame->header.opcode == Opcode::kReason ||
                  (frame->header.flags & kFlagError) != 0)
          << OpcodeName(opcode) << " payload " << i << " was served";
    }
  }
}

// N-04: nothing set, and numbers at their ends. Errors, or answers that change nothing.
TEST_F(HostileBytes, EmptyRequestsAndNumbersAtTheirEndsChangeNothing) {
  const Opened honest = OpenSession('h');
  for (const Opcode opcode : ClientRequests()) {
    auto connection = Greet();
    ASSERT_TRUE(connection->Send(FrameOf(opcode, 1, "")));
    EXPECT_TRUE(connection->Read().has_value()) << OpcodeName(opcode);
  }
  pb::AcquireRequest acquire = MakeAcquire(honest.session, 1);
  for (const uint64_t number : {uint64_t{0}, uint64_t{1} << 62, uint64_t{1} << 63, UINT64_MAX}) {
    acquire.mutable_mutation()->set_sequence(number);
    acquire.mutable_mutation()->set_acknowledged_through(number);
    acquire.set_wait_ms(static_cast<int64_t>(number));
    acquire.set_max_hold_ms(static_cast<int64_t>(number));
    ASSERT_TRUE(honest.connection->SendFrame(Opcode::kAcquire, 7, acquire));
    ASSERT_TRUE(honest.connection->ReadMessage<pb::Error>(Opcode::kAcquire)) << number;
  }
  BlockingClient client(cluster_.client_options());
  EXPECT_FALSE(client.GetLock("lock")->held);
  // The session is as good as before.
  ASSERT_TRUE(honest.connection->SendFrame(Opcode::kAcquire, 8, MakeAcquire(honest.session, 1)));
  EXPECT_EQ(honest.connection->ReadMessage<pb::AcquireReply>(Opcode::kAcquire)->result(),
            pb::ACQUIRE_RESULT_GRANTED);
}

// N-04: a field that stands in a message twice has one meaning everywhere, the last one.
TEST_F(HostileBytes, AFieldThatStandsTwiceMeansItsLastValue) {
  const Opened honest = OpenSession('h');
  pb::AcquireRequest first = MakeAcquire(honest.session, 1);
  first.set_name("first");
  pb::AcquireRequest last;
  last.set_name("last");
  ASSERT_TRUE(honest.connection->Send(
      FrameOf(Opcode::kAcquire, 7, first.SerializeAsString() + last.SerializeAsString())));
  EXPECT_EQ(honest.connection->ReadMessage<pb::AcquireReply>(Opcode::kAcquire)->result(),
            pb::ACQUIRE_RESULT_GRANTED);
  BlockingClient client(cluster_.client_options());
  EXPECT_FALSE(client.GetLock("first")->held);
  EXPECT_TRUE(client.GetLock("last")->held);
}

// N-08: names are bytes and come back as they went in.
TEST_F(HostileBytes, NamesOfAnyBytesAreKeptApart) {
  const std::string names[] = {std::string("a\0b", 3),
                               std::string("a\0c", 3),
                               "a",
                               "a\n",
                               "\r\n",
                               "../../etc/passwd",
                               "\x1b[2J\x1b]0;owned\a",
                               "\xff\xfe",
                               std::string(1'024, '\0')};
  BlockingClient client(cluster_.client_options());
  const auto session = client.OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  std::vector<AcquireResult> held;
  for (const std::string& name : names) {
    held.push_back(session->Acquire(name));
    ASSERT_TRUE(held.back().granted()) << held.back().ToStatus();
  }
  for (size_t i = 0; i < std::size(names); ++i) {
    EXPECT_EQ(client.GetLock(names[i])->token, held[i].lock.token()) << i;
  }
}

// N-08: what a stranger says of itself stands in the log escaped, on one line.
TEST_F(HostileBytes, WhatStrangersSayIsLoggedEscaped) {
  RawConnection stranger(cluster_.peer_port(0));
  pb::PeerHello hello;
  hello.set_magic(kPeerMagic);
  hello.set_version_min(1);
  hello.set_version_max(1);
  hello.set_node_id(2);
  hello.set_cluster_name("\x1b[2J\nFORGED a line of its own");
  ASSERT_TRUE(stranger.SendFrame(Opcode::kHello, 0, hello));
  EXPECT_TRUE(stranger.IsClosedByServer());
  ASSERT_TRUE(Eventually([&] { return cluster_.ReadLog(0).find("FORGED") != std::string::npos; }));
  EXPECT_THAT(cluster_.ReadLog(0), Not(HasSubstr("\x1b")));
  EXPECT_THAT(cluster_.ReadLog(0), Not(HasSubstr("\nFORGED")));
}

// N-16: the secret of a session comes back in no answer and stands in no log line.
TEST_F(HostileBytes, ASecretIsNeitherLoggedNorTold) {
  const std::string secret = "planted-secret-!";
  auto connection = Greet();
  std::string everything;
  const auto ask = [&](Opcode opcode, uint32_t id, const google::protobuf::MessageLite& message) {
    ASSERT_TRUE(connection->Send(FrameOf(opcode, id, message.SerializeAsString())));
    const auto frame = connection->Read();
    ASSERT_TRUE(frame.has_value());
    everything += frame->payload;
  };
  pb::OpenSessionRequest open;
  open.set_nonce(secret);
  open.set_ttl_ms(10'000);
  ask(Opcode::kOpenSession, 1, open);
  pb::OpenSessionReply opened;
  ASSERT_TRUE(opened.ParseFromString(everything));
  open.set_ttl_ms(-1);
  ask(Opcode::kOpenSession, 2, open);  // an error text
  pb::AttachSessionRequest attach;
  attach.set_session_id(opened.session_id() + 1);
  attach.set_nonce(secret);
  ask(Opcode::kAttachSession, 3, attach);
  ask(Opcode::kAcquire, 4, MakeAcquire(opened.session_id(), 1));
  ask(Opcode::kListSessions, 5, pb::ListSessionsRequest());
  pb::GetLockRequest get;
  get.set_name("lock");
  ask(Opcode::kGetLock, 6, get);
  ask(Opcode::kStatus, 7, pb::StatusRequest());
  EXPECT_THAT(everything, Not(HasSubstr(secret)));
  EXPECT_THAT(cluster_.ReadLog(0), Not(HasSubstr(secret)));
}

}  // namespace
}  // namespace lockd::e2e
