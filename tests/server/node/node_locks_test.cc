// Locks and sessions through one node or three: queues, hand-over, log entries, expiry, grace.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/state/command.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

class Locks : public testing::Test {
 protected:
  void Start(int count = 1, NodeEnv::Tweak tweak = {}) {
    env.emplace(count, std::move(tweak));
    env->StartAll();
    leader = env->AwaitLeader();
    ASSERT_NE(leader, 0);
  }
  [[nodiscard]] size_t Entries() { return env->log(leader).size(); }
  [[nodiscard]] size_t CommandsOf(size_t index) {
    const auto batch = state::DecodeBatch(env->log(leader).at(index - 1).payload);
    EXPECT_TRUE(batch.ok());
    return batch->commands.size();
  }
  static pb::KeepAliveRequest KeepAliveOf(const TestClient::Session& session) {
    pb::KeepAliveRequest request;
    request.set_session_id(session.id);
    request.set_transmission(session.id * 1'000);
    return request;
  }
  // Milliseconds until the lock is granted to this waiter; -1 if it was not in time.
  int64_t MsUntilGranted(TestClient& client, int64_t ms_max) {
    const LocalTime start = env->now();
    std::optional<Received> push;
    const bool granted = env->RunUntil(
        [&] {
          push = client.Push(Opcode::kAcquireOutcome);
          return push.has_value();
        },
        ms_max);
    if (!granted) return -1;
    EXPECT_EQ(push->As<pb::AcquireOutcome>().result(), pb::ACQUIRE_RESULT_GRANTED);
    return (env->now() - start) / kNanosPerMilli;
  }

  std::optional<NodeEnv> env;
  int leader = 0;
};

TEST_F(Locks, ALockAndUnlockCycleCostsTwoEntries) {
  Start(3);
  TestClient client(*env, leader);
  TestClient::Session session = client.Open();
  const size_t before = Entries();
  const uint64_t token = client.Acquire(session, "a").grant().token();
  client.Release(session, "a", token);
  EXPECT_EQ(Entries(), before + 2);
}

// before:  ... | acquire 1 (granted) | acquire 2 (queued) |
// release: one more entry, and with it the reply to 1 and the grant to 2
TEST_F(Locks, AWaiterIsGrantedByTheEntryThatFreesTheLock) {
  Start(3);
  TestClient first(*env, leader);
  TestClient second(*env, leader);
  TestClient::Session one = first.Open();
  TestClient::Session two = second.Open();
  const uint64_t token = first.Acquire(one, "a").grant().token();
  const pb::AcquireReply queued = second.Acquire(two, "a", -1);
  EXPECT_EQ(queued.result(), pb::ACQUIRE_RESULT_QUEUED);
  EXPECT_EQ(queued.queue_position(), 0u);
  const size_t before = Entries();
  const pb::ReleaseReply released = first.Release(one, "a", token);
  EXPECT_EQ(Entries(), before + 1);
  const auto push = second.Push(Opcode::kAcquireOutcome);
  ASSERT_TRUE(push.has_value());
  const auto outcome = push->As<pb::AcquireOutcome>();
  EXPECT_EQ(outcome.result(), pb::ACQUIRE_RESULT_GRANTED);
  EXPECT_EQ(outcome.session_id(), two.id);
  EXPECT_EQ(outcome.acquire_id(), 1u);
  EXPECT_GT(outcome.grant().token(), token);
  EXPECT_EQ(outcome.stamp().applied_index(), released.stamp().applied_index());
}

// L-07
TEST_F(Locks, OneReleaseSendsOneGrantHoweverLongTheQueue) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session holder = client.Open();
  const uint64_t token = client.Acquire(holder, "a").grant().token();
  std::vector<TestClient::Session> waiters;
  for (int i = 0; i < 50; ++i) {
    waiters.push_back(client.Open());
    EXPECT_EQ(client.Acquire(waiters.back(), "a", -1).queue_position(), static_cast<uint64_t>(i));
  }
  client.Release(holder, "a", token);
  const auto push = client.Push(Opcode::kAcquireOutcome);
  ASSERT_TRUE(push.has_value());
  EXPECT_EQ(push->As<pb::AcquireOutcome>().session_id(), waiters[0].id) << "first come";
  EXPECT_FALSE(client.Push(Opcode::kAcquireOutcome).has_value());
}

