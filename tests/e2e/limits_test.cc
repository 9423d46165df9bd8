// Each limit, reached: the answer is a typed error or a reason, the server goes on, and memory
// stays bounded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/asio/use_future.hpp>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/raw_connection.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;

void RaiseDescriptorLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// N-07
TEST(Limits, ConnectionsAboveTheirNumberAreTurnedAwayWithAReason) {
  Cluster cluster(1, {"--client-connections-max", "8"});
  cluster.StartAll();
  cluster.WaitForLeader();
  std::vector<std::unique_ptr<RawConnection>> connections;
  // The cluster's own client has gone by now, or goes soon: fill up until one is turned away.
  bool refused = false;
  for (int i = 0; i < 9 && !refused; ++i) {
    connections.push_back(std::make_unique<RawConnection>(cluster.client_port(0)));
    connections.back()->SendHello();
    const auto frame = connections.back()->Read();
    refused = !frame || frame->header.opcode == Opcode::kReason;
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(connections.back()->reason(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_TRUE(connections.back()->IsClosedByServer());
  // One goes, another one may come.
  connections.clear();
  EXPECT_TRUE(Eventually([&] {
    RawConnection again(cluster.client_port(0));
    again.SendHello();
    const auto frame = again.Read();
    return frame && frame->header.opcode == Opcode::kHello;
  }));
}

// N-05
TEST(Limits, FiveThousandIdleConnectionsCostLittleAndHinderNobody) {
  RaiseDescriptorLimit();
  Cluster cluster(1, {"--hello-timeout", "10m"});
  cluster.StartAll();
  cluster.WaitForLeader();
  BlockingClient client(cluster.client_options());
  const auto status = [&] { return client.GetStatus(cluster.endpoint(0)).value_or(NodeStatus{}); };
  const uint64_t before = status().rss_bytes;
  std::vector<std::unique_ptr<RawConnection>> idle;
  for (int i = 0; i < 5'000; ++i) {
    idle.push_back(std::make_unique<RawConnection>(cluster.client_port(0)));
    if (i % 2 == 0) idle.back()->Send(absl::string_view("\x40\x00", 2));  // half a length
  }
  const auto session = client.OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_TRUE(session->Acquire("lock").granted());
  // What a status says is refreshed now and then: wait for one that has seen them all.
  const uint64_t cpu_us = status().process_cpu_us;
  EXPECT_TRUE(Eventually([&] { return status().process_cpu_us != cpu_us; }));
  EXPECT_LT(status().rss_bytes, before + 5'000u * 4 * 1024)
      << "more than 4 KiB for an idle connection";
}

TEST(Limits, RequestsInFlightOnOneConnectionAreBounded) {
  Cluster cluster(1, {"--requests-in-flight-max", "16"});
  cluster.StartAll();
  cluster.WaitForLeader();
  RawConnection connection(cluster.client_port(0));
  ASSERT_TRUE(connection.SendHello());
  std::string burst;
  pb::GetLockRequest request;
  request.set_name("lock");
  for (uint32_t i = 1; i <= 200; ++i) {
    AppendFrame(burst, {.opcode = Opcode::kGetLock, .request_id = i}, request);
  }
  ASSERT_TRUE(connection.Send(burst));
  size_t served = 0;
  size_t refused = 0;
  while (served + refused < 200) {
    const auto frame = connection.Read();
    ASSERT_TRUE(frame.has_value());
    if (frame->header.opcode != Opcode::kGetLock) continue;
    if ((frame->header.flags & kFlagError) == 0) {
      ++served;
      continue;
    }
    pb::Error error;
    ASSERT_TRUE(error.ParseFromString(frame->payload));
    EXPECT_EQ(error.code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
    EXPECT_GT(error.retry_after_ms(), 0u);
    ++refused;
  }
  EXPECT_GE(served, 16u);
  EXPECT_GT(refused, 0u);
}

// N-06
TEST(Limits, AClientThatDoesNotReadIsDropped) {
  Cluster cluster(1, {"--output-bytes-max", "64KiB"});
  cluster.StartAll();
  cluster.WaitForLeader();
  RawConnection slow(cluster.client_port(0), 4'096);
  ASSERT_TRUE(slow.SendHello());
  // Asks and asks and never reads an answer, until the server has had enough of it.
  pb::GetLockRequest request;
  request.set_name(std::string(1'000, 'n'));
  std::string burst;
  for (uint32_t i = 1; i <= 64; ++i)
    AppendFrame(burst, {.opcode = Opcode::kGetLock, .request_id = i}, request);
  bool dropped = false;
  for (int i = 0; i < 2'000 && !dropped; ++i) dropped = !slow.Send(burst);
  EXPECT_TRUE(dropped);
  BlockingClient client(cluster.client_options());
  EXPECT_TRUE(client.OpenSession().ok());
}

// N-08
TEST(Limits, SessionsLocksAndWaitersOfSessionAndClusterAreRefusedByName) {
  Cluster cluster(1, {"--sessions-max", "3", "--locks-max", "5", "--waiters-max", "3",
                      "--locks-per-session-max", "4", "--waiters-per-session-max", "2"});
  cluster.StartAll();
  cluster.WaitForLeader();
  BlockingClient client(cluster.client_options());
  std::vector<BlockingSession> sessions;
  for (int i = 0; i < 3; ++i) {
    auto session = client.OpenSession();
    ASSERT_TRUE(session.ok()) << session.status();
    sessions.push_back(*std::move(session));
  }
  EXPECT_FALSE(client.OpenSession({.operation_timeout = milliseconds(500)}).ok());

  std::vector<AcquireResult> held;
  const auto acquire = [&](int session, const std::string& name) -> AcquireResult {
    return sessions[static_cast<size_t>(session)].Acquire(name, {.wait = kTry});
  };
  for (int i = 0; i < 4; ++i) {
    held.push_back(acquire(0, absl::StrCat("a", i)));
    ASSERT_TRUE(held.back().granted());
  }
  AcquireResult refused = acquire(0, "a4");
  EXPECT_EQ(refused.status, AcquireStatus::kLimit);
  EXPECT_THAT(refused.message, HasSubstr("locks_per_session_max"));
  EXPECT_GT(refused.retry_after.count(), 0);
  held.push_back(acquire(1, "b0"));
  ASSERT_TRUE(held.back().granted());
  refused = acquire(1, "b1");
  EXPECT_EQ(refused.status, AcquireStatus::kLimit);
  EXPECT_THAT(refused.message, HasSubstr("locks_max"));

  // Waiters that stay: asynchronous, for a0 of session 0.
  std::vector<std::future<AcquireResult>> waiting;
  const auto wait = [&](int session) {
    return sessions[static_cast<size_t>(session)].async().Acquire("a0", {.wait = kPatience},
                                                                  boost::asio::use_future);
  };
  for (const int session : {1, 1, 2}) {
    waiting.push_back(wait(session));
    ASSERT_TRUE(Eventually([&] { return client.GetLock("a0")->waiters == waiting.size(); }));
  }
  EXPECT_EQ(wait(1).get().status, AcquireStatus::kLimit);
  refused = wait(2).get();
  EXPECT_EQ(refused.status, AcquireStatus::kLimit);
  EXPECT_THAT(refused.message, HasSubstr("waiters_max"));
  // What ends frees its place.
  sessions[0].Release(std::move(held[0].lock));
  const AcquireResult next = waiting[0].get();
  EXPECT_TRUE(next.granted());
  EXPECT_EQ(acquire(0, "a5").status, AcquireStatus::kLimit) << "the waiter has taken the place";
  sessions[0].Release(std::move(held[1].lock));
  held.push_back(acquire(0, "a5"));
  EXPECT_TRUE(held.back().granted()) << held.back().ToStatus();
}

}  // namespace
}  // namespace lockd::e2e
