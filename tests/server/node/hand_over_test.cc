// Leadership goes from node to node on request and on an orderly stop, and clients notice little.

#include "server/node/hand_over.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

int OtherThan(int a, int b = 0) {
  for (int id = 1;; ++id) {
    if (id != a && id != b) return id;
  }
}

pb::TransferLeadershipRequest To(int node) {
  pb::TransferLeadershipRequest request;
  request.set_to_node_id(static_cast<uint64_t>(node));
  return request;
}

pb::TransferLeadershipReply Transfer(TestClient& client, int node) {
  return client.Call<pb::TransferLeadershipReply>(Opcode::kTransferLeadership, To(node));
}

struct ThreeNodes {
  ThreeNodes() : env(3) {
    env.StartAll();
    leader = env.AwaitLeader();
    env.RunFor(200);
    target = OtherThan(leader);
    third = OtherThan(leader, target);
  }
  NodeEnv env;
  int leader = 0;
  int target = 0;
  int third = 0;
};

// ---- On request

TEST(TransferLeadership, TheTargetLeadsAndTheAnswerSaysSo) {
  ThreeNodes nodes;
  TestClient admin(nodes.env, nodes.leader);
  const pb::TransferLeadershipReply reply = Transfer(admin, nodes.target);
  EXPECT_EQ(reply.result(), pb::TRANSFER_RESULT_TRANSFERRED);
  EXPECT_EQ(reply.leader_id(), static_cast<uint64_t>(nodes.target));
  nodes.env.RunFor(100);
  EXPECT_EQ(nodes.env.leader(), nodes.target);
  // Asked again, there is nothing to do.
  TestClient again(nodes.env, nodes.target);
  EXPECT_EQ(Transfer(again, nodes.target).result(), pb::TRANSFER_RESULT_TRANSFERRED);
  EXPECT_EQ(nodes.env.leader(), nodes.target);
}

TEST(TransferLeadership, WithoutATargetAnyOtherNodeLeads) {
  ThreeNodes nodes;
  TestClient admin(nodes.env, nodes.leader);
  const pb::TransferLeadershipReply reply = Transfer(admin, 0);
  EXPECT_EQ(reply.result(), pb::TRANSFER_RESULT_TRANSFERRED);
  nodes.env.RunFor(100);
  EXPECT_NE(nodes.env.leader(), nodes.leader);
  EXPECT_EQ(reply.leader_id(), static_cast<uint64_t>(nodes.env.leader()));
}

TEST(TransferLeadership, SaysWhyNot) {
  ThreeNodes nodes;
  TestClient admin(nodes.env, nodes.leader);
  EXPECT_EQ(Transfer(admin, 9).result(), pb::TRANSFER_RESULT_NO_SUCH_MEMBER);
  TestClient elsewhere(nodes.env, nodes.target);
  const pb::Error error = elsewhere.CallError(Opcode::kTransferLeadership, To(nodes.target));
  EXPECT_EQ(error.code(), pb::ERROR_CODE_NOT_LEADER);
  EXPECT_EQ(error.leader().node_id(), static_cast<uint64_t>(nodes.leader));
  NodeEnv alone(1);
  alone.StartAll();
  TestClient of_one(alone, alone.AwaitLeader());
  EXPECT_EQ(Transfer(of_one, 0).result(), pb::TRANSFER_RESULT_NOBODY);
  EXPECT_EQ(Transfer(of_one, 1).result(), pb::TRANSFER_RESULT_TRANSFERRED);
}

// The target is dead: what clients ask for meanwhile waits, and is granted by the old leader.
TEST(TransferLeadership, ToADeadNodeIsGivenUpAndRequestsGoOn) {
  ThreeNodes nodes;
  TestClient client(nodes.env, nodes.leader);
  TestClient::Session session = client.Open();
  TestClient admin(nodes.env, nodes.leader);
  nodes.env.Crash(nodes.target);
  const uint32_t transfer = admin.Send(Opcode::kTransferLeadership, To(nodes.target));
  const uint32_t other = admin.Send(Opcode::kTransferLeadership, To(nodes.third));
  const uint32_t acquire = client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "a", 0));
  nodes.env.RunFor(200);
  EXPECT_FALSE(admin.ReplyTo(transfer).has_value());
  EXPECT_FALSE(client.ReplyTo(acquire).has_value());
  const auto busy = admin.ReplyTo(other);
  ASSERT_TRUE(busy.has_value());
  EXPECT_EQ(busy->As<pb::TransferLeadershipReply>().result(), pb::TRANSFER_RESULT_BUSY);
  nodes.env.RunFor(150);
  const auto given_up = admin.ReplyTo(transfer);
  ASSERT_TRUE(given_up.has_value());
  EXPECT_EQ(given_up->As<pb::TransferLeadershipReply>().result(), pb::TRANSFER_RESULT_TIMED_OUT);
  EXPECT_EQ(given_up->As<pb::TransferLeadershipReply>().leader_id(),
            static_cast<uint64_t>(nodes.leader));
  const auto granted = client.ReplyTo(acquire);
  ASSERT_TRUE(granted.has_value());
  EXPECT_EQ(granted->As<pb::AcquireReply>().result(), pb::ACQUIRE_RESULT_GRANTED);
  EXPECT_FALSE(client.Push(Opcode::kNotLeader).has_value());
}

