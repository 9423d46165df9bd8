// Clients and nodes together, in situations in which other lock services told two clients that they
// own a lock, or none. L-numbers name those known bugs.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/client/session_cluster.h"

namespace lockd::client {
namespace {

// L-03: five clients with a short TTL; the holder dies, and one of the waiters is cut off for
// longer than its TTL. At every moment at most one of the five believes that it owns, and the
// others get their turns.
TEST_F(SessionCluster, OfFiveBehindADeadHolderOneBelievesAtATime) {
  Start(3);
  std::vector<ClusterClient*> clients;
  std::vector<OperationId> acquires;
  for (int i = 0; i < 5; ++i) clients.push_back(&AddClient(1'000));
  for (ClusterClient* client : clients) {
    acquires.push_back(client->Acquire("a"));
    RunFor(50);
  }
  ASSERT_TRUE(clients[0]->IsHeld(acquires[0]));
  clients[0]->Cut();  // the holder
  clients[2]->Cut();  // a waiter in the middle
  int most_owners = 0;
  ASSERT_TRUE(RunUntil([&] {
    int owners = 0;
    for (size_t i = 0; i < 5; ++i) owners += clients[i]->IsHeld(acquires[i]) ? 1 : 0;
    most_owners = std::max(most_owners, owners);
    for (const size_t i : {size_t{1}, size_t{3}}) {
      if (clients[i]->IsHeld(acquires[i])) clients[i]->Release(acquires[i]);
    }
    return clients[4]->IsHeld(acquires[4]);
  }));
  EXPECT_EQ(most_owners, 1);
  EXPECT_LT(clients[1]->TokenOf(acquires[1]), clients[3]->TokenOf(acquires[3]));
  EXPECT_LT(clients[3]->TokenOf(acquires[3]), clients[4]->TokenOf(acquires[4]));
  clients[2]->OnTimeAlone();
  EXPECT_TRUE(clients[2]->session_lost());
  EXPECT_FALSE(clients[2]->IsHeld(acquires[2]));
}

// L-16: every node restarts at once, and a crowd comes back at once. All find their leader, none
// loses its lock, and their renewals do not become one entry each.
TEST_F(SessionCluster, ACrowdComesBackAfterARestartOfAllNodes) {
  constexpr int kClients = 60;
  Start(3);
  std::vector<ClusterClient*> clients;
  std::vector<OperationId> holds;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(&AddClient(6'000));
    holds.push_back(clients.back()->Acquire(absl::StrCat("lock-", i)));
  }
  RunFor(50);
  for (int id = 1; id <= 3; ++id) env().Crash(id);
  env().StartAll();
  ASSERT_NE(env().AwaitLeader(), 0);
  ASSERT_TRUE(RunUntil([&] {
    return std::all_of(clients.begin(), clients.end(), [](ClusterClient* client) {
      return client->fsm().IsIdle() && !client->fsm().server_address().empty();
    });
  }));
  const int leader = env().leader();
  ASSERT_NE(leader, 0);
  const size_t entries = env().log(leader).size();
  RunFor(6'000);
  // Each renews some three times in a TTL: that would be some 180 entries beside those of time.
  EXPECT_LT(env().log(leader).size() - entries, 140u);
  for (int i = 0; i < kClients; ++i) {
    const auto at = static_cast<size_t>(i);
    EXPECT_TRUE(clients[at]->IsHeld(holds[at])) << i;
    EXPECT_FALSE(clients[at]->session_lost()) << i;
  }
  EXPECT_EQ(env().node(leader).database().lock_count(), size_t{kClients});
}

// L-20: the holder is cut off together with the only node that it knows, which leads no more. It
// stops by its own clock before the lock has gone on.
TEST_F(SessionCluster, AHolderCutOffWithItsNodeStopsBeforeTheLockGoesOn) {
  Start(3);
  const int old_leader = env().leader();
  SessionConfig config;
  config.ttl_ms = 2'000;
  config.endpoints = {env().options(old_leader).client_address};
  ClusterClient& cut_off = AddClient(config);
  ClusterClient& next = AddClient();
  const OperationId hold = cut_off.Acquire("a");
  ASSERT_TRUE(RunUntil([&] { return cut_off.IsHeld(hold); }));
  const OperationId wait = next.Acquire("a");
  RunFor(100);
  env().Isolate(old_leader);
  bool overlapped = false;
  bool stopped_first = false;
  ASSERT_TRUE(RunUntil([&] {
    overlapped = overlapped || (next.IsHeld(wait) && cut_off.IsHeld(hold));
    stopped_first = stopped_first || (!next.IsHeld(wait) && !cut_off.IsHeld(hold));
    return next.IsHeld(wait);
  }));
  EXPECT_FALSE(overlapped);
  EXPECT_TRUE(stopped_first);
  EXPECT_TRUE(cut_off.session_lost());
}

// L-23: whatever an acquire ends in, and at whatever moment its connection breaks, closing leaves
// neither a lock nor a session that somebody keeps alive for ever.
TEST_F(SessionCluster, AFailedAcquireKeepsNeitherItsLockNorItsSession) {
  Start(1);
  ClusterClient& owner = AddClient();
  const OperationId taken = owner.Acquire("taken");
  ASSERT_TRUE(RunUntil([&] { return owner.IsHeld(taken); }));
  for (int steps = 0; steps < 12; ++steps) {
    ClusterClient& client = AddClient(60'000);
    const OperationId free = client.Acquire("free", 0);
    const OperationId busy = client.Acquire("taken", 0);
    const OperationId invalid = client.Acquire("", 0);
    const OperationId waiting = client.Acquire("taken", kWaitForever);
    for (int i = 0; i < steps; ++i) {
      client.Step();
      env().Settle();
    }
    if (steps % 2 == 0) client.BreakLink();
    client.Cancel(waiting);
    ASSERT_TRUE(RunUntil([&] {
      return client.IsDone(free) && client.IsDone(busy) && client.IsDone(waiting);
    })) << steps;
    EXPECT_EQ(client.StatusOf(busy), AcquireStatus::kBusy) << steps;
    EXPECT_EQ(client.StatusOf(invalid), AcquireStatus::kInvalid) << steps;
    EXPECT_EQ(client.StatusOf(waiting), AcquireStatus::kCancelled) << steps;
    client.Close();
    ASSERT_TRUE(RunUntil([&] { return client.closed(); })) << steps;
    EXPECT_EQ(env().node(1).database().session_count(), 1u) << steps;
    EXPECT_EQ(env().node(1).database().lock_count(), 1u) << steps;
    EXPECT_EQ(env().node(1).database().waiter_count(), 0u) << steps;
  }
}

// L-25: all nodes come back without their disks, as another cluster. The session does not freeze,
// and nothing of it reaches the new cluster; a new session works there.
TEST_F(SessionCluster, AClusterThatWasFormedAnewEndsTheOldSession) {
  Start(3);
  ClusterClient& old = AddClient(3'000);
  const OperationId hold = old.Acquire("a");
  ASSERT_TRUE(RunUntil([&] { return old.IsHeld(hold); }));
  for (int id = 1; id <= 3; ++id) {
    env().Crash(id);
    env().Wipe(id);
    env().options(id).cluster_id_draw = ClusterId(9'000 + static_cast<uint64_t>(id));
  }
  env().StartAll();
  env().AwaitLeader();
  const OperationId wait = old.Acquire("b");
  ASSERT_TRUE(RunUntil([&] { return old.session_lost(); }, 4'000));
  EXPECT_FALSE(old.IsHeld(hold));
  ASSERT_TRUE(old.IsDone(wait));
  EXPECT_EQ(old.StatusOf(wait), AcquireStatus::kSessionLost);
  EXPECT_EQ(env().node(env().leader()).database().session_count(), 0u);
  ClusterClient& fresh = AddClient();
  const OperationId again = fresh.Acquire("a");
  EXPECT_TRUE(RunUntil([&] { return fresh.IsHeld(again); }));
}

// L-37: the message that tells of the grant is lost with its connection. The grant is state: the
// waiter finds it when it comes back.
TEST_F(SessionCluster, AGrantWhoseMessageWasLostIsFoundAfterTheReconnect) {
  Start(3);
  ClusterClient& owner = AddClient();
  ClusterClient& waiter = AddClient();
  const OperationId hold = owner.Acquire("a");
  ASSERT_TRUE(RunUntil([&] { return owner.IsHeld(hold); }));
  const OperationId wait = waiter.Acquire("a");
  RunFor(100);
  owner.Release(hold);
  owner.Step();
  env().Settle();  // granted, and told to a connection that breaks before anything is read
  ASSERT_TRUE(env().node(env().leader()).database().GetLock("a").held);
  waiter.BreakLink();
  ASSERT_FALSE(waiter.IsDone(wait));
  ASSERT_TRUE(RunUntil([&] { return waiter.IsHeld(wait); }, 2'000));
  EXPECT_GT(waiter.TokenOf(wait), owner.TokenOf(hold));
}

// L-40: a leader latch. Three candidates hold it in turn while their connections break and leaders
// die. There are never two, whoever takes over has a higher token than all before, and it is never
// left without anybody.
TEST_F(SessionCluster, AFlappingLatchHasNeverTwoLeadersAndNeverStaysEmpty) {
  Start(3);
  struct Candidate {
    ClusterClient* client;
    OperationId acquire;
    bool leads = false;
  };
  std::vector<Candidate> candidates;
  for (int i = 0; i < 3; ++i) {
    ClusterClient& client = AddClient();
    candidates.push_back({&client, client.Acquire("latch")});
  }
  uint64_t last_token = 0;
  int most_leaders = 0;
  const auto look = [&] {
    int leaders = 0;
    for (Candidate& candidate : candidates) {
      const bool leads = candidate.client->IsHeld(candidate.acquire);
      leaders += leads ? 1 : 0;
      if (leads && !candidate.leads) {
        EXPECT_GT(candidate.client->TokenOf(candidate.acquire), last_token);
        last_token = candidate.client->TokenOf(candidate.acquire);
      }
      candidate.leads = leads;
    }
    most_leaders = std::max(most_leaders, leaders);
    return leaders == 1;
  };
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(RunUntil(look, 5'000)) << "nobody leads in round " << round;
    for (Candidate& candidate : candidates) {
      if (round % 3 != 1) candidate.client->BreakLink();
      if (!candidate.leads) continue;
      candidate.client->Release(candidate.acquire);
      candidate.acquire = candidate.client->Acquire("latch");
      candidate.leads = false;
    }
    if (round % 7 == 6) {
      const int leader = env().leader();
      env().Crash(leader);
      env().AwaitLeader();
      env().Start(leader);
    }
  }
  EXPECT_EQ(most_leaders, 1);
}

}  // namespace
}  // namespace lockd::client
