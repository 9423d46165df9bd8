// Leases and grants across leaders, stalls and clock steps. L-numbers name known bugs of other lock
// services that these tests rule out.

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

pb::KeepAliveRequest KeepAliveOf(const TestClient::Session& session, uint64_t transmission = 1) {
  pb::KeepAliveRequest request;
  request.set_session_id(session.id);
  request.set_transmission(transmission);
  return request;
}

int OtherThan(int a, int b = 0) {
  for (int id = 1;; ++id) {
    if (id != a && id != b) return id;
  }
}

// A new leader, although the old one may still believe in itself.
int AwaitLeaderOtherThan(NodeEnv& env, int old_leader) {
  int found = 0;
  EXPECT_TRUE(env.RunUntil([&] {
    for (int id = 1; id <= env.count(); ++id) {
      if (id != old_leader && env.IsUp(id) && env.node(id).is_serving()) found = id;
    }
    return found != 0;
  })) << "no other leader";
  return found;
}

// L-02: a waiter learns at its own expiry that it is out, not when its turn would have come.
TEST(Leases, AWaitersExpiryIsToldAtOnceWhileTheLockStaysHeld) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  TestClient::Session holder = client.Open(60'000);
  TestClient::Session waiter = client.Open(2'000);
  client.Acquire(holder, "a");
  ASSERT_EQ(client.Acquire(waiter, "a", -1).result(), pb::ACQUIRE_RESULT_QUEUED);
  std::optional<Received> ended;
  ASSERT_TRUE(env.RunUntil(
      [&] {
        ended = client.Push(Opcode::kSessionEnded);
        return ended.has_value();
      },
      ServerDurationMs(2'000) + 250));
  EXPECT_EQ(ended->As<pb::SessionEnded>().session_id(), waiter.id);
  EXPECT_EQ(ended->As<pb::SessionEnded>().reason(), pb::SESSION_END_REASON_EXPIRED);
  const pb::LockRecord lock = client.Get("a");
  EXPECT_EQ(lock.session_id(), holder.id);
  EXPECT_EQ(lock.waiters(), 0u);
}

// L-09: a leader that was out for longer than every TTL comes back with its clock run on and with
// time entries in its disk queue. The session, renewed at the new leader meanwhile, does not end.
TEST(Leases, ADeposedLeaderThatWakesUpEndsNobody) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient first(env, old_leader);
  TestClient::Session session = first.Open(1'500);
  const uint64_t token = first.Acquire(session, "a").grant().token();
  env.HoldDisk(old_leader);
  env.Isolate(old_leader);
  const int leader = AwaitLeaderOtherThan(env, old_leader);
  TestClient second(env, leader);
  second.Attach(session);
  const auto renew_for = [&](int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 500) {
      second.Call<pb::KeepAliveReply>(Opcode::kKeepAlive, KeepAliveOf(session));
      env.RunFor(500);
    }
  };
  renew_for(6'000);
  env.ReleaseDisk(old_leader);
  env.Rejoin(old_leader);
  renew_for(3'000);
  EXPECT_EQ(second.Get("a").token(), token);
  EXPECT_EQ(env.node(leader).database().session_count(), 1u);
  env.ExpectSameState();
}

// L-10: keep-alives at a leader that nobody follows any more: not one is acknowledged, from the
// moment at which it was cut off, and the lock goes on to the next one.
TEST(Leases, ADeposedLeaderAcknowledgesNoKeepAlive) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient stuck(env, old_leader);
  TestClient::Session held = stuck.Open(2'000);
  const uint64_t token = stuck.Acquire(held, "a").grant().token();
  env.Isolate(old_leader);
  std::vector<uint32_t> sent;
  const auto ask = [&] {
    sent.push_back(stuck.Send(Opcode::kKeepAlive, KeepAliveOf(held, sent.size() + 1)));
  };
  ask();
  const int leader = AwaitLeaderOtherThan(env, old_leader);
  TestClient client(env, leader);
  TestClient::Session next = client.Open(60'000);
  ASSERT_EQ(client.Acquire(next, "a", -1).result(), pb::ACQUIRE_RESULT_QUEUED);
  std::optional<Received> granted;
  for (int i = 0; i < 40 && !granted; ++i) {
    ask();
    env.RunFor(100);
    granted = client.Push(Opcode::kAcquireOutcome);
  }
  ASSERT_TRUE(granted.has_value());
  EXPECT_GT(granted->As<pb::AcquireOutcome>().grant().token(), token);
  for (const uint32_t id : sent) {
    const auto reply = stuck.ReplyTo(id);
    EXPECT_TRUE(!reply || reply->is_error()) << "keep-alive " << id << " was acknowledged";
  }
}

// L-12: the entry that would have ended the session is lost with its leader. The next one makes it
// anew.
TEST(Leases, AnExpiryThatWasLostWithItsLeaderComesFromTheNextOne) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient client(env, old_leader);
  TestClient::Session session = client.Open(1'000);
  client.Acquire(session, "a");
  env.RunFor(ServerDurationMs(1'000) - 20);
  ASSERT_EQ(env.node(old_leader).database().session_count(), 1u);
  env.Isolate(old_leader);
  const raft::Index committed = env.node(old_leader).raft().commit_index();
  env.RunFor(60);
  ASSERT_GT(env.node(old_leader).raft().last_index(), committed) << "no expiry was proposed";
  env.Crash(old_leader);
  const int leader = env.AwaitLeader();
  EXPECT_TRUE(
      env.RunUntil([&] { return env.node(leader).database().session_count() == 0; }, 1'500));
  EXPECT_EQ(env.node(leader).database().lock_count(), 0u);
}

// L-26: somebody sets the wall clock of the leader an hour forward, then back by two. Neither ends
// a session early nor keeps one alive.
TEST(Leases, AStepOfTheWallClockMeansNothing) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  TestClient::Session session = client.Open(2'000);
  client.Acquire(session, "a");
  env.StepWallClock(leader, 3'600'000);
  env.RunFor(1'900);
  EXPECT_EQ(client.Get("a").status(), pb::LOCK_STATUS_HELD);
  client.Call<pb::KeepAliveReply>(Opcode::kKeepAlive, KeepAliveOf(session));
  env.StepWallClock(leader, -7'200'000);
  env.RunFor(1'900);
  EXPECT_EQ(client.Get("a").status(), pb::LOCK_STATUS_HELD);
  env.RunFor(500);
  EXPECT_EQ(client.Get("a").status(), pb::LOCK_STATUS_FREE);
  EXPECT_EQ(env.leader(), leader) << "and nobody was elected for it";
}

// L-44: a grant is told only when a majority has it on disk. A follower that restarts without it
// cannot help to elect a leader that never heard of it.
TEST(Leases, AGrantIsToldOnlyOnceAMajorityHasItOnDisk) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  const int good = OtherThan(old_leader);
  const int forgetful = OtherThan(old_leader, good);
  TestClient client(env, old_leader);
  TestClient::Session session = client.Open(60'000);
  env.RunFor(200);
  env.HoldDisk(good);
  env.HoldDisk(forgetful);
  const uint32_t request = client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "a", 0));
  env.RunFor(200);
  ASSERT_FALSE(client.ReplyTo(request).has_value()) << "only the leader has it";
  env.ReleaseDisk(good);
  env.Settle();
  const auto reply = client.ReplyTo(request);
  ASSERT_TRUE(reply.has_value());
  const uint64_t token = reply->As<pb::AcquireReply>().grant().token();
  ASSERT_GT(token, 0u);

  env.Crash(forgetful);  // what its disk was still writing is gone
  env.ReleaseDisk(forgetful);
  env.Crash(old_leader);
  env.Start(forgetful);
  EXPECT_EQ(env.AwaitLeader(), good);
  TestClient other(env, good);
  TestClient::Session second = other.Open();
  EXPECT_EQ(other.Acquire(second, "a").result(), pb::ACQUIRE_RESULT_BUSY);
  EXPECT_EQ(other.Get("a").token(), token);
}

}  // namespace
}  // namespace lockd::node
