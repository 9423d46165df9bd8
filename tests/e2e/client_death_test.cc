// What becomes of a lock when its client dies or stands still.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "client/fence_gate.h"
#include "tests/e2e/cluster.h"

namespace lockd::e2e {
namespace {

class ClientDeath : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.StartAll();
    cluster_.WaitForLeader();
  }

  // A client process that holds "resource".
  Process StartHolder(int64_t ttl_ms, int64_t grace_ms) {
    Process holder = Process::Start(
        "e2e_holder",
        {cluster_.endpoints(), "resource", absl::StrCat(ttl_ms), absl::StrCat(grace_ms)},
        {.has_input = true});
    const std::string line = holder.AwaitOutput("granted ");
    unsigned long token = 0;
    EXPECT_EQ(std::sscanf(line.c_str(), "granted %lu", &token), 1) << line;
    token_ = FencingToken(token);
    return holder;
  }

  // How long after `since` a waiter of this process gets the lock; it waits already.
  milliseconds GrantedAfter(AcquireResult* result, const BlockingSession& session,
                            Clock::time_point since) {
    *result = session.Acquire("resource", {.wait = kPatience});
    EXPECT_TRUE(result->granted()) << result->ToStatus();
    return std::chrono::duration_cast<milliseconds>(Clock::now() - since);
  }

  Cluster cluster_{3};
  FencingToken token_;
};

TEST_F(ClientDeath, WithADisconnectGraceTheLockIsFreeWithinIt) {
  Process holder = StartHolder(60'000, 3'000);
  BlockingClient client(cluster_.client_options());
  const auto session = client.OpenSession();
  ASSERT_TRUE(session.ok());
  const auto killed = Clock::now();
  holder.Signal(SIGKILL);
  AcquireResult result;
  const milliseconds waited = GrantedAfter(&result, *session, killed);
  EXPECT_GT(result.lock.token(), token_);
  EXPECT_GE(waited, milliseconds(2'900));  // what the holder may count on, less what the kill took
  EXPECT_LT(waited, milliseconds(20'000));
}

TEST_F(ClientDeath, WithoutAGraceTheLockIsFreeAfterItsTtlAndNotBefore) {
  constexpr milliseconds kTtl{6'000};
  Process holder = StartHolder(kTtl.count(), 0);
  BlockingClient client(cluster_.client_options());
  const auto session = client.OpenSession();
  ASSERT_TRUE(session.ok());
  holder.Signal(SIGKILL);
  holder.Await();
  const auto dead = Clock::now();
  // What the cluster says it has left, now that nobody renews it.
  milliseconds remaining{0};
  const auto sessions = client.ListSessions();
  ASSERT_TRUE(sessions.ok()) << sessions.status();
  for (const SessionRecord& each : *sessions) {
    if (each.session_id != session->id()) remaining = milliseconds(each.remaining_ms);
  }
  ASSERT_GT(remaining, milliseconds(0));
  AcquireResult result;
  const milliseconds waited = GrantedAfter(&result, *session, dead);
  EXPECT_GT(result.lock.token(), token_);
  // Less what two clocks may differ by.
  EXPECT_GE(waited, remaining - remaining / 100 - milliseconds(2));
  EXPECT_LT(waited, milliseconds(20'000));
}

// L-45
TEST_F(ClientDeath, AStoppedClientFindsOutAtItsFirstLookAndItsWriteIsRefused) {
  Process holder = StartHolder(5'000, 0);
  FenceGate resource;
  ASSERT_TRUE(resource.Admit(token_));
  holder.WriteLine("look");
  EXPECT_EQ(holder.AwaitOutput("held"), absl::StrCat("held ", token_));

  holder.Signal(SIGSTOP);
  BlockingClient client(cluster_.client_options());
  const auto session = client.OpenSession();
  ASSERT_TRUE(session.ok());
  const AcquireResult next = session->Acquire("resource", {.wait = kPatience});
  ASSERT_TRUE(next.granted()) << next.ToStatus();
  EXPECT_TRUE(resource.Admit(next.lock.token()));

  holder.WriteLine("look");  // waits in the pipe: the first thing that it does when it goes on
  holder.Signal(SIGCONT);
  EXPECT_EQ(holder.AwaitOutput("lost"), absl::StrCat("lost ", token_));
  EXPECT_EQ(holder.output().find("held", holder.output().find("held") + 1), std::string::npos)
      << "it looked, and believed in the lock: " << holder.output();
  EXPECT_FALSE(resource.Admit(token_)) << "a write of the old holder went through";
}

}  // namespace
}  // namespace lockd::e2e
