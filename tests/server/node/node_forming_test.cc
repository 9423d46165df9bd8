// Three nodes: forming, wiped and foreign directories, strangers on the peer port.

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "protocol/base/random.h"
#include "protocol/raft.pb.h"
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

// N-12
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

// A rolling upgrade: the newer node still speaks this node's version, and is taken.
TEST_F(PeerPort, TakesANewerPeerThatStillSpeaksItsVersion) {
  pb::PeerHello newer = HelloOf(2);
  newer.set_version_max(kProtocolVersionMax + 5);
  newer.set_feature_level_max(state::kFeatureLevelMax + 1);
  EXPECT_FALSE(Say(Opcode::kHello, newer).has_value());
  EXPECT_TRUE(answers.at(0).As<pb::PeerHello>().is_answer());
  newer.set_version_min(kProtocolVersionMax + 1);
  const std::optional<pb::Reason> refused = Say(Opcode::kHello, newer);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->message(), "no common protocol version: 2..6 and 1..1");
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

// A bit flips in the length of a frame: all that follows is swallowed as its rest.
TEST_F(PeerPort, ClosesALinkWhoseFrameDoesNotEnd) {
  env.Isolate(2);  // its own links would take the place of this one
  Say(Opcode::kHello, HelloOf(2));
  std::string heartbeat;
  AppendFrame(heartbeat, {.opcode = Opcode::kHeartbeat, .flags = 0, .group = {}, .request_id = 0},
              pb::Heartbeat());
  heartbeat[2] = '\x20';  // two megabytes
  env.SendPeerBytes(1, link, heartbeat);
  env.RunFor(4'900);
  EXPECT_FALSE(env.PeerWasClosed(1, link));
  env.SendPeerBytes(1, link, heartbeat);
  env.RunFor(200);
  EXPECT_TRUE(env.PeerWasClosed(1, link));
}

// N-08: strangers under ever new names leave neither a log line nor a memory each.
TEST_F(PeerPort, WarnsOfManyStrangersNowAndThenOnly) {
  const size_t notes = env.notes(1).size();
  for (uint64_t i = 0; i < 2'000; ++i) {
    pb::PeerHello stranger = HelloOf(2);
    stranger.set_node_id(100 + i);
    EXPECT_EQ(Say(Opcode::kHello, stranger)->code(), pb::ERROR_CODE_IDENTITY);
  }
  EXPECT_LE(env.notes(1).size() - notes, 2u);
  // And those that were passed over are counted by the next one.
  env.RunFor(11'000);
  Say(Opcode::kStatus, pb::StatusRequest());
  EXPECT_TRUE(env.Noted(1, "and 1999 others"));
}

TEST_F(PeerPort, ClosesWhoSaysNothing) {
  link = env.AcceptStranger(1);
  EXPECT_EQ(env.node(1).PeerFrameBytesMax(link), kHelloFrameBytesMax);
  env.RunFor(5'100);
  EXPECT_TRUE(env.PeerWasClosed(1, link));
}

}  // namespace
}  // namespace lockd::node
