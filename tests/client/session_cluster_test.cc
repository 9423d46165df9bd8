// Session machines against real nodes, by hand: no sockets, no clock but the one in the test. What
// crosses the line is bytes, as between the programs.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/session_fsm.h"
#include "tests/server/node/node_env.h"

namespace lockd::client {
namespace {

using node::ConnectionId;
using node::NodeEnv;

// One session machine and its connection into the nodes of an env.
class ClusterClient {
 public:
  ClusterClient(NodeEnv& env, uint64_t seed, SessionConfig config)
      : env_(env),
        fsm_(Complete(env, std::move(config)), std::string(kNonceBytes, static_cast<char>(seed)),
             seed, env.now()) {}

  // Everything that can happen without time passing. True: something happened.
  bool Step() {
    bool happened = false;
    const LocalTime now = env_.now();
    if (is_cut_) return false;
    if (link_.has_value() && node_ != 0) {
      std::string bytes;
      for (const node::Received& received : env_.TakeReceived(node_, connection_)) {
        AppendFrame(bytes, received.header, received.payload);
      }
      if (!bytes.empty()) {
        fsm_.OnBytes(now, *link_, bytes);
        happened = true;
      }
      if (link_.has_value() && env_.WasClosed(node_, connection_)) {
        fsm_.OnDisconnected(now, *std::exchange(link_, std::nullopt));
        happened = true;
      }
    }
    fsm_.OnTime(now);
    return Carry(fsm_.TakeActions(now)) || happened;
  }

  // Nothing passes between this client and the nodes; nobody learns of it.
  void Cut() { is_cut_ = true; }
  // The process ends.
  void Crash() {
    is_cut_ = true;
    if (link_.has_value() && node_ != 0) env_.Disconnect(node_, connection_);
    link_.reset();
  }
  // Only time passes for a client that is cut off.
  void OnTimeAlone() {
    fsm_.OnTime(env_.now());
    Collect(fsm_.TakeActions(env_.now()));
  }

  OperationId Acquire(absl::string_view name, int64_t wait_ms = kWaitForever,
                      int64_t max_hold_ms = 0) {
    return fsm_.Acquire(env_.now(), name, wait_ms, max_hold_ms);
  }
  void Cancel(OperationId acquire) { fsm_.Cancel(env_.now(), acquire); }
  bool Release(OperationId hold) { return fsm_.Release(env_.now(), hold); }
  void Close() { fsm_.Close(env_.now()); }

  [[nodiscard]] bool IsOpen() const { return opened_; }
  [[nodiscard]] bool IsHeld(OperationId hold) const { return fsm_.IsHeld(hold, env_.now()); }
  [[nodiscard]] bool IsDone(OperationId acquire) const { return done_.count(acquire) > 0; }
  [[nodiscard]] AcquireStatus StatusOf(OperationId acquire) const {
    return done_.at(acquire).status;
  }
  [[nodiscard]] uint64_t TokenOf(OperationId acquire) const {
    return done_.at(acquire).token.value();
  }
  [[nodiscard]] bool IsReleased(OperationId hold) const {
    return released_.count(hold) > 0 && released_.at(hold) == ReleaseStatus::kReleased;
  }
  [[nodiscard]] bool session_lost() const { return session_lost_; }
  [[nodiscard]] bool closed() const { return closed_; }
  SessionFsm& fsm() { return fsm_; }

 private:
  static SessionConfig Complete(NodeEnv& env, SessionConfig config) {
    for (int id = 1; id <= env.count(); ++id) {
      config.endpoints.push_back(env.options(id).client_address);
    }
    return config;
  }

  bool Carry(SessionActions actions) {
    bool happened = !actions.close.empty() || actions.dial.has_value() || !actions.send.empty();
    for (const LinkId link : actions.close) {
      if (link_ != link) continue;
      if (node_ != 0) env_.Disconnect(node_, connection_);
      link_.reset();
    }
    if (actions.dial.has_value()) {
      link_ = actions.dial->link;
      node_ = 0;
      for (int id = 1; id <= env_.count(); ++id) {
        if (env_.options(id).client_address == actions.dial->address && env_.IsUp(id)) node_ = id;
      }
      if (node_ == 0) {
        fsm_.OnDisconnected(env_.now(), *std::exchange(link_, std::nullopt));
      } else {
        connection_ = env_.Connect(node_);
        fsm_.OnConnected(env_.now(), *link_);
      }
    }
    if (!actions.send.empty() && link_.has_value()) {
      env_.SendBytes(node_, connection_, actions.send);
    }
    return Collect(std::move(actions)) || happened;
  }

  bool Collect(SessionActions actions) {
    opened_ = opened_ || (actions.opened && actions.opened->status == OpenStatus::kOpened);
    for (AcquireDone& done : actions.acquires) done_[done.operation] = done;
    for (const ReleaseDone& done : actions.releases) released_[done.hold] = done.status;
    session_lost_ = session_lost_ || actions.session_lost;
    closed_ = closed_ || actions.closed.has_value();
    return !actions.acquires.empty() || !actions.releases.empty();
  }

  NodeEnv& env_;
  SessionFsm fsm_;
  std::optional<LinkId> link_;
  int node_ = 0;
  ConnectionId connection_;
  bool is_cut_ = false;
  bool opened_ = false;
  bool session_lost_ = false;
  bool closed_ = false;
  std::map<OperationId, AcquireDone> done_;
  std::map<OperationId, ReleaseStatus> released_;
};

class SessionCluster : public testing::Test {
 protected:
  void Start(int nodes) {
    env_ = std::make_unique<NodeEnv>(nodes);
    env_->StartAll();
    env_->AwaitLeader();
  }

  ClusterClient& AddClient(int64_t ttl_ms = 10'000, int64_t grace_ms = 0) {
    SessionConfig config;
    config.ttl_ms = ttl_ms;
    config.grace_ms = grace_ms;
    clients_.push_back(
        std::make_unique<ClusterClient>(*env_, clients_.size() + 1, std::move(config)));
    ClusterClient& client = *clients_.back();
    EXPECT_TRUE(RunUntil([&] { return client.IsOpen(); }));
    return client;
  }

  // Lets time pass in small steps, with all clients taking part, until it is true.
  bool RunUntil(const std::function<bool()>& condition, int64_t ms_max = 20'000) {
    for (int64_t ms = 0; ms < ms_max; ms += 5) {
      bool happened = true;
      for (int round = 0; happened && round < 100; ++round) {
        env_->Settle();
        happened = false;
        for (auto& client : clients_) happened = client->Step() || happened;
      }
      if (condition()) return true;
      if (HasFatalFailure()) return false;
      env_->RunFor(5);
    }
    return false;
  }
  void RunFor(int64_t ms) {
    RunUntil([] { return false; }, ms);
  }

  NodeEnv& env() { return *env_; }

 private:
  std::unique_ptr<NodeEnv> env_;
  std::vector<std::unique_ptr<ClusterClient>> clients_;
};

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
