// Three nodes: forming, wiped and foreign directories, failover, and what time does meanwhile.

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "protocol/base/random.h"
#include "protocol/raft.pb.h"
#include "server/state/command.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

int OtherThan(int a, int b = 0) {
  for (int id = 1;; ++id) {
    if (id != a && id != b) return id;
  }
}

// ---- Forming

TEST(Forming, NeedsAllNodesOnce) {
  NodeEnv env(3);
  env.Start(1);
  env.Start(2);
  env.RunFor(10'000);
  EXPECT_EQ(env.leader(), 0);
  for (const int id : {1, 2}) {
    EXPECT_TRUE(env.node(id).is_forming());
    EXPECT_TRUE(env.node(id).raft().term().is_zero()) << "not even a vote";
    EXPECT_TRUE(env.Noted(id, "node 3 at peer-3:1 has not been heard"));
  }
  TestClient client(env, 1);
  pb::OpenSessionRequest request;
  request.set_nonce("nonce-of-16-byte");
  request.set_ttl_ms(10'000);
  const pb::Error error = client.CallError(Opcode::kOpenSession, request);
  EXPECT_EQ(error.code(), pb::ERROR_CODE_UNAVAILABLE);
  EXPECT_GT(error.retry_after_ms(), 0u);
  EXPECT_EQ(client.Call<pb::StatusReply>(Opcode::kStatus, pb::StatusRequest()).role(), "forming");
  env.Start(3);
  EXPECT_NE(env.AwaitLeader(), 0);
}

TEST(Forming, RegistersEverybodyAndSavesTheClusterIdEverywhere) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  env.RunFor(200);
  const ClusterId cluster{7'000 + static_cast<uint64_t>(leader)};
  for (int id = 1; id <= 3; ++id) {
    EXPECT_EQ(env.directory_cluster(id), cluster) << id;
    EXPECT_FALSE(env.node(id).is_forming());
    ASSERT_EQ(env.node(id).database().members().size(), 3u);
    for (int of = 1; of <= 3; ++of) {
      const state::Member& member = env.node(id).database().members()[static_cast<size_t>(of - 1)];
      EXPECT_EQ(member.incarnation, env.options(of).incarnation);
      EXPECT_EQ(member.client_address, env.options(of).client_address);
    }
  }
}

TEST(Forming, TheMembershipInTheLogWinsOverTheFlags) {
  NodeEnv env(3);
  env.StartAll();
  env.AwaitLeader();
  env.RunFor(200);
  for (int id = 1; id <= 3; ++id) env.Crash(id);
  // Alone it would elect itself and lose what the others hold.
  env.options(1).bootstrap_members = {env.options(1).bootstrap_members[0]};
  env.Start(1);
  env.RunFor(5'000);
  EXPECT_EQ(env.leader(), 0);
  EXPECT_EQ(env.node(1).peers().size(), 2u);
  env.Start(2);
  EXPECT_NE(env.AwaitLeader(), 0);
}

TEST(Forming, AWipedNodeLeavesWithStatus17AndTheOthersGoOn) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  env.RunFor(200);
  const int wiped = OtherThan(leader);
  env.Crash(wiped);
  env.Wipe(wiped);
  env.Start(wiped);
  env.Settle();
  ASSERT_TRUE(env.fatal(wiped).has_value());
  EXPECT_EQ(env.fatal(wiped)->exit_status, 17);
  EXPECT_NE(env.fatal(wiped)->message.find("add it as a new member"), std::string::npos);
  EXPECT_TRUE(env.log(wiped).empty()) << "it acknowledged nothing";
  TestClient client(env, leader);
  TestClient::Session session = client.Open();
  EXPECT_EQ(client.Acquire(session, "a").result(), pb::ACQUIRE_RESULT_GRANTED);
}

// A committed grant is held by the leader and one follower. The follower loses its directory, the
// leader its process: the two empty-handed must not elect each other.
TEST(Forming, AWipedNodeDoesNotHelpToElectSomebodyWithoutTheLog) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  env.RunFor(200);
  const int wiped = OtherThan(leader);
  const int behind = OtherThan(leader, wiped);
  env.Isolate(behind);
  TestClient client(env, leader);
  TestClient::Session session = client.Open();
  ASSERT_EQ(client.Acquire(session, "a").result(), pb::ACQUIRE_RESULT_GRANTED);
  env.Crash(wiped);
  env.Crash(leader);
  env.Wipe(wiped);
  env.Rejoin(behind);
  env.Start(wiped);
  env.RunFor(10'000);
  EXPECT_EQ(env.leader(), 0);
  EXPECT_EQ(env.node(behind).raft().role() == raft::Role::kLeader, false);
  // With the old leader back the grant is still there.
  env.Start(leader);
  const int next = env.AwaitLeader();
  TestClient again(env, next);
  EXPECT_EQ(again.Get("a").status(), pb::LOCK_STATUS_HELD);
}

TEST(Forming, ARegisteredNodeThatNeverWroteAnythingJoins) {
  NodeEnv env(3);
  env.HoldDisk(3);  // all that it is asked to write stays away
  env.StartAll();
  env.AwaitLeader();
  env.RunFor(300);
  env.Crash(3);
  env.ReleaseDisk(3);
  ASSERT_TRUE(env.log(3).empty());
  env.Start(3);
  env.RunFor(2'000);
  EXPECT_FALSE(env.fatal(3).has_value());
  EXPECT_EQ(env.log(3).size(), env.log(env.AwaitLeader()).size());
}

TEST(Forming, ANodeOfAnotherClusterIsRefused) {
  NodeEnv env(3, [](NodeOptions& options) {
    if (options.node_id == NodeId{3}) options.cluster_name = "other";
  });
  env.StartAll();
  env.RunFor(3'000);
  EXPECT_EQ(env.leader(), 0);
  EXPECT_TRUE(env.Noted(1, "belongs to a cluster named 'other'"));
}

TEST(Forming, AnEmptyNodeStartsAboveTheTermsOfAnInterruptedAttempt) {
  NodeEnv env(3);
  env.hard_state(2) = {.term = raft::Term{4}, .voted_for = NodeId{2}, .commit = {}};
  env.StartAll();
  env.Settle();
  EXPECT_GE(env.node(1).raft().term(), raft::Term{5});
  EXPECT_GE(env.node(3).raft().term(), raft::Term{5});
  EXPECT_NE(env.AwaitLeader(), 0);
}

// However a first start is interrupted, by crashes that lose what was not yet on disk, the cluster
// forms once all nodes run.
TEST(Forming, SurvivesCrashesAtAnyPoint) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    NodeEnv env(3, [&](NodeOptions& options) { options.seed += seed * 100; });
    env.StartAll();
    for (int round = 0; round < 6; ++round) {
      for (int id = 1; id <= 3; ++id) {
        if (random.Chance(1, 3)) {
          env.HoldDisk(id);
        } else {
          env.ReleaseDisk(id);
        }
      }
      env.RunFor(static_cast<int64_t>(random.Below(700)));
      for (int id = 1; id <= 3; ++id) {
        if (random.Chance(1, 2)) continue;
        env.Crash(id);
        env.Start(id);
      }
    }
    for (int id = 1; id <= 3; ++id) env.ReleaseDisk(id);
    ASSERT_NE(env.AwaitLeader(), 0);
    env.RunFor(500);
    env.ExpectSameState();
    for (int id = 1; id <= 3; ++id) EXPECT_FALSE(env.node(id).is_forming()) << id;
  }
}

// ---- The peer port and strangers

class PeerPort : public testing::Test {
 protected:
  PeerPort() : env(3) {
    env.StartAll();
    env.AwaitLeader();
    env.RunFor(200);
  }
  pb::PeerHello HelloOf(int id) {
    pb::PeerHello hello;
    hello.set_magic(kPeerMagic);
    hello.set_version_min(1);
    hello.set_version_max(1);
    hello.set_cluster_id(env.directory_cluster(id).value());
    hello.set_cluster_name("test");
    hello.set_node_id(static_cast<uint64_t>(id));
    hello.set_incarnation(env.options(id).incarnation.value());
    hello.set_has_log(true);
    hello.set_term(1);
    return hello;
  }
  // What a node answers to this first frame; the reason if it closes.
  std::optional<pb::Reason> Say(Opcode opcode, const google::protobuf::MessageLite& message) {
    link = env.AcceptStranger(1);
    std::string bytes;
    AppendFrame(bytes, {.opcode = opcode, .flags = 0, .group = {}, .request_id = 0}, message);
    env.SendPeerBytes(1, link, bytes);
    env.Settle();
    answers = env.TakePeerReceived(1, link);
    if (!env.PeerWasClosed(1, link)) return std::nullopt;
    EXPECT_FALSE(answers.empty());
    return answers.back().As<pb::Reason>();
  }

  NodeEnv env;
  PeerLinkId link;
  std::vector<Received> answers;
};

TEST_F(PeerPort, RefusesStrangersWithAReason) {
  pb::PeerHello magic = HelloOf(2);
  magic.set_magic(kClientMagic);
  EXPECT_EQ(Say(Opcode::kHello, magic)->code(), pb::ERROR_CODE_PROTOCOL);
  pb::PeerHello version = HelloOf(2);
  version.set_version_min(9);
  version.set_version_max(9);
  EXPECT_EQ(Say(Opcode::kHello, version)->code(), pb::ERROR_CODE_PROTOCOL);
  pb::PeerHello name = HelloOf(2);
  name.set_cluster_name("other");
  EXPECT_EQ(Say(Opcode::kHello, name)->code(), pb::ERROR_CODE_WRONG_CLUSTER);
  pb::PeerHello cluster = HelloOf(2);
  cluster.set_cluster_id(1);
  EXPECT_EQ(Say(Opcode::kHello, cluster)->code(), pb::ERROR_CODE_WRONG_CLUSTER);
  pb::PeerHello node = HelloOf(2);
  node.set_node_id(4);
  EXPECT_EQ(Say(Opcode::kHello, node)->code(), pb::ERROR_CODE_IDENTITY);
  pb::PeerHello to = HelloOf(2);
  to.set_to_node_id(3);
  EXPECT_EQ(Say(Opcode::kHello, to)->code(), pb::ERROR_CODE_IDENTITY);
}

TEST_F(PeerPort, TellsAWipedPeerWhatItKnowsBeforeItRefuses) {
  pb::PeerHello wiped = HelloOf(2);
  wiped.set_incarnation(4'711);
  EXPECT_EQ(Say(Opcode::kHello, wiped)->code(), pb::ERROR_CODE_IDENTITY);
  ASSERT_EQ(answers.size(), 2u);
  const auto answer = answers[0].As<pb::PeerHello>();
  EXPECT_TRUE(answer.is_answer());
  EXPECT_EQ(answer.your_incarnation(), env.options(2).incarnation.value());
}

TEST_F(PeerPort, TakesNoRaftFrameBeforeTheHelloNorAClientsRequest) {
  const raft::Term term = env.node(1).raft().term();
  pb::VoteRequest vote;
  vote.set_term(1'000);
  vote.set_campaign_term(1'000);
  EXPECT_EQ(Say(Opcode::kVote, vote)->code(), pb::ERROR_CODE_PROTOCOL);
  EXPECT_EQ(Say(Opcode::kStatus, pb::StatusRequest())->code(), pb::ERROR_CODE_PROTOCOL);
  EXPECT_EQ(env.node(1).raft().term(), term);
}

TEST_F(PeerPort, ClosesWhoSaysNothing) {
  link = env.AcceptStranger(1);
  EXPECT_EQ(env.node(1).PeerFrameBytesMax(link), kHelloFrameBytesMax);
  env.RunFor(5'100);
  EXPECT_TRUE(env.PeerWasClosed(1, link));
}

// ---- Followers and failover

TEST(Failover, AFollowerPointsAtTheLeader) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  env.RunFor(100);
  TestClient client(env, OtherThan(leader));
  pb::OpenSessionRequest request;
  request.set_nonce("nonce-of-16-byte");
  request.set_ttl_ms(10'000);
  pb::GetLockRequest get;
  get.set_name("a");
  for (const pb::Error& error :
       {client.CallError(Opcode::kOpenSession, request), client.CallError(Opcode::kGetLock, get)}) {
    EXPECT_EQ(error.code(), pb::ERROR_CODE_NOT_LEADER);
    EXPECT_EQ(error.leader().node_id(), static_cast<uint64_t>(leader));
    EXPECT_EQ(error.leader().client_address(), env.options(leader).client_address);
    EXPECT_GT(error.stamp().applied_index(), 0u);
  }
}

TEST(Failover, AFollowerAnswersAStaleRead) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  TestClient::Session session = client.Open();
  client.Acquire(session, "a");
  env.RunFor(200);
  TestClient other(env, OtherThan(leader));
  pb::GetLockRequest get;
  get.set_name("a");
  get.set_stale(true);
  EXPECT_EQ(other.Call<pb::GetLockReply>(Opcode::kGetLock, get).lock().status(),
            pb::LOCK_STATUS_HELD);
}

TEST(Failover, HeldLocksSurviveAndARetriedAcquireIsTheSameOne) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient client(env, old_leader);
  TestClient::Session session = client.Open();
  const pb::AcquireRequest request = TestClient::AcquireOf(session, "a", 0);
  const auto granted = client.Call<pb::AcquireReply>(Opcode::kAcquire, request);
  env.Crash(old_leader);
  const int leader = env.AwaitLeader();
  ASSERT_NE(leader, old_leader);
  TestClient again(env, leader);
  again.Attach(session);
  const auto repeated = again.Call<pb::AcquireReply>(Opcode::kAcquire, request);
  EXPECT_EQ(repeated.grant().token(), granted.grant().token());
  env.Start(old_leader);
  env.RunFor(1'000);
  env.ExpectSameState();
  EXPECT_EQ(env.log(old_leader).size(), env.log(leader).size());
}

TEST(Failover, ALeaderCutOffTellsItsClients) {
  NodeEnv env(3);
  env.StartAll();
  const int old_leader = env.AwaitLeader();
  TestClient client(env, old_leader);
  TestClient idle(env, old_leader);
  TestClient::Session session = client.Open();
  env.Isolate(old_leader);
  const uint32_t acquire = client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "a", 0));
  pb::GetLockRequest get;
  get.set_name("a");
  const uint32_t read = client.Send(Opcode::kGetLock, get);
  env.Settle();
  EXPECT_FALSE(client.ReplyTo(acquire).has_value());
  EXPECT_FALSE(client.ReplyTo(read).has_value()) << "no majority confirms that it leads";
  env.RunFor(1'500);
  const auto acquired = client.ReplyTo(acquire);
  ASSERT_TRUE(acquired.has_value());
  EXPECT_EQ(acquired->As<pb::Error>().code(), pb::ERROR_CODE_NOT_LEADER);
  ASSERT_TRUE(client.ReplyTo(read).has_value());
  EXPECT_TRUE(client.Push(Opcode::kNotLeader).has_value());
  EXPECT_FALSE(idle.Push(Opcode::kNotLeader).has_value()) << "it had no session";
  // Its attachments are void; it points at the new leader once it is back.
  env.Rejoin(old_leader);
  env.RunFor(1'000);
  const int leader = env.AwaitLeader();
  pb::KeepAliveRequest keep_alive;
  keep_alive.set_session_id(session.id);
  const pb::Error error = client.CallError(Opcode::kKeepAlive, keep_alive);
  EXPECT_EQ(error.code(), pb::ERROR_CODE_NOT_LEADER);
  EXPECT_EQ(error.leader().node_id(), static_cast<uint64_t>(leader));
}

TEST(Failover, LimitsWaitingReadsAndUncommittedBytes) {
  NodeEnv env(3, [](NodeOptions& options) {
    options.pending_reads_max = 2;
    options.uncommitted_bytes_max = 2'000;
  });
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  TestClient::Session session = client.Open();
  env.Isolate(leader);
  pb::GetLockRequest get;
  get.set_name("a");
  std::vector<uint32_t> reads;
  for (int i = 0; i < 3; ++i) reads.push_back(client.Send(Opcode::kGetLock, get));
  std::vector<uint32_t> acquires;
  for (int i = 0; i < 20; ++i) {
    acquires.push_back(
        client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, std::string(300, 'x'), 0)));
    env.Settle();
  }
  EXPECT_FALSE(client.ReplyTo(reads[0]).has_value());
  EXPECT_FALSE(client.ReplyTo(reads[1]).has_value());
  EXPECT_EQ(client.ReplyTo(reads[2])->As<pb::Error>().code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_FALSE(client.ReplyTo(acquires[0]).has_value());
  const auto shed = client.ReplyTo(acquires.back());
  ASSERT_TRUE(shed.has_value());
  EXPECT_EQ(shed->As<pb::Error>().code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_GT(shed->As<pb::Error>().retry_after_ms(), 0u);
  EXPECT_LE(env.node(leader).raft().uncommitted_bytes(), 3'000u);
}

TEST(Failover, ARefusedConnectionHintsThatTheLeaderDied) {
  const auto ms_to_fail_over = [](bool with_hint) {
    NodeEnv env(3);
    env.StartAll();
    const int leader = env.AwaitLeader();
    env.RunFor(1'000);
    env.Crash(leader);
    for (int id = 1; id <= 3 && with_hint; ++id) {
      if (id != leader) env.node(id).OnPeerRefused(NodeId{static_cast<uint64_t>(leader)});
    }
    const LocalTime start = env.now();
    env.AwaitLeader();
    return (env.now() - start) / kNanosPerMilli;
  };
  EXPECT_LE(ms_to_fail_over(true), 120);
  EXPECT_GE(ms_to_fail_over(false), 250);
}

// ---- Restart

TEST(Restart, AllNodesTogetherKeepEverything) {
  NodeEnv env(3);
  env.StartAll();
  TestClient client(env, env.AwaitLeader());
  TestClient::Session session = client.Open();
  const uint64_t token = client.Acquire(session, "a").grant().token();
  env.RunFor(200);
  for (int id = 1; id <= 3; ++id) env.Crash(id);
  env.StartAll();
  TestClient again(env, env.AwaitLeader());
  const pb::LockRecord lock = again.Get("a");
  EXPECT_EQ(lock.status(), pb::LOCK_STATUS_HELD);
  EXPECT_EQ(lock.token(), token);
  EXPECT_EQ(lock.session_id(), session.id);
  again.Attach(session);
  EXPECT_EQ(again.Release(session, "a", token).result(), pb::RELEASE_RESULT_RELEASED);
  env.RunFor(500);
  env.ExpectSameState();
}

TEST(Restart, ALeaderServesOnlyWhenAllThatWasCommittedIsApplied) {
  NodeEnv env(1);
  env.StartAll();
  env.AwaitLeader();
  TestClient client(env, 1);
  TestClient::Session session = client.Open(3'600'000);
  for (int i = 0; i < 1'500; ++i) {
    ASSERT_EQ(client.Acquire(session, std::to_string(i) + std::string(1'000, 'x')).result(),
              pb::ACQUIRE_RESULT_GRANTED);
  }
  const size_t entries = env.log(1).size();
  env.Crash(1);
  env.hard_state(1).commit = raft::Index{0};  // it learns only anew what is committed
  env.Start(1);
  // More than one turn may apply: a client asks as soon as it can.
  int unapplied_turns = 0;
  env.after_turn = [&](int) {
    if (env.node(1).raft().has_committed_in_term() && !env.node(1).is_serving()) ++unapplied_turns;
    if (env.node(1).is_serving()) {
      EXPECT_GT(env.node(1).raft().applied_index().value(), entries);
    }
  };
  EXPECT_EQ(env.AwaitLeader(), 1);
  EXPECT_GT(unapplied_turns, 1) << "the log was too short to show anything";
}

// ---- Time

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