// The target has to catch up first. Whoever asks meanwhile is told where to go when that is known,
// and not before.
TEST(TransferLeadership, WaitingRequestsAreSentToTheNewLeader) {
  ThreeNodes nodes;
  TestClient client(nodes.env, nodes.leader);
  TestClient::Session session = client.Open();
  TestClient admin(nodes.env, nodes.leader);
  nodes.env.HoldDisk(nodes.target);
  ASSERT_EQ(client.Acquire(session, "a").result(), pb::ACQUIRE_RESULT_GRANTED);
  const uint32_t transfer = admin.Send(Opcode::kTransferLeadership, To(nodes.target));
  const pb::AcquireRequest request = TestClient::AcquireOf(session, "b", 0);
  const uint32_t acquire = client.Send(Opcode::kAcquire, request);
  nodes.env.RunFor(100);
  EXPECT_FALSE(admin.ReplyTo(transfer).has_value());
  EXPECT_FALSE(client.ReplyTo(acquire).has_value());
  nodes.env.ReleaseDisk(nodes.target);
  nodes.env.RunFor(100);
  ASSERT_TRUE(admin.ReplyTo(transfer).has_value());
  const auto refused = client.ReplyTo(acquire);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->As<pb::Error>().code(), pb::ERROR_CODE_NOT_LEADER);
  EXPECT_EQ(refused->As<pb::Error>().leader().node_id(), static_cast<uint64_t>(nodes.target));
  const auto push = client.Push(Opcode::kNotLeader);
  ASSERT_TRUE(push.has_value());
  EXPECT_EQ(push->As<pb::NotLeader>().leader().node_id(), static_cast<uint64_t>(nodes.target));
  TestClient again(nodes.env, nodes.target);
  again.Attach(session);
  EXPECT_EQ(again.Call<pb::AcquireReply>(Opcode::kAcquire, request).result(),
            pb::ACQUIRE_RESULT_GRANTED);
}

// The leader has stepped down for a target that then falls silent: nobody can say who leads.
TEST(TransferLeadership, WithoutAnyLeaderTheWaitingAreToldAfterAnElectionTimeout) {
  ThreeNodes nodes;
  TestClient client(nodes.env, nodes.leader);
  TestClient::Session session = client.Open();
  TestClient admin(nodes.env, nodes.leader);
  // The target's vote request gets out; then it is alone, and so is the old leader.
  nodes.env.after_turn = [&](int id) {
    if (id == nodes.leader && !nodes.env.node(id).raft().is_leader()) {
      nodes.env.Isolate(nodes.leader);
    }
  };
  const uint32_t transfer = admin.Send(Opcode::kTransferLeadership, To(nodes.target));
  nodes.env.RunFor(300);
  EXPECT_FALSE(nodes.env.node(nodes.leader).raft().is_leader());
  EXPECT_FALSE(admin.ReplyTo(transfer).has_value());
  nodes.env.RunFor(400);
  const auto unknown = admin.ReplyTo(transfer);
  ASSERT_TRUE(unknown.has_value());
  EXPECT_EQ(unknown->As<pb::Error>().code(), pb::ERROR_CODE_UNAVAILABLE);
  EXPECT_TRUE(client.Push(Opcode::kNotLeader).has_value());
}

// ---- On an orderly stop

TEST(OrderlyStop, ALeaderHandsOverBeforeItSaysGoodbye) {
  ThreeNodes nodes;
  TestClient client(nodes.env, nodes.leader);
  TestClient::Session session = client.Open();
  nodes.env.Stop(nodes.leader);
  EXPECT_FALSE(nodes.env.has_stopped(nodes.leader));
  nodes.env.Settle();  // without any time
  EXPECT_TRUE(nodes.env.has_stopped(nodes.leader));
  const auto push = client.Push(Opcode::kNotLeader);
  ASSERT_TRUE(push.has_value());
  const auto next = static_cast<int>(push->As<pb::NotLeader>().leader().node_id());
  EXPECT_NE(next, 0);
  EXPECT_NE(next, nodes.leader);
  EXPECT_TRUE(client.Push(Opcode::kReason).has_value());
  EXPECT_TRUE(client.WasClosed());
  EXPECT_EQ(nodes.env.AwaitLeader(), next);
  TestClient again(nodes.env, next);
  again.Attach(session);
  EXPECT_EQ(again.Acquire(session, "a").result(), pb::ACQUIRE_RESULT_GRANTED);
}

