// Stale reads: any node answers from what it has applied, and says which entry and how old that is.
#include <optional>
#include <vector>

#include "gtest/gtest.h"
#include "server/node/freshness.h"
#include "tests/consensus/raft/member.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

class StaleRead : public ::testing::Test {
 protected:
  pb::GetLockReply Get(int id, bool stale = true) {
    pb::GetLockRequest request;
    request.set_name("a");
    request.set_stale(stale);
    return TestClient(env_, id).Call<pb::GetLockReply>(Opcode::kGetLock, request);
  }
  void Start() {
    env_.StartAll();
    leader_ = env_.AwaitLeader();
    follower_ = leader_ % 3 + 1;
    TestClient client(env_, leader_);
    TestClient::Session session = client.Open(3'600'000);
    token_ = client.Acquire(session, "a").grant().token();
    env_.RunFor(200);
  }

  NodeEnv env_{3};
  int leader_ = 0;
  int follower_ = 0;
  uint64_t token_ = 0;
};

TEST_F(StaleRead, OfAnyNodeShowsItsAppliedEntryAndIsYoungWhileALeaderIsHeard) {
  Start();
  for (int id = 1; id <= 3; ++id) {
    const pb::GetLockReply reply = Get(id);
    EXPECT_EQ(reply.lock().token(), token_) << id;
    EXPECT_EQ(reply.stamp().applied_index(), env_.node(id).raft().applied_index().value()) << id;
    EXPECT_GE(reply.age_ms(), 0) << id;
    EXPECT_LE(reply.age_ms(), 100) << id << ": more than two heartbeats";
  }
}

TEST_F(StaleRead, OfACutOffFollowerGrowsOlder) {
  Start();
  env_.Isolate(follower_);
  const uint64_t applied = Get(follower_).stamp().applied_index();
  const int64_t before = Get(follower_).age_ms();
  env_.RunFor(5'000);
  const pb::GetLockReply reply = Get(follower_);
  EXPECT_EQ(reply.age_ms(), before + 5'000);
  EXPECT_EQ(reply.stamp().applied_index(), applied);
  EXPECT_EQ(reply.lock().token(), token_);
  env_.Rejoin(follower_);
  ASSERT_TRUE(env_.RunUntil([&] { return Get(follower_).age_ms() <= 100; }));
}

TEST_F(StaleRead, OfACutOffLeaderGrowsOlderThoughItStillBelievesInItself) {
  Start();
  env_.Isolate(leader_);
  const int64_t before = Get(leader_).age_ms();
  env_.RunFor(250);
  ASSERT_TRUE(env_.node(leader_).raft().is_leader());
  EXPECT_EQ(Get(leader_).age_ms(), before + 250);
}

TEST_F(StaleRead, OfANodeThatHasHeardNoLeaderYetHasNoAge) {
  Start();
  for (int id = 1; id <= 3; ++id) env_.Crash(id);
  env_.Start(follower_);
  EXPECT_EQ(Get(follower_).age_ms(), -1);
}

TEST_F(StaleRead, IsAnsweredThoughTheNodeHoldsNoOfficeAndAListingToo) {
  Start();
  pb::ListLocksRequest list;
  list.set_stale(true);
  TestClient client(env_, follower_);
  const auto locks = client.Call<pb::ListLocksReply>(Opcode::kListLocks, list);
  ASSERT_EQ(locks.locks_size(), 1);
  EXPECT_LE(locks.age_ms(), 100);
  EXPECT_GT(locks.stamp().applied_index(), 0u);
  pb::ListSessionsRequest sessions;
  sessions.set_stale(true);
  const auto found = client.Call<pb::ListSessionsReply>(Opcode::kListSessions, sessions);
  EXPECT_EQ(found.sessions_size(), 1);
  EXPECT_LE(found.age_ms(), 100);
}

TEST_F(StaleRead, IsWhatALinearizableReadIsNot) {
  Start();
  EXPECT_EQ(Get(leader_, false).age_ms(), 0);
  pb::GetLockRequest request;
  request.set_name("a");
  TestClient client(env_, follower_);
  EXPECT_EQ(client.CallError(Opcode::kGetLock, request).code(), pb::ERROR_CODE_NOT_LEADER);
}

// Nobody else has to be heard.
TEST(StaleReadAlone, OfASingleNodeHasNoAgeToSpeakOf) {
  NodeEnv env(1);
  env.StartAll();
  env.AwaitLeader();
  env.RunFor(1'000);
  pb::GetLockRequest request;
  request.set_name("a");
  request.set_stale(true);
  EXPECT_EQ(TestClient(env, 1).Call<pb::GetLockReply>(Opcode::kGetLock, request).age_ms(), 0);
}

// An answer counts for the leader that asked, and not for the follower that it becomes in the same
// turn: that one has heard no leader.
TEST(StaleReadAge, WhatALeaderWasAnsweredCountsNothingOnceItIsDeposed) {
  raft::Member member(1, std::vector<uint64_t>{1}, 3);
  member.Lead();
  Freshness freshness;
  const auto receive = [&](uint64_t from, raft::Term term) {
    const raft::Message message{NodeId(from), NodeId(1), term, raft::HeartbeatReply{0}};
    member.Receive(from, term.value(), message.body);
    freshness.OnStepped(Freshness::SignOf(message), member.raft);
  };
  receive(2, member.raft.term());
  receive(3, member.raft.term() + 1);
  ASSERT_FALSE(member.raft.is_leader());
  freshness.OnTime(LocalTime(5'000'000'000), member.raft, member.raft.commit_index());
  EXPECT_EQ(freshness.AgeMs(LocalTime(5'000'000'000)), std::nullopt);
}

}  // namespace
}  // namespace lockd::node
