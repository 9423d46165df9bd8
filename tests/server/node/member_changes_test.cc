// Nodes join, become voters, and are removed, while the cluster goes on with its work.

#include "server/node/member_changes.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/node/membership.h"
#include "tests/server/node/node_env.h"
#include "tests/server/node/snapshot_cluster.h"

namespace lockd::node {
namespace {

using Ids = std::set<int>;

pb::ChangeMembersRequest Add(int id, int node_id = 0) {
  pb::ChangeMembersRequest request;
  request.set_action(pb::MEMBER_ACTION_ADD);
  request.set_node_id(static_cast<uint64_t>(node_id));
  request.set_peer_address(absl::StrCat("peer-", id, ":1"));
  return request;
}
pb::ChangeMembersRequest About(pb::MemberAction action, int id) {
  pb::ChangeMembersRequest request;
  request.set_action(action);
  request.set_node_id(static_cast<uint64_t>(id));
  return request;
}
pb::ChangeMembersRequest Remove(int id) {
  return About(pb::MEMBER_ACTION_REMOVE, id);
}
pb::ChangeMembersRequest Promote(int id) {
  return About(pb::MEMBER_ACTION_PROMOTE, id);
}

// The whole of a change at the leader.
pb::ChangeMembersReply Change(NodeEnv& env, const pb::ChangeMembersRequest& request) {
  TestClient admin(env, env.AwaitLeader());
  return admin.Call<pb::ChangeMembersReply>(Opcode::kChangeMembers, request);
}

// As lockctl does it: a leader that leaves, or is about to, says where to go.
pb::ChangeMembersReply ChangeWithRetries(NodeEnv& env, const pb::ChangeMembersRequest& request) {
  for (int attempt = 0; attempt < 50; ++attempt) {
    const int leader = env.AwaitLeader();
    if (leader == 0) break;
    TestClient admin(env, leader);
    const uint32_t id = admin.Send(Opcode::kChangeMembers, request);
    std::optional<Received> reply;
    (void)env.RunUntil([&] { return (reply = admin.ReplyTo(id)).has_value() || !env.IsUp(leader); },
                       2'000);
    if (reply && !reply->is_error()) return reply->As<pb::ChangeMembersReply>();
    env.RunFor(50);
  }
  ADD_FAILURE() << "not changed: " << request.ShortDebugString();
  return {};
}

Ids InRole(NodeEnv& env, int at, state::MemberRole role) {
  Ids ids;
  for (const state::Member& member : env.node(at).database().members()) {
    if (member.role == role) ids.insert(static_cast<int>(member.node_id.value()));
  }
  return ids;
}
Ids Voters(NodeEnv& env, int at) {
  return InRole(env, at, state::MemberRole::kVoter);
}

// Log and state agree on who the members are, at this node.
void ExpectVoters(NodeEnv& env, int at, const Ids& voters) {
  SCOPED_TRACE(absl::StrCat("at node ", at));
  EXPECT_EQ(Voters(env, at), voters);
  EXPECT_EQ(ConfigurationOf(env.node(at).database().members()),
            env.node(at).raft().configuration());
}

bool AwaitVoters(NodeEnv& env, const Ids& voters, int64_t ms_max = 10'000) {
  return env.RunUntil(
      [&] {
        const int leader = env.leader();
        return leader != 0 && Voters(env, leader) == voters &&
               env.node(leader).database().members().size() == voters.size();
      },
      ms_max);
}

struct Cluster {
  explicit Cluster(int count) : env(count) {
    env.StartAll();
    env.AwaitLeader();
    env.RunFor(200);
  }
  void AddAndStart(int id) {
    EXPECT_EQ(Change(env, Add(id)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
    env.AddJoiner(id, env.leader());
    env.Start(id);
  }
  NodeEnv env;
};

int Follower(NodeEnv& env) {
  for (int id = 1;; ++id) {
    if (env.IsUp(id) && id != env.leader()) return id;
  }
}

// ---- Joining

TEST(Join, AnAddedNodeIsALearnerAndBecomesAVoterByItself) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  const pb::ChangeMembersReply reply = Change(env, Add(4));
  EXPECT_EQ(reply.result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  EXPECT_EQ(reply.node_id(), 4u);
  EXPECT_EQ(reply.cluster_name(), "test");
  ASSERT_EQ(reply.members_size(), 4);
  EXPECT_EQ(reply.members(3).role(), pb::MEMBER_ROLE_LEARNER);
  EXPECT_EQ(reply.members(3).peer_address(), "peer-4:1");
  EXPECT_EQ(reply.members(3).incarnation(), 0u);
  env.RunFor(2'000);
  ExpectVoters(env, env.leader(), {1, 2, 3});  // nobody has come up

  env.AddJoiner(4, Follower(env));
  env.Start(4);
  ASSERT_TRUE(AwaitVoters(env, {1, 2, 3, 4}));
  env.RunFor(500);
  for (int id = 1; id <= 4; ++id) ExpectVoters(env, id, {1, 2, 3, 4});
  env.ExpectSameState();
  EXPECT_EQ(env.node(4).database().members().back().incarnation, env.options(4).incarnation);
  EXPECT_EQ(env.node(4).database().members().back().client_address, "client-4:1");
  // It counts: of four, two are not enough.
  env.Crash(1);
  env.Crash(2);
  env.RunFor(3'000);
  EXPECT_EQ(env.leader(), 0);
  env.Start(1);
  EXPECT_NE(env.AwaitLeader(), 0);
}

TEST(Join, OneThatNobodyAddedIsToldTheCommand) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  env.AddJoiner(7, 2);
  env.Start(7);
  env.RunFor(3'000);
  EXPECT_TRUE(env.node(7).is_forming());
  EXPECT_TRUE(env.Noted(7, "lockctl member add --peer peer-7:1 --node-id 7"));
  ExpectVoters(env, env.leader(), {1, 2, 3});
  // As told.
  EXPECT_EQ(Change(env, Add(7, 7)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  EXPECT_TRUE(AwaitVoters(env, {1, 2, 3, 7}));
}

// Anybody may say a hello: what apply would refuse is not proposed, again and again.
TEST(Join, OneWhoseAddressIsNoneIsNotRegistered) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  EXPECT_EQ(Change(env, Add(4)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  env.AddJoiner(4, env.leader());
  env.options(4).client_address = std::string(state::kAddressBytesMax + 1, 'x');
  env.Start(4);
  env.RunFor(500);
  const raft::Index before = env.node(env.leader()).raft().last_index();
  env.RunFor(1'000);
  EXPECT_EQ(env.node(env.leader()).raft().last_index(), before);
  EXPECT_TRUE(env.node(4).is_forming());
}

TEST(Join, ASingleNodeGrowsToThree) {
  Cluster cluster(1);
  cluster.AddAndStart(2);
  ASSERT_TRUE(AwaitVoters(cluster.env, {1, 2}));
  cluster.AddAndStart(3);
  ASSERT_TRUE(AwaitVoters(cluster.env, {1, 2, 3}));
  cluster.env.Crash(cluster.env.leader());
  EXPECT_NE(cluster.env.AwaitLeader(), 0);
}

TEST(Join, AJoinerThatRestartsAtAnyMomentStillJoins) {
  for (int64_t ms = 0; ms < 200; ms += 7) {
    SCOPED_TRACE(ms);
    Cluster cluster(3);
    NodeEnv& env = cluster.env;
    cluster.AddAndStart(4);
    env.RunFor(ms);
    env.Crash(4);
    env.RunFor(100);
    env.Start(4);
    ASSERT_TRUE(AwaitVoters(env, {1, 2, 3, 4}));
    env.Crash(4);
    env.options(4).contact_address.clear();  // a later start need not name anybody
    env.Start(4);
    env.RunFor(1'000);
    ExpectVoters(env, 4, {1, 2, 3, 4});
  }
}

// The entry that was to say who it is is lost with its leader, which leads again later.
TEST(Join, ALeaderThatLostARegistrationMakesItAnew) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  EXPECT_EQ(Change(env, Add(4)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  env.RunFor(200);
  const int leader = env.leader();
  const raft::Index before = env.node(leader).raft().last_index();
  for (int id = 1; id <= 3; ++id) {
    if (id != leader) env.Cut(id, leader);
  }
  TestClient client(env, leader);
  for (int i = 0; i < 5; ++i) {
    pb::OpenSessionRequest open;
    open.set_nonce(std::string(state::kNonceBytes, static_cast<char>('a' + i)));
    open.set_ttl_ms(10'000);
    client.Send(Opcode::kOpenSession, open);
    env.Settle();  // an entry for each
  }
  env.AddJoiner(4, leader);
  for (int id = 1; id <= 3; ++id) {
    if (id != leader) env.Cut(id, 4);
  }
  env.Start(4);
  ASSERT_TRUE(env.RunUntil([&] { return env.leader() != 0 && env.leader() != leader; }));
  ASSERT_GT(env.node(leader).raft().last_index(), before + 5) << "it has begun to register it";
  for (int id = 1; id <= 3; ++id) {
    if (id != leader) env.Heal(id, leader);
  }
  env.RunFor(500);
  pb::TransferLeadershipRequest back;
  back.set_to_node_id(static_cast<uint64_t>(leader));
  TestClient admin(env, env.leader());
  (void)admin.Call<pb::TransferLeadershipReply>(Opcode::kTransferLeadership, back);
  ASSERT_EQ(env.AwaitLeader(), leader);
  EXPECT_LT(env.node(leader).raft().last_index(), before + 5) << "nothing makes the log long";
  EXPECT_TRUE(AwaitVoters(env, {1, 2, 3, 4}));
}

// The log's beginning is in snapshots only, and so is who the members are.
TEST(Join, BySnapshotAndRestartFromIt) {
  SnapshotCluster cluster(3);
  NodeEnv& env = cluster.env();
  env.StartAll();
  {
    TestClient client(env, env.AwaitLeader());
    TestClient::Session session = client.Open(60'000);
    Fill(env, client, session, "held", 300);
  }
  ASSERT_TRUE(env.RunUntil(
      [&] { return env.node(env.AwaitLeader()).raft().first_index() > raft::Index(1); }, 5'000))
      << "the log has all of it";
  ASSERT_EQ(Change(env, Add(4)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  MemFileSystem disk;
  env.AddJoiner(4, env.leader());
  env.UseDisk(4, &disk);
  env.Start(4);
  ASSERT_TRUE(AwaitVoters(env, {1, 2, 3, 4}));
  // Few entries behind, but all of the state: it did not get its vote before that.
  EXPECT_GT(env.node(4).snapshots_received(), 0u);
  {
    TestClient client(env, env.AwaitLeader());
    TestClient::Session session = client.Open(60'000);
    Fill(env, client, session, "more", 300);
  }
  env.RunFor(1'000);
  EXPECT_GT(env.node(4).snapshots_taken(), 0u);
  for (int id = 1; id <= 4; ++id) env.Crash(id);
  env.StartAll();
  EXPECT_TRUE(AwaitVoters(env, {1, 2, 3, 4}));
  env.RunFor(1'000);
  for (int id = 1; id <= 4; ++id) ExpectVoters(env, id, {1, 2, 3, 4});
  env.ExpectSameState();
}

// ---- Removal

TEST(RemoveMember, AFollowerLeavesAndSaysWhy) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  const int gone = Follower(env);
  EXPECT_EQ(Change(env, Remove(gone)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  env.RunFor(500);
  ASSERT_TRUE(env.fatal(gone).has_value());
  EXPECT_EQ(env.fatal(gone)->exit_status, 17);
  EXPECT_NE(env.fatal(gone)->message.find("was removed from cluster"), std::string::npos);
  Ids rest{1, 2, 3};
  rest.erase(gone);
  for (const int id : rest) ExpectVoters(env, id, rest);
  // Started again, it learns the same from its log or from the others, and disturbs nobody.
  const raft::Term term = env.node(env.leader()).raft().term();
  env.Start(gone);
  env.RunFor(3'000);
  ASSERT_TRUE(env.fatal(gone).has_value());
  EXPECT_EQ(env.fatal(gone)->exit_status, 17);
  EXPECT_EQ(env.node(env.leader()).raft().term(), term);
}

TEST(RemoveMember, OneThatWasAwayIsToldWhenItComesBack) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  const int gone = Follower(env);
  env.Isolate(gone);
  EXPECT_EQ(Change(env, Remove(gone)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  env.RunFor(2'000);
  EXPECT_FALSE(env.fatal(gone).has_value());
  const raft::Term term = env.node(env.leader()).raft().term();
  env.Rejoin(gone);
  env.RunFor(1'000);
  ASSERT_TRUE(env.fatal(gone).has_value());
  EXPECT_EQ(env.fatal(gone)->exit_status, 17);
  EXPECT_EQ(env.node(env.leader()).raft().term(), term);
}

TEST(RemoveMember, ALeaderHandsOverAndIsRemovedByTheNextOne) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  const int gone = env.leader();
  TestClient client(env, gone);
  TestClient::Session session = client.Open(60'000);
  const uint64_t token = client.Acquire(session, "a").grant().token();
  TestClient admin(env, gone);
  const pb::Error error = admin.CallError(Opcode::kChangeMembers, Remove(gone));
  EXPECT_EQ(error.code(), pb::ERROR_CODE_NOT_LEADER);
  EXPECT_NE(error.leader().node_id(), 0u) << "it says who leads now";
  const auto reply = ChangeWithRetries(env, Remove(gone));
  EXPECT_EQ(reply.result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  env.RunFor(500);
  ASSERT_TRUE(env.fatal(gone).has_value());
  EXPECT_EQ(env.fatal(gone)->exit_status, 17);
  TestClient again(env, env.AwaitLeader());
  again.Attach(session);
  EXPECT_EQ(again.Get("a").token(), token);
}

// The hand-over begins in the very turn in which the joiner would be registered.
TEST(RemoveMember, ALeaderMayGoWhileAnotherNodeJoins) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  const int gone = env.leader();
  TestClient client(env, gone);
  TestClient::Session session = client.Open(60'000);
  ASSERT_EQ(Change(env, Add(4)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  env.HoldDisk(gone);
  client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, "a", 0));
  env.Settle();  // a write is under way, so nothing is proposed
  env.AddJoiner(4, gone);
  env.Start(4);
  TestClient admin(env, gone);
  admin.Send(Opcode::kChangeMembers, Remove(gone));
  env.Settle();
  env.ReleaseDisk(gone);
  EXPECT_TRUE(env.RunUntil([&] { return env.leader() != 0 && env.leader() != gone; }));
  EXPECT_EQ(ChangeWithRetries(env, Remove(gone)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  Ids rest{1, 2, 3, 4};
  rest.erase(gone);
  EXPECT_TRUE(AwaitVoters(env, rest));
}

TEST(RemoveMember, TheLastVoterStays) {
  Cluster cluster(1);
  EXPECT_EQ(Change(cluster.env, Remove(1)).result(), pb::CHANGE_MEMBERS_RESULT_LAST_VOTER);
  EXPECT_EQ(Change(cluster.env, Add(2)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  EXPECT_EQ(Change(cluster.env, Remove(1)).result(), pb::CHANGE_MEMBERS_RESULT_LAST_VOTER);
  EXPECT_EQ(Change(cluster.env, Remove(2)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  ExpectVoters(cluster.env, 1, {1});
}

TEST(RemoveMember, AWipedNodeComesBackUnderANewIdOnly) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  const int lost = Follower(env);
  env.Crash(lost);
  env.Wipe(lost);
  env.options(lost).bootstrap_members.clear();
  env.options(lost).joins = true;
  env.options(lost).contact_address = absl::StrCat("peer-", env.leader(), ":1");
  env.Start(lost);
  env.RunFor(1'000);
  ASSERT_TRUE(env.fatal(lost).has_value());
  EXPECT_EQ(env.fatal(lost)->exit_status, 17);
  EXPECT_NE(env.fatal(lost)->message.find("as a new member, with a new id"), std::string::npos);

  EXPECT_EQ(Change(env, Remove(lost)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  // Nor is there any use for it afterwards.
  env.RunFor(200);
  env.Start(lost);
  env.RunFor(1'000);
  ASSERT_TRUE(env.fatal(lost).has_value());
  EXPECT_NE(env.fatal(lost)->message.find("was removed from cluster"), std::string::npos);
  cluster.AddAndStart(4);
  Ids voters{1, 2, 3, 4};
  voters.erase(lost);
  EXPECT_TRUE(AwaitVoters(env, voters));
}

// ---- All members are replaced

TEST(ReplaceMembers, OneByOneUnderAHeldLock) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  TestClient::Session session;
  uint64_t token = 0;
  {
    TestClient client(env, env.leader());
    session = client.Open(60'000);
    token = client.Acquire(session, "held").grant().token();
  }
  Ids voters{1, 2, 3};
  for (int old = 1; old <= 3; ++old) {
    SCOPED_TRACE(old);
    const int fresh = old + 3;
    cluster.AddAndStart(fresh);
    voters.insert(fresh);
    ASSERT_TRUE(AwaitVoters(env, voters));
    ASSERT_EQ(ChangeWithRetries(env, Remove(old)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
    voters.erase(old);
    ASSERT_TRUE(AwaitVoters(env, voters));
    env.RunFor(500);
    ASSERT_TRUE(env.fatal(old).has_value());
    EXPECT_EQ(env.fatal(old)->exit_status, 17);
  }
  TestClient client(env, env.AwaitLeader());
  client.Attach(session);
  EXPECT_EQ(client.Get("held").token(), token);
  EXPECT_GT(client.Acquire(session, "next").grant().token(), token);
  env.RunFor(500);
  env.ExpectSameState();
}

// ---- A change that its leader does not live to see

TEST(ChangeMembers, IsFinishedByWhoeverLeadsNext) {
  int finished_by_others = 0;
  for (int turns = 1; turns < 30; ++turns) {
    SCOPED_TRACE(turns);
    Cluster cluster(3);
    NodeEnv& env = cluster.env;
    const int leader = env.leader();
    const int gone = Follower(env);
    TestClient admin(env, leader);
    const uint32_t request = admin.Send(Opcode::kChangeMembers, Remove(gone));
    // After so many turns of the nodes no disk takes anything any more, and the leader dies.
    int left = turns;
    env.after_turn = [&](int) {
      if (--left > 0) return;
      for (int id = 1; id <= 3; ++id) env.HoldDisk(id);
    };
    env.Settle();
    env.after_turn = nullptr;
    const bool had_joint = raft::IsJoint(env.node(leader).raft().configuration());
    (void)admin.ReplyTo(request);
    env.Crash(leader);
    for (int id = 1; id <= 3; ++id) env.ReleaseDisk(id);
    env.RunFor(2'000);
    env.Start(leader);
    ASSERT_NE(env.AwaitLeader(), 0);
    const auto result = ChangeWithRetries(env, Remove(gone)).result();
    EXPECT_TRUE(result == pb::CHANGE_MEMBERS_RESULT_DONE ||
                result == pb::CHANGE_MEMBERS_RESULT_NO_SUCH_MEMBER);
    finished_by_others += result == pb::CHANGE_MEMBERS_RESULT_NO_SUCH_MEMBER && had_joint ? 1 : 0;
    Ids rest{1, 2, 3};
    rest.erase(gone);
    ASSERT_TRUE(AwaitVoters(env, rest));
    env.RunFor(1'000);
    for (const int id : rest) ExpectVoters(env, id, rest);
    ASSERT_TRUE(env.fatal(gone).has_value());
    EXPECT_EQ(env.fatal(gone)->exit_status, 17);
  }
  EXPECT_GT(finished_by_others, 0) << "no leader died between the two steps";
}

// ---- Answers

TEST(ChangeMembers, SaysWhyNot) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  EXPECT_EQ(Change(env, Add(2)).result(), pb::CHANGE_MEMBERS_RESULT_DONE) << "it is one";
  EXPECT_EQ(Change(env, Add(2)).node_id(), 2u);
  EXPECT_EQ(Change(env, Add(2, 9)).result(), pb::CHANGE_MEMBERS_RESULT_ADDRESS_USED);
  EXPECT_EQ(Change(env, Add(2, 9)).node_id(), 2u) << "by that one";
  EXPECT_EQ(Change(env, Add(8, 3)).result(), pb::CHANGE_MEMBERS_RESULT_ID_USED);
  EXPECT_EQ(Change(env, Remove(9)).result(), pb::CHANGE_MEMBERS_RESULT_NO_SUCH_MEMBER);
  EXPECT_EQ(Change(env, Promote(9)).result(), pb::CHANGE_MEMBERS_RESULT_NO_SUCH_MEMBER);
  EXPECT_EQ(Change(env, Promote(2)).result(), pb::CHANGE_MEMBERS_RESULT_DONE) << "it is one";
  EXPECT_EQ(Change(env, Add(5, 8)).node_id(), 8u);
  EXPECT_EQ(Change(env, Promote(8)).result(), pb::CHANGE_MEMBERS_RESULT_NOT_JOINED);
  EXPECT_EQ(Change(env, Remove(8)).result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  EXPECT_EQ(Change(env, Add(5, 8)).result(), pb::CHANGE_MEMBERS_RESULT_ID_USED) << "for ever";
  EXPECT_EQ(Change(env, Add(5)).node_id(), 9u);

  TestClient admin(env, env.leader());
  for (const auto& bad : {Remove(0), Promote(0), pb::ChangeMembersRequest(),
                          [] {
                            pb::ChangeMembersRequest request = Add(5);
                            request.set_peer_address("0.0.0.0:1");
                            return request;
                          }(),
                          [] {
                            pb::ChangeMembersRequest request = Remove(1);
                            request.set_peer_address("x:1");
                            return request;
                          }()}) {
    EXPECT_EQ(admin.CallError(Opcode::kChangeMembers, bad).code(), pb::ERROR_CODE_INVALID_ARGUMENT)
        << bad.ShortDebugString();
  }
  TestClient elsewhere(env, Follower(env));
  const pb::Error error = elsewhere.CallError(Opcode::kChangeMembers, Add(5));
  EXPECT_EQ(error.code(), pb::ERROR_CODE_NOT_LEADER);
  EXPECT_EQ(error.leader().node_id(), static_cast<uint64_t>(env.leader()));
}

TEST(ChangeMembers, ManyAtOnceAreDoneOneAfterTheOther) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  TestClient admin(env, env.leader());
  std::vector<uint32_t> requests;
  for (int id = 4; id <= 9; ++id) {
    requests.push_back(admin.Send(Opcode::kChangeMembers, Add(id)));
  }
  const uint32_t last = admin.Send(Opcode::kChangeMembers, Remove(5));
  env.RunFor(200);
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::optional<Received> reply = admin.ReplyTo(requests[i]);
    ASSERT_TRUE(reply.has_value() && !reply->is_error());
    EXPECT_EQ(reply->As<pb::ChangeMembersReply>().node_id(), 4 + i);
  }
  const std::optional<Received> removed = admin.ReplyTo(last);
  ASSERT_TRUE(removed.has_value());
  EXPECT_EQ(removed->As<pb::ChangeMembersReply>().result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  EXPECT_EQ(InRole(env, env.leader(), state::MemberRole::kLearner), (Ids{4, 6, 7, 8, 9}));
}

TEST(ChangeMembers, WaitsForAMajorityAndIsAnsweredWhenTheLeaderLeaves) {
  Cluster cluster(3);
  NodeEnv& env = cluster.env;
  const int leader = env.leader();
  env.Isolate(leader);
  TestClient admin(env, leader);
  const uint32_t request = admin.Send(Opcode::kChangeMembers, Add(4));
  EXPECT_TRUE(env.RunUntil([&] { return env.leader() != 0 && env.leader() != leader; }));
  env.RunFor(1'000);
  const std::optional<Received> reply = admin.ReplyTo(request);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->As<pb::Error>().code(), pb::ERROR_CODE_NOT_LEADER);
  env.Rejoin(leader);
  env.RunFor(1'000);
  for (int id = 1; id <= 3; ++id) ExpectVoters(env, id, {1, 2, 3});
  EXPECT_EQ(Change(env, Add(4)).node_id(), 4u);
}

}  // namespace
}  // namespace lockd::node
