// Nodes whose directories were made from a backup found a new cluster.
#include "server/state/refounding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/restored_log.h"
#include "tests/server/node/node_env.h"
#include "tests/server/state/driver.h"
#include "tests/support/mem_file_system.h"

namespace lockd::node {
namespace {

constexpr ClusterId kOldCluster{5};
constexpr int64_t kTtlMs = 3'000;
constexpr raft::LogBase kBase{.index = raft::Index{1'000}, .term = raft::Term{3}, .time = {}};
// The wall clocks of a NodeEnv stand in 2023.
constexpr int64_t kUntil2025Ms = 400 * int64_t{86'400'000};

class RefoundingTest : public ::testing::Test {
 protected:
  RefoundingTest() {
    using state::Member;
    old_.Do(state::Bootstrap{kOldCluster, 1, {}, {Member{NodeId(8), "p", "c", Incarnation(8)}}});
    old_.At(5'000);
    owner_ = old_.Open(kTtlMs);
    token_ = old_.Lock(owner_, "held").token.value();
    for (int id = 1; id <= 3; ++id) env_.UseDisk(id, &disks_[id]);
  }

  // A backup of the old cluster as it is now becomes the directory of this node.
  void Restore(int id) {
    raft::LogBase base = kBase;
    base.time = old_.db().time();
    const auto made = MakeRestoredLog(&disks_[id], env_.StorageOptionsOf(id), base, old_.db());
    ASSERT_TRUE(made.ok()) << made.status();
    env_.options(id).is_restored = true;
    env_.options(id).restored_from = *made;
  }
  void RestoreAll() {
    old_.db().PrepareRefounding();
    for (int id = 1; id <= 3; ++id) Restore(id);
  }
  void SetClocks() {
    for (int id = 1; id <= 3; ++id) env_.StepWallClock(id, kUntil2025Ms);
  }

  state::Driver old_;
  state::Client owner_;
  uint64_t token_ = 0;
  std::map<int, storage::MemFileSystem> disks_;
  NodeEnv env_{3};
};

TEST_F(RefoundingTest, GoesOnAboveAllNumbersInAClusterOfItsOwn) {
  RestoreAll();
  SetClocks();
  env_.StartAll();
  const int leader = env_.AwaitLeader();
  ASSERT_NE(leader, 0);
  const state::LockDatabase& database = env_.node(leader).database();
  EXPECT_FALSE(database.cluster_id().is_zero());
  EXPECT_NE(database.cluster_id(), kOldCluster);
  EXPECT_EQ(database.members().size(), 3u);
  EXPECT_GT(env_.node(leader).raft().term(), kBase.term);
  EXPECT_GT(env_.node(leader).raft().applied_index(), kBase.index);

  TestClient client(env_, leader);
  TestClient::Session session = client.Open();
  const pb::AcquireReply reply = client.Acquire(session, "free");
  ASSERT_EQ(reply.result(), pb::ACQUIRE_RESULT_GRANTED);
  EXPECT_GE(reply.grant().token(), uint64_t{350} * 24 * 60 << 37);
  env_.RunFor(100);
  env_.ExpectSameState();
}

TEST_F(RefoundingTest, WhatWasHeldIsGrantedAfterTheLockDelay) {
  RestoreAll();
  SetClocks();
  env_.StartAll();
  TestClient client(env_, env_.AwaitLeader());
  TestClient::Session session = client.Open(60'000);
  EXPECT_EQ(client.Acquire(session, "held").result(), pb::ACQUIRE_RESULT_BUSY);
  EXPECT_EQ(client.Acquire(session, "held", 60'000).result(), pb::ACQUIRE_RESULT_QUEUED);
  env_.RunFor(kTtlMs - 500);
  EXPECT_FALSE(client.Push(Opcode::kAcquireOutcome).has_value());
  EXPECT_TRUE(
      env_.RunUntil([&] { return client.Push(Opcode::kAcquireOutcome).has_value(); }, 2'000));
}

TEST_F(RefoundingTest, WaitsForAClockThatIsRight) {
  RestoreAll();
  env_.StartAll();
  env_.RunFor(5'000);
  EXPECT_EQ(env_.leader(), 0);
  bool told = false;
  for (int id = 1; id <= 3; ++id) told |= env_.Noted(id, "set it");
  EXPECT_TRUE(told);
  // Also across a restart of them all, which have taken part in elections by now.
  for (int id = 1; id <= 3; ++id) env_.Crash(id);
  env_.StartAll();
  env_.RunFor(5'000);
  EXPECT_EQ(env_.leader(), 0);
  SetClocks();
  EXPECT_NE(env_.AwaitLeader(), 0);
}

TEST_F(RefoundingTest, NeedsAllFoundersOnce) {
  RestoreAll();
  SetClocks();
  env_.Start(1);
  env_.Start(2);
  env_.RunFor(5'000);
  EXPECT_EQ(env_.leader(), 0);
  EXPECT_EQ(env_.node(1).raft().term(), kBase.term);
  env_.Crash(1);
  env_.Start(1);  // it has promised nothing yet
  env_.Start(3);
  EXPECT_NE(env_.AwaitLeader(), 0);
}

TEST_F(RefoundingTest, AFounderOfAnotherBackupIsRefused) {
  old_.db().PrepareRefounding();
  Restore(1);
  Restore(2);
  old_.Tick();  // another moment of the old cluster
  old_.At(6'000);
  old_.Tick();
  Restore(3);
  SetClocks();
  env_.StartAll();
  env_.RunFor(5'000);
  EXPECT_EQ(env_.leader(), 0);
  EXPECT_TRUE(env_.Noted(3, "with the same file"));
}

TEST_F(RefoundingTest, AFounderWithoutTheBackupIsRefused) {
  old_.db().PrepareRefounding();
  Restore(1);
  Restore(2);
  SetClocks();
  env_.StartAll();
  env_.RunFor(5'000);
  EXPECT_EQ(env_.leader(), 0);
  EXPECT_TRUE(env_.Noted(3, "made from the backup of entry 1000"));
}

TEST_F(RefoundingTest, IsOverWhenAllHaveBeenRestarted) {
  RestoreAll();
  SetClocks();
  env_.StartAll();
  const int leader = env_.AwaitLeader();
  const ClusterId cluster = env_.node(leader).database().cluster_id();
  const uint64_t numbers = env_.node(leader).database().last_number();
  env_.RunFor(1'000);
  for (int id = 1; id <= 3; ++id) env_.Crash(id);
  env_.StartAll();
  const int next = env_.AwaitLeader();
  EXPECT_EQ(env_.node(next).database().cluster_id(), cluster);
  EXPECT_EQ(env_.node(next).database().last_number(), numbers);
  env_.RunFor(1'000);
  env_.ExpectSameState();
}

TEST_F(RefoundingTest, SnapshotsTakeThePlaceOfTheBackup) {
  RestoreAll();
  SetClocks();
  env_.StartAll();
  const int leader = env_.AwaitLeader();
  TestClient client(env_, leader);
  TestClient::Session session = client.Open(60'000);
  for (int round = 1; round <= 3; ++round) {
    EXPECT_EQ(client.Acquire(session, absl::StrCat("lock-", round)).result(),
              pb::ACQUIRE_RESULT_GRANTED);
    env_.RunFor(200);
    for (int id = 1; id <= 3; ++id) env_.node(id).TakeSnapshot();
    env_.RunFor(200);
    for (int id = 1; id <= 3; ++id) {
      EXPECT_EQ(env_.node(id).snapshots_taken(), static_cast<uint64_t>(round));
    }
  }
  for (int id = 1; id <= 3; ++id) {
    EXPECT_GT(env_.node(id).raft().log().base_index(), kBase.index);
    env_.Crash(id);
  }
  env_.StartAll();
  const int next = env_.AwaitLeader();
  env_.RunFor(500);
  EXPECT_TRUE(env_.node(next).database().GetLock("lock-1").held);
  env_.ExpectSameState();
}

TEST_F(RefoundingTest, AJoinerIsNeverGivenTheBackup) {
  RestoreAll();
  SetClocks();
  env_.StartAll();
  int leader = env_.AwaitLeader();
  // Also by a leader that has read the backup again, and has taken no snapshot since.
  for (int id = 1; id <= 3; ++id) env_.Crash(id);
  env_.StartAll();
  leader = env_.AwaitLeader();
  pb::ChangeMembersRequest add;
  add.set_action(pb::MEMBER_ACTION_ADD);
  add.set_peer_address("peer-4:1");
  TestClient admin(env_, leader);
  const auto added = admin.Call<pb::ChangeMembersReply>(Opcode::kChangeMembers, add);
  ASSERT_EQ(added.result(), pb::CHANGE_MEMBERS_RESULT_DONE);
  env_.AddJoiner(4, leader);
  env_.UseDisk(4, &disks_[4]);
  env_.Start(4);
  EXPECT_TRUE(env_.RunUntil([&] { return env_.node(4).snapshots_received() > 0; }));
  env_.RunFor(2'000);
  EXPECT_FALSE(env_.fatal(4).has_value());
  EXPECT_EQ(env_.node(4).database().members().size(), 4u);
  env_.ExpectSameState();
}

}  // namespace
}  // namespace lockd::node