TEST(OrderlyStop, NobodyIsThereToHandOverTo) {
  ThreeNodes nodes;
  TestClient client(nodes.env, nodes.leader);
  TestClient::Session session = client.Open();
  nodes.env.Isolate(nodes.leader);
  nodes.env.Stop(nodes.leader);
  nodes.env.RunFor(200);
  EXPECT_FALSE(nodes.env.has_stopped(nodes.leader));
  nodes.env.RunFor(500);
  EXPECT_TRUE(nodes.env.has_stopped(nodes.leader));
  EXPECT_TRUE(client.WasClosed());
}

TEST(OrderlyStop, AFollowerAndALonelyNodeStopAtOnce) {
  ThreeNodes nodes;
  nodes.env.Stop(nodes.target);
  nodes.env.Settle();
  EXPECT_TRUE(nodes.env.has_stopped(nodes.target));
  EXPECT_EQ(nodes.env.leader(), nodes.leader);
  NodeEnv alone(1);
  alone.StartAll();
  alone.AwaitLeader();
  alone.Stop(1);
  alone.Settle();
  EXPECT_TRUE(alone.has_stopped(1));
}

// ---- The hint that a leader's process is gone

NodeId Id(int node) {
  return NodeId{static_cast<uint64_t>(node)};
}

// The refusal came first, when the links of the dying process had not been seen to break yet.
TEST(GoneLeader, ARefusalCountsWhenTheLinksBreakLater) {
  ThreeNodes nodes;
  for (const int id : {nodes.target, nodes.third})
    nodes.env.node(id).OnPeerRefused(Id(nodes.leader));
  const LocalTime start = nodes.env.now();
  nodes.env.Crash(nodes.leader);
  nodes.env.AwaitLeader();
  EXPECT_LE((nodes.env.now() - start) / kNanosPerMilli, 120);
}

TEST(GoneLeader, ARefusalBesideALinkThatLivesDisturbsNobody) {
  ThreeNodes nodes;
  const raft::Term term = nodes.env.node(nodes.leader).raft().term();
  for (int i = 0; i < 20; ++i) {
    for (const int id : {nodes.target, nodes.third}) {
      nodes.env.node(id).OnPeerRefused(Id(nodes.leader));
      EXPECT_EQ(nodes.env.node(id).raft().leader_id(), Id(nodes.leader));
    }
    nodes.env.RunFor(30);
  }
  EXPECT_EQ(nodes.env.leader(), nodes.leader);
  EXPECT_EQ(nodes.env.node(nodes.leader).raft().term(), term);
}

// A refusal from before the last link says nothing about a later break.
TEST(GoneLeader, AnOldRefusalAndABrokenLinkDisturbNobody) {
  ThreeNodes nodes;
  const raft::Term term = nodes.env.node(nodes.leader).raft().term();
  nodes.env.Cut(nodes.leader, nodes.target);
  nodes.env.node(nodes.target).OnPeerRefused(Id(nodes.leader));
  nodes.env.Heal(nodes.leader, nodes.target);
  nodes.env.RunFor(200);
  ASSERT_EQ(nodes.env.node(nodes.target).raft().leader_id(), Id(nodes.leader));
  nodes.env.Cut(nodes.leader, nodes.target);
  EXPECT_EQ(nodes.env.node(nodes.target).raft().leader_id(), Id(nodes.leader));
  nodes.env.Heal(nodes.leader, nodes.target);
  nodes.env.RunFor(1'000);
  EXPECT_EQ(nodes.env.leader(), nodes.leader);
  EXPECT_EQ(nodes.env.node(nodes.leader).raft().term(), term);
}

TEST(GoneLeader, ALinkThatFlapsDisturbsNobody) {
  ThreeNodes nodes;
  const raft::Term term = nodes.env.node(nodes.leader).raft().term();
  for (int i = 0; i < 100; ++i) {
    nodes.env.Cut(nodes.leader, nodes.target);
    nodes.env.Settle();
    nodes.env.Heal(nodes.leader, nodes.target);
    nodes.env.RunFor(30);
  }
  EXPECT_EQ(nodes.env.leader(), nodes.leader);
  EXPECT_EQ(nodes.env.node(nodes.leader).raft().term(), term);
}

// One link breaks and is refused (a firewall), the others hear the leader: they refuse to vote.
TEST(GoneLeader, OneSuspiciousNodeDeposesNobody) {
  ThreeNodes nodes;
  const raft::Term term = nodes.env.node(nodes.leader).raft().term();
  nodes.env.Cut(nodes.leader, nodes.target);
  nodes.env.node(nodes.target).OnPeerRefused(Id(nodes.leader));
  EXPECT_EQ(nodes.env.node(nodes.target).raft().leader_id(), NodeId{0});
  nodes.env.RunFor(2'000);
  EXPECT_EQ(nodes.env.leader(), nodes.leader);
  EXPECT_EQ(nodes.env.node(nodes.leader).raft().term(), term);
}

}  // namespace
}  // namespace lockd::node
