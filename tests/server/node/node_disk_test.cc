// Slow disks and power cuts: who waits for them, who does not, and what is there afterwards.
#include <optional>

#include "gtest/gtest.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

int OtherThan(int a, int b = 0) {
  for (int id = 1;; ++id) {
    if (id != a && id != b) return id;
  }
}

pb::KeepAliveRequest KeepAliveOf(const TestClient::Session& session, uint64_t transmission) {
  pb::KeepAliveRequest request;
  request.set_session_id(session.id);
  request.set_transmission(transmission);
  return request;
}

// A new leader, although the old one may still believe in itself; zero when none comes.
int AwaitLeaderOtherThan(NodeEnv& env, int old_leader) {
  int found = 0;
  const auto look = [&] {
    for (int id = 1; id <= env.count() && found == 0; ++id) {
      if (id != old_leader && env.IsUp(id) && env.node(id).is_serving()) found = id;
    }
    return found != 0;
  };
  EXPECT_TRUE(env.RunUntil(look, 10'000)) << "no other leader";
  return found;
}

// a quorum of one. The answer waits for the disk; a crash before it takes the grant back, and
// nobody was told of it.
TEST(Disk, ASingleNodeAnswersOnceItsOwnDiskHasTheEntry) {
  NodeEnv env(1);
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(60'000);
  env.HoldDisk(1);
  const pb::AcquireRequest request = TestClient::AcquireOf(session, "a", 0);
  const uint32_t id = client.Send(Opcode::kAcquire, request);
  env.RunFor(300);
  EXPECT_FALSE(client.ReplyTo(id).has_value());
  EXPECT_EQ(env.node(1).database().lock_count(), 0u) << "applied before it was durable";
  env.Crash(1);
  env.ReleaseDisk(1);
  env.Start(1);
  env.AwaitLeader();
  TestClient again(env, 1);
  EXPECT_EQ(again.Get("a").status(), pb::LOCK_STATUS_FREE);
  again.Attach(session);
  EXPECT_EQ(again.Call<pb::AcquireReply>(Opcode::kAcquire, request).result(),
            pb::ACQUIRE_RESULT_GRANTED);
}

// S-12: five seconds without a completed write at a follower. Its loop goes on, so nobody is
// elected; the other two are a majority.
TEST(Disk, AStalledFollowerHoldsUpNobody) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  const int slow = OtherThan(leader);
  TestClient client(env, leader);
  TestClient::Session session = client.Open(60'000);
  const raft::Term term = env.node(leader).raft().term();
  env.HoldDisk(slow);
  for (int i = 0; i < 50; ++i) {
    const uint64_t token = client.Acquire(session, "a").grant().token();
    ASSERT_NE(token, 0u);
    EXPECT_EQ(client.Release(session, "a", token).result(), pb::RELEASE_RESULT_RELEASED);
    env.RunFor(100);
  }
  env.ReleaseDisk(slow);
  env.RunFor(1'000);
  EXPECT_EQ(env.leader(), leader);
  EXPECT_EQ(env.node(leader).raft().term(), term);
  EXPECT_EQ(env.log(slow).size(), env.log(leader).size());
  env.ExpectSameState();
}

// S-12: the leader's own disk. It keeps its followers quiet and serves what the other two have on
// disk, for a while; then it makes way, once, and nobody has lost a session or a lock by it.
TEST(Disk, ALeaderWhoseDiskStallsMakesWayOnceAndNothingIsLost) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient client(env, old_leader);
  TestClient::Session session = client.Open(10'000);
  const uint64_t token = client.Acquire(session, "a").grant().token();
  const raft::Term term = env.node(old_leader).raft().term();
  env.HoldDisk(old_leader);
  const uint32_t kept = client.Send(Opcode::kKeepAlive, KeepAliveOf(session, 1));
  env.RunFor(500);
  const auto reply = client.ReplyTo(kept);
  ASSERT_TRUE(reply.has_value());
  EXPECT_FALSE(reply->is_error()) << "two disks of three are a majority";
  EXPECT_EQ(env.leader(), old_leader) << "a slow disk is no dead process";

  const int leader = AwaitLeaderOtherThan(env, old_leader);
  ASSERT_NE(leader, 0);
  EXPECT_EQ(env.node(leader).raft().term(), term + 1);
  EXPECT_TRUE(client.Push(Opcode::kNotLeader).has_value());
  TestClient again(env, leader);
  again.Attach(session);
  EXPECT_EQ(again.Get("a").token(), token);
  env.ReleaseDisk(old_leader);
  env.RunFor(1'000);
  EXPECT_EQ(env.leader(), leader);
  env.ExpectSameState();
}

// a leader whose disk stalls is cut off; what its clients ask it for then is proposed and
// goes nowhere. The majority goes on under another, and none of it takes effect there, ever.
TEST(Disk, WhatADeposedLeaderHadProposedIsVoidAndNotForwarded) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient client(env, old_leader);
  TestClient::Session session = client.Open(60'000);
  const uint64_t token = client.Acquire(session, "a").grant().token();
  env.RunFor(200);
  env.HoldDisk(old_leader);
  env.Isolate(old_leader);
  const uint32_t release =
      client.Send(Opcode::kRelease, TestClient::ReleaseOf(session, "a", token));
  pb::CloseSessionRequest close;
  close.set_session_id(session.id);
  const uint32_t closing = client.Send(Opcode::kCloseSession, close);
  env.Settle();
  const int leader = AwaitLeaderOtherThan(env, old_leader);
  ASSERT_NE(leader, 0);
  env.Rejoin(old_leader);
  env.ReleaseDisk(old_leader);
  env.RunFor(2'000);

  for (const uint32_t id : {release, closing}) {
    const auto reply = client.ReplyTo(id);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->As<pb::Error>().code(), pb::ERROR_CODE_NOT_LEADER);
  }
  EXPECT_EQ(env.leader(), leader);
  TestClient other(env, leader);
  EXPECT_EQ(other.Get("a").token(), token);
  EXPECT_EQ(env.node(leader).database().session_count(), 1u);
  env.ExpectSameState();
  EXPECT_EQ(env.log(old_leader).size(), env.log(leader).size());
}

// S-08, S-10: the new leader begins to serve, and in that moment the power fails everywhere.
TEST(Disk, APowerCutAsANewLeaderBeginsToServeLosesNothing) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    NodeEnv env(3, [&](NodeOptions& options) { options.seed += 1'000 * seed; });
    env.StartAll();
    int leader = env.AwaitLeader();
    TestClient client(env, leader);
    TestClient::Session session = client.Open(60'000);
    uint64_t token = client.Acquire(session, "a").grant().token();
    for (int round = 0; round < 5; ++round) {
      env.Crash(leader);
      leader = env.AwaitLeader();
      TestClient reader(env, leader);
      EXPECT_EQ(reader.Get("a").token(), token);
      for (int id = 1; id <= 3; ++id) {
        if (env.IsUp(id)) env.Crash(id);
      }
      env.StartAll();
      leader = env.AwaitLeader();
      TestClient again(env, leader);
      EXPECT_EQ(again.Get("a").token(), token);
      again.Attach(session);
      ASSERT_EQ(again.Release(session, "a", token).result(), pb::RELEASE_RESULT_RELEASED);
      const uint64_t next = again.Acquire(session, "a").grant().token();
      EXPECT_GT(next, token);
      token = next;
    }
  }
}

}  // namespace
}  // namespace lockd::node
