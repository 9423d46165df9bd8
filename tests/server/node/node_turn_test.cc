// What one turn of the loop does at most, counted in bytes and records and not in time: whatever
// piles up, the node hears its sockets again soon.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

// Sends acquires of `count` locks with ordinary names, and waits for all of them.
void AcquireMany(NodeEnv& env, TestClient& client, TestClient::Session& session, int count,
                 const std::string& prefix = "orders/eu-west/") {
  constexpr int kAtOnce = 200;  // in an entry
  for (int first = 0; first < count; first += kAtOnce) {
    std::vector<uint32_t> requests;
    for (int i = first; i < std::min(count, first + kAtOnce); ++i) {
      const std::string name = absl::StrCat(prefix, i);
      requests.push_back(
          client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, name, /*wait_ms=*/0)));
    }
    for (const uint32_t request : requests) {
      std::optional<Received> reply;
      ASSERT_TRUE(env.RunUntil(
          [&] {
            reply = client.ReplyTo(request);
            return reply.has_value();
          },
          2'000));
      ASSERT_FALSE(reply->is_error()) << reply->As<pb::Error>().ShortDebugString();
    }
  }
}

// What each turn of one node applied.
class AppliedPerTurn {
 public:
  // Replaces env.after_turn.
  AppliedPerTurn(NodeEnv& env, int id) : env_(env), id_(id) {
    applied_ = env.node(id).raft().applied_index();
    locks_ = env.node(id).database().lock_count();
    env.after_turn = [this](int turned) {
      if (turned == id_) Look();
    };
  }
  ~AppliedPerTurn() { env_.after_turn = {}; }
  AppliedPerTurn(const AppliedPerTurn&) = delete;
  AppliedPerTurn& operator=(const AppliedPerTurn&) = delete;

