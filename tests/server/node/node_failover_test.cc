// Three nodes: who is told to go where, what survives the death of a leader and a restart of all.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

int OtherThan(int a, int b = 0) {
  for (int id = 1;; ++id) {
    if (id != a && id != b) return id;
  }
}

// ---- Followers and failover

TEST(Failover, AFollowerPointsAtTheLeader) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  env.RunFor(100);
  TestClient client(env, OtherThan(leader));
  pb::OpenSessionRequest request;
  request.set_nonce("nonce-of-16-byte");
  request.set_ttl_ms(10'000);
  pb::GetLockRequest get;
  get.set_name("a");
  for (const pb::Error& error :
       {client.CallError(Opcode::kOpenSession, request), client.CallError(Opcode::kGetLock, get)}) {
    EXPECT_EQ(error.code(), pb::ERROR_CODE_NOT_LEADER);
    EXPECT_EQ(error.leader().node_id(), static_cast<uint64_t>(leader));
    EXPECT_EQ(error.leader().client_address(), env.options(leader).client_address);
    EXPECT_GT(error.stamp().applied_index(), 0u);
  }
}

TEST(Failover, AFollowerAnswersAStaleRead) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  TestClient::Session session = client.Open();
  client.Acquire(session, "a");
  env.RunFor(200);
  TestClient other(env, OtherThan(leader));
  pb::GetLockRequest get;
  get.set_name("a");
  get.set_stale(true);
  EXPECT_EQ(other.Call<pb::GetLockReply>(Opcode::kGetLock, get).lock().status(),
            pb::LOCK_STATUS_HELD);
}

// L-28
TEST(Failover, HeldLocksSurviveAndARetriedAcquireIsTheSameOne) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient client(env, old_leader);
  TestClient::Session session = client.Open();
  const pb::AcquireRequest request = TestClient::AcquireOf(session, "a", 0);
  const auto granted = client.Call<pb::AcquireReply>(Opcode::kAcquire, request);
  env.Crash(old_leader);
  const int leader = env.AwaitLeader();
  ASSERT_NE(leader, old_leader);
  TestClient again(env, leader);
  again.Attach(session);
  const auto repeated = again.Call<pb::AcquireReply>(Opcode::kAcquire, request);
  EXPECT_EQ(repeated.grant().token(), granted.grant().token());
  env.Start(old_leader);
  env.RunFor(1'000);
  env.ExpectSameState();
  EXPECT_EQ(env.log(old_leader).size(), env.log(leader).size());
}

