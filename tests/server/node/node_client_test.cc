// The client port: hello, malformed input, limits, and who is told to go elsewhere.

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

pb::ClientHello GoodHello() {
  pb::ClientHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version_min(kProtocolVersionMin);
  hello.set_version_max(kProtocolVersionMax);
  return hello;
}

FrameHeader HeaderOf(Opcode opcode, uint32_t request_id = 0) {
  return {.opcode = opcode, .flags = 0, .group = {}, .request_id = request_id};
}

class OneNode : public testing::Test {
 protected:
  void Start(NodeEnv::Tweak tweak = {}) {
    env.emplace(1, std::move(tweak));
    env->StartAll();
    ASSERT_EQ(env->AwaitLeader(), 1);
  }
  // The reason with which a connection that sent this as its first frame was closed.
  pb::Reason ReasonFor(const FrameHeader& header, const std::string& payload,
                       bool after_hello = false) {
    TestClient client = after_hello ? TestClient(*env, 1) : TestClient(*env, 1, TestClient::Raw{});
    client.SendFrame(header, payload);
    env->Settle();
    EXPECT_TRUE(client.WasClosed());
    const auto reason = client.Push(Opcode::kReason);
    EXPECT_TRUE(reason.has_value());
    return reason ? reason->As<pb::Reason>() : pb::Reason();
  }

  std::optional<NodeEnv> env;
};

