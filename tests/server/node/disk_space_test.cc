// A disk whose reserve is gone: what a node refuses then, what goes on, and how it ends.
#include "server/node/disk_space.h"

#include <gmock/gmock.h>

#include "gtest/gtest.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMib = 1024 * 1024;
constexpr uint64_t kReserve = 100 * kMib;

void Reserve(NodeOptions& options) {
  options.disk_reserve_bytes = kReserve;
}

// One to three nodes with a reserve, whose clients wait long enough for anything.
class DiskReserve : public ::testing::Test {
 protected:
  void Measure(int id, uint64_t free_bytes) {
    env_.node(id).OnFreeBytes(free_bytes);
    env_.RunFor(1);
  }
  pb::StatusReply Status(int id) {
    return TestClient(env_, id).Call<pb::StatusReply>(Opcode::kStatus, pb::StatusRequest());
  }
  static pb::OpenSessionRequest OpenRequest() {
    pb::OpenSessionRequest request;
    request.set_nonce("a nonce of 16 b.");
    request.set_ttl_ms(60'000);
    return request;
  }

  NodeEnv env_{3, Reserve};
};

TEST_F(DiskReserve, ALeaderWithoutItRefusesNewSessionsAndAcquires) {
  env_.StartAll();
  const int leader = env_.AwaitLeader();
  TestClient client(env_, leader);
  TestClient::Session session = client.Open(60'000);
  Measure(leader, kReserve - 1);

  const auto acquire = TestClient::AcquireOf(session, "a", 0);
  const pb::Error refused = client.CallError(Opcode::kAcquire, acquire);
  EXPECT_EQ(refused.code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.message(), HasSubstr("99 MiB free, less than its reserve of 100 MiB"));
  EXPECT_EQ(refused.retry_after_ms(), DiskSpace::kRetryAfterMs);
  EXPECT_EQ(client.CallError(Opcode::kOpenSession, OpenRequest()).code(),
            pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_EQ(env_.node(leader).database().lock_count(), 0u);
}

TEST_F(DiskReserve, WhatGivesBackAndKeepsAliveGoesOnWithoutIt) {
  env_.StartAll();
  const int leader = env_.AwaitLeader();
  TestClient client(env_, leader);
  TestClient::Session session = client.Open(60'000);
  const uint64_t token = client.Acquire(session, "a").grant().token();
  TestClient::Session waiting = client.Open(60'000);
  ASSERT_EQ(client.Acquire(waiting, "a", -1).result(), pb::ACQUIRE_RESULT_QUEUED);
  Measure(leader, 0);

  pb::KeepAliveRequest keep_alive;
  keep_alive.set_session_id(session.id);
  keep_alive.set_transmission(7);
  EXPECT_EQ(client.Call<pb::KeepAliveReply>(Opcode::kKeepAlive, keep_alive).transmission(), 7u);
  // The waiter was there before: the release hands the lock on to it.
  EXPECT_EQ(client.Release(session, "a", token).result(), pb::RELEASE_RESULT_RELEASED);
  EXPECT_TRUE(client.Push(Opcode::kAcquireOutcome).has_value());
  pb::CancelRequest cancel;
  cancel.mutable_mutation()->set_session_id(waiting.id);
  cancel.mutable_mutation()->set_sequence(++waiting.sequence);
  cancel.set_acquire_id(1);
  EXPECT_EQ(client.Call<pb::CancelReply>(Opcode::kCancel, cancel).result(),
            pb::CANCEL_RESULT_TOO_LATE);
  TestClient elsewhere(env_, leader);
  elsewhere.Attach(waiting);
  pb::CloseSessionRequest close;
  close.set_session_id(session.id);
  (void)client.Call<pb::CloseSessionReply>(Opcode::kCloseSession, close);
}

TEST_F(DiskReserve, ComesBackByItselfWithAQuarterMore) {
  env_.StartAll();
  const int leader = env_.AwaitLeader();
  TestClient client(env_, leader);
  TestClient::Session session = client.Open(60'000);
  Measure(leader, kReserve / 2);
  Measure(leader, kReserve + kReserve / 4 - 1);
  const auto acquire = TestClient::AcquireOf(session, "a", 0);
  EXPECT_EQ(client.CallError(Opcode::kAcquire, acquire).code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  Measure(leader, kReserve + kReserve / 4);
  EXPECT_EQ(client.Call<pb::AcquireReply>(Opcode::kAcquire, acquire).result(),
            pb::ACQUIRE_RESULT_GRANTED);
}

TEST_F(DiskReserve, IsInTheStatusAndEachChangeIsNotedOnce) {
  env_.StartAll();
  const int node = env_.AwaitLeader() % 3 + 1;  // a follower alarms too
  EXPECT_EQ(Status(node).disk_free_bytes(), 0u);
  Measure(node, 3 * kReserve);
  EXPECT_EQ(Status(node).disk_free_bytes(), 3 * kReserve);
  EXPECT_FALSE(Status(node).disk_is_low());
  for (const uint64_t mib : {90u, 80u, 110u, 70u}) Measure(node, mib * kMib);
  EXPECT_TRUE(Status(node).disk_is_low());
  for (const uint64_t mib : {126u, 110u, 130u}) Measure(node, mib * kMib);
  EXPECT_FALSE(Status(node).disk_is_low());
  std::vector<std::string> about_disk;
  for (const NodeNote& note : env_.notes(node)) {
    if (note.text.find("disk space") != std::string::npos) about_disk.push_back(note.text);
  }
  EXPECT_THAT(about_disk, ::testing::ElementsAre(HasSubstr("is low: 90 MiB free"),
                                                 HasSubstr("is back: 126 MiB free")));
}

TEST_F(DiskReserve, AFollowerWithoutItHoldsUpNobody) {
  env_.StartAll();
  const int leader = env_.AwaitLeader();
  Measure(leader % 3 + 1, 0);
  TestClient client(env_, leader);
  TestClient::Session session = client.Open(60'000);
  EXPECT_EQ(client.Acquire(session, "a").result(), pb::ACQUIRE_RESULT_GRANTED);
}

TEST(DiskSpace, WithoutAReserveNothingIsEverLow) {
  Outbox outbox;
  DiskSpace space(0);
  space.OnFreeBytes(0, &outbox);
  EXPECT_FALSE(space.is_low());
  EXPECT_EQ(space.free_bytes(), 0u);
}

}  // namespace
}  // namespace lockd::node
