// What only time does: 400 days in one run, and every number that counts up carried over the widths
// at which narrower integers end (catalogue R-59: 32-bit milliseconds wrap at 24.8 days).
#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "tests/sim/long_time_world.h"

namespace lockd::sim {
namespace {

// Every interval at its upper bound: a turn of each node a minute, a keep-alive every 20 minutes.
// Time entries are what fills the log: 576,000 of them.
LongTimeOptions SlowestCluster() {
  LongTimeOptions options;
  options.swarm.nodes = 3;
  options.swarm.clients = 3;
  options.swarm.locks = 4;
  options.swarm.clock_rate_ppm_max = 2'480;
  options.swarm.heartbeat_ms = node::kHeartbeatMsMax;
  options.swarm.election_ms_min = node::kElectionMsMax * 3 / 4;
  options.swarm.election_ms_max = node::kElectionMsMax;
  options.swarm.ttl_ms = 3'600'000;
  options.swarm.think_mean = 12 * kHours;
  options.swarm.hold_mean = 4 * kDays;
  options.tune = [](node::NodeOptions* node) {
    node->time_entry_ms = node::kTimeEntryMsMax;
    node->suppress_ms = node::kSuppressMsMax;
    node->turn_advance_ms_max = node::kTurnAdvanceMsMax;
  };
  return options;
}

TEST(LongTime, SlowFourHundredDays) {
  LongTimeWorld world(SlowestCluster());
  for (int day = 1; day <= 400; ++day) {
    world.RunFor(kDays);
    if (day % 20 == 0) world.ChangeLeader();
    if (day % 50 == 25) world.Restart(static_cast<size_t>(day / 50) % 3, 20 * kMinutes);
  }
  world.AwaitAllApplied(10 * kMinutes);
  world.reference().CheckInvariants();
  // Time went on but for what the failovers took.
  EXPECT_GT(world.reference().time(), ClusterTime(399 * kDays / kMillis));
  EXPECT_LT(world.reference().time(), ClusterTime(403 * kDays / kMillis));
  EXPECT_GT(world.committed(), 400u * 24 * 60 * 9 / 10);
  EXPECT_GT(world.grants(), 200u);
  EXPECT_GT(world.works(), 200u);
  const auto cpu_seconds = static_cast<int64_t>(std::clock() / CLOCKS_PER_SEC);
#ifdef LOCKD_RELEASE
  EXPECT_LE(cpu_seconds, 60);  // of the whole process: ctest runs this test alone in one
#endif
  RecordProperty("entries", std::to_string(world.committed()));
  RecordProperty("events", std::to_string(world.events()));
  RecordProperty("grants", std::to_string(world.grants()));
  RecordProperty("cpu_seconds", std::to_string(cpu_seconds));
}

// ---- Numbers that begin just below a power of two

constexpr uint64_t kAtBits[] = {uint64_t{1} << 31, uint64_t{1} << 32};

// A busy cluster with default times: some dozen grants and a few time entries a second.
LongTimeOptions BusyCluster() {
  LongTimeOptions options;
  options.swarm.nodes = 3;
  options.swarm.clients = 3;
  options.swarm.locks = 2;
  options.swarm.clock_rate_ppm_max = 2'480;
  options.swarm.ttl_ms = 3'000;
  options.swarm.think_mean = 200 * kMillis;
  return options;
}

// Work before and after each node has read its numbers back from its disk.
void RunAndRestartAll(LongTimeWorld& world) {
  world.RunFor(3 * kSeconds);
  for (size_t node = 0; node < 3; ++node) {
    world.Restart(node, 200 * kMillis);
    world.RunFor(1'500 * kMillis);
  }
  world.AwaitAllApplied(5 * kSeconds);
  world.reference().CheckInvariants();
  EXPECT_GT(world.grants(), 20u);
  EXPECT_GT(world.works(), 5u);
}

TEST(LongTime, CrossingWidthsOfTheIndex) {
  for (const uint64_t limit : kAtBits) {
    LongTimeOptions options = BusyCluster();
    options.log_base = {raft::Index(limit - 40), raft::Term(3), ClusterTime(1'000)};
    LongTimeWorld world(options);
    ASSERT_LT(world.node(0).node().raft().commit_index(), raft::Index(limit));
    RunAndRestartAll(world);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_GT(world.node(i).node().raft().applied_index(), raft::Index(limit));
    }
  }
}

TEST(LongTime, CrossingWidthsOfTheTerm) {
  for (const uint64_t limit : kAtBits) {
    LongTimeOptions options = BusyCluster();
    options.log_base = {raft::Index(5), raft::Term(limit - 3), ClusterTime(1'000)};
    LongTimeWorld world(options);
    ASSERT_LT(world.node(0).node().raft().term(), raft::Term(limit));
    for (int change = 0; change < 6; ++change) {
      world.ChangeLeader();
      world.RunFor(kSeconds);
    }
    RunAndRestartAll(world);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_GT(world.node(i).node().raft().term(), raft::Term(limit));
    }
  }
}

TEST(LongTime, CrossingWidthsOfClusterTime) {
  for (const uint64_t limit : kAtBits) {
    LongTimeOptions options = BusyCluster();
    const auto limit_ms = static_cast<int64_t>(limit);
    options.log_base = {raft::Index(5), raft::Term(3), ClusterTime(limit_ms - 4'000)};
    LongTimeWorld world(options);
    ASSERT_LT(world.reference().time(), ClusterTime(limit_ms));
    RunAndRestartAll(world);
    EXPECT_GT(world.reference().time(), ClusterTime(limit_ms));
  }
}

TEST(LongTime, CrossingWidthsOfSessionIds) {
  for (const uint64_t limit : kAtBits) {
    LongTimeOptions options = BusyCluster();
    options.numbers_drawn = limit - 2;
    LongTimeWorld world(options);
    int below = 0;
    int above = 0;
    for (size_t i = 0; i < 3; ++i) {
      ++(world.client(i).session_id() < SessionId(limit) ? below : above);
    }
    EXPECT_EQ(below, 1);
    EXPECT_EQ(above, 2);
    RunAndRestartAll(world);
  }
}

TEST(LongTime, CrossingWidthsOfTokens) {
  for (const uint64_t limit : kAtBits) {
    LongTimeOptions options = BusyCluster();
    options.numbers_drawn = limit - 20;
    LongTimeWorld world(options);
    RunAndRestartAll(world);
    EXPECT_LT(world.first_token(), FencingToken(limit));
    EXPECT_GT(world.last_token(), FencingToken(limit));
  }
}

// Request ids on the wire are made of the sequence's low 30 bits, and of a count of the other
// requests that begins again after 2^30 - 1; both begin close to their ends.
TEST(LongTime, CrossingWidthsOfRequestIds) {
  for (const uint64_t limit : {uint64_t{1} << 30, kAtBits[0], kAtBits[1]}) {
    LongTimeOptions options = BusyCluster();
    options.used_numbers = {
        .sequence = Sequence(limit - 10), .transmission = limit - 2, .control_id = 0x3ffffffcu};
    LongTimeWorld world(options);
    RunAndRestartAll(world);
    for (size_t i = 0; i < 3; ++i) {
      const SimClient::Counts& counts = world.client(i).counts();
      EXPECT_GT(counts.acquires + counts.releases, 20u);
    }
  }
}

}  // namespace
}  // namespace lockd::sim