TEST_F(OneNode, AnswersAHelloWithItsLimits) {
  Start();
  TestClient client(*env, 1, TestClient::Raw{});
  client.SendFrame(HeaderOf(Opcode::kHello), GoodHello().SerializeAsString());
  env->Settle();
  const auto received = client.Receive();
  ASSERT_EQ(received.size(), 1u);
  const auto hello = received[0].As<pb::ServerHello>();
  EXPECT_EQ(hello.magic(), kClientMagic);
  EXPECT_EQ(hello.version(), kProtocolVersionMax);
  EXPECT_EQ(hello.cluster_id(), 7'001u);
  EXPECT_EQ(hello.node_id(), 1u);
  EXPECT_EQ(hello.frame_bytes_max(), kClientFrameBytesMax);
  EXPECT_EQ(hello.leader().client_address(), "client-1:1");
}

TEST_F(OneNode, SpeaksTheHighestVersionThatBothKnow) {
  Start();
  pb::ClientHello newer = GoodHello();
  newer.set_version_max(kProtocolVersionMax + 5);
  TestClient client(*env, 1, TestClient::Raw{});
  EXPECT_EQ(client.Call<pb::ServerHello>(Opcode::kHello, newer).version(), kProtocolVersionMax);
}

TEST_F(OneNode, ClosesWithAReasonOnAWrongHello) {
  Start();
  pb::ClientHello magic = GoodHello();
  magic.set_magic(kPeerMagic);
  EXPECT_EQ(ReasonFor(HeaderOf(Opcode::kHello), magic.SerializeAsString()).code(),
            pb::ERROR_CODE_PROTOCOL);
  pb::ClientHello version = GoodHello();
  version.set_version_min(kProtocolVersionMax + 1);
  version.set_version_max(kProtocolVersionMax + 5);
  EXPECT_EQ(ReasonFor(HeaderOf(Opcode::kHello), version.SerializeAsString()).code(),
            pb::ERROR_CODE_PROTOCOL);
  pb::ClientHello cluster = GoodHello();
  cluster.set_cluster_id(12345);
  EXPECT_EQ(ReasonFor(HeaderOf(Opcode::kHello), cluster.SerializeAsString()).code(),
            pb::ERROR_CODE_WRONG_CLUSTER);
  EXPECT_EQ(ReasonFor(HeaderOf(Opcode::kHello), "\xff\xff").code(), pb::ERROR_CODE_PROTOCOL);
}

TEST_F(OneNode, ClosesWithAReasonOnAnythingBeforeTheHello) {
  Start();
  // One for each number that an opcode can have: nothing works without a hello.
  for (int opcode = 0; opcode < 256; ++opcode) {
    if (opcode == static_cast<int>(Opcode::kHello)) continue;
    EXPECT_EQ(ReasonFor(HeaderOf(static_cast<Opcode>(opcode), 1), "").code(),
              pb::ERROR_CODE_PROTOCOL)
        << opcode;
  }
}

TEST_F(OneNode, ClosesWithAReasonOnWhatIsNoRequest) {
  Start();
  EXPECT_EQ(ReasonFor(HeaderOf(Opcode::kHello), GoodHello().SerializeAsString(), true).code(),
            pb::ERROR_CODE_PROTOCOL);
  EXPECT_EQ(ReasonFor(HeaderOf(Opcode::kHeartbeat, 1), "", true).code(), pb::ERROR_CODE_PROTOCOL);
  EXPECT_EQ(ReasonFor(HeaderOf(Opcode::kAcquireOutcome, 1), "", true).code(),
            pb::ERROR_CODE_PROTOCOL);
  EXPECT_EQ(ReasonFor(HeaderOf(Opcode::kStatus, 0), "", true).code(), pb::ERROR_CODE_PROTOCOL);
  FrameHeader reply = HeaderOf(Opcode::kStatus, 1);
  reply.flags = kFlagReply;
  EXPECT_EQ(ReasonFor(reply, "", true).code(), pb::ERROR_CODE_PROTOCOL);
  FrameHeader group = HeaderOf(Opcode::kStatus, 1);
  group.group = GroupId{1};
  EXPECT_EQ(ReasonFor(group, "", true).code(), pb::ERROR_CODE_PROTOCOL);
  EXPECT_EQ(ReasonFor(HeaderOf(Opcode::kAcquire, 1), "\xff\xff\xff", true).code(),
            pb::ERROR_CODE_PROTOCOL);
}

TEST_F(OneNode, AnswersEveryRequestIdUnderThatIdButZero) {
  Start();
  TestClient client(*env, 1);
  for (const uint32_t id : {1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    client.SendFrame(HeaderOf(Opcode::kStatus, id), "");
    env->Settle();
    EXPECT_TRUE(client.ReplyTo(id).has_value()) << id;
  }
}

TEST_F(OneNode, ClosesWithAReasonOnBytesThatAreNoFrames) {
  Start();
  TestClient client(*env, 1, TestClient::Raw{});
  env->SendBytes(1, client.connection(), "GET / HTTP/1.1\r\nHost: example\r\n\r\n");
  env->Settle();
  EXPECT_TRUE(client.WasClosed());
  const auto reason = client.Push(Opcode::kReason);
  ASSERT_TRUE(reason.has_value());
  EXPECT_EQ(reason->As<pb::Reason>().code(), pb::ERROR_CODE_PROTOCOL);
}

TEST_F(OneNode, TakesOnlySmallFramesBeforeTheHello) {
  Start();
  TestClient client(*env, 1, TestClient::Raw{});
  EXPECT_EQ(env->node(1).ClientFrameBytesMax(client.connection()), kHelloFrameBytesMax);
  client.SendFrame(HeaderOf(Opcode::kHello), GoodHello().SerializeAsString());
  EXPECT_EQ(env->node(1).ClientFrameBytesMax(client.connection()), kClientFrameBytesMax);
}

TEST_F(OneNode, ClosesAConnectionThatSaysNothingInTime) {
  Start([](NodeOptions& options) { options.hello_timeout_ms = 300; });
  TestClient silent(*env, 1, TestClient::Raw{});
  env->RunFor(100);
  TestClient later(*env, 1, TestClient::Raw{});
  TestClient greeted(*env, 1);
  env->RunFor(199);
  EXPECT_FALSE(silent.WasClosed());
  env->RunFor(1);
  EXPECT_TRUE(silent.WasClosed());
  const auto reason = silent.Push(Opcode::kReason);
  ASSERT_TRUE(reason.has_value());
  EXPECT_EQ(reason->As<pb::Reason>().code(), pb::ERROR_CODE_TIMEOUT);
  EXPECT_FALSE(later.WasClosed());
  env->RunFor(100);
  EXPECT_TRUE(later.WasClosed());
  EXPECT_FALSE(greeted.WasClosed());
}

// N-05: the rest of a frame has its time, however slowly it trickles in.
TEST_F(OneNode, ClosesAConnectionThatDoesNotFinishAFrameInTime) {
  Start([](NodeOptions& options) { options.client_frame_timeout_ms = 300; });
  TestClient client(*env, 1);
  pb::GetLockRequest request;
  request.set_name("lock");
  std::string frame;
  AppendFrame(frame, {.opcode = Opcode::kGetLock, .flags = 0, .group = {}, .request_id = 1},
              request);
  for (int i = 0; i < 4; ++i) {
    env->SendBytes(1, client.connection(), frame.substr(static_cast<size_t>(i), 1));
    env->RunFor(60);
  }
  // In time: the next frame has a time of its own.
  env->SendBytes(1, client.connection(), frame.substr(4) + frame.substr(0, 1));
  env->RunFor(299);
  EXPECT_FALSE(client.WasClosed());
  env->SendBytes(1, client.connection(), frame.substr(1, 1));
  env->RunFor(2);
  EXPECT_TRUE(client.WasClosed());
  const auto reason = client.Push(Opcode::kReason);
  ASSERT_TRUE(reason.has_value());
  EXPECT_EQ(reason->As<pb::Reason>().code(), pb::ERROR_CODE_TIMEOUT);
}

TEST_F(OneNode, RefusesUnknownFields) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  // Field 99 of the request, and of the mutation in it.
  const std::string unknown = "\x98\x06\x01";
  pb::AcquireRequest request = TestClient::AcquireOf(session, "a", 0);
  client.SendFrame(HeaderOf(Opcode::kAcquire, 900), request.SerializeAsString() + unknown);
  request.mutable_mutation()
      ->GetReflection()
      ->MutableUnknownFields(request.mutable_mutation())
      ->AddVarint(99, 1);
  client.SendFrame(HeaderOf(Opcode::kAcquire, 901), request.SerializeAsString());
  env->Settle();
  for (const uint32_t id : {900u, 901u}) {
    const auto reply = client.ReplyTo(id);
    ASSERT_TRUE(reply.has_value());
    EXPECT_TRUE(reply->is_error());
    EXPECT_EQ(reply->As<pb::Error>().code(), pb::ERROR_CODE_INVALID_ARGUMENT);
  }
  EXPECT_EQ(client.Get("a").status(), pb::LOCK_STATUS_FREE);
}

TEST_F(OneNode, RefusesWhatCannotSucceedBeforeItIsLogged) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  const size_t entries = env->log(1).size();
  pb::AcquireRequest no_name = TestClient::AcquireOf(session, "", 0);
  EXPECT_EQ(client.CallError(Opcode::kAcquire, no_name).code(), pb::ERROR_CODE_INVALID_ARGUMENT);
  pb::AcquireRequest long_name = TestClient::AcquireOf(session, std::string(1'025, 'x'), 0);
  EXPECT_EQ(client.CallError(Opcode::kAcquire, long_name).code(), pb::ERROR_CODE_INVALID_ARGUMENT);
  for (const int mode : {0, 2, 257}) {
    pb::AcquireRequest wrong_mode = TestClient::AcquireOf(session, "a", 0);
    wrong_mode.set_mode(static_cast<pb::LockMode>(mode));
    EXPECT_EQ(client.CallError(Opcode::kAcquire, wrong_mode).code(),
              pb::ERROR_CODE_INVALID_ARGUMENT)
        << mode;
  }
  pb::OpenSessionRequest short_nonce;
  short_nonce.set_nonce("short");
  short_nonce.set_ttl_ms(10'000);
  EXPECT_EQ(client.CallError(Opcode::kOpenSession, short_nonce).code(),
            pb::ERROR_CODE_INVALID_ARGUMENT);
  pb::GetLockRequest no_lock;
  EXPECT_EQ(client.CallError(Opcode::kGetLock, no_lock).code(), pb::ERROR_CODE_INVALID_ARGUMENT);
  EXPECT_EQ(env->log(1).size(), entries);
}

TEST_F(OneNode, ServesASessionOnlyOnTheConnectionItIsAttachedTo) {
  Start();
  TestClient first(*env, 1);
  TestClient second(*env, 1);
  TestClient::Session session = first.Open();
  // No session at all, and somebody else's.
  EXPECT_EQ(second.CallError(Opcode::kAcquire, TestClient::AcquireOf(session, "a", 0)).code(),
            pb::ERROR_CODE_NOT_ATTACHED);
  pb::KeepAliveRequest keep_alive;
  keep_alive.set_session_id(session.id);
  EXPECT_EQ(second.CallError(Opcode::kKeepAlive, keep_alive).code(), pb::ERROR_CODE_NOT_ATTACHED);
  pb::CloseSessionRequest close;
  close.set_session_id(session.id);
  EXPECT_EQ(second.CallError(Opcode::kCloseSession, close).code(), pb::ERROR_CODE_NOT_ATTACHED);
  pb::AttachSessionRequest attach;
  attach.set_session_id(session.id);
  attach.set_nonce(std::string(16, '?'));
  EXPECT_EQ(second.CallError(Opcode::kAttachSession, attach).code(), pb::ERROR_CODE_WRONG_SECRET);
  // Attached anew it works there, and no longer here.
  const uint64_t old_epoch = session.epoch;
  second.Attach(session);
  EXPECT_GT(session.epoch, old_epoch);
  EXPECT_EQ(second.Acquire(session, "a").result(), pb::ACQUIRE_RESULT_GRANTED);
  EXPECT_EQ(first.CallError(Opcode::kKeepAlive, keep_alive).code(), pb::ERROR_CODE_NOT_ATTACHED);
}

TEST_F(OneNode, WhatWasQueuedOnAnOlderConnectionIsRefusedByItsEpoch) {
  Start();
  TestClient first(*env, 1);
  TestClient second(*env, 1);
  TestClient::Session session = first.Open();
  // The attach and the old connection's acquire are in the same entry, the attach first.
  pb::AttachSessionRequest attach;
  attach.set_session_id(session.id);
  attach.set_nonce(session.nonce);
  const uint32_t attached = second.Send(Opcode::kAttachSession, attach);
  const uint32_t acquired = first.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "a", 0));
  env->Settle();
  EXPECT_FALSE(second.ReplyTo(attached)->is_error());
  const auto refused = first.ReplyTo(acquired);
  ASSERT_TRUE(refused.has_value());
  ASSERT_TRUE(refused->is_error());
  EXPECT_EQ(refused->As<pb::Error>().code(), pb::ERROR_CODE_STALE_EPOCH);
}

TEST_F(OneNode, PingIsAnsweredOnlyForTheCurrentBinding) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open(10'000, 3'000);
  const size_t entries = env->log(1).size();
  pb::PingRequest ping;
  ping.set_session_id(session.id);
  ping.set_epoch(session.epoch);
  ping.set_transmission(42);
  const auto reply = client.Call<pb::PingReply>(Opcode::kPing, ping);
  EXPECT_EQ(reply.transmission(), 42u);
  EXPECT_EQ(reply.epoch(), session.epoch);
  ping.set_epoch(session.epoch + 1);
  EXPECT_EQ(client.CallError(Opcode::kPing, ping).code(), pb::ERROR_CODE_STALE_EPOCH);
  EXPECT_EQ(env->log(1).size(), entries) << "not logged";
}