TEST(Failover, ALeaderCutOffTellsItsClients) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient client(env, old_leader);
  TestClient idle(env, old_leader);
  TestClient::Session session = client.Open();
  env.Isolate(old_leader);
  const uint32_t acquire = client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "a", 0));
  pb::GetLockRequest get;
  get.set_name("a");
  const uint32_t read = client.Send(Opcode::kGetLock, get);
  env.Settle();
  EXPECT_FALSE(client.ReplyTo(acquire).has_value());
  EXPECT_FALSE(client.ReplyTo(read).has_value()) << "no majority confirms that it leads";
  env.RunFor(1'500);
  const auto acquired = client.ReplyTo(acquire);
  ASSERT_TRUE(acquired.has_value());
  EXPECT_EQ(acquired->As<pb::Error>().code(), pb::ERROR_CODE_NOT_LEADER);
  ASSERT_TRUE(client.ReplyTo(read).has_value());
  EXPECT_TRUE(client.Push(Opcode::kNotLeader).has_value());
  EXPECT_FALSE(idle.Push(Opcode::kNotLeader).has_value()) << "it had no session";
  // Its attachments are void; it points at the new leader once it is back.
  env.Rejoin(old_leader);
  env.RunFor(1'000);
  const int leader = env.AwaitLeader();
  pb::KeepAliveRequest keep_alive;
  keep_alive.set_session_id(session.id);
  const pb::Error error = client.CallError(Opcode::kKeepAlive, keep_alive);
  EXPECT_EQ(error.code(), pb::ERROR_CODE_NOT_LEADER);
  EXPECT_EQ(error.leader().node_id(), static_cast<uint64_t>(leader));
}

TEST(Failover, LimitsWaitingReadsAndUncommittedBytes) {
  NodeEnv env(3, [](NodeOptions& options) {
    options.pending_reads_max = 2;
    options.uncommitted_bytes_max = 2'000;
  });
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  TestClient::Session session = client.Open();
  env.Isolate(leader);
  pb::GetLockRequest get;
  get.set_name("a");
  std::vector<uint32_t> reads;
  for (int i = 0; i < 3; ++i) reads.push_back(client.Send(Opcode::kGetLock, get));
  std::vector<uint32_t> acquires;
  for (int i = 0; i < 20; ++i) {
    acquires.push_back(
        client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, std::string(300, 'x'), 0)));
    env.Settle();
  }
  EXPECT_FALSE(client.ReplyTo(reads[0]).has_value());
  EXPECT_FALSE(client.ReplyTo(reads[1]).has_value());
  EXPECT_EQ(client.ReplyTo(reads[2])->As<pb::Error>().code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_FALSE(client.ReplyTo(acquires[0]).has_value());
  const auto shed = client.ReplyTo(acquires.back());
  ASSERT_TRUE(shed.has_value());
  EXPECT_EQ(shed->As<pb::Error>().code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_GT(shed->As<pb::Error>().retry_after_ms(), 0u);
  EXPECT_LE(env.node(leader).raft().uncommitted_bytes(), 3'000u);
}

TEST(Failover, ARefusedConnectionHintsThatTheLeaderDied) {
  const auto ms_to_fail_over = [](bool with_hint) {
    NodeEnv env(3);
    env.StartAll();
    const int leader = env.AwaitLeader();
    env.RunFor(1'000);
    env.Crash(leader);
    for (int id = 1; id <= 3 && with_hint; ++id) {
      if (id != leader) env.node(id).OnPeerRefused(NodeId{static_cast<uint64_t>(leader)});
    }
    const LocalTime start = env.now();
    env.AwaitLeader();
    return (env.now() - start) / kNanosPerMilli;
  };
  EXPECT_LE(ms_to_fail_over(true), 120);
  EXPECT_GE(ms_to_fail_over(false), 250);
}

// ---- Restart

// L-44
TEST(Restart, AllNodesTogetherKeepEverything) {
  NodeEnv env(3);
  env.StartAll();
  TestClient client(env, env.AwaitLeader());
  TestClient::Session session = client.Open();
  const uint64_t token = client.Acquire(session, "a").grant().token();
  env.RunFor(200);
  for (int id = 1; id <= 3; ++id) env.Crash(id);
  env.StartAll();
  TestClient again(env, env.AwaitLeader());
  const pb::LockRecord lock = again.Get("a");
  EXPECT_EQ(lock.status(), pb::LOCK_STATUS_HELD);
  EXPECT_EQ(lock.token(), token);
  EXPECT_EQ(lock.session_id(), session.id);
  again.Attach(session);
  EXPECT_EQ(again.Release(session, "a", token).result(), pb::RELEASE_RESULT_RELEASED);
  env.RunFor(500);
  env.ExpectSameState();
}

TEST(Restart, ALeaderServesOnlyWhenAllThatWasCommittedIsApplied) {
  NodeEnv env(1);
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(3'600'000);
  for (int i = 0; i < 1'500; ++i) {
    ASSERT_EQ(client.Acquire(session, std::to_string(i) + std::string(1'000, 'x')).result(),
              pb::ACQUIRE_RESULT_GRANTED);
  }
  const size_t entries = env.log(1).size();
  env.Crash(1);
  env.hard_state(1).commit = raft::Index{0};  // it learns only anew what is committed
  env.Start(1);
  // More than one turn may apply: a client asks as soon as it can.
  int unapplied_turns = 0;
  env.after_turn = [&](int) {
    if (env.node(1).raft().has_committed_in_term() && !env.node(1).is_serving()) ++unapplied_turns;
    if (env.node(1).is_serving()) {
      EXPECT_GT(env.node(1).raft().applied_index().value(), entries);
    }
  };
  EXPECT_EQ(env.AwaitLeader(), 1);
  EXPECT_GT(unapplied_turns, 1) << "the log was too short to show anything";
}

}  // namespace
}  // namespace lockd::node
