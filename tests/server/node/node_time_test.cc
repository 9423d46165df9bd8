// What cluster time does while nodes idle, stall, pause and fail over, and how often they wake.

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "protocol/base/random.h"
#include "server/state/command.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

TEST(Time, AnIdleClusterWritesNothing) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  env.RunFor(1'000);
  const size_t entries = env.log(leader).size();
  env.RunFor(60'000);
  EXPECT_EQ(env.log(leader).size(), entries);
}

TEST(Time, WhileADeadlineIsArmedTheLeaderLogsTheTimeTwiceASecond) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  client.Open(60'000);
  const size_t entries = env.log(leader).size();
  env.RunFor(10'000);
  EXPECT_EQ(env.log(leader).size(), entries + 20);
}

// L-26
TEST(Time, APauseOfTheProcessExpiresNobody) {
  NodeEnv env(1);
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  client.Open(1'000);
  env.Jump(3'600'000);
  env.RunFor(300);
  EXPECT_EQ(env.node(1).database().session_count(), 1u);
  EXPECT_GE(env.node(1).suppressed_ms(), 3'599'000);
  env.RunFor(1'000);
  EXPECT_EQ(env.node(1).database().session_count(), 0u) << "half a second of the pause counted";
}

TEST(Time, AStalledDiskExpiresNobody) {
  NodeEnv env(1);
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(1'500);
  env.HoldDisk(1);
  const uint32_t acquire = client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "a", 0));
  env.RunFor(2'000);
  env.ReleaseDisk(1);
  env.RunFor(300);
  EXPECT_TRUE(client.ReplyTo(acquire).has_value());
  EXPECT_EQ(env.node(1).database().session_count(), 1u) << "some 800 of 2,300 ms counted";
}

// L-14
TEST(Time, TimeWithoutALeaderDoesNotCount) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient client(env, old_leader);
  TestClient::Session session = client.Open(3'000);
  client.Acquire(session, "a");
  env.RunFor(600);
  for (int id = 1; id <= 3; ++id) env.Crash(id);
  env.Jump(600'000);
  env.StartAll();
  TestClient again(env, env.AwaitLeader());
  EXPECT_EQ(again.Get("a").status(), pb::LOCK_STATUS_HELD);
  // And the time that had passed before is not forgotten.
  env.RunFor(ServerDurationMs(3'000) - 600 + 500);
  EXPECT_EQ(again.Get("a").status(), pb::LOCK_STATUS_FREE);
}

// The batches carry the wall clock of their stamping, which here is the true time.
TEST(Time, NeverRunsAheadOfTheTrueTimeAcrossLeadersPausesAndStalls) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    NodeEnv env(3, [&](NodeOptions& options) { options.seed += 1'000 * seed; });
    env.StartAll();
    int leader = env.AwaitLeader();
    TestClient(env, leader).Open(3'600'000);
    for (int step = 0; step < 12; ++step) {
      const int id = 1 + static_cast<int>(random.Below(3));
      switch (random.Below(4)) {
        case 0:
          env.Jump(static_cast<int64_t>(random.Below(4'000)));
          break;
        case 1:
          env.HoldDisk(id);
          env.RunFor(static_cast<int64_t>(random.Below(3'000)));
          env.ReleaseDisk(id);
          break;
        case 2:
          env.Isolate(id);
          env.RunFor(static_cast<int64_t>(random.Below(3'000)));
          env.Rejoin(id);
          break;
        default:
          env.Crash(id);
          env.RunFor(static_cast<int64_t>(random.Below(2'000)));
          env.Start(id);
      }
      env.RunFor(1'200);
    }
    leader = env.AwaitLeader();
    env.RunFor(1'000);
    env.ExpectSameState();
    int64_t last_ahead = INT64_MAX;  // cluster time minus true time never grows
    for (const raft::Entry& entry : env.log(leader)) {
      if (entry.kind != raft::EntryKind::kCommand) continue;
      const auto batch = state::DecodeBatch(entry.payload);
      ASSERT_TRUE(batch.ok());
      const int64_t ahead = entry.time.value() - batch->wall_time.value();
      EXPECT_LE(ahead, last_ahead == INT64_MAX ? ahead : last_ahead + 1)
          << "entry " << entry.index.value();
      last_ahead = std::min(last_ahead, ahead);
    }
  }
}

TEST(Time, AnIdleNodeWakesAboutOnceAHeartbeat) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  env.RunFor(1'000);
  std::vector<int64_t> before;
  for (int id = 1; id <= 3; ++id) before.push_back(env.turns(id));
  env.RunFor(50'000);  // a thousand heartbeats
  for (int id = 1; id <= 3; ++id) {
    const int64_t turns = env.turns(id) - before[static_cast<size_t>(id - 1)];
    // The leader: one for the heartbeat, one for each reply that comes alone.
    EXPECT_LE(turns, id == leader ? 3'100 : 2'100) << id;
  }
}

TEST(Time, WithALongHeartbeatAYearIsFewTurns) {
  NodeEnv env(3, [](NodeOptions& options) {
    options.heartbeat_ms = 60'000;
    options.election_ms_min = 300'000;
    options.election_ms_max = 600'000;
  });
  env.StartAll();
  ASSERT_TRUE(env.RunUntil([&] { return env.leader() != 0; }, 3'600'000));
  const int leader = env.leader();
  const raft::Term term = env.node(leader).raft().term();
  std::vector<int64_t> before;
  for (int id = 1; id <= 3; ++id) before.push_back(env.turns(id));
  constexpr int64_t kDays = 30;
  env.RunFor(kDays * 24 * 3'600 * 1'000);
  EXPECT_EQ(env.leader(), leader);
  EXPECT_EQ(env.node(leader).raft().term(), term);
  for (int id = 1; id <= 3; ++id) {
    EXPECT_LE(env.turns(id) - before[static_cast<size_t>(id - 1)], kDays * 24 * 60 * 4) << id;
  }
}

}  // namespace
}  // namespace lockd::node