TEST_F(Locks, TryIsBusyAndATimedWaitTimesOut) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session holder = client.Open();
  TestClient::Session other = client.Open();
  client.Acquire(holder, "a");
  EXPECT_EQ(client.Acquire(other, "a", 0).result(), pb::ACQUIRE_RESULT_BUSY);
  EXPECT_EQ(client.Acquire(other, "a", 700).result(), pb::ACQUIRE_RESULT_QUEUED);
  env->RunFor(690);
  EXPECT_FALSE(client.Push(Opcode::kAcquireOutcome).has_value());
  env->RunFor(260);
  const auto push = client.Push(Opcode::kAcquireOutcome);
  ASSERT_TRUE(push.has_value());
  EXPECT_EQ(push->As<pb::AcquireOutcome>().result(), pb::ACQUIRE_RESULT_TIMED_OUT);
  EXPECT_EQ(env->node(1).database().waiter_count(), 0u);
}

TEST_F(Locks, CancelEndsAWait) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session holder = client.Open();
  TestClient::Session other = client.Open();
  client.Acquire(holder, "a");
  client.Acquire(other, "a", -1);
  pb::CancelRequest cancel;
  cancel.mutable_mutation()->set_session_id(other.id);
  cancel.mutable_mutation()->set_sequence(2);
  cancel.set_acquire_id(1);
  const auto reply = client.Call<pb::CancelReply>(Opcode::kCancel, cancel);
  EXPECT_EQ(reply.result(), pb::CANCEL_RESULT_CANCELLED);
  EXPECT_EQ(reply.outcome().session_id(), other.id);
  EXPECT_EQ(reply.outcome().acquire_id(), 1u);
  EXPECT_EQ(reply.outcome().result(), pb::ACQUIRE_RESULT_CANCELLED);
}

TEST_F(Locks, AStaleReleaseChangesNothing) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  const uint64_t old_token = client.Acquire(session, "a").grant().token();
  client.Release(session, "a", old_token);
  client.Acquire(session, "a");
  EXPECT_EQ(client.Release(session, "a", old_token).result(), pb::RELEASE_RESULT_STALE);
  EXPECT_EQ(client.Get("a").status(), pb::LOCK_STATUS_HELD);
}

TEST_F(Locks, ARepeatedRequestGetsTheAnswerItHad) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  const pb::AcquireRequest request = TestClient::AcquireOf(session, "a", 0);
  const auto once = client.Call<pb::AcquireReply>(Opcode::kAcquire, request);
  const auto again = client.Call<pb::AcquireReply>(Opcode::kAcquire, request);
  EXPECT_EQ(again.result(), pb::ACQUIRE_RESULT_GRANTED);
  EXPECT_EQ(again.grant().token(), once.grant().token());
}

TEST_F(Locks, ClosingASessionFreesItsLocks) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session holder = client.Open();
  TestClient::Session waiter = client.Open();
  client.Acquire(holder, "a");
  client.Acquire(waiter, "a", -1);
  pb::CloseSessionRequest close;
  close.set_session_id(holder.id);
  client.Call<pb::CloseSessionReply>(Opcode::kCloseSession, close);
  EXPECT_EQ(MsUntilGranted(client, 0), 0);
  EXPECT_EQ(client.CallError(Opcode::kAcquire, TestClient::AcquireOf(holder, "b", 0)).code(),
            pb::ERROR_CODE_SESSION_ENDED);
  EXPECT_EQ(client.CallError(Opcode::kKeepAlive, KeepAliveOf(holder)).code(),
            pb::ERROR_CODE_SESSION_ENDED);
}

TEST_F(Locks, AfterItsSessionsEndARequestsOutcomeCanBeFoundOutForAWhile) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open(1'000);
  const pb::AcquireRequest request = TestClient::AcquireOf(session, "a", 0);
  const uint64_t token = client.Call<pb::AcquireReply>(Opcode::kAcquire, request).grant().token();
  env->RunFor(2'000);
  ASSERT_EQ(env->node(1).database().session_count(), 0u);
  // The reply was lost with the connection: asked again on another one, it is still known.
  TestClient other(*env, 1);
  EXPECT_EQ(other.Call<pb::AcquireReply>(Opcode::kAcquire, request).grant().token(), token);
  EXPECT_EQ(other.Get("a").status(), pb::LOCK_STATUS_FREE) << "and nothing was done";
  env->RunFor(61'000);
  EXPECT_EQ(other.CallError(Opcode::kAcquire, request).code(), pb::ERROR_CODE_NOT_ATTACHED);
  pb::AttachSessionRequest attach;
  attach.set_session_id(session.id);
  attach.set_nonce(session.nonce);
  EXPECT_EQ(other.CallError(Opcode::kAttachSession, attach).code(), pb::ERROR_CODE_SESSION_ENDED);
}

// ---- Group commit

TEST_F(Locks, WhatComesWhileAWriteIsUnderWayBecomesOneEntryAndOneWrite) {
  Start(3);
  TestClient client(*env, leader);
  TestClient::Session session = client.Open();
  env->HoldDisk(leader);
  client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "n0", 0));
  env->Settle();
  const int writes = env->writes_started(leader);
  std::vector<uint32_t> ids;
  for (int i = 1; i <= 40; ++i) {
    ids.push_back(
        client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "n" + std::to_string(i), 0)));
    env->Settle();
  }
  EXPECT_EQ(env->writes_started(leader), writes) << "the next write waits for the one under way";
  const size_t before = Entries();
  env->ReleaseDisk(leader);
  env->Settle();
  EXPECT_EQ(Entries(), before + 2) << "the held one, and one for all others";
  EXPECT_EQ(CommandsOf(Entries()), 40u);
  EXPECT_EQ(env->writes_started(leader), writes + 1);
  for (const uint32_t id : ids) EXPECT_TRUE(client.ReplyTo(id).has_value());
}

