// Sessions through real nodes: queues, failover, loss, cancel, close.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/client/session_cluster.h"

namespace lockd::client {
namespace {

TEST_F(SessionCluster, LocksAndUnlocksThroughWhicheverNodeItDialsFirst) {
  Start(3);
  for (int i = 0; i < 6; ++i) {  // seeds that start at different nodes
    ClusterClient& client = AddClient();
    const OperationId acquire = client.Acquire("resource1");
    ASSERT_TRUE(RunUntil([&] { return client.IsHeld(acquire); }));
    client.Release(acquire);
    ASSERT_TRUE(RunUntil([&] { return client.IsReleased(acquire); }));
    EXPECT_TRUE(client.fsm().IsIdle());
  }
}

TEST_F(SessionCluster, WaitersGetTheLockInTurnWithGrowingTokens) {
  Start(1);
  ClusterClient& one = AddClient();
  ClusterClient& two = AddClient();
  ClusterClient& three = AddClient();
  const OperationId first = one.Acquire("a");
  ASSERT_TRUE(RunUntil([&] { return one.IsHeld(first); }));
  const OperationId second = two.Acquire("a");
  RunFor(50);
  const OperationId third = three.Acquire("a");
  RunFor(50);
  EXPECT_FALSE(two.IsDone(second));
  one.Release(first);
  ASSERT_TRUE(RunUntil([&] { return two.IsHeld(second); }));
  EXPECT_FALSE(three.IsDone(third));
  two.Release(second);
  ASSERT_TRUE(RunUntil([&] { return three.IsHeld(third); }));
  EXPECT_LT(one.TokenOf(first), two.TokenOf(second));
  EXPECT_LT(two.TokenOf(second), three.TokenOf(third));
}

// L-19
TEST_F(SessionCluster, AHoldAndAWaitLiveThroughTheLeadersDeath) {
  Start(3);
  ClusterClient& one = AddClient();
  ClusterClient& two = AddClient();
  const OperationId hold = one.Acquire("a");
  ASSERT_TRUE(RunUntil([&] { return one.IsHeld(hold); }));
  const OperationId wait = two.Acquire("a");
  RunFor(100);
  env().Crash(env().leader());
  RunFor(5'000);
  EXPECT_TRUE(one.IsHeld(hold));
  EXPECT_FALSE(two.IsDone(wait));
  one.Release(hold);
  ASSERT_TRUE(RunUntil([&] { return two.IsHeld(wait); }));
  EXPECT_TRUE(one.IsReleased(hold));
  EXPECT_LT(one.TokenOf(hold), two.TokenOf(wait));
}

// L-28
TEST_F(SessionCluster, ARequestInFlightAtTheLeadersDeathTakesEffectOnce) {
  Start(3);
  ClusterClient& client = AddClient();
  std::vector<OperationId> acquires;
  for (int i = 0; i < 20; ++i) acquires.push_back(client.Acquire(std::string(1, char('a' + i))));
  client.Step();  // sent, and not yet worked on
  env().Crash(env().leader());
  ASSERT_TRUE(RunUntil([&] {
    for (const OperationId acquire : acquires) {
      if (!client.IsHeld(acquire)) return false;
    }
    return true;
  }));
  std::vector<uint64_t> tokens;
  for (const OperationId acquire : acquires) tokens.push_back(client.TokenOf(acquire));
  EXPECT_TRUE(std::is_sorted(tokens.begin(), tokens.end()));
  EXPECT_EQ(client.fsm().hold_count(), 20u);
  EXPECT_EQ(env().node(env().AwaitLeader()).database().lock_count(), 20u);
}

// L-20
TEST_F(SessionCluster, ACutOffHolderIsLostBeforeTheNextOneIsGranted) {
  Start(3);
  ClusterClient& one = AddClient(2'000);
  ClusterClient& two = AddClient();
  const OperationId hold = one.Acquire("a");
  ASSERT_TRUE(RunUntil([&] { return one.IsHeld(hold); }));
  const OperationId wait = two.Acquire("a");
  RunFor(100);
  one.Cut();
  bool overlapped = false;
  ASSERT_TRUE(RunUntil([&] {
    overlapped = overlapped || (two.IsHeld(wait) && one.IsHeld(hold));
    return two.IsHeld(wait);
  }));
  EXPECT_FALSE(overlapped);
  one.OnTimeAlone();
  EXPECT_TRUE(one.session_lost());
}

TEST_F(SessionCluster, ACrashWithAGraceFreesTheLockLongBeforeTheTtl) {
  Start(3);
  ClusterClient& one = AddClient(60'000, 3'000);
  ClusterClient& two = AddClient();
  const OperationId hold = one.Acquire("a");
  ASSERT_TRUE(RunUntil([&] { return one.IsHeld(hold); }));
  RunFor(10'000);  // pings keep it
  EXPECT_TRUE(one.IsHeld(hold));
  const OperationId wait = two.Acquire("a");
  RunFor(100);
  one.Crash();
  EXPECT_FALSE(RunUntil([&] { return two.IsHeld(wait); }, 2'900));
  EXPECT_TRUE(RunUntil([&] { return two.IsHeld(wait); }, 1'000));
}

TEST_F(SessionCluster, ATimedWaitIsEndedByTheServer) {
  Start(1);
  ClusterClient& one = AddClient();
  ClusterClient& two = AddClient();
  const OperationId hold = one.Acquire("a");
  ASSERT_TRUE(RunUntil([&] { return one.IsHeld(hold); }));
  const OperationId wait = two.Acquire("a", 300);
  const OperationId attempt = two.Acquire("a", 0);
  ASSERT_TRUE(RunUntil([&] { return two.IsDone(wait) && two.IsDone(attempt); }));
  EXPECT_EQ(two.StatusOf(wait), AcquireStatus::kTimedOut);
  EXPECT_EQ(two.StatusOf(attempt), AcquireStatus::kBusy);
  EXPECT_TRUE(RunUntil([&] { return two.fsm().IsIdle(); }));
}

TEST_F(SessionCluster, ACancelLeavesNothingBehindWheneverItComes) {
  Start(1);
  ClusterClient& one = AddClient();
  ClusterClient& two = AddClient();
  for (int steps = 0; steps < 8; ++steps) {
    const OperationId hold = one.Acquire("a");
    ASSERT_TRUE(RunUntil([&] { return one.IsHeld(hold); }));
    const OperationId wait = two.Acquire("a");
    for (int i = 0; i < steps; ++i) {
      if (i == 2) one.Release(hold);
      two.Step();
      one.Step();
      env().Settle();
    }
    two.Cancel(wait);
    if (two.IsHeld(wait)) two.Release(wait);
    one.Release(hold);
    ASSERT_TRUE(RunUntil([&] { return one.fsm().IsIdle() && two.fsm().IsIdle(); })) << steps;
    EXPECT_EQ(env().node(1).database().lock_count(), 0u) << steps;
    EXPECT_EQ(env().node(1).database().waiter_count(), 0u) << steps;
  }
}

TEST_F(SessionCluster, ACallThatMeetsNoLeaderNeverLeavesAHoldBehind) {
  Start(3);
  ClusterClient& client = AddClient(60'000);
  const int leader = env().leader();
  const OperationId acquire = client.Acquire("a", 0);
  client.Step();          // the request has reached the leader,
  env().Isolate(leader);  // which can neither commit it
  RunFor(200);
  for (int id = 1; id <= 3; ++id) {
    if (id != leader) env().Crash(id);  // nor be replaced.
  }
  ASSERT_TRUE(RunUntil([&] { return client.IsDone(acquire); }));
  EXPECT_EQ(client.StatusOf(acquire), AcquireStatus::kUnavailable);
  for (int id = 1; id <= 3; ++id) {
    if (id != leader) env().Start(id);
  }
  env().Rejoin(leader);
  ASSERT_TRUE(RunUntil([&] { return client.fsm().IsIdle(); }));
  EXPECT_EQ(env().node(env().AwaitLeader()).database().lock_count(), 0u);
}

TEST_F(SessionCluster, AMaximumHoldIsOverHereBeforeTheNextOneIsGranted) {
  Start(1);
  ClusterClient& one = AddClient();
  ClusterClient& two = AddClient();
  const OperationId hold = one.Acquire("a", kWaitForever, 1'000);
  ASSERT_TRUE(RunUntil([&] { return one.IsHeld(hold); }));
  const OperationId wait = two.Acquire("a");
  bool overlapped = false;
  ASSERT_TRUE(RunUntil(
      [&] {
        overlapped = overlapped || (two.IsHeld(wait) && one.IsHeld(hold));
        return two.IsHeld(wait);
      },
      2'000));
  EXPECT_FALSE(overlapped);
  EXPECT_FALSE(one.session_lost());
}

TEST_F(SessionCluster, CloseFreesEverythingAtOnce) {
  Start(1);
  ClusterClient& client = AddClient();
  const OperationId hold = client.Acquire("a");
  ASSERT_TRUE(RunUntil([&] { return client.IsHeld(hold); }));
  client.Close();
  ASSERT_TRUE(RunUntil([&] { return client.closed(); }));
  EXPECT_EQ(env().node(1).database().lock_count(), 0u);
  EXPECT_EQ(env().node(1).database().session_count(), 0u);
}

TEST_F(SessionCluster, ManyLocksInFlightGoThroughTheWindow) {
  Start(1);
  ClusterClient& client = AddClient();
  std::vector<OperationId> acquires;
  for (int i = 0; i < 3'000; ++i) acquires.push_back(client.Acquire("lock-" + std::to_string(i)));
  ASSERT_TRUE(RunUntil([&] { return client.fsm().hold_count() == 3'000; }));
  EXPECT_EQ(env().node(1).database().lock_count(), 3'000u);
  for (const OperationId acquire : acquires) client.Release(acquire);
  ASSERT_TRUE(RunUntil([&] { return client.fsm().IsIdle(); }));
  EXPECT_EQ(env().node(1).database().lock_count(), 0u);
}

}  // namespace
}  // namespace lockd::client
