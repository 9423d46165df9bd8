// Hostile: one node, to be sent what no client of ours would send. At the end of each test an
// honest client is served, and the node stops in order.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_E2E_HOSTILE_H_
#define LOCKD_TESTS_E2E_HOSTILE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/cluster.h"
#include "tests/e2e/raw_connection.h"

namespace lockd::e2e {

class Hostile : public ::testing::Test {
 protected:
  // No connection is closed for being slow, unless that is what a test is about.
  explicit Hostile(std::vector<std::string> flags = {"--hello-timeout", "10m"})
      : cluster_(1, std::move(flags)) {}
  void SetUp() override {
    cluster_.Start(0);
    cluster_.WaitForLeader();
  }
  void TearDown() override {
    BlockingClient client(cluster_.client_options());
    const auto session = client.OpenSession();
    ASSERT_TRUE(session.ok()) << session.status();
    EXPECT_TRUE(session->Acquire("afterwards").granted());
    EXPECT_EQ(cluster_.Stop(0), 0) << cluster_.ReadLog(0);
  }
  uint16_t port() const { return cluster_.client_port(0); }
  NodeStatus Status() {
    BlockingClient client(cluster_.client_options());
    auto status = client.GetStatus(cluster_.endpoint(0));
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? *status : NodeStatus{};
  }
  // A connection that has said hello and opened a session.
  struct Opened {
    std::unique_ptr<RawConnection> connection;
    uint64_t session = 0;
  };
  Opened OpenSession(char nonce) {
    Opened opened{std::make_unique<RawConnection>(port()), 0};
    EXPECT_TRUE(opened.connection->SendHello());
    pb::OpenSessionRequest request;
    request.set_nonce(std::string(16, nonce));
    request.set_ttl_ms(600'000);
    EXPECT_TRUE(opened.connection->SendFrame(Opcode::kOpenSession, 1, request));
    const auto reply = opened.connection->ReadMessage<pb::OpenSessionReply>(Opcode::kOpenSession);
    EXPECT_TRUE(reply.has_value());
    opened.session = reply ? reply->session_id() : 0;
    return opened;
  }
  static pb::AcquireRequest MakeAcquire(uint64_t session, uint64_t sequence) {
    pb::AcquireRequest request;
    request.mutable_mutation()->set_session_id(session);
    request.mutable_mutation()->set_sequence(sequence);
    request.set_name("lock");
    request.set_mode(pb::LOCK_MODE_EXCLUSIVE);
    return request;
  }

  // A connection that has said hello.
  std::unique_ptr<RawConnection> Greet() {
    auto connection = std::make_unique<RawConnection>(port());
    EXPECT_TRUE(connection->SendHello());
    EXPECT_TRUE(connection->ReadMessage<pb::ServerHello>(Opcode::kHello));
    return connection;
  }

  Cluster cluster_;
};

class HostileSilence : public Hostile {
 protected:
  HostileSilence() : Hostile({"--hello-timeout", "300ms"}) {}
};

}  // namespace lockd::e2e

#endif  // LOCKD_TESTS_E2E_HOSTILE_H_