  [[nodiscard]] size_t bytes_max() const { return bytes_max_; }
  // The same of turns that applied a single entry; bytes_max is of all others.
  [[nodiscard]] size_t single_bytes_max() const { return single_bytes_max_; }
  [[nodiscard]] uint64_t locks_max() const { return locks_max_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  void Look() {
    const Node& node = env_.node(id_);
    size_t bytes = 0;
    uint64_t entries = 0;
    for (; applied_ < node.raft().applied_index(); ++entries) {
      applied_ = applied_ + 1;
      bytes += node.raft().log().At(applied_).size_bytes();
    }
    size_t& longest = entries == 1 ? single_bytes_max_ : bytes_max_;
    longest = std::max(longest, bytes);
    bytes_ += bytes;
    const uint64_t locks = node.database().lock_count();
    locks_max_ = std::max(locks_max_, locks - locks_);
    locks_ = locks;
  }

  NodeEnv& env_;
  const int id_;
  raft::Index applied_;
  uint64_t locks_ = 0;
  size_t bytes_max_ = 0;
  size_t single_bytes_max_ = 0;
  uint64_t locks_max_ = 0;
  size_t bytes_ = 0;
};

// About 70 bytes a command: enough for several turns.
constexpr int kLocks = 12'000;
// No command of an acquire is shorter.
constexpr size_t kCommandBytesMin = 32;

void ExpectBounded(const AppliedPerTurn& applied) {
  EXPECT_GT(applied.bytes(), 5 * kApplyBytesPerTurn) << "there was little to do";
  EXPECT_LE(applied.bytes_max(), kApplyBytesPerTurn);
  EXPECT_LE(applied.single_bytes_max(), kApplyBytesPerTurn);
  EXPECT_LE(applied.locks_max(), kApplyBytesPerTurn / kCommandBytesMin);
  // A bound that is hardly used would make a start long.
  EXPECT_GT(applied.bytes_max(), kApplyBytesPerTurn / 2);
}

TEST(NodeTurn, AStartAppliesItsLogInTurnsOfBoundedWork) {
  NodeEnv env(1);
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(600'000);
  AcquireMany(env, client, session, kLocks);
  env.Crash(1);
  env.Start(1);
  const AppliedPerTurn applied(env, 1);
  env.AwaitLeader();
  EXPECT_EQ(env.node(1).database().lock_count(), uint64_t{kLocks});
  ExpectBounded(applied);
}

TEST(NodeTurn, AFollowerThatComesBackCatchesUpInTurnsOfBoundedWork) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  const int late = leader % 3 + 1;
  env.Crash(late);
  TestClient client(env, leader);
  TestClient::Session session = client.Open(600'000);
  AcquireMany(env, client, session, kLocks);
  env.Start(late);
  const AppliedPerTurn applied(env, late);
  ASSERT_TRUE(env.RunUntil([&] {
    return env.node(late).raft().applied_index() == env.node(leader).raft().last_index();
  }));
  EXPECT_EQ(env.node(late).database().lock_count(), uint64_t{kLocks});
  ExpectBounded(applied);
}

// What the follower has missed is as much as the core would have under way to it at once.
TEST(NodeTurn, ALeaderFeedsAFollowerThatComesBackInTurnsOfBoundedWork) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  const int late = leader % 3 + 1;
  env.Crash(late);
  TestClient client(env, leader);
  TestClient::Session session = client.Open(600'000);
  AcquireMany(env, client, session, kLocks);
  size_t bytes = 0;
  size_t bytes_max = 0;
  env.on_actions = [&](int id, const NodeActions& actions) {
    if (id != leader) return;
    size_t of_turn = 0;
    for (const PeerOutput& output : actions.peers) of_turn += output.bytes.size();
    bytes += of_turn;
    bytes_max = std::max(bytes_max, of_turn);
  };
  env.Start(late);
  ASSERT_TRUE(env.RunUntil([&] {
    return env.node(late).raft().applied_index() == env.node(leader).raft().last_index();
  }));
  EXPECT_EQ(env.leader(), leader);
  EXPECT_GT(bytes, 2 * kSendBytesPerTurn) << "there was little to do";
  // Beside the entries there are heartbeats and the like.
  EXPECT_LE(bytes_max, kSendBytesPerTurn + 2 * kAppendBytesMax + 1'024);
  EXPECT_GE(bytes_max, kSendBytesPerTurn) << "many turns would take long";
}

// An entry that is larger than the bound is applied all the same, and nothing with it.
TEST(NodeTurn, AnEntryAboveTheBoundHasATurnToItself) {
  constexpr size_t kBatchBytes = 2 * kApplyBytesPerTurn;
  NodeEnv env(1, [](NodeOptions& options) { options.batch_bytes_max = kBatchBytes; });
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(600'000);
  // The first command leaves alone; while its write is held the others become one entry.
  env.HoldDisk(1);
  std::vector<uint32_t> requests;
  for (int i = 0; i < 250; ++i) {
    const std::string name = absl::StrCat(i, std::string(900, 'x'));
    requests.push_back(client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, name, 0)));
    if (i == 0) env.Settle();
  }
  env.ReleaseDisk(1);
  ASSERT_TRUE(env.RunUntil([&] { return client.ReplyTo(requests.back()).has_value(); }));
  env.Crash(1);
  env.Start(1);
  const AppliedPerTurn applied(env, 1);
  env.AwaitLeader();
  EXPECT_EQ(env.node(1).database().lock_count(), requests.size());
  EXPECT_GT(applied.single_bytes_max(), kApplyBytesPerTurn);
  EXPECT_LE(applied.bytes_max(), kApplyBytesPerTurn);
}

// The most locks that a turn may free.
uint64_t FreedMax() {
  return kApplyBytesPerTurn / kCleanUpBytes + state::Settings{}.cleanup_holds_max;
}

// Looks at how many locks a node's turns free.
class FreedPerTurn {
 public:
  // Replaces env.after_turn.
  FreedPerTurn(NodeEnv& env, int id) : env_(env) {
    env.after_turn = [this, id](int turned) {
      if (turned != id) return;
      const uint64_t locks = env_.node(id).database().lock_count();
      if (locks < locks_) {
        freed_ += locks_ - locks;
        freed_max_ = std::max(freed_max_, locks_ - locks);
      }
      locks_ = locks;
    };
  }
  ~FreedPerTurn() { env_.after_turn = {}; }
  FreedPerTurn(const FreedPerTurn&) = delete;
  FreedPerTurn& operator=(const FreedPerTurn&) = delete;

  [[nodiscard]] uint64_t freed() const { return freed_; }
  [[nodiscard]] uint64_t freed_max() const { return freed_max_; }

 private:
  NodeEnv& env_;
  uint64_t locks_ = 0;
  uint64_t freed_ = 0;
  uint64_t freed_max_ = 0;
};

// What ends a session of many locks are entries without commands, of a few bytes each.
TEST(NodeTurn, AStartThatCleansUpDoesSoInTurnsOfBoundedWork) {
  NodeEnv env(1);
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(10'000);
  AcquireMany(env, client, session, kLocks);
  ASSERT_TRUE(env.RunUntil([&] { return env.node(1).database().lock_count() == 0; }, 60'000));
  env.Crash(1);
  env.Start(1);
  const FreedPerTurn turns(env, 1);
  env.AwaitLeader();
  EXPECT_EQ(env.node(1).database().lock_count(), 0u);
  EXPECT_GT(turns.freed(), uint64_t{kLocks} / 2) << "acquires and ends shared a turn";
  EXPECT_LE(turns.freed_max(), FreedMax());
}

// A closed session frees what it holds in the same entry, up to a limit of its own.
TEST(NodeTurn, ManySessionsThatCloseAtOnceDoSoInTurnsOfBoundedWork) {
  constexpr int kSessions = 20;
  constexpr int kLocksOfSession = 600;
  NodeEnv env(1);
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  std::vector<TestClient::Session> sessions;
  for (int i = 0; i < kSessions; ++i) {
    sessions.push_back(client.Open(600'000));
    AcquireMany(env, client, sessions.back(), kLocksOfSession, absl::StrCat("session-", i, "/"));
  }
  const FreedPerTurn turns(env, 1);
  env.Settle();
  // The first one leaves alone; while its write is held the others come together.
  env.HoldDisk(1);
  std::vector<uint32_t> requests;
  for (const TestClient::Session& session : sessions) {
    pb::CloseSessionRequest request;
    request.set_session_id(session.id);
    requests.push_back(client.Send(Opcode::kCloseSession, request));
    env.Settle();
  }
  env.ReleaseDisk(1);
  ASSERT_TRUE(env.RunUntil([&] { return client.ReplyTo(requests.back()).has_value(); }));
  EXPECT_EQ(env.node(1).database().lock_count(), 0u);
  EXPECT_EQ(turns.freed(), uint64_t{kSessions} * kLocksOfSession);
  EXPECT_LE(turns.freed_max(), FreedMax());
}

}  // namespace
}  // namespace lockd::node
