#include "server/node/node.h"

#include "gtest/gtest.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {
namespace {

TEST(SingleNode, FormsAtOnceAndGrantsALock) {
  NodeEnv env(1);
  env.StartAll();
  env.Settle();
  ASSERT_EQ(env.leader(), 1) << "no time was needed";
  TestClient client(env, 1);
  TestClient::Session session = client.Open();
  const pb::AcquireReply reply = client.Acquire(session, "resource1");
  EXPECT_EQ(reply.result(), pb::ACQUIRE_RESULT_GRANTED);
  EXPECT_GT(reply.grant().token(), 0u);
  EXPECT_EQ(client.Get("resource1").status(), pb::LOCK_STATUS_HELD);
  EXPECT_EQ(client.Release(session, "resource1", reply.grant().token()).result(),
            pb::RELEASE_RESULT_RELEASED);
  EXPECT_EQ(client.Get("resource1").status(), pb::LOCK_STATUS_FREE);
}

TEST(ThreeNodes, FormAndGrantALock) {
  NodeEnv env(3);
  env.StartAll();
  const int leader = env.AwaitLeader();
  TestClient client(env, leader);
  TestClient::Session session = client.Open();
  EXPECT_EQ(client.Acquire(session, "resource1").result(), pb::ACQUIRE_RESULT_GRANTED);
  env.RunFor(100);
  env.ExpectSameState();
}

}  // namespace
}  // namespace lockd::node
