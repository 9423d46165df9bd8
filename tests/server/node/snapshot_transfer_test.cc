// A follower that needs entries which the leader's log no longer has gets a snapshot: in pieces,
// through cuts, crashes and changes of leader, while everybody else goes on.
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/node/snapshot_load.h"
#include "server/node/snapshot_receiver.h"
#include "server/node/snapshot_sender.h"
#include "tests/server/node/snapshot_cluster.h"

namespace lockd::node {
namespace {

using storage::SnapshotJob;

int OtherThan(int a, int b = 0) {
  for (int id = 1;; ++id) {
    if (id != a && id != b) return id;
  }
}

// Three nodes; one of the followers has been away for so long that it needs a snapshot.
class SnapshotTransfer : public testing::Test {
 protected:
  // What was carried out at the follower, in order.
  struct Seen {
    std::string kind;
    uint64_t draft = 0;
    uint64_t offset = 0;
    size_t bytes = 0;
    int64_t turn = 0;
    raft::Index base;  // of a write
  };

  // The leader's state is of so many KiB.
  static constexpr uint64_t kLocks = 700;

  void FallBehind(const NodeEnv::Tweak& tweak = {}, uint64_t locks = kLocks) {
    cluster_.emplace(3, tweak);
    env().StartAll();
    leader_ = env().AwaitLeader();
    follower_ = OtherThan(leader_);
    third_ = OtherThan(leader_, follower_);
    client_.emplace(env(), leader_);
    session_ = client_->Open(600'000);
    before_ = client_->Acquire(session_, "before").grant().token();
    env().RunFor(200);
    env().Isolate(follower_);
    for (int i = 0; LogReachesBack() || env().node(leader_).database().lock_count() < locks; ++i) {
      ASSERT_LT(i, 40);
      Fill(env(), *client_, session_, absl::StrCat("part", i), 40);
      env().RunFor(100);
    }
    env().RunFor(3'000);  // whatever is being taken is there
    env().on_snapshot_job = [this](int id, const SnapshotJob& job) {
      if (id == follower_) Note(job);
      return fault_ ? fault_(id, job) : absl::OkStatus();
    };
  }
  [[nodiscard]] bool LogReachesBack() {
    return env().node(leader_).raft().first_index() <=
           env().node(follower_).raft().last_index() + 1;
  }

  void Note(const SnapshotJob& job) {
    const int64_t turn = env().turns(follower_);
    if (const auto* write = std::get_if<storage::SnapshotWrite>(&job)) {
      seen_.push_back(
          {"write", write->draft, write->offset, write->bytes.size(), turn, write->base.index});
    } else if (const auto* finish = std::get_if<storage::SnapshotFinish>(&job)) {
      seen_.push_back({"finish", finish->draft, 0, 0, turn, {}});
    } else if (const auto* abandon = std::get_if<storage::SnapshotAbandon>(&job)) {
      seen_.push_back({"abandon", abandon->draft, 0, 0, turn, {}});
    } else {
      const auto& read = std::get<storage::SnapshotRead>(job);
      seen_.push_back({"read", 0, read.offset, read.bytes_max, turn, {}});
    }
  }
  [[nodiscard]] std::vector<Seen> SeenOf(const std::string& kind) const {
    std::vector<Seen> found;
    for (const Seen& each : seen_) {
      if (each.kind == kind) found.push_back(each);
    }
    return found;
  }

  // The pieces of the first transfer were written one after the other, each once.
  void ExpectWrittenOnce() {
    uint64_t next = 0;
    for (const Seen& write : SeenOf("write")) {
      if (write.draft != SeenOf("write").front().draft) continue;
      EXPECT_EQ(write.offset, next);
      next += write.bytes;
    }
    EXPECT_GT(next, 2 * SnapshotSender::kPieceBytes);
    EXPECT_EQ(SeenOf("finish").front().draft, SeenOf("write").front().draft);
    EXPECT_TRUE(SeenOf("abandon").empty());
  }

  [[nodiscard]] NodeEnv& env() { return cluster_->env(); }
  [[nodiscard]] Node& follower() { return env().node(follower_); }
  [[nodiscard]] bool HasCaughtUp() {
    const int leader = env().leader();
    return leader != 0 && env().IsUp(follower_) && !follower().is_loading() &&
           follower().raft().applied_index() == env().node(leader).raft().last_index();
  }
  void ExpectCaughtUp() {
    EXPECT_TRUE(env().RunUntil([this] { return HasCaughtUp(); }, 60'000))
        << "follower at " << follower().raft().applied_index().value();
    env().ExpectSameState();
  }
  void CrashFollower(MemFileSystem::Unsynced unsynced, uint64_t seed) {
    env().Crash(follower_);
    Random random(seed);
    cluster_->disk(follower_).Crash(unsynced, &random);
    env().ReleaseSnapshotJobs(follower_);
    env().Start(follower_);
    ASSERT_TRUE(env().IsUp(follower_)) << env().fatal(follower_)->message;
  }
  pb::GetLockReply StaleGet(int node, const std::string& name) {
    TestClient reader(env(), node);
    pb::GetLockRequest request;
    request.set_name(name);
    request.set_stale(true);
    return reader.Call<pb::GetLockReply>(Opcode::kGetLock, request);
  }

  std::optional<SnapshotCluster> cluster_;
  int leader_ = 0;
  int follower_ = 0;
  int third_ = 0;
  std::optional<TestClient> client_;
  TestClient::Session session_;
  uint64_t before_ = 0;  // the token of the lock "before"
  std::vector<Seen> seen_;
  std::function<absl::Status(int, const SnapshotJob&)> fault_;
};

TEST_F(SnapshotTransfer, AFollowerThatLagsBehindTheLogGetsOneAndGoesOnFromIt) {
  FallBehind();
  const raft::Index old = follower().raft().last_index();
  env().Rejoin(follower_);
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 1u);
  EXPECT_GT(follower().raft().first_index(), old + 1);
  ExpectWrittenOnce();

  // It is a follower like any other: it applies, it takes snapshots, it restarts, it leads.
  Fill(env(), *client_, session_, "after", 100);
  env().RunFor(500);
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 1u);
  EXPECT_GE(follower().snapshots_taken(), 1u);
  CrashFollower(MemFileSystem::Unsynced::kLost, 1);
  ExpectCaughtUp();
  env().Isolate(third_);
  Fill(env(), *client_, session_, "without the third", 2);
  env().Rejoin(third_);
  env().RunFor(1'000);
  EXPECT_EQ(follower().snapshots_received(), 0u) << "its log reaches far enough";
}

// P1, P5: who holds what, who waits, and which number comes next, is in it.
TEST_F(SnapshotTransfer, SessionsHoldsWaitersAndTokensGoOnWithIt) {
  FallBehind([](NodeOptions& options) {
    // Node 2 leads, and node 1 when that is gone.
    const int64_t order[] = {0, 2, 1, 4};
    options.election_ms_min = 400 * order[options.node_id.value()];
    options.election_ms_max = 600 * order[options.node_id.value()];
  });
  ASSERT_EQ(leader_, 2);
  TestClient::Session other = client_->Open(600'000);
  pb::AcquireRequest waiting = TestClient::AcquireOf(other, "before", 600'000);
  EXPECT_EQ(client_->Call<pb::AcquireReply>(Opcode::kAcquire, waiting).result(),
            pb::ACQUIRE_RESULT_QUEUED);
  Fill(env(), *client_, session_, "more", 150);  // so that a snapshot has it
  env().RunFor(500);
  env().Rejoin(follower_);
  ExpectCaughtUp();
  ASSERT_EQ(follower().snapshots_received(), 1u);

  env().Crash(leader_);
  const int next = env().AwaitLeader();
  ASSERT_EQ(next, follower_);
  TestClient client(env(), next);
  client.Attach(session_);
  client.Attach(other);
  EXPECT_EQ(client.Get("before").token(), before_);
  EXPECT_EQ(client.Release(session_, "before", before_).result(), pb::RELEASE_RESULT_RELEASED);
  const pb::LockRecord record = client.Get("before");
  EXPECT_EQ(record.session_id(), other.id) << "the waiter has it now";
  EXPECT_GT(record.token(), before_);
  env().RunFor(500);
  env().ExpectSameState();
}

TEST_F(SnapshotTransfer, GoesOnWhereItWasCut) {
  FallBehind();
  env().AllowSnapshotJobs(follower_, 2);
  env().Rejoin(follower_);
  env().RunFor(2'000);
  ASSERT_EQ(SeenOf("write").size(), 2u);
  env().Isolate(follower_);
  env().RunFor(1'000);
  env().ReleaseSnapshotJobs(follower_);
  env().Rejoin(follower_);
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 1u);
  ExpectWrittenOnce();
}

// Two members whose snapshots hold the same bytes serve one transfer.
TEST_F(SnapshotTransfer, GoesOnUnderAnotherLeaderThatHasTheSameOne) {
  FallBehind();
  std::vector<raft::SnapshotId> finished[4];
  fault_ = [&](int id, const SnapshotJob& job) {
    if (const auto* finish = std::get_if<storage::SnapshotFinish>(&job)) {
      finished[id].push_back(finish->snapshot);
    }
    return absl::OkStatus();
  };
  Fill(env(), *client_, session_, "more", 70);
  env().RunFor(500);
  ASSERT_FALSE(finished[leader_].empty());
  ASSERT_EQ(finished[leader_].back(), finished[third_].back()) << "what this test begins with";
  env().AllowSnapshotJobs(follower_, 2);
  env().Rejoin(follower_);
  env().RunFor(2'000);
  ASSERT_EQ(SeenOf("write").size(), 2u);
  env().Isolate(leader_);
  env().RunFor(3'000);
  // It serves when something of its term is committed, and that takes the follower.
  ASSERT_TRUE(env().node(third_).raft().is_leader());
  env().ReleaseSnapshotJobs(follower_);
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 1u);
  ExpectWrittenOnce();
}

TEST_F(SnapshotTransfer, BeginsAnewUnderALeaderThatHasAnotherOne) {
  FallBehind([](NodeOptions& options) {
    // Node 2 leads, then node 3, which takes its snapshots at other entries.
    options.election_ms_min = options.node_id == NodeId(2) ? 300 : 1'000;
    options.election_ms_max = options.node_id == NodeId(2) ? 400 : 1'400;
    if (options.node_id == NodeId(3)) options.snapshot_log_bytes = 40 * 1024;
  });
  ASSERT_EQ(leader_, 2);
  ASSERT_EQ(third_, 3);
  for (int i = 0; env().node(2).snapshot_index() == env().node(3).snapshot_index(); ++i) {
    ASSERT_LT(i, 20);
    Fill(env(), *client_, session_, absl::StrCat("more", i), 8);
    env().RunFor(1'000);
  }
  env().AllowSnapshotJobs(follower_, 2);
  env().Rejoin(follower_);
  env().RunFor(2'000);
  ASSERT_EQ(SeenOf("write").size(), 2u);
  env().Isolate(leader_);
  env().RunFor(5'000);
  ASSERT_TRUE(env().node(third_).raft().is_leader());
  env().ReleaseSnapshotJobs(follower_);
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 1u);
  const std::vector<Seen> abandoned = SeenOf("abandon");
  ASSERT_EQ(abandoned.size(), 1u);
  EXPECT_EQ(abandoned[0].draft, seen_.front().draft);
  EXPECT_NE(SeenOf("finish").front().draft, abandoned[0].draft);
}

// The follower's power fails after each of its jobs in turn; whatever is left, it catches up.
TEST_F(SnapshotTransfer, ACrashAtAnyStageOfReceivingOneDoesNoHarm) {
  for (int jobs = 0;; ++jobs) {
    SCOPED_TRACE(jobs);
    seen_.clear();
    FallBehind({}, 330);
    env().AllowSnapshotJobs(follower_, jobs);
    env().Rejoin(follower_);
    env().RunFor(3'000);
    const bool was_installed = follower().snapshots_received() == 1;
    CrashFollower(jobs % 2 == 0 ? MemFileSystem::Unsynced::kLost : MemFileSystem::Unsynced::kRandom,
                  static_cast<uint64_t>(jobs) + 1);
    ExpectCaughtUp();
    EXPECT_EQ(StaleGet(follower_, "before").lock().token(), before_);
    if (was_installed) break;
    ASSERT_LT(jobs, 60);
  }
}

// One that is whole, durable and loaded, and whose base the log has not got yet when power fails.
TEST_F(SnapshotTransfer, ACrashBeforeTheLogKnowsOfItDoesNoHarm) {
  FallBehind();
  env().HoldDisk(follower_);
  env().Rejoin(follower_);
  ASSERT_TRUE(env().RunUntil([this] { return follower().snapshots_received() == 1; }, 10'000));
  env().RunFor(1'000);
  EXPECT_EQ(env().node(leader_).raft().SnapshotTargets(),
            std::vector{NodeId(static_cast<uint64_t>(follower_))})
      << "it is installed only when the log says so";
  env().ReleaseDisk(follower_);
  CrashFollower(MemFileSystem::Unsynced::kLost, 1);
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 0u) << "it was found on disk";
}

// A follower whose disk does not take it: it stays where it is, and says so; the leader goes on.
TEST_F(SnapshotTransfer, OneThatCannotBeWrittenIsTriedAgainAfterARest) {
  FallBehind();
  bool fails = true;
  fault_ = [&](int id, const SnapshotJob& job) {
    const auto* write = std::get_if<storage::SnapshotWrite>(&job);
    const bool is_hit = id == follower_ && write != nullptr && write->offset > 0;
    return fails && is_hit ? absl::ResourceExhaustedError("no space left") : absl::OkStatus();
  };
  env().Rejoin(follower_);
  env().RunFor(SnapshotReceiver::kRestMs * 4 + 1'000);
  EXPECT_FALSE(env().fatal(follower_).has_value());
  EXPECT_TRUE(env().Noted(follower_, "cannot be used: no space left"));
  EXPECT_EQ(follower().snapshots_received(), 0u);
  EXPECT_GE(SeenOf("abandon").size(), 4u);
  EXPECT_LE(SeenOf("abandon").size(), 5u) << "once in ten seconds";
  EXPECT_EQ(env().leader(), leader_);
  EXPECT_EQ(client_->Acquire(session_, "meanwhile").result(), pb::ACQUIRE_RESULT_GRANTED);
  fails = false;
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 1u);
}

// Damage is found before anything is put to use; the state of before stays.
TEST_F(SnapshotTransfer, OneThatDoesNotLoadIsNeverUsed) {
  FallBehind();
  bool fails = true;
  fault_ = [&](int id, const SnapshotJob& job) {
    const auto* read = std::get_if<storage::SnapshotRead>(&job);
    const bool is_hit = id == follower_ && read != nullptr && read->offset > 0;
    return fails && is_hit ? absl::DataLossError("block 3 is damaged") : absl::OkStatus();
  };
  const raft::Index applied = follower().raft().applied_index();
  env().Rejoin(follower_);
  env().RunFor(5'000);
  EXPECT_TRUE(env().Noted(follower_, "cannot be used: block 3 is damaged"));
  EXPECT_EQ(follower().snapshots_received(), 0u);
  EXPECT_LE(follower().snapshot_index(), applied) << "it is offered to others";
  EXPECT_EQ(follower().raft().applied_index(), applied);
  EXPECT_EQ(StaleGet(follower_, "before").lock().token(), before_);
  fails = false;
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 1u);
}

// While it comes and while it is loaded, stale reads are answered from the state of before, and
// from one moment to the next from the new one.
TEST_F(SnapshotTransfer, StaleReadsSeeTheOldStateUntilTheNewOneIsWhole) {
  FallBehind();
  const raft::Index old = follower().raft().applied_index();
  int64_t age_ms = 0;
  env().Rejoin(follower_);
  for (int jobs = 0; follower().snapshots_received() == 0; ++jobs) {
    ASSERT_LT(jobs, 60);
    env().AllowSnapshotJobs(follower_, 0);
    env().RunFor(100);
    const pb::GetLockReply reply = StaleGet(follower_, LongName("part0", 3));
    const bool is_new = follower().snapshots_received() == 1;
    EXPECT_EQ(reply.lock().status(), is_new ? pb::LOCK_STATUS_HELD : pb::LOCK_STATUS_FREE);
    EXPECT_EQ(reply.stamp().applied_index() == old.value(), !is_new);
    if (!is_new) {
      // It hears the leader, and knows that it lacks what the leader sends.
      EXPECT_GE(reply.age_ms(), age_ms);
      age_ms = reply.age_ms();
    }
    EXPECT_EQ(StaleGet(follower_, "before").lock().token(), before_);
    env().AllowSnapshotJobs(follower_, 1);
    env().RunFor(100);
  }
  EXPECT_GE(age_ms, 1'000);
  env().ReleaseSnapshotJobs(follower_);
  ExpectCaughtUp();
  EXPECT_EQ(StaleGet(follower_, LongName("part0", 3)).lock().status(), pb::LOCK_STATUS_HELD);
  EXPECT_LE(StaleGet(follower_, "before").age_ms(), 100);
}

// another leader's log reaches far enough, and overtakes the snapshot, at each stage of it.
TEST_F(SnapshotTransfer, OneThatTheLogOvertakesIsGivenUp) {
  bool was_written = false;
  bool was_loading = false;
  for (int jobs = 1;; ++jobs) {
    SCOPED_TRACE(jobs);
    seen_.clear();
    FallBehind(
        [](NodeOptions& options) {
          // Only the first leader's log is compacted: those of the others reach back to the
          // beginning.
          options.snapshot_log_bytes =
              options.node_id == NodeId(2) ? SnapshotCluster::kLogBytes : 0;
          options.election_ms_min = options.node_id == NodeId(2) ? 300 : 1'000;
          options.election_ms_max = options.node_id == NodeId(2) ? 400 : 1'400;
        },
        330);
    ASSERT_EQ(leader_, 2);
    env().AllowSnapshotJobs(follower_, jobs);
    env().Rejoin(follower_);
    env().RunFor(2'000);
    if (follower().snapshots_received() == 1) break;
    ASSERT_LT(jobs, 60);
    env().Isolate(leader_);
    ASSERT_TRUE(env().RunUntil(
        [this] {
          return env().node(third_).is_serving() &&
                 follower().raft().applied_index() == env().node(third_).raft().last_index();
        },
        10'000));
    env().ReleaseSnapshotJobs(follower_);
    env().RunFor(1'000);
    EXPECT_EQ(follower().snapshots_received(), 0u);
    const bool is_finished = !SeenOf("finish").empty();
    EXPECT_EQ(SeenOf("abandon").size(), is_finished ? 0u : 1u);
    (is_finished ? was_loading : was_written) = true;
    EXPECT_EQ(follower().raft().applied_index(), env().node(third_).raft().applied_index());
    env().Rejoin(leader_);
    env().RunFor(2'000);
    env().ExpectSameState();
  }
  EXPECT_TRUE(was_written);
  EXPECT_TRUE(was_loading);
}

// Each side's work in a turn is bounded, and the pace holds for all that is sent.
TEST_F(SnapshotTransfer, GoesPieceByPieceAtItsPace) {
  constexpr uint64_t kBytesPerS = 512 * 1024;
  FallBehind([](NodeOptions& options) { options.snapshot_bytes_per_s = kBytesPerS; });
  uint64_t bytes = 0;
  int64_t last_turn = 0;
  fault_ = [&](int id, const SnapshotJob& job) {
    const auto* read = std::get_if<storage::SnapshotRead>(&job);
    if (id != leader_ || read == nullptr) return absl::OkStatus();
    EXPECT_LE(read->bytes_max, SnapshotSender::kPieceBytes);
    EXPECT_GT(env().turns(id), last_turn);
    last_turn = env().turns(id);
    bytes += read->bytes_max;
    return absl::OkStatus();
  };
  env().Rejoin(follower_);
  const LocalTime begin = env().now();
  ASSERT_TRUE(env().RunUntil([this] { return follower().snapshots_received() == 1; }, 60'000));
  const int64_t ms = (env().now() - begin) / kNanosPerMilli;
  EXPECT_GT(bytes, 300'000u);
  // The last piece is not waited for.
  EXPECT_GE(ms, static_cast<int64_t>((bytes - SnapshotSender::kPieceBytes) * 1'000 / kBytesPerS));
  int64_t last_read_turn = 0;
  for (const Seen& read : SeenOf("read")) {
    EXPECT_LE(read.bytes, SnapshotLoad::kPieceBytes);
    EXPECT_GT(read.turn, last_read_turn) << "two pieces loaded in one turn";
    last_read_turn = read.turn;
  }
  EXPECT_GT(last_read_turn, 0);
  ExpectCaughtUp();
}

// What the leader took last has rotted: the older one does as well.
TEST_F(SnapshotTransfer, ALeaderThatCannotReadTheNewestSendsTheOlderOne) {
  FallBehind();
  const raft::Index newest = env().node(leader_).snapshot_index();
  fault_ = [&](int id, const SnapshotJob& job) {
    const auto* read = std::get_if<storage::SnapshotRead>(&job);
    const bool is_hit = id == leader_ && read != nullptr && read->snapshot.base.index == newest;
    return is_hit ? absl::DataLossError("block 2 is damaged") : absl::OkStatus();
  };
  env().Rejoin(follower_);
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 1u);
  EXPECT_LT(SeenOf("write").front().base, newest);
  EXPECT_TRUE(env().Noted(leader_, "cannot be read to send it: block 2 is damaged"));
}

TEST_F(SnapshotTransfer, ALeaderWithoutAReadableOneTakesAnother) {
  FallBehind();
  const raft::Index newest = env().node(leader_).snapshot_index();
  fault_ = [&](int id, const SnapshotJob& job) {
    const auto* read = std::get_if<storage::SnapshotRead>(&job);
    const bool is_hit = id == leader_ && read != nullptr && read->snapshot.base.index <= newest;
    return is_hit ? absl::DataLossError("block 2 is damaged") : absl::OkStatus();
  };
  const uint64_t taken = env().node(leader_).snapshots_taken();
  env().Rejoin(follower_);
  ExpectCaughtUp();
  EXPECT_EQ(env().node(leader_).snapshots_taken(), taken + 1);
  EXPECT_EQ(follower().snapshots_received(), 1u);
  EXPECT_GT(follower().snapshot_index(), newest);
}

// Its own would only say what is older than what comes.
TEST_F(SnapshotTransfer, AFollowerGivesUpItsOwnForOneThatItIsSent) {
  FallBehind();
  env().AllowSnapshotJobs(follower_, 0);
  follower().TakeSnapshot();
  env().RunFor(50);
  env().Rejoin(follower_);
  env().RunFor(1'000);
  env().ReleaseSnapshotJobs(follower_);
  ExpectCaughtUp();
  EXPECT_EQ(follower().snapshots_received(), 1u);
  ASSERT_EQ(SeenOf("abandon").size(), 1u);
  EXPECT_EQ(SeenOf("abandon").front().draft, SeenOf("write").front().draft);
}

// Taken, read and sent: all in pieces of what was asked for.
TEST_F(SnapshotTransfer, NoPieceIsLongerThanTheOptionSays) {
  constexpr size_t kPieceBytes = 10'000;
  FallBehind([](NodeOptions& options) { options.snapshot_piece_bytes_max = kPieceBytes; });
  size_t longest_read = 0;
  size_t longest_own = 0;
  fault_ = [&](int id, const SnapshotJob& job) {
    if (const auto* read = std::get_if<storage::SnapshotRead>(&job); read && id == leader_) {
      longest_read = std::max(longest_read, read->bytes_max);
    }
    if (const auto* write = std::get_if<storage::SnapshotWrite>(&job); write && id == third_) {
      longest_own = std::max(longest_own, write->bytes.size());
    }
    return absl::OkStatus();
  };
  env().Rejoin(follower_);
  ExpectCaughtUp();
  EXPECT_EQ(longest_read, kPieceBytes);
  size_t longest_received = 0;
  for (const Seen& write : SeenOf("write")) {
    longest_received = std::max(longest_received, write.bytes);
  }
  EXPECT_EQ(longest_received, kPieceBytes);
  client_->Acquire(session_, "more");
  env().node(third_).TakeSnapshot();
  ASSERT_TRUE(env().RunUntil([&] { return longest_own > 0; }));
  env().RunFor(3'000);
  EXPECT_LE(longest_own, kPieceBytes);
  EXPECT_GT(longest_own, kPieceBytes / 2) << "pieces of next to nothing would take long";
}

}  // namespace
}  // namespace lockd::node