TEST_F(Locks, AnIdleNodeWritesAtOnce) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  const LocalTime before = env->now();
  client.Acquire(session, "a");
  EXPECT_EQ(env->now(), before) << "no time passed";
}

TEST_F(Locks, RepliesOfOneTurnLeaveInOneSend) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open();
  for (int i = 0; i < 10; ++i) {
    client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "n" + std::to_string(i), 0));
  }
  Node& node = env->node(1);
  node.OnTime(env->now(), WallTime{0});
  NodeActions actions = node.TakeActions();
  ASSERT_EQ(actions.disk.size(), 1u);
  EXPECT_TRUE(actions.clients.empty()) << "nothing is promised before it is durable";
  node.OnWriteDone({std::get<storage::LogWrite>(actions.disk[0]).id});
  node.OnTime(env->now(), WallTime{0});
  actions = node.TakeActions();
  ASSERT_EQ(actions.clients.size(), 1u);
  FrameDecoder decoder(kClientFrameBytesMax);
  decoder.Feed(actions.clients[0].bytes);
  FrameView frame;
  int frames = 0;
  while (decoder.Next(&frame) == FrameDecoder::Result::kFrame) ++frames;
  EXPECT_EQ(frames, 10);
}

// ---- Keep-alives and expiry

// L-10
TEST_F(Locks, KeepAlivesOfAWindowBecomeOneEntry) {
  Start();
  TestClient client(*env, 1);
  std::vector<TestClient::Session> sessions;
  for (int i = 0; i < 20; ++i) sessions.push_back(client.Open());
  env->Settle();
  const size_t before = Entries();
  std::vector<uint32_t> ids;
  for (const auto& session : sessions) {
    ids.push_back(client.Send(Opcode::kKeepAlive, KeepAliveOf(session)));
    env->RunFor(2);
  }
  EXPECT_EQ(Entries(), before);
  env->RunFor(12);
  EXPECT_EQ(Entries(), before + 1);
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto reply = client.ReplyTo(ids[i]);
    ASSERT_TRUE(reply.has_value());
    EXPECT_FALSE(reply->is_error());
    EXPECT_EQ(reply->As<pb::KeepAliveReply>().transmission(), sessions[i].id * 1'000);
  }
}