// ---- Limits

TEST_F(OneNode, LimitsRequestsInFlightPerConnection) {
  Start([](NodeOptions& options) { options.requests_in_flight_max = 3; });
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  env->HoldDisk(1);
  std::vector<uint32_t> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(
        client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "n" + std::to_string(i), 0)));
  }
  pb::KeepAliveRequest keep_alive;
  keep_alive.set_session_id(session.id);
  const uint32_t kept = client.Send(Opcode::kKeepAlive, keep_alive);
  env->Settle();
  for (int i = 0; i < 5; ++i) {
    const auto reply = client.ReplyTo(ids[static_cast<size_t>(i)]);
    EXPECT_EQ(reply.has_value(), i >= 3) << i;
    if (!reply) continue;
    ASSERT_TRUE(reply->is_error());
    EXPECT_EQ(reply->As<pb::Error>().code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
    EXPECT_GT(reply->As<pb::Error>().retry_after_ms(), 0u);
  }
  env->ReleaseDisk(1);
  env->RunFor(100);
  EXPECT_FALSE(client.ReplyTo(kept)->is_error()) << "a keep-alive has a slot of its own";
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(client.ReplyTo(ids[i]).has_value());
  session.sequence = 3;
  EXPECT_EQ(client.Acquire(session, "more").result(), pb::ACQUIRE_RESULT_GRANTED)
      << "answered requests make room";
}

