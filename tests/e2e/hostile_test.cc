// What the server survives: bytes that no client of ours would send, on real sockets. After each,
// an honest client is served.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/raft.pb.h"
#include "tests/e2e/hostile.h"

namespace lockd::e2e {
namespace {

// N-01, N-18: also what an HTTP client says
TEST_F(Hostile, GarbageIsAnsweredWithAReasonAndClosed) {
  const std::string kStreams[] = {
      std::string(64, '\0'),
      std::string(64, '\xff'),
      "GET / HTTP/1.1\r\nHost: lockd\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello",
      "*1\r\n$4\r\nPING\r\n",
  };
  for (const std::string& stream : kStreams) {
    RawConnection connection(port());
    connection.Send(stream);
    EXPECT_TRUE(connection.IsClosedByServer()) << stream;
    EXPECT_EQ(connection.reason(), pb::ERROR_CODE_PROTOCOL) << stream;
  }
}

// N-02
TEST_F(Hostile, LengthsOutOfRangeAreRefusedBeforeAnythingIsAllocated) {
  const uint64_t rss_before = Status().rss_bytes;
  for (const uint32_t length : {0u, 1u, 15u, 1'025u, 0x7fffffffu, 0xffffffffu}) {
    RawConnection connection(port());
    std::string bytes;
    AppendLittle(bytes, length);
    connection.Send(bytes);
    EXPECT_TRUE(connection.IsClosedByServer()) << length;
    EXPECT_EQ(connection.reason(), pb::ERROR_CODE_PROTOCOL) << length;
  }
  EXPECT_LT(Status().rss_bytes, rss_before + 16 * 1024 * 1024);
}

TEST_F(Hostile, AFrameMayBeLargerAfterHelloButNotTooLarge) {
  RawConnection connection(port());
  ASSERT_TRUE(connection.SendHello());
  ASSERT_TRUE(connection.ReadMessage<pb::ServerHello>(Opcode::kHello));
  pb::GetLockRequest request;
  request.set_name(std::string(1'000, 'n'));
  EXPECT_TRUE(connection.SendFrame(Opcode::kGetLock, 1, request));
  EXPECT_TRUE(connection.ReadMessage<pb::GetLockReply>(Opcode::kGetLock));
  std::string bytes;
  AppendLittle<uint32_t>(bytes, 64 * 1024 + 1);
  connection.Send(bytes);
  EXPECT_TRUE(connection.IsClosedByServer());
  EXPECT_EQ(connection.reason(), pb::ERROR_CODE_PROTOCOL);
}

TEST_F(Hostile, AWrongMagicVersionOrChecksumIsRefused) {
  {
    RawConnection connection(port());
    pb::ClientHello hello = MakeHello();
    hello.set_magic(1);
    connection.SendFrame(Opcode::kHello, 0, hello);
    EXPECT_TRUE(connection.IsClosedByServer());
    EXPECT_EQ(connection.reason(), pb::ERROR_CODE_PROTOCOL);
  }
  {
    RawConnection connection(port());
    pb::ClientHello hello = MakeHello();
    hello.set_version_min(99);
    hello.set_version_max(99);
    connection.SendFrame(Opcode::kHello, 0, hello);
    EXPECT_TRUE(connection.IsClosedByServer());
    EXPECT_EQ(connection.reason(), pb::ERROR_CODE_PROTOCOL);
  }
  {
    RawConnection connection(port());
    std::string bytes;
    AppendFrame(bytes, {.opcode = Opcode::kHello}, MakeHello());
    bytes[5] = static_cast<char>(bytes[5] ^ 1);
    connection.Send(bytes);
    EXPECT_TRUE(connection.IsClosedByServer());
    EXPECT_EQ(connection.reason(), pb::ERROR_CODE_PROTOCOL);
  }
}

// N-12
TEST_F(Hostile, UnknownAndForeignOpcodesCloseTheConnection) {
  // Everything that a client may not send: numbers that mean nothing, pushes, and all that speaks
  // Raft.
  for (int opcode = 0; opcode < 256; ++opcode) {
    if (IsClientRequest(static_cast<Opcode>(opcode))) continue;
    RawConnection connection(port());
    ASSERT_TRUE(connection.SendHello());
    ASSERT_TRUE(connection.ReadMessage<pb::ServerHello>(Opcode::kHello));
    pb::VoteRequest vote;
    vote.set_term(1'000'000);
    connection.SendFrame(static_cast<Opcode>(opcode), 1, vote);
    EXPECT_TRUE(connection.IsClosedByServer()) << opcode;
    EXPECT_EQ(connection.reason(), pb::ERROR_CODE_PROTOCOL) << opcode;
  }
  EXPECT_LT(Status().term, 1'000u) << "a frame of the client port reached Raft";
}

// N-09
TEST_F(Hostile, NothingButHelloIsServedBeforeHello) {
  for (int opcode = 0; opcode < 256; ++opcode) {
    if (static_cast<Opcode>(opcode) == Opcode::kHello) continue;
    RawConnection connection(port());
    connection.SendFrame(static_cast<Opcode>(opcode), 1, pb::StatusRequest());
    EXPECT_TRUE(connection.IsClosedByServer()) << opcode;
    EXPECT_EQ(connection.reason(), pb::ERROR_CODE_PROTOCOL) << opcode;
  }
}

// N-12
TEST_F(Hostile, APeerHelloOnTheClientPortAndAClientHelloOnThePeerPortAreRefused) {
  RawConnection client_port(port());
  pb::PeerHello peer;
  peer.set_magic(kPeerMagic);
  peer.set_node_id(2);
  client_port.SendFrame(Opcode::kHello, 0, peer);
  EXPECT_TRUE(client_port.IsClosedByServer());
  RawConnection peer_port(cluster_.peer_port(0));
  peer_port.SendHello();
  EXPECT_TRUE(peer_port.IsClosedByServer());
}

// N-15
TEST_F(Hostile, AMutationWithoutASessionOfThisConnectionIsRefused) {
  const Opened honest = OpenSession('a');
  RawConnection connection(port());
  ASSERT_TRUE(connection.SendHello());
  // Of no session, and of somebody else's.
  for (const uint64_t session : {uint64_t{0}, uint64_t{123'456}, honest.session}) {
    ASSERT_TRUE(connection.SendFrame(Opcode::kAcquire, 7, MakeAcquire(session, 1)));
    const auto error = connection.ReadMessage<pb::Error>(Opcode::kAcquire);
    ASSERT_TRUE(error.has_value());
    EXPECT_TRUE(error->code() == pb::ERROR_CODE_NOT_ATTACHED ||
                error->code() == pb::ERROR_CODE_INVALID_ARGUMENT)
        << error->ShortDebugString();
  }
}

// N-15
TEST_F(Hostile, AnAttachWithAnotherSecretIsRefused) {
  const Opened honest = OpenSession('a');
  RawConnection connection(port());
  ASSERT_TRUE(connection.SendHello());
  pb::AttachSessionRequest attach;
  attach.set_session_id(honest.session);
  attach.set_nonce(std::string(16, 'b'));
  ASSERT_TRUE(connection.SendFrame(Opcode::kAttachSession, 3, attach));
  const auto error = connection.ReadMessage<pb::Error>(Opcode::kAttachSession);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), pb::ERROR_CODE_WRONG_SECRET);
}

// L-36, N-15
TEST_F(Hostile, ATokenOfAnotherSessionReleasesNothing) {
  const Opened owner = OpenSession('a');
  ASSERT_TRUE(owner.connection->SendFrame(Opcode::kAcquire, 2, MakeAcquire(owner.session, 1)));
  const auto granted = owner.connection->ReadMessage<pb::AcquireReply>(Opcode::kAcquire);
  ASSERT_TRUE(granted.has_value());
  ASSERT_EQ(granted->result(), pb::ACQUIRE_RESULT_GRANTED);

  const Opened thief = OpenSession('b');
  pb::ReleaseRequest release;
  release.mutable_mutation()->set_session_id(thief.session);
  release.mutable_mutation()->set_sequence(1);
  release.set_name("lock");
  release.set_token(granted->grant().token());
  ASSERT_TRUE(thief.connection->SendFrame(Opcode::kRelease, 2, release));
  const auto refused = thief.connection->ReadMessage<pb::ReleaseReply>(Opcode::kRelease);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->result(), pb::RELEASE_RESULT_STALE);
  BlockingClient client(cluster_.client_options());
  EXPECT_EQ(client.GetLock("lock")->token.value(), granted->grant().token());
}

// N-04
TEST_F(Hostile, PayloadsThatAreNoMessagesAndUnknownFieldsAreRefused) {
  RawConnection connection(port());
  ASSERT_TRUE(connection.SendHello());
  ASSERT_TRUE(connection.ReadMessage<pb::ServerHello>(Opcode::kHello));
  pb::GetLockRequest request;
  request.set_name("lock");
  // Field 99: a newer client's.
  const std::string unknown = request.SerializeAsString() + std::string("\x98\x06\x01", 3);
  std::string bytes;
  AppendFrame(bytes, {.opcode = Opcode::kGetLock, .request_id = 5}, unknown);
  ASSERT_TRUE(connection.Send(bytes));
  const auto error = connection.ReadMessage<pb::Error>(Opcode::kGetLock);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), pb::ERROR_CODE_INVALID_ARGUMENT);

  bytes.clear();
  AppendFrame(bytes, {.opcode = Opcode::kGetLock, .request_id = 6},
              absl::string_view("\xff\xff\xff\xff"));
  connection.Send(bytes);
  const auto frame = connection.Read();
  ASSERT_TRUE(frame.has_value());
  EXPECT_TRUE(frame->header.opcode == Opcode::kReason || (frame->header.flags & kFlagError) != 0);
}

// N-05
TEST_F(HostileSilence, ASilentConnectionIsClosedAfterTheHelloTimeout) {
  RawConnection silent(port());
  RawConnection half(port());
  half.Send("\x40");
  EXPECT_TRUE(silent.IsClosedByServer());
  EXPECT_EQ(silent.reason(), pb::ERROR_CODE_TIMEOUT);
  EXPECT_TRUE(half.IsClosedByServer());
  EXPECT_EQ(half.reason(), pb::ERROR_CODE_TIMEOUT);
}

}  // namespace
}  // namespace lockd::e2e
