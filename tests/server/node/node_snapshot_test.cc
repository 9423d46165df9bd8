// Snapshots of a node's own state: when they are taken, what a restart makes of them, what a
// failure costs.
#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "server/node/snapshot_taker.h"
#include "server/state/snapshot_loader.h"
#include "server/state/snapshot_writer.h"
#include "tests/server/node/snapshot_cluster.h"

namespace lockd::node {
namespace {

pb::Error StaleGet(TestClient& client, const std::string& name) {
  pb::GetLockRequest request;
  request.set_name(name);
  request.set_stale(true);
  return client.CallError(Opcode::kGetLock, request);
}

TEST(NodeSnapshot, IsTakenWheneverTheLogHasGrownAndARestartBeginsWithIt) {
  SnapshotCluster cluster(3);
  NodeEnv& env = cluster.env();
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  TestClient::Session session = client.Open(60'000);
  Fill(env, client, session, "held", 300);
  const uint64_t token = client.Acquire(session, "the last").grant().token();
  env.RunFor(1'000);
  for (int id = 1; id <= 3; ++id) {
    SCOPED_TRACE(id);
    const Node& node = env.node(id);
    EXPECT_GE(node.snapshots_taken(), 3u);
    EXPECT_LE(node.snapshots_taken(), 5u) << "300 KiB of log, one for each 64 KiB";
    EXPECT_GT(node.raft().first_index(), raft::Index{1}) << "the log was not compacted";
    EXPECT_LT(node.raft().first_index(), node.snapshot_index()) << "a tail stays";
    EXPECT_EQ(node.snapshots_received(), 0u);
  }

  const raft::Index snapshot = env.node(leader).snapshot_index();
  for (int id = 1; id <= 3; ++id) env.Crash(id);
  for (int id = 1; id <= 3; ++id) cluster.disk(id).Crash(MemFileSystem::Unsynced::kLost, nullptr);
  env.StartAll();
  EXPECT_TRUE(env.node(leader).is_loading());
  EXPECT_EQ(env.node(leader).raft().applied_index(), snapshot);
  env.Settle();
  EXPECT_FALSE(env.node(leader).is_loading());
  TestClient again(env, env.AwaitLeader());
  env.ExpectSameState();
  EXPECT_EQ(env.node(leader).database().lock_count(), 301u);
  // The session, its holds and the numbers go on where they were.
  again.Attach(session);
  EXPECT_EQ(again.Get("the last").token(), token);
  EXPECT_EQ(again.Release(session, "the last", token).result(), pb::RELEASE_RESULT_RELEASED);
  EXPECT_GT(again.Acquire(session, "the last").grant().token(), token);
  env.RunFor(1'000);
  env.ExpectSameState();
}

TEST(NodeSnapshot, WhoeverAsksGetsOneAtOnceAndOfOneEntryOnlyOne) {
  SnapshotCluster cluster(1, [](NodeOptions& options) { options.snapshot_log_bytes = 0; });
  NodeEnv& env = cluster.env();
  env.StartAll();
  env.node(1).TakeSnapshot();  // there is no cluster yet
  env.AwaitLeader();
  EXPECT_EQ(env.node(1).snapshots_taken(), 0u);
  TestClient client(env, 1);
  TestClient::Session session = client.Open(60'000);
  Fill(env, client, session, "held", 100);
  env.RunFor(100);
  EXPECT_EQ(env.node(1).snapshots_taken(), 0u);
  const raft::Index applied = env.node(1).raft().applied_index();
  env.node(1).TakeSnapshot();
  env.RunFor(50);
  EXPECT_EQ(env.node(1).snapshots_taken(), 1u);
  EXPECT_EQ(env.node(1).snapshot_index(), applied);
  EXPECT_EQ(env.node(1).raft().first_index(), raft::Index{1}) << "one alone covers nothing";
  env.node(1).TakeSnapshot();
  env.RunFor(50);
  EXPECT_EQ(env.node(1).snapshots_taken(), 1u) << "nothing was applied since";
  client.Acquire(session, "more");
  env.node(1).TakeSnapshot();
  env.RunFor(50);
  EXPECT_EQ(env.node(1).snapshots_taken(), 2u);
  EXPECT_EQ(env.node(1).raft().first_index(), applied + 1) << "up to the older one";
}

// What a turn does is bounded, in bytes and in records, and so is how much is under way.
TEST(NodeSnapshot, IsWrittenPieceByPieceAtItsPace) {
  constexpr uint64_t kBytesPerS = 1024 * 1024;
  SnapshotCluster cluster(1, [](NodeOptions& options) {
    options.snapshot_log_bytes = 0;
    options.snapshot_bytes_per_s = kBytesPerS;
  });
  NodeEnv& env = cluster.env();
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(60'000);
  Fill(env, client, session, "held", 700);

  uint64_t bytes = 0;
  int64_t last_turn = 0;
  env.on_snapshot_job = [&](int id, const storage::SnapshotJob& job) {
    if (const auto* write = std::get_if<storage::SnapshotWrite>(&job)) {
      EXPECT_LE(write->bytes.size(), SnapshotTaker::kPieceBytes);
      EXPECT_GT(env.turns(id), last_turn) << "two pieces in one turn";
      last_turn = env.turns(id);
      bytes += write->bytes.size();
    }
    return absl::OkStatus();
  };
  size_t looks = 0;
  env.after_turn = [&](int) {
    if (const auto* snapshot = env.node(1).database().snapshot()) {
      looks = std::max(looks, snapshot->looks_of_last_piece());
    }
  };
  env.node(1).TakeSnapshot();
  const LocalTime begin = env.now();
  ASSERT_TRUE(env.RunUntil([&] { return env.node(1).snapshots_taken() == 1; }));
  const int64_t ms = (env.now() - begin) / kNanosPerMilli;
  EXPECT_GT(bytes, 600'000u);
  EXPECT_GT(looks, 0u);
  EXPECT_LE(looks, state::SnapshotWriter::kLooksMax);
  const auto expected_ms = static_cast<int64_t>(bytes * 1'000 / kBytesPerS);
  EXPECT_GE(ms, expected_ms - 100);
  EXPECT_LE(ms, expected_ms + 100);

  // A file thread that does not come along is not buried under pieces.
  client.Acquire(session, "more");
  env.AllowSnapshotJobs(1, 0);
  bytes = 0;
  env.node(1).TakeSnapshot();
  env.RunFor(2'000);
  env.ReleaseSnapshotJobs(1);
  last_turn = 0;
  env.on_snapshot_job = [&](int, const storage::SnapshotJob& job) {
    if (const auto* write = std::get_if<storage::SnapshotWrite>(&job)) bytes += write->bytes.size();
    return absl::OkStatus();
  };
  env.Settle();
  EXPECT_LE(bytes,
            SnapshotTaker::kJobsMax * SnapshotTaker::kPieceBytes + SnapshotTaker::kPieceBytes);
  EXPECT_TRUE(env.RunUntil([&] { return env.node(1).snapshots_taken() == 2; }));
}

// The snapshot is that of the entry at which it began, whatever is applied meanwhile.
TEST(NodeSnapshot, HoldsTheStateAtItsBeginning) {
  SnapshotCluster cluster(1, [](NodeOptions& options) { options.snapshot_log_bytes = 0; });
  NodeEnv& env = cluster.env();
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(60'000);
  Fill(env, client, session, "held", 300);
  const raft::Index base = env.node(1).raft().applied_index();
  const state::Digest digest = env.node(1).database().digest();
  std::string content;
  env.on_snapshot_job = [&](int, const storage::SnapshotJob& job) {
    if (const auto* write = std::get_if<storage::SnapshotWrite>(&job)) content += write->bytes;
    return absl::OkStatus();
  };
  env.node(1).TakeSnapshot();
  env.AllowSnapshotJobs(1, 1);
  env.RunFor(20);
  for (int i = 0; i < 300; i += 7) {
    const std::string name = LongName("held", i);
    client.Release(session, name, client.Get(name).token());
  }
  Fill(env, client, session, "new", 50);
  ASSERT_NE(env.node(1).database().digest(), digest);
  env.ReleaseSnapshotJobs(1);
  ASSERT_TRUE(env.RunUntil([&] { return env.node(1).snapshots_taken() == 1; }));
  EXPECT_EQ(env.node(1).snapshot_index(), base);
  state::SnapshotLoader loader;
  ASSERT_TRUE(loader.Add(content).ok());
  const auto loaded = loader.Finish();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->digest(), digest);

  env.Crash(1);
  env.Start(1);
  env.AwaitLeader();
  EXPECT_EQ(env.node(1).database().lock_count(), 300u - 43u + 50u);
}

// Clients and other nodes find out that this one is there and not ready.
TEST(NodeSnapshot, ANodeThatLoadsItsStateAnswersNothingElse) {
  SnapshotCluster cluster(3);
  NodeEnv& env = cluster.env();
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  TestClient::Session session = client.Open(600'000);
  Fill(env, client, session, "held", 200);
  env.RunFor(1'000);
  for (int id = 1; id <= 3; ++id) env.Crash(id);
  for (int id = 1; id <= 3; ++id) env.AllowSnapshotJobs(id, 1);
  env.StartAll();
  env.RunFor(5'000);
  TestClient early(env, leader);
  EXPECT_EQ(early.Call<pb::StatusReply>(Opcode::kStatus, pb::StatusRequest()).role(), "loading");
  const pb::Error error = StaleGet(early, LongName("held", 3));
  EXPECT_EQ(error.code(), pb::ERROR_CODE_UNAVAILABLE);
  EXPECT_NE(error.message().find("loading"), std::string::npos) << error.message();
  EXPECT_GT(error.retry_after_ms(), 0u);
  const pb::Error refused =
      early.CallError(Opcode::kAcquire, TestClient::AcquireOf(session, "new", 0));
  EXPECT_EQ(refused.code(), pb::ERROR_CODE_UNAVAILABLE);
  for (int id = 1; id <= 3; ++id) {
    EXPECT_TRUE(env.node(id).is_loading());
    EXPECT_NE(env.node(id).raft().role(), raft::Role::kCandidate);
  }
  const raft::Term term = env.node(leader).raft().term();

  // Two of three are enough, and the third one is not asked.
  const int late = leader;
  for (int id = 1; id <= 3; ++id) {
    if (id != late) env.ReleaseSnapshotJobs(id);
  }
  const int next = env.AwaitLeader();
  EXPECT_NE(next, late);
  EXPECT_EQ(env.node(late).raft().term(), term);
  env.ReleaseSnapshotJobs(late);
  EXPECT_TRUE(env.RunUntil([&] {
    return env.node(late).raft().applied_index() == env.node(next).raft().applied_index();
  }));
  env.ExpectSameState();
}

// ENOSPC, EIO: nothing was promised, so the node lives on; the log keeps its entries.
TEST(NodeSnapshot, OneThatCannotBeWrittenIsGivenUpAndTriedAgainLater) {
  SnapshotCluster cluster(1);
  NodeEnv& env = cluster.env();
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(600'000);
  int finishes = 0;
  int abandoned = 0;
  bool fail_writes = false;
  env.on_snapshot_job = [&](int, const storage::SnapshotJob& job) {
    if (std::holds_alternative<storage::SnapshotAbandon>(job)) ++abandoned;
    if (std::holds_alternative<storage::SnapshotFinish>(job)) {
      ++finishes;
      return fail_writes ? absl::OkStatus() : absl::ResourceExhaustedError("no space left");
    }
    const bool fails = fail_writes && std::holds_alternative<storage::SnapshotWrite>(job);
    return fails ? absl::InternalError("I/O error") : absl::OkStatus();
  };
  Fill(env, client, session, "a", 70);
  env.RunFor(60'000);
  EXPECT_EQ(finishes, 1) << "it is tried again when the log has grown, not at once";
  EXPECT_EQ(abandoned, 1);
  EXPECT_TRUE(env.Noted(1, "could not be made, the log keeps its entries: no space left"));
  fail_writes = true;
  Fill(env, client, session, "b", 70);
  env.RunFor(60'000);
  EXPECT_EQ(finishes, 1);
  EXPECT_EQ(abandoned, 2);
  EXPECT_TRUE(env.Noted(1, "I/O error"));
  EXPECT_FALSE(env.node(1).database().is_in_snapshot());
  EXPECT_EQ(env.node(1).snapshots_taken(), 0u);
  EXPECT_EQ(env.node(1).raft().first_index(), raft::Index{1});
  EXPECT_FALSE(env.fatal(1).has_value());

  env.on_snapshot_job = {};
  Fill(env, client, session, "c", 140);
  env.RunFor(1'000);
  EXPECT_GE(env.node(1).snapshots_taken(), 2u);
  EXPECT_GT(env.node(1).raft().first_index(), raft::Index{1});
}

// Power fails after each job of a snapshot in turn. Whatever is there, nothing is lost.
TEST(NodeSnapshot, ACrashAtAnyStageOfTakingOneLosesNothing) {
  for (int jobs = 0;; ++jobs) {
    SCOPED_TRACE(jobs);
    SnapshotCluster cluster(1);
    NodeEnv& env = cluster.env();
    env.StartAll();
    env.AwaitLeader();
    TestClient client(env, 1);
    TestClient::Session session = client.Open(60'000);
    env.AllowSnapshotJobs(1, jobs);
    Fill(env, client, session, "held", 150);
    const uint64_t token = client.Acquire(session, "a").grant().token();
    env.RunFor(1'000);
    const uint64_t taken = env.node(1).snapshots_taken();
    env.Crash(1);
    Random random(static_cast<uint64_t>(jobs) + 1);
    cluster.disk(1).Crash(MemFileSystem::Unsynced::kRandom, &random);
    env.ReleaseSnapshotJobs(1);
    env.Start(1);
    ASSERT_TRUE(env.IsUp(1)) << env.fatal(1)->message;
    env.AwaitLeader();
    EXPECT_EQ(env.node(1).database().lock_count(), 151u);
    TestClient again(env, 1);
    EXPECT_EQ(again.Get("a").token(), token);
    again.Attach(session);
    Fill(env, again, session, "more", 150);
    env.RunFor(1'000);
    EXPECT_GE(env.node(1).snapshots_taken(), 1u);
    env.ExpectSameState();
    if (taken == 2) break;
    ASSERT_LT(jobs, 100);
  }
}

}  // namespace
}  // namespace lockd::node