TEST_F(OneNode, ShedsAcquiresButNotReleasesWhenTooMuchWaits) {
  Start([](NodeOptions& options) { options.pending_command_bytes_max = 600; });
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  const uint64_t token = client.Acquire(session, "held").grant().token();
  env->HoldDisk(1);
  client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "first", 0));
  env->Settle();  // its write is under way; what follows collects
  std::vector<uint32_t> acquires;
  for (int i = 0; i < 8; ++i) {
    acquires.push_back(client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "n", 0)));
  }
  const uint32_t released =
      client.Send(Opcode::kRelease, TestClient::ReleaseOf(session, "held", token));
  pb::KeepAliveRequest keep_alive;
  keep_alive.set_session_id(session.id);
  const uint32_t kept = client.Send(Opcode::kKeepAlive, keep_alive);
  env->Settle();
  int shed = 0;
  for (const uint32_t id : acquires) {
    const auto reply = client.ReplyTo(id);
    if (!reply) continue;
    ++shed;
    EXPECT_EQ(reply->As<pb::Error>().code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
    EXPECT_EQ(reply->As<pb::Error>().retry_after_ms(), 100u);
  }
  EXPECT_GT(shed, 0);
  EXPECT_LT(shed, 8);
  EXPECT_FALSE(client.ReplyTo(released).has_value()) << "accepted, and waiting for the disk";
  EXPECT_FALSE(client.ReplyTo(kept).has_value());
  env->ReleaseDisk(1);
  env->RunFor(100);
  EXPECT_FALSE(client.ReplyTo(released)->is_error());
  EXPECT_FALSE(client.ReplyTo(kept)->is_error());
}