TEST_F(Locks, ASessionLivesAsLongAsItIsKeptAlive) {
  Start(3);
  TestClient client(*env, leader);
  TestClient::Session session = client.Open(1'000);
  client.Acquire(session, "a");
  for (int i = 0; i < 30; ++i) {
    env->RunFor(600);
    client.Call<pb::KeepAliveReply>(Opcode::kKeepAlive, KeepAliveOf(session));
  }
  EXPECT_EQ(client.Get("a").status(), pb::LOCK_STATUS_HELD);
}

// L-21
TEST_F(Locks, ADeadSessionsLockIsHandedOnAfterItsTtlAndWithin250Ms) {
  Start(3);
  TestClient client(*env, leader);
  TestClient::Session waiter = client.Open(60'000);
  TestClient::Session holder = client.Open(1'000);
  client.Acquire(holder, "a");
  client.Acquire(waiter, "a", -1);
  // The lease counts from the open, a few milliseconds of simulated time ago at most.
  const int64_t ms = MsUntilGranted(client, 5'000);
  EXPECT_GE(ms, 1'000);
  EXPECT_LE(ms, ServerDurationMs(1'000) + 250);
  const auto ended = client.Push(Opcode::kSessionEnded);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->As<pb::SessionEnded>().session_id(), holder.id);
  EXPECT_EQ(ended->As<pb::SessionEnded>().reason(), pb::SESSION_END_REASON_EXPIRED);
}

// L-11
TEST_F(Locks, AKeepAliveStampedAfterTheDeadlineIsTooLate) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open(1'000);
  env->RunFor(ServerDurationMs(1'000) - 30);
  const uint32_t id = client.Send(Opcode::kKeepAlive, KeepAliveOf(session));
  env->RunFor(200);
  const auto reply = client.ReplyTo(id);
  ASSERT_TRUE(reply.has_value());
  ASSERT_TRUE(reply->is_error()) << "its window ended after the deadline";
  EXPECT_EQ(reply->As<pb::Error>().code(), pb::ERROR_CODE_SESSION_ENDED);
}

TEST_F(Locks, ACrowdOfDeadSessionsIsCleanedUpAtOnce) {
  Start(1, [](NodeOptions& options) { options.bootstrap_settings.cleanup_holds_max = 10; });
  TestClient client(*env, 1);
  for (int i = 0; i < 60; ++i) {
    TestClient::Session session = client.Open(1'000);
    for (int k = 0; k < 5; ++k) {
      client.Acquire(session, std::to_string(i) + "/" + std::to_string(k));
    }
  }
  EXPECT_EQ(env->node(1).database().lock_count(), 300u);
  env->RunFor(ServerDurationMs(1'000) + 100);
  EXPECT_EQ(env->node(1).database().lock_count(), 0u) << "the backlog waits for no timer";
}

TEST_F(Locks, AMaximumHoldEndsTheHoldAndNotTheSession) {
  Start();
  TestClient client(*env, 1);
  TestClient::Session session = client.Open(60'000);
  pb::AcquireRequest request = TestClient::AcquireOf(session, "a", 0);
  request.set_max_hold_ms(1'000);
  client.Call<pb::AcquireReply>(Opcode::kAcquire, request);
  env->RunFor(1'000);
  EXPECT_EQ(client.Get("a").status(), pb::LOCK_STATUS_HELD);
  env->RunFor(300);
  EXPECT_EQ(client.Get("a").status(), pb::LOCK_STATUS_FREE);
  EXPECT_EQ(client.Acquire(session, "b").result(), pb::ACQUIRE_RESULT_GRANTED);
}

// ---- Disconnect grace

TEST_F(Locks, ASessionWithAGraceEndsSoonAfterItsConnection) {
  Start(3);
  TestClient holder(*env, leader);
  TestClient other(*env, leader);
  TestClient::Session held = holder.Open(60'000, 3'000);
  TestClient::Session waiting = other.Open(60'000);
  holder.Acquire(held, "a");
  other.Acquire(waiting, "a", -1);
  holder.Disconnect();
  const int64_t ms = MsUntilGranted(other, 10'000);
  EXPECT_GE(ms, 3'000);
  EXPECT_LE(ms, ServerDurationMs(3'000) + 250);
}

TEST_F(Locks, ASessionWithoutAGraceOutlivesItsConnection) {
  Start();
  TestClient holder(*env, 1);
  TestClient::Session held = holder.Open(60'000);
  holder.Acquire(held, "a");
  const size_t before = Entries();
  holder.Disconnect();
  env->Settle();
  EXPECT_EQ(Entries(), before) << "nothing to log";
  env->RunFor(10'000);
  TestClient other(*env, 1);
  EXPECT_EQ(other.Get("a").status(), pb::LOCK_STATUS_HELD);
}

TEST_F(Locks, AnAttachInTimeCancelsTheGrace) {
  Start();
  TestClient first(*env, 1);
  TestClient::Session session = first.Open(60'000, 3'000);
  first.Acquire(session, "a");
  first.Disconnect();
  env->RunFor(2'500);
  TestClient second(*env, 1);
  second.Attach(session);
  env->RunFor(5'000);
  EXPECT_EQ(second.Get("a").status(), pb::LOCK_STATUS_HELD);
}

TEST_F(Locks, TheEndOfAConnectionThatLostItsSessionMeansNothing) {
  Start();
  TestClient first(*env, 1);
  TestClient second(*env, 1);
  TestClient::Session session = first.Open(60'000, 3'000);
  second.Attach(session);
  const size_t before = Entries();
  first.Disconnect();
  env->RunFor(400);
  EXPECT_EQ(Entries(), before);
}

TEST_F(Locks, AConnectionThatClosedWhileItsSessionWasOpenedStartsTheGrace) {
  Start();
  TestClient client(*env, 1);
  env->HoldDisk(1);
  pb::OpenSessionRequest request;
  request.set_nonce("nonce-of-16-byte");
  request.set_ttl_ms(60'000);
  request.set_grace_ms(3'000);
  client.Send(Opcode::kOpenSession, request);
  env->Settle();
  client.Disconnect();
  env->ReleaseDisk(1);
  env->Settle();
  EXPECT_EQ(env->node(1).database().session_count(), 1u);
  env->RunFor(ServerDurationMs(3'000) + 250);
  EXPECT_EQ(env->node(1).database().session_count(), 0u);
}

}  // namespace
}  // namespace lockd::node
