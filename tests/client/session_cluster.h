// ClusterClient and SessionCluster: session machines against real nodes, by hand: no sockets, no
// clock but the one in the test. What crosses the line is bytes, as between the programs.
//
//   TEST_F(SessionCluster, ...) {
//     Start(3);
//     ClusterClient& client = AddClient();
//     const OperationId acquire = client.Acquire("a");
//     ASSERT_TRUE(RunUntil([&] { return client.IsHeld(acquire); }));
//
// Threading: pure value.
#ifndef LOCKD_TESTS_CLIENT_SESSION_CLUSTER_H_
#define LOCKD_TESTS_CLIENT_SESSION_CLUSTER_H_

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/session_fsm.h"
#include "tests/server/node/node_env.h"

namespace lockd::client {

// One session machine and its connection into the nodes of an env.
class ClusterClient {
 public:
  ClusterClient(node::NodeEnv& env, uint64_t seed, SessionConfig config)
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
  // Its connection breaks, and what was on the way to it is lost.
  void BreakLink() {
    if (!link_.has_value() || node_ == 0) return;
    env_.Disconnect(node_, connection_);
    fsm_.OnDisconnected(env_.now(), *std::exchange(link_, std::nullopt));
  }
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
  static SessionConfig Complete(node::NodeEnv& env, SessionConfig config) {
    if (!config.endpoints.empty()) return config;
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

  node::NodeEnv& env_;
  SessionFsm fsm_;
  std::optional<LinkId> link_;
  int node_ = 0;
  node::ConnectionId connection_;
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
    env_ = std::make_unique<node::NodeEnv>(nodes);
    env_->StartAll();
    env_->AwaitLeader();
  }

  ClusterClient& AddClient(int64_t ttl_ms = 10'000, int64_t grace_ms = 0) {
    SessionConfig config;
    config.ttl_ms = ttl_ms;
    config.grace_ms = grace_ms;
    return AddClient(std::move(config));
  }
  // Without endpoints it gets those of all nodes.
  ClusterClient& AddClient(SessionConfig config) {
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

  node::NodeEnv& env() { return *env_; }

 private:
  std::unique_ptr<node::NodeEnv> env_;
  std::vector<std::unique_ptr<ClusterClient>> clients_;
};

}  // namespace lockd::client

#endif  // LOCKD_TESTS_CLIENT_SESSION_CLUSTER_H_
