// Until when a session is believed in: credits, jeopardy, loss, disconnect grace.
//
//   send        send + TTL/3     ...            send + TTL/2       send + TTL
//   ├── healthy ──── keep-alive ────────────────┼──── jeopardy ────┼──── lost, for good
#include "tests/client/session_harness.h"

namespace lockd::client {
namespace {

TEST(SessionLease, RenewsWithinAThirdOfTheTtl) {
  SessionHarness harness;
  harness.Open();
  harness.Advance(2'999);
  EXPECT_TRUE(harness.NothingSent());
  harness.Advance(335);
  const auto keep_alive = harness.Take<pb::KeepAliveRequest>();
  EXPECT_EQ(keep_alive.message.session_id(), SessionHarness::kSession);
  const LocalTime sent_at = harness.now();
  harness.Advance(100);
  harness.KeepAliveReply(keep_alive);
  // From when it was sent, not from when the answer came.
  EXPECT_EQ(harness.fsm().lease().deadline(), sent_at + 10'000 * kNanosPerMilli);
}

// 0 would be a push, and bit 30 is set in the ids of mutations only.
TEST(SessionLease, CrossingTheEndOfItsRequestIdsBeginsAgainAtOne) {
  SessionHarness harness(SessionHarness::Config(), {.control_id = 0x3ffffffdu});
  harness.Open();
  const auto take = [&harness] {
    harness.AdvanceToWakeup();
    const auto keep_alive = harness.TakeNext<pb::KeepAliveRequest>();
    harness.KeepAliveReply(keep_alive);
    return keep_alive.request_id;
  };
  EXPECT_EQ(take(), 0x3fffffffu);
  EXPECT_EQ(take(), 1u);
  EXPECT_EQ(take(), 2u);
}

TEST(SessionLease, IsLostAtExactlyTheDeadline) {
  SessionHarness harness;
  const LocalTime sent_at = harness.now();
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 9);
  harness.Disconnect();
  const LocalTime deadline = sent_at + 10'000 * kNanosPerMilli;
  EXPECT_EQ(harness.fsm().SafeUntil(hold), deadline);
  harness.AdvanceNs(deadline - harness.now() - 1);
  EXPECT_TRUE(harness.IsHeld(hold));
  EXPECT_FALSE(harness.session_lost());
  harness.AdvanceNs(1);
  EXPECT_FALSE(harness.IsHeld(hold));
  EXPECT_TRUE(harness.session_lost());
  EXPECT_TRUE(harness.HoldIsLost(hold));
}

TEST(SessionLease, EveryCheckComparesTheClockWithoutATurn) {
  SessionHarness harness;
  const LocalTime sent_at = harness.now();
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 9);
  const LocalTime deadline = sent_at + 10'000 * kNanosPerMilli;
  EXPECT_TRUE(harness.fsm().IsHeld(hold, deadline - 1));
  EXPECT_FALSE(harness.fsm().IsHeld(hold, deadline));
  EXPECT_EQ(harness.fsm().state(deadline), SessionState::kLost);
}

TEST(SessionLease, IsInJeopardyBeforeItIsLost) {
  SessionHarness harness;
  harness.Open();
  harness.Disconnect();
  EXPECT_EQ(harness.state(), SessionState::kHealthy);
  harness.Advance(4'999);
  EXPECT_EQ(harness.state(), SessionState::kHealthy);
  harness.Advance(1);
  EXPECT_EQ(harness.state(), SessionState::kJeopardy);
  EXPECT_FALSE(harness.session_lost());
  harness.Advance(5'000);
  EXPECT_EQ(harness.state(), SessionState::kLost);
}

TEST(SessionLease, AReplyToAnOldTransmissionCreditsOnlyThatOne) {
  SessionHarness harness;
  harness.Open();
  harness.Advance(3'334);
  const LocalTime first_sent_at = harness.now();
  const auto first = harness.Take<pb::KeepAliveRequest>();
  // Something is heard, so that the link stays although the keep-alive is unanswered.
  harness.Advance(1'900);
  const OperationId acquire = harness.Acquire("a", 0);
  const auto request = harness.Take<pb::AcquireRequest>();
  harness.Grant(request, 3);
  EXPECT_TRUE(harness.IsDone(acquire));
  harness.Advance(1'500);
  const auto second = harness.Take<pb::KeepAliveRequest>();
  EXPECT_GT(second.message.transmission(), first.message.transmission());
  harness.KeepAliveReply(first);
  EXPECT_EQ(harness.fsm().lease().deadline(), first_sent_at + 10'000 * kNanosPerMilli);
}

TEST(SessionLease, AReplyThatNamesAnotherTransmissionClosesTheLink) {
  SessionHarness harness;
  harness.Open();
  const LocalTime before = harness.fsm().lease().deadline();
  harness.Advance(3'334);
  Sent<pb::KeepAliveRequest> keep_alive = harness.Take<pb::KeepAliveRequest>();
  keep_alive.message.set_transmission(keep_alive.message.transmission() + 1);
  harness.KeepAliveReply(keep_alive);
  EXPECT_EQ(harness.fsm().lease().deadline(), before);
  EXPECT_FALSE(harness.dialed().has_value());
}

TEST(SessionLease, AReplyFromBeforeTheReconnectIsNotCredited) {
  SessionHarness harness;
  harness.Open();
  const LocalTime before = harness.fsm().lease().deadline();
  harness.Advance(3'334);
  const auto keep_alive = harness.Take<pb::KeepAliveRequest>();
  harness.Disconnect();
  harness.AdvanceToWakeup();
  harness.Connect();
  harness.Take<pb::ClientHello>();
  harness.Hello();
  harness.KeepAliveReply(keep_alive);  // its request id means nothing here
  EXPECT_EQ(harness.fsm().lease().deadline(), before);
  EXPECT_FALSE(harness.dialed().has_value());
}

// L-40
TEST(SessionLease, AStopBeyondTheTtlIsALossBeforeAnythingElse) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 9);
  const OperationId waiting = harness.Acquire("b", kWaitForever);
  harness.AcquireReply(harness.Take<pb::AcquireRequest>(), pb::ACQUIRE_RESULT_QUEUED);
  harness.Advance(3'334);
  const auto keep_alive = harness.Take<pb::KeepAliveRequest>();
  // The process is stopped for a minute; the answer has been lying in the socket all the time.
  const LocalTime resumed = harness.now() + 60'000 * kNanosPerMilli;
  EXPECT_FALSE(harness.fsm().IsHeld(hold, resumed));
  std::string bytes;
  pb::KeepAliveReply reply;
  *reply.mutable_stamp() = harness.stamp();
  reply.set_transmission(keep_alive.message.transmission());
  AppendFrame(bytes,
              {.opcode = Opcode::kKeepAlive,
               .flags = kFlagReply,
               .group = GroupId(0),
               .request_id = keep_alive.request_id},
              reply);
  harness.fsm().OnBytes(resumed, harness.dialed()->link, bytes);
  EXPECT_EQ(harness.fsm().state(resumed), SessionState::kLost);
  const SessionActions actions = harness.fsm().TakeActions(resumed);
  EXPECT_TRUE(actions.session_lost);
  ASSERT_EQ(actions.lost.size(), 1u);
  EXPECT_EQ(actions.lost[0].hold, hold);
  ASSERT_EQ(actions.acquires.size(), 1u);
  EXPECT_EQ(actions.acquires[0].operation, waiting);
  EXPECT_EQ(actions.acquires[0].status, AcquireStatus::kSessionLost);
}

// L-40
TEST(SessionLease, LossIsFinal) {
  SessionHarness harness;
  harness.Open();
  harness.Disconnect();
  harness.Advance(10'000);
  EXPECT_TRUE(harness.session_lost());
  EXPECT_FALSE(harness.dialed().has_value());
  EXPECT_EQ(harness.next_wakeup(), kNeverLocal);
  EXPECT_EQ(harness.Done(harness.Acquire("a", 0)).status, AcquireStatus::kSessionLost);
}

TEST(SessionLease, WhatAnotherThreadSawIsALossToo) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 9);
  harness.fsm().OnLost(harness.now());
  harness.Turn();
  EXPECT_TRUE(harness.session_lost());
  EXPECT_TRUE(harness.HoldIsLost(hold));
}

TEST(SessionLease, TheServersWordIsALossToo) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 9);
  pb::SessionEnded ended;
  *ended.mutable_stamp() = harness.stamp();
  ended.set_session_id(SessionHarness::kSession);
  ended.set_reason(pb::SESSION_END_REASON_EXPIRED);
  harness.Push(Opcode::kSessionEnded, ended);
  EXPECT_TRUE(harness.session_lost());
  EXPECT_TRUE(harness.HoldIsLost(hold));
}

// L-19
TEST(SessionLease, AShedKeepAliveIsSentAgainAfterTheGivenTime) {
  SessionHarness harness;
  harness.Open();
  harness.Advance(3'334);
  const auto keep_alive = harness.Take<pb::KeepAliveRequest>();
  harness.Error(Opcode::kKeepAlive, keep_alive.request_id, pb::ERROR_CODE_RESOURCE_EXHAUSTED, "",
                200);
  harness.Advance(199);
  EXPECT_TRUE(harness.NothingSent());
  harness.Advance(1);
  EXPECT_NE(harness.Take<pb::KeepAliveRequest>().message.transmission(),
            keep_alive.message.transmission());
}

TEST(SessionLease, AShortTtlTriesSeveralNodesBeforeItsDeadline) {
  SessionConfig config = SessionHarness::Config();
  config.ttl_ms = 1'000;
  SessionHarness harness(config);
  harness.Open();
  const size_t before = harness.dials();
  harness.Disconnect();
  while (!harness.session_lost()) harness.AdvanceToWakeup();  // nobody answers
  EXPECT_GE(harness.dials() - before, 3u);
}

SessionConfig WithGrace() {
  SessionConfig config = SessionHarness::Config();
  config.ttl_ms = 30'000;
  config.grace_ms = 3'000;
  return config;
}

TEST(SessionGrace, PingsAndCountsFromTheLastAnsweredOne) {
  SessionHarness harness(WithGrace());
  const LocalTime opened_at = harness.now();
  harness.Open();
  EXPECT_EQ(harness.fsm().lease().deadline(), opened_at + 3'000 * kNanosPerMilli);
  harness.Advance(1'000);
  const auto ping = harness.Take<pb::PingRequest>();
  EXPECT_EQ(ping.message.epoch(), 1u);
  const LocalTime sent_at = harness.now();
  harness.Advance(50);
  harness.PingReply(ping);
  EXPECT_EQ(harness.fsm().lease().deadline(), sent_at + 3'000 * kNanosPerMilli);
}

TEST(SessionGrace, IsLostByTheGraceLongBeforeTheTtl) {
  SessionHarness harness(WithGrace());
  harness.Open();
  const OperationId hold = harness.AcquireAndGrant("a", 9);
  harness.Disconnect();
  harness.Advance(2'999);
  EXPECT_TRUE(harness.IsHeld(hold));
  harness.Advance(1);
  EXPECT_TRUE(harness.session_lost());
  EXPECT_TRUE(harness.HoldIsLost(hold));
}

TEST(SessionGrace, AnAnswerOfAnotherEpochDoesNotCount) {
  SessionHarness harness(WithGrace());
  harness.Open();
  const LocalTime before = harness.fsm().lease().deadline();
  harness.Advance(1'000);
  Sent<pb::PingRequest> ping = harness.Take<pb::PingRequest>();
  ping.message.set_epoch(2);
  harness.PingReply(ping);
  EXPECT_EQ(harness.fsm().lease().deadline(), before);
}

TEST(SessionGrace, AnAttachCountsLikeAPing) {
  SessionHarness harness(WithGrace());
  harness.Open();
  harness.Advance(500);
  harness.Disconnect();
  harness.AdvanceToWakeup();
  harness.Connect();
  harness.Take<pb::ClientHello>();
  const LocalTime sent_at = harness.now();
  harness.Hello();
  harness.Advance(100);
  harness.AttachReply(harness.Take<pb::AttachSessionRequest>(), 2);
  EXPECT_EQ(harness.fsm().lease().deadline(), sent_at + 3'000 * kNanosPerMilli);
}

TEST(SessionMaxHold, EndsTheHoldAndNotTheSession) {
  SessionHarness harness;
  harness.Open();
  const OperationId hold = harness.Acquire("a", 0, 2'000);
  const LocalTime sent_at = harness.now();
  const auto request = harness.Take<pb::AcquireRequest>();
  EXPECT_EQ(request.message.max_hold_ms(), 2'000);
  harness.Advance(100);
  harness.Grant(request, 9);
  EXPECT_EQ(harness.Done(hold).hold_deadline, harness.fsm().SafeUntil(hold));
  EXPECT_GE(harness.fsm().SafeUntil(hold), sent_at + 2'000 * kNanosPerMilli);
  harness.AdvanceNs(harness.fsm().SafeUntil(hold) - harness.now() - 1);
  EXPECT_TRUE(harness.IsHeld(hold));
  harness.AdvanceNs(1);
  EXPECT_FALSE(harness.IsHeld(hold));
  EXPECT_TRUE(harness.HoldIsLost(hold));
  EXPECT_FALSE(harness.session_lost());
  EXPECT_FALSE(harness.Release(hold));  // nothing is left to release
}

}  // namespace
}  // namespace lockd::client