// N-08
TEST_F(OneNode, LimitsSessionsPerConnection) {
  Start([](NodeOptions& options) { options.sessions_per_connection_max = 2; });
  TestClient client(*env, 1);
  client.Open();
  TestClient::Session second = client.Open();
  pb::OpenSessionRequest request;
  request.set_nonce("third-nonce-4567");
  request.set_ttl_ms(10'000);
  const pb::Error error = client.CallError(Opcode::kOpenSession, request);
  EXPECT_EQ(error.code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_GT(error.retry_after_ms(), 0u);
  pb::CloseSessionRequest close;
  close.set_session_id(second.id);
  client.Call<pb::CloseSessionReply>(Opcode::kCloseSession, close);
  client.Open();
}

TEST_F(OneNode, LimitsSessionsPerConnectionAlsoBeforeTheyAreAnswered) {
  Start([](NodeOptions& options) { options.sessions_per_connection_max = 2; });
  TestClient client(*env, 1);
  std::vector<uint32_t> ids;
  for (int i = 0; i < 4; ++i) {
    pb::OpenSessionRequest request;
    request.set_nonce("nonce-nonce-000" + std::to_string(i));
    request.set_ttl_ms(10'000);
    ids.push_back(client.Send(Opcode::kOpenSession, request));
  }
  env->Settle();
  int opened = 0;
  for (const uint32_t id : ids) opened += client.ReplyTo(id)->is_error() ? 0 : 1;
  EXPECT_EQ(opened, 2);
}

TEST_F(OneNode, AnswersAReplicatedLimitWithItsName) {
  Start([](NodeOptions& options) { options.bootstrap_settings.locks_per_session_max = 1; });
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  EXPECT_EQ(client.Acquire(session, "a").result(), pb::ACQUIRE_RESULT_GRANTED);
  const pb::AcquireReply reply = client.Acquire(session, "b");
  EXPECT_EQ(reply.result(), pb::ACQUIRE_RESULT_LIMIT);
  EXPECT_EQ(reply.limit_name(), "locks_per_session_max");
  EXPECT_GT(reply.retry_after_ms(), 0u);
}

TEST_F(OneNode, LimitsSessionsOfTheCluster) {
  Start([](NodeOptions& options) { options.bootstrap_settings.sessions_max = 1; });
  TestClient client(*env, 1);
  client.Open();
  pb::OpenSessionRequest request;
  request.set_nonce("third-nonce-4567");
  request.set_ttl_ms(10'000);
  const pb::Error error = client.CallError(Opcode::kOpenSession, request);
  EXPECT_EQ(error.code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_NE(error.message().find("sessions_max"), std::string::npos);
  EXPECT_GT(error.retry_after_ms(), 0u);
}

// ---- Reads

TEST_F(OneNode, ListsLocksInPagesThatFitIntoAFrame) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  for (int i = 0; i < 150; ++i) {
    std::string name = "long/" + std::to_string(i);
    name.resize(1'024, '.');
    ASSERT_EQ(client.Acquire(session, name).result(), pb::ACQUIRE_RESULT_GRANTED);
  }
  client.Acquire(session, "other");
  pb::ListLocksRequest request;
  request.set_prefix("long/");
  request.set_count_max(1'000);
  std::set<std::string> names;
  int pages = 0;
  do {
    const auto page = client.Call<pb::ListLocksReply>(Opcode::kListLocks, request);
    for (const pb::LockRecord& lock : page.locks()) {
      EXPECT_TRUE(names.insert(lock.lock_id()).second);
      EXPECT_EQ(lock.owner_id(), "tester");
      EXPECT_GT(lock.timestamp(), 1'700'000'000'000);
    }
    request.set_cursor(page.next_cursor());
    ++pages;
  } while (request.cursor() != 0 && pages < 100);
  EXPECT_EQ(names.size(), 150u);
  EXPECT_GE(pages, 3);
}

TEST_F(OneNode, ListsSessions) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open(10'000, 3'000);
  client.Acquire(session, "a");
  const auto reply =
      client.Call<pb::ListSessionsReply>(Opcode::kListSessions, pb::ListSessionsRequest());
  ASSERT_EQ(reply.sessions_size(), 1);
  EXPECT_EQ(reply.sessions(0).session_id(), session.id);
  EXPECT_EQ(reply.sessions(0).ttl_ms(), 10'000);
  EXPECT_EQ(reply.sessions(0).grace_ms(), 3'000);
  EXPECT_EQ(reply.sessions(0).holds(), 1u);
}

TEST_F(OneNode, ShowsItsStatus) {
  Start();
  RimStatus rim;
  rim.rss_bytes = 12345;
  env->node(1).set_rim_status(rim);
  TestClient client(*env, 1);
  client.Open();
  const auto status = client.Call<pb::StatusReply>(Opcode::kStatus, pb::StatusRequest());
  EXPECT_EQ(status.role(), "leader");
  EXPECT_EQ(status.node_id(), 1u);
  EXPECT_EQ(status.leader_id(), 1u);
  EXPECT_EQ(status.sessions(), 1u);
  EXPECT_EQ(status.rss_bytes(), 12345u);
  EXPECT_EQ(status.digest().size(), 32u);
  EXPECT_EQ(status.cluster_id(), 7'001u);
  ASSERT_EQ(status.members_size(), 1);
  EXPECT_NE(status.members(0).incarnation(), 0u);
  EXPECT_EQ(status.stamp().applied_index(), env->log(1).size());
}

// ---- The end

TEST_F(OneNode, StoppingTellsEverybodyAndTakesNobodyNew) {
  Start();
  TestClient with_session(*env, 1);
  TestClient without(*env, 1);
  TestClient::Session session = with_session.Open();
  env->HoldDisk(1);
  const uint32_t waiting =
      with_session.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "a", 0));
  env->Settle();
  env->Stop(1);
  env->Settle();
  const auto reply = with_session.ReplyTo(waiting);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->As<pb::Error>().code(), pb::ERROR_CODE_NOT_LEADER);
  EXPECT_TRUE(with_session.Push(Opcode::kNotLeader).has_value());
  for (TestClient* client : {&with_session, &without}) {
    const auto reason = client->Push(Opcode::kReason);
    ASSERT_TRUE(reason.has_value());
    EXPECT_EQ(reason->As<pb::Reason>().code(), pb::ERROR_CODE_UNAVAILABLE);
    EXPECT_TRUE(client->WasClosed());
  }
  EXPECT_FALSE(without.Push(Opcode::kNotLeader).has_value());
  TestClient late(*env, 1, TestClient::Raw{});
  env->Settle();
  EXPECT_TRUE(late.WasClosed());
}

}  // namespace
}  // namespace lockd::node
