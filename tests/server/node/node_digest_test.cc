// One replica's state goes astray, as by a bug or a broken memory: who finds out, who stops, and
// who goes on.
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "protocol/raft.pb.h"
#include "server/node/digest_watch.h"
#include "server/state/command.h"
#include "server/state/digest.h"
#include "server/state/lock_database.h"
#include "tests/server/node/node_env.h"
#include "tests/server/node/snapshot_cluster.h"

namespace lockd::node {
namespace {

// So long after the last point the next one has been applied, reported and judged: an armed
// deadline makes time entries.
constexpr int64_t kPointMs = DigestWatch::kClusterMsBetween + 1'000;
constexpr int kExitBrokenInvariant = 16;

class Watched : public testing::Test {
 protected:
  void Form(int count) {
    plain_.emplace(count);
    Begin(*plain_);
  }
  // With disks, and snapshots.
  void FormWithDisks(int count) {
    with_disks_.emplace(count);
    Begin(with_disks_->env());
  }
  void Begin(NodeEnv& env_of_these) {
    env_ = &env_of_these;
    const int count = env().count();
    env().StartAll();
    leader_ = env().AwaitLeader();
    client_.emplace(env(), leader_);
    session_ = client_->Open(600'000);
    env().RunFor(kPointMs);
    for (int id = 1; id <= count; ++id) EXPECT_FALSE(env().fatal(id).has_value());
  }
  // The node applies a command that nobody else applies.
  void LeadAstray(int id, uint64_t by = 1) {
    env().Settle();
    // The test owns the node, which is not const.
    auto& database = const_cast<state::LockDatabase&>(env().node(id).database());
    state::Settings settings = database.settings();
    settings.locks_max -= by;
    state::BatchBuilder builder;
    builder.Add(state::SetSettings{settings});
    (void)database.Apply(database.time(), builder.Take(WallTime{0}));
  }
  int Follower(int n) {
    for (int id = 1;; ++id) {
      if (id != leader_ && n-- == 0) return id;
    }
  }
  void ExpectStopped(int id) {
    ASSERT_TRUE(env().fatal(id).has_value()) << "node " << id;
    EXPECT_EQ(env().fatal(id)->exit_status, kExitBrokenInvariant);
    EXPECT_NE(env().fatal(id)->message.find(absl::StrCat("the state of node ", id, " is wrong")),
              std::string::npos)
        << env().fatal(id)->message;
  }
  void ExpectNobodyStoppedBut(int stopped) {
    for (int id = 1; id <= env().count(); ++id) {
      EXPECT_TRUE(id == stopped || !env().fatal(id).has_value()) << "node " << id;
    }
  }
  NodeEnv& env() { return *env_; }

  std::optional<NodeEnv> plain_;
  std::optional<SnapshotCluster> with_disks_;
  NodeEnv* env_ = nullptr;
  std::optional<TestClient> client_;
  TestClient::Session session_;
  int leader_ = 0;
};

TEST_F(Watched, AFollowerThatDiffersStopsAndTheOthersGoOn) {
  Form(3);
  const int wrong = Follower(1);
  LeadAstray(wrong);
  env().RunFor(kPointMs);
  ExpectStopped(wrong);
  ExpectNobodyStoppedBut(wrong);
  EXPECT_TRUE(env().Noted(leader_, absl::StrCat("node ", wrong, " has another state")));
  // The message names the entry and both values.
  const std::string& message = env().fatal(wrong)->message;
  EXPECT_NE(message.find("after entry "), std::string::npos) << message;
  EXPECT_NE(message.find("its digest is "), std::string::npos) << message;
  EXPECT_EQ(client_->Acquire(session_, "a").result(), pb::ACQUIRE_RESULT_GRANTED);

  // Its log is right: what is made of it anew is, too.
  env().Start(wrong);
  env().RunFor(3 * kPointMs);
  ExpectNobodyStoppedBut(0);
  env().ExpectSameState();
  EXPECT_EQ(env().node(leader_).digest_alarms(), 0u);
}

TEST_F(Watched, ALeaderThatDiffersStopsAndAnotherLeads) {
  Form(3);
  const int wrong = leader_;
  LeadAstray(wrong);
  env().RunFor(kPointMs);
  ExpectStopped(wrong);
  ExpectNobodyStoppedBut(wrong);
  leader_ = env().AwaitLeader();
  EXPECT_NE(leader_, wrong);
  TestClient client(env(), leader_);
  client.Attach(session_);
  EXPECT_EQ(client.Acquire(session_, "a").result(), pb::ACQUIRE_RESULT_GRANTED);
  env().Start(wrong);
  env().RunFor(3 * kPointMs);
  ExpectNobodyStoppedBut(0);
  env().ExpectSameState();
}

TEST_F(Watched, WhereNoMajorityHasOneStateNobodyStops) {
  Form(3);
  LeadAstray(Follower(0), 1);
  LeadAstray(Follower(1), 2);
  env().RunFor(kPointMs);
  ExpectNobodyStoppedBut(0);
  EXPECT_EQ(env().node(leader_).digest_alarms(), 1u);
  EXPECT_TRUE(env().Noted(leader_, "ALARM: the states of the nodes differ after entry "));
  for (int id = 1; id <= 3; ++id) {
    EXPECT_TRUE(env().Noted(leader_, absl::StrCat("node ", id, " has ")));
  }
  TestClient client(env(), leader_);
  const auto status = client.Call<pb::StatusReply>(Opcode::kStatus, pb::StatusRequest());
  EXPECT_EQ(status.digest_alarms(), 1u);
}

TEST_F(Watched, TwoAgainstTwoIsNoMajority) {
  Form(4);
  LeadAstray(Follower(0));
  LeadAstray(Follower(1));
  env().RunFor(kPointMs);
  ExpectNobodyStoppedBut(0);
  EXPECT_EQ(env().node(leader_).digest_alarms(), 1u);
}

TEST_F(Watched, TwoThatDifferAlikeMakeTheThirdStop) {
  Form(3);
  LeadAstray(Follower(0));
  LeadAstray(Follower(1));
  env().RunFor(kPointMs);
  ExpectStopped(leader_);
  ExpectNobodyStoppedBut(leader_);
}

TEST_F(Watched, AMajorityOfThoseWhoReportedIsNotEnough) {
  Form(5);
  env().Isolate(Follower(2));
  env().Isolate(Follower(3));
  LeadAstray(Follower(0));
  env().RunFor(kPointMs + DigestWatch::kPatienceMs);
  ExpectNobodyStoppedBut(0);
  EXPECT_EQ(env().node(leader_).digest_alarms(), 1u);
  // The others come back and say what they have.
  env().Rejoin(Follower(2));
  env().Rejoin(Follower(3));
  env().RunFor(kPointMs);
  ExpectStopped(Follower(0));
  ExpectNobodyStoppedBut(Follower(0));
}

// In the middle of a rolling upgrade.
TEST_F(Watched, WhoeverKnowsNoDigestFramesIsSentNoneAndTheOthersAreCompared) {
  plain_.emplace(5);
  constexpr int kOlder = 5;
  plain_->options(kOlder).peer_features &= ~kPeerFeatureDigests;
  Begin(*plain_);
  ASSERT_NE(leader_, kOlder);
  const int astray = Follower(0);
  LeadAstray(kOlder);
  LeadAstray(astray);
  env().RunFor(kPointMs);
  ExpectStopped(astray);
  ExpectNobodyStoppedBut(astray);
}

TEST_F(Watched, ALeaderThatKnowsNoDigestFramesIsSentNoneAndComparesNobody) {
  plain_.emplace(3);
  for (int id = 1; id <= 3; ++id) plain_->options(id).peer_features = 0;
  plain_->options(3).peer_features = kPeerFeatureDigests;
  Begin(*plain_);
  ASSERT_NE(leader_, 3);
  LeadAstray(3);
  env().RunFor(kPointMs);
  ExpectNobodyStoppedBut(0);
  EXPECT_EQ(env().leader(), leader_);
}

TEST_F(Watched, ANewLeaderHearsOfTheLastPointAtOnce) {
  Form(3);
  const int old_leader = leader_;
  const int wrong = Follower(0);
  LeadAstray(wrong);
  env().Cut(wrong, leader_);
  env().RunFor(kPointMs);
  ExpectNobodyStoppedBut(0);
  env().Crash(old_leader);
  ASSERT_TRUE(env().RunUntil([&] { return env().leader() == Follower(1); }));
  env().RunFor(500);
  ExpectNobodyStoppedBut(0);  // two of three say different things
  env().Start(old_leader);
  env().Heal(wrong, old_leader);
  env().RunFor(2'000);
  ExpectStopped(wrong);
}

// ---- Its own snapshots

class WatchedSnapshots : public Watched {
 protected:
  // Until the node has one more, which is of its present state or later.
  void AwaitSnapshotOf(int id) {
    const uint64_t before = env().node(id).snapshots_taken();
    for (int i = 0; env().node(id).snapshots_taken() == before; ++i) {
      ASSERT_LT(i, 20);
      Fill(env(), *client_, session_, absl::StrCat("round", ++rounds_), 20);
      env().RunFor(100);
    }
  }
  std::vector<std::string> FilesOf(int id, const std::string& prefix) {
    std::vector<std::string> found;
    const std::vector<std::string> names =
        with_disks_->disk(id).List("/snapshots").value_or(std::vector<std::string>());
    for (const std::string& name : names) {
      if (name.rfind(prefix, 0) == 0) found.push_back(name);
    }
    return found;
  }

  int rounds_ = 0;
};

//   right   point   wrong              point: stops    again
//   ---s------|-------!--------s---------|             s (the older one), and the log from there
TEST_F(WatchedSnapshots, ANodeThatStoppedDoesNotLoadTheWrongStateAgain) {
  FormWithDisks(3);
  const int wrong = Follower(0);
  AwaitSnapshotOf(wrong);
  env().RunFor(kPointMs);
  LeadAstray(wrong);
  AwaitSnapshotOf(wrong);
  const size_t kept = FilesOf(wrong, "snap-").size();
  env().RunFor(kPointMs);
  ExpectStopped(wrong);
  EXPECT_EQ(FilesOf(wrong, "aside-snap-").size(), 1u);
  EXPECT_EQ(FilesOf(wrong, "snap-").size(), kept - 1);
  EXPECT_GE(FilesOf(wrong, "snap-").size(), 1u);

  env().Start(wrong);
  env().RunFor(3 * kPointMs);
  ExpectNobodyStoppedBut(0);
  env().ExpectSameState();
}

// Its log no longer reaches back to a right one.
TEST_F(WatchedSnapshots, WhereNoSnapshotIsRightItMustComeBackAsANewMember) {
  FormWithDisks(3);
  const int wrong = Follower(0);
  LeadAstray(wrong);
  for (int i = 0; i < 3; ++i) AwaitSnapshotOf(wrong);
  ASSERT_GT(env().node(wrong).raft().first_index(), raft::Index{1});
  env().RunFor(kPointMs);
  ExpectStopped(wrong);
  EXPECT_TRUE(FilesOf(wrong, "snap-").empty());
  env().Start(wrong);
  ASSERT_TRUE(env().fatal(wrong).has_value());
  EXPECT_EQ(env().fatal(wrong)->exit_status, 14);
  EXPECT_NE(env().fatal(wrong)->message.find("--rejoin"), std::string::npos)
      << env().fatal(wrong)->message;
}

// ---- Verdicts that do not count

class Verdicts : public Watched {
 protected:
  void SetUp() override {
    Form(3);
    judged_ = Follower(0);
    // Points are the first entries of a span of time; find one in the log.
    env().RunFor(kPointMs);
    const std::vector<raft::Entry>& log = env().log(judged_);
    for (size_t i = 1; i < log.size(); ++i) {
      const raft::LogBase previous{log[i - 1].index, log[i - 1].term, log[i - 1].time};
      const raft::LogBase entry{log[i].index, log[i].term, log[i].time};
      if (DigestWatch::IsPoint(previous, entry)) point_ = entry.index;
    }
    ASSERT_FALSE(point_.is_zero());
  }
  // A verdict that this digest is right, on a link on which `as` has said hello.
  void Tell(int as, raft::Term term, raft::Index index) {
    pb::PeerHello hello;
    hello.set_magic(kPeerMagic);
    hello.set_version_min(1);
    hello.set_version_max(1);
    hello.set_cluster_id(env().directory_cluster(as).value());
    hello.set_cluster_name("test");
    hello.set_node_id(static_cast<uint64_t>(as));
    hello.set_incarnation(env().options(as).incarnation.value());
    hello.set_has_log(true);
    hello.set_term(term.value());
    pb::DigestPoint verdict;
    verdict.set_term(term.value());
    verdict.set_index(index.value());
    verdict.set_digest_version(state::kDigestVersion);
    verdict.set_digest_high(1);
    std::string bytes;
    AppendFrame(bytes, {.opcode = Opcode::kHello, .flags = 0, .group = {}, .request_id = 0}, hello);
    AppendFrame(bytes, {.opcode = Opcode::kDigestVerdict, .flags = 0, .group = {}, .request_id = 0},
                verdict);
    env().SendPeerBytes(judged_, env().AcceptStranger(judged_), bytes);
    env().Settle();
  }
  raft::Term term() { return env().node(judged_).raft().term(); }

  int judged_ = 0;
  raft::Index point_;  // its last
};

TEST_F(Verdicts, OnlyTheLeaderOfTheTermIsBelieved) {
  Tell(Follower(1), term(), point_);
  ExpectNobodyStoppedBut(0);
  Tell(leader_, raft::Term{term().value() - 1}, point_);
  ExpectNobodyStoppedBut(0);
  Tell(leader_, raft::Term{term().value() + 1}, point_);
  ExpectNobodyStoppedBut(0);
  Tell(leader_, term(), point_);
  ExpectStopped(judged_);
}

TEST_F(Verdicts, WhatANodeDoesNotRememberItIsNotStoppedFor) {
  Tell(leader_, term(), point_ + 1);  // no point
  Tell(leader_, term(), raft::Index{1'000'000});
  ExpectNobodyStoppedBut(0);
}

}  // namespace
}  // namespace lockd::node
