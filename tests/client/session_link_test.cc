// How a session finds the leader, opens, comes back, and ends.
#include "protocol/base/bytes.h"
#include "tests/client/session_harness.h"

namespace lockd::client {
namespace {

TEST(SessionLink, OpensAtOnceAndSaysSo) {
  SessionHarness harness;
  ASSERT_TRUE(harness.dialed().has_value());
  EXPECT_EQ(harness.dialed()->address, "node-a:1");
  harness.Connect();
  const Sent<pb::ClientHello> hello = harness.Take<pb::ClientHello>();
  EXPECT_EQ(hello.message.magic(), kClientMagic);
  EXPECT_EQ(hello.message.client_name(), "test");
  EXPECT_TRUE(harness.NothingSent());  // nothing before the server's hello
  harness.Hello();
  harness.OpenReply();
  EXPECT_EQ(harness.opened()->status, OpenStatus::kOpened);
  EXPECT_EQ(harness.fsm().session_id(), SessionId(SessionHarness::kSession));
  EXPECT_EQ(harness.state(), SessionState::kHealthy);
}

TEST(SessionLink, FollowsTheHintOfTheHello) {
  SessionHarness harness;
  harness.Connect();
  harness.Hello(1, 2, "node-b:1");
  ASSERT_TRUE(harness.dialed().has_value());
  EXPECT_EQ(harness.dialed()->address, "node-b:1");  // without a pause
}

TEST(SessionLink, FollowsTheHintOfAnError) {
  SessionHarness harness;
  harness.Connect();
  harness.Take<pb::ClientHello>();
  harness.Hello();
  const auto open = harness.Take<pb::OpenSessionRequest>();
  harness.Error(Opcode::kOpenSession, open.request_id, pb::ERROR_CODE_NOT_LEADER, "node-c:1");
  ASSERT_TRUE(harness.dialed().has_value());
  EXPECT_EQ(harness.dialed()->address, "node-c:1");
}

TEST(SessionLink, HintsInACircleMeetTheBackOff) {
  SessionHarness harness;
  for (int i = 0; i < 3; ++i) {
    harness.Connect();
    harness.Hello(1, 2, "node-b:1");
    ASSERT_TRUE(harness.dialed().has_value()) << i;
  }
  harness.Connect();
  harness.Hello(1, 2, "node-b:1");
  EXPECT_FALSE(harness.dialed().has_value());
  harness.Advance(20);
  EXPECT_TRUE(harness.dialed().has_value());
}

TEST(SessionLink, TakesAnotherEndpointAfterARefusedConnection) {
  SessionConfig config = SessionHarness::Config();
  config.endpoints = {"node-a:1", "node-b:1", "node-c:1"};
  SessionHarness harness(config);
  std::vector<std::string> tried;
  for (int i = 0; i < 3; ++i) {
    tried.push_back(harness.dialed()->address);
    harness.Disconnect();
    harness.AdvanceToWakeup();
  }
  EXPECT_THAT(tried, testing::UnorderedElementsAreArray(config.endpoints));
}

// L-16
TEST(SessionLink, BackOffGrowsAndEndsAtItsMaximum) {
  SessionConfig config = SessionHarness::Config();
  config.operation_timeout_ms = 60'000;
  SessionHarness harness(config);
  LocalTime failed_at;
  int64_t pause_ns = 0;
  for (int i = 0; i < 12; ++i) {
    failed_at = harness.now();
    harness.Disconnect();
    harness.AdvanceToWakeup();
    pause_ns = harness.now() - failed_at;
    EXPECT_GE(pause_ns, 10 * kNanosPerMilli);
    EXPECT_LE(pause_ns, 1'000 * kNanosPerMilli);
  }
  EXPECT_GE(pause_ns, 500 * kNanosPerMilli);
}

TEST(SessionLink, GivesUpANodeThatDoesNotAnswerTheConnectTimeout) {
  SessionHarness harness;
  harness.Advance(1'999);
  EXPECT_EQ(harness.dials(), 1u);
  EXPECT_TRUE(harness.dialed().has_value());
  harness.Advance(1);
  EXPECT_FALSE(harness.dialed().has_value());
  harness.Advance(20);
  EXPECT_EQ(harness.dials(), 2u);
}

TEST(SessionLink, OpenWithoutALeaderIsUnavailableAfterTheOperationTimeout) {
  SessionHarness harness;
  harness.Disconnect();
  const OperationId acquire = harness.Acquire("a", kWaitForever);
  harness.Advance(4'999);
  EXPECT_FALSE(harness.opened().has_value());
  harness.Advance(1);
  ASSERT_TRUE(harness.opened().has_value());
  EXPECT_EQ(harness.opened()->status, OpenStatus::kUnavailable);
  EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kSessionLost);
  EXPECT_EQ(harness.state(), SessionState::kOpenFailed);
  EXPECT_EQ(harness.next_wakeup(), kNeverLocal);
}

TEST(SessionLink, ARefusedOpenIsFinal) {
  SessionHarness harness;
  harness.Connect();
  harness.Take<pb::ClientHello>();
  harness.Hello();
  const auto open = harness.Take<pb::OpenSessionRequest>();
  harness.Error(Opcode::kOpenSession, open.request_id, pb::ERROR_CODE_INVALID_ARGUMENT);
  ASSERT_TRUE(harness.opened().has_value());
  EXPECT_EQ(harness.opened()->status, OpenStatus::kRefused);
  EXPECT_EQ(harness.opened()->message, "says the server");
  EXPECT_FALSE(harness.dialed().has_value());
}

TEST(SessionLink, ARepeatedOpenHasTheSameNonceAndCountsFromItsOwnTransmission) {
  SessionHarness harness;
  harness.Connect();
  harness.Take<pb::ClientHello>();
  harness.Hello();
  const auto first = harness.Take<pb::OpenSessionRequest>();
  harness.Advance(1'000);
  harness.Disconnect();
  harness.AdvanceToWakeup();
  harness.Connect();
  harness.Take<pb::ClientHello>();
  harness.Hello();
  const LocalTime sent_at = harness.now();
  harness.Advance(300);
  const auto second = harness.Take<pb::OpenSessionRequest>();
  EXPECT_EQ(second.message.nonce(), first.message.nonce());
  pb::OpenSessionReply reply;
  *reply.mutable_stamp() = harness.stamp();
  reply.set_session_id(SessionHarness::kSession);
  reply.set_epoch(2);
  reply.set_found(true);
  harness.Reply(Opcode::kOpenSession, second.request_id, reply);
  EXPECT_EQ(harness.fsm().lease().deadline(), sent_at + 10'000 * kNanosPerMilli);
}

TEST(SessionLink, ComesBackWithAnAttach) {
  SessionHarness harness;
  harness.Open();
  harness.Disconnect();
  EXPECT_EQ(harness.state(), SessionState::kHealthy);
  const auto attach = harness.Redial();
  EXPECT_EQ(attach.message.session_id(), SessionHarness::kSession);
  EXPECT_EQ(attach.message.nonce(), std::string(kNonceBytes, 'n'));
  harness.AttachReply(attach, 2);
  EXPECT_TRUE(harness.NothingSent());  // a session that never asked for anything has nothing to say
  harness.Acquire("a", 0);
  harness.Take<pb::AcquireRequest>();
}

TEST(SessionLink, AnAttachThatDoesNotRaiseTheEpochIsRefused) {
  SessionHarness harness;
  harness.Open();
  harness.Disconnect();
  harness.AttachReply(harness.Redial(), 1);
  EXPECT_FALSE(harness.dialed().has_value());
}

TEST(SessionLink, AttachRejectedAsEndedLosesTheSession) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 9);
  harness.Disconnect();
  const auto attach = harness.Redial();
  harness.Error(Opcode::kAttachSession, attach.request_id, pb::ERROR_CODE_SESSION_ENDED);
  EXPECT_TRUE(harness.session_lost());
  EXPECT_TRUE(harness.HoldIsLost(hold));
  EXPECT_EQ(harness.state(), SessionState::kLost);
}

// L-25
TEST(SessionLink, DoesNotTalkToAnotherCluster) {
  SessionHarness harness;
  harness.Open();
  harness.Disconnect();
  harness.AdvanceToWakeup();
  harness.Connect();
  EXPECT_EQ(harness.Take<pb::ClientHello>().message.cluster_id(), SessionHarness::kCluster);
  pb::ServerHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version(1);
  hello.set_cluster_id(SessionHarness::kCluster + 1);
  harness.Reply(Opcode::kHello, 0, hello);
  EXPECT_TRUE(harness.NothingSent());
  EXPECT_FALSE(harness.dialed().has_value());
}

TEST(SessionLink, ANotLeaderPushMovesIt) {
  SessionHarness harness;
  harness.Open();
  pb::NotLeader push;
  push.mutable_leader()->set_client_address("node-b:1");
  harness.Push(Opcode::kNotLeader, push);
  ASSERT_TRUE(harness.dialed().has_value());
  EXPECT_EQ(harness.dialed()->address, "node-b:1");
}

TEST(SessionLink, ASilentServerIsLeftWhileSomethingIsUnanswered) {
  SessionHarness harness;
  harness.Open();
  harness.Acquire("a", 0);
  harness.Advance(1'999);
  EXPECT_TRUE(harness.dialed().has_value());
  harness.Advance(1);
  EXPECT_FALSE(harness.dialed().has_value());
}

// A bit flips in the length of a frame: bytes come and come, and none is ever understood.
TEST(SessionLink, AServerWhoseFrameNeverEndsIsLeft) {
  SessionHarness harness;
  harness.Open();
  harness.Acquire("a", 0);
  std::string bytes;
  AppendLittle<uint32_t>(bytes, 60'000);
  for (int i = 0; i < 19; ++i) {
    harness.fsm().OnBytes(harness.now(), harness.dialed()->link, bytes);
    harness.Advance(100);
    ASSERT_TRUE(harness.dialed().has_value());
  }
  harness.Advance(100);
  EXPECT_FALSE(harness.dialed().has_value());
}

TEST(SessionLink, AnIdleServerIsNotLeft) {
  SessionHarness harness;
  harness.Open();
  harness.Advance(2'900);
  EXPECT_EQ(harness.dials(), 1u);
  EXPECT_TRUE(harness.dialed().has_value());
}

TEST(SessionLink, BytesAndEventsOfAnOldLinkAreIgnored) {
  SessionHarness harness;
  harness.Open();
  const LinkId old = harness.dialed()->link;
  harness.Disconnect();
  harness.AdvanceToWakeup();
  ASSERT_TRUE(harness.dialed().has_value());
  harness.fsm().OnDisconnected(harness.now(), old);
  harness.fsm().OnBytes(harness.now(), old, "garbage of another time");
  harness.fsm().OnConnected(harness.now(), old);
  harness.Turn();
  EXPECT_TRUE(harness.dialed().has_value());
  EXPECT_TRUE(harness.NothingSent());
}

TEST(SessionLink, CloseEndsEverythingAndWaitsForTheAnswer) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 9);
  const OperationId waiting = harness.Acquire("b", kWaitForever);
  harness.Take<pb::AcquireRequest>();
  harness.Close();
  EXPECT_FALSE(harness.IsHeld(hold));
  EXPECT_TRUE(harness.HoldIsLost(hold));
  EXPECT_EQ(harness.Done(waiting).status, AcquireStatus::kSessionLost);
  EXPECT_FALSE(harness.closed().has_value());
  const auto close = harness.Take<pb::CloseSessionRequest>();
  pb::CloseSessionReply reply;
  *reply.mutable_stamp() = harness.stamp();
  harness.Reply(Opcode::kCloseSession, close.request_id, reply);
  ASSERT_TRUE(harness.closed().has_value());
  EXPECT_TRUE(harness.closed()->acknowledged);
  EXPECT_FALSE(harness.session_lost());
  EXPECT_EQ(harness.state(), SessionState::kClosed);
  EXPECT_EQ(harness.next_wakeup(), kNeverLocal);
  EXPECT_EQ(harness.Done(harness.Acquire("c", 0)).status, AcquireStatus::kSessionLost);
}

TEST(SessionLink, CloseIsRepeatedAtTheNextLeader) {
  SessionHarness harness;
  harness.Open();
  harness.Close();
  harness.Take<pb::CloseSessionRequest>();
  harness.Disconnect();
  harness.AttachReply(harness.Redial(), 2);
  harness.Take<pb::CloseSessionRequest>();
}

TEST(SessionLink, CloseWithoutAnswerEndsAfterTheOperationTimeout) {
  SessionHarness harness;
  harness.Open();
  harness.Close();
  harness.Advance(5'000);
  ASSERT_TRUE(harness.closed().has_value());
  EXPECT_FALSE(harness.closed()->acknowledged);
  EXPECT_FALSE(harness.dialed().has_value());
}

}  // namespace
}  // namespace lockd::client
