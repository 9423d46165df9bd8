// No turn of the loop is long, however large the state is: a million held locks, a snapshot of
// them, a restart, a follower that catches up.
//
// Node tests count what a turn does (node_turn_test, node_snapshot_test). This one is for what
// nobody thought of counting: it asks lockd for the CPU time of its longest turn.
//
// The aim is 5 ms, and an idle machine shows about that. What is asserted is five times as much:
// machines differ by a factor of two, and CPU time grows with neighbours as well, who empty the
// caches and share the core. It is still far below what this test is to find, work that grows with
// the state: to write, load or destroy a million locks in one turn takes 100 ms and more. A single
// long turn may be the neighbours' doing (a page that is not there counts as CPU time, too), one in
// each of three tries is not.
//
//   LOCKD_E2E_LOCKS=4000000 build/release/bin/turn_time_test      for other numbers of locks
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protocol/frame.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/raw_connection.h"

namespace lockd::e2e {
namespace {

constexpr uint64_t kTurnCpuUsMax = 25'000;
constexpr int kTries = 3;
constexpr uint64_t kLocksPerSession = 200'000;

uint64_t Locks(uint64_t otherwise) {
  const char* const text = std::getenv("LOCKD_E2E_LOCKS");
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// A session that asks for many locks at once. It lives on when its connection is gone.
class Crowd {
 public:
  Crowd(uint16_t port, uint64_t number) : connection_(port) {
    EXPECT_TRUE(connection_.SendHello());
    pb::OpenSessionRequest request;
    std::string nonce = absl::StrCat("crowd-", number);
    nonce.resize(16, '.');
    request.set_nonce(nonce);
    request.set_ttl_ms(3'600'000);
    EXPECT_TRUE(connection_.SendFrame(Opcode::kOpenSession, 1, request));
    const auto reply = connection_.ReadMessage<pb::OpenSessionReply>(Opcode::kOpenSession);
    EXPECT_TRUE(reply.has_value());
    session_ = reply ? reply->session_id() : 0;
  }

  // Asks for all of these, without waiting for any that is held, and reads the answers.
  void Acquire(const std::vector<std::string>& names) {
    std::string burst;
    for (const std::string& name : names) {
      pb::AcquireRequest request;
      request.mutable_mutation()->set_session_id(session_);
      request.mutable_mutation()->set_acknowledged_through(sequence_);
      request.mutable_mutation()->set_sequence(++sequence_);
      request.set_name(name);
      request.set_mode(pb::LOCK_MODE_EXCLUSIVE);
      AppendFrame(burst, {.opcode = Opcode::kAcquire, .request_id = 2}, request);
    }
    ASSERT_TRUE(connection_.Send(burst));
    for (size_t answered = 0; answered < names.size();) {
      const auto frame = connection_.Read();
      ASSERT_TRUE(frame.has_value()) << "no answer";
      if (frame->header.opcode != Opcode::kAcquire) continue;
      ASSERT_EQ(frame->header.flags & kFlagError, 0) << "refused";
      ++answered;
    }
  }

 private:
  RawConnection connection_;
  uint64_t session_ = 0;
  uint64_t sequence_ = 0;
};

class TurnTime : public ::testing::Test {
 protected:
  static constexpr uint64_t kAtOnce = 1'000;

  void Start(size_t nodes) {
    testing::Words flags = SteadyElections();  // a Crowd stays with its leader
    // Several snapshots while the locks come together.
    flags.insert(flags.end(), {"--snapshot-log-bytes", "32MiB"});
    cluster_ = std::make_unique<Cluster>(nodes, std::move(flags));
    cluster_->StartAll();
  }
  // All of the cluster's processes are killed and started again.
  void Restart() {
    for (size_t node = 0; node < cluster_->size(); ++node) cluster_->Kill(node);
    cluster_->StartAll();
  }

  void Fill(uint64_t locks) {
    const uint16_t port = cluster_->client_port(cluster_->WaitForLeader());
    for (uint64_t first = 0; first < locks; first += kLocksPerSession) {
      Crowd crowd(port, ++crowds_);
      const uint64_t end = std::min(locks, first + kLocksPerSession);
      for (uint64_t next = first; next < end && !HasFatalFailure(); next += kAtOnce) {
        std::vector<std::string> names;
        for (uint64_t i = next; i < std::min(end, next + kAtOnce); ++i) {
          names.push_back(absl::StrCat("orders/eu-west/", i));
        }
        crowd.Acquire(names);
      }
    }
  }

  // Makes log and nothing else, until `done`: a lock that is held is asked for again and again.
  template <typename Done>
  void ChurnUntil(const Done& done) {
    Crowd crowd(cluster_->client_port(cluster_->WaitForLeader()), ++crowds_);
    const std::vector<std::string> names(kAtOnce, std::string(900, 'x'));
    while (!done() && !HasFatalFailure()) crowd.Acquire(names);
  }

  NodeStatus Status(size_t node) {
    BlockingClient client(cluster_->client_options());
    auto status = client.GetStatus(cluster_->endpoint(node));
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? *status : NodeStatus{};
  }
  // CPU time of the longest turn up to now. What a status says is refreshed now and then.
  uint64_t LongestTurnUs(size_t node) {
    const uint64_t before = Status(node).process_cpu_us;
    EXPECT_TRUE(Eventually([&] { return Status(node).process_cpu_us != before; }));
    return Status(node).longest_turn_cpu_us;
  }
  uint64_t Report(size_t node, const std::string& what) {
    const uint64_t us = LongestTurnUs(node);
    std::cout << "[ measured ] longest turn, " << what << ", node " << node + 1 << ": " << us
              << " us of CPU time\n";
    return us;
  }

  std::unique_ptr<Cluster> cluster_;
  uint64_t crowds_ = 0;
};

TEST_F(TurnTime, IsShortWhileAMillionLocksAreLoadedAndGoIntoASnapshot) {
  const uint64_t locks = Locks(1'000'000);
  Start(1);
  ASSERT_NO_FATAL_FAILURE(Fill(locks));
  (void)Report(0, "filling");
  uint64_t shortest = UINT64_MAX;
  for (int i = 0; i < kTries && shortest > kTurnCpuUsMax; ++i) {
    Restart();
    cluster_->WaitForLeader();
    ASSERT_EQ(Status(0).locks, locks);
    ASSERT_NO_FATAL_FAILURE(ChurnUntil([&] { return Status(0).snapshots_taken > 0; }));
    shortest = std::min(shortest, Report(0, "restart and snapshot"));
  }
  EXPECT_LE(shortest, kTurnCpuUsMax);
}

// The log that the follower has missed goes through the leader's loop, and its own.
TEST_F(TurnTime, IsShortWhileAFollowerCatchesUp) {
  Start(3);
  ASSERT_NO_FATAL_FAILURE(Fill(Locks(100'000)));
  for (size_t node = 0; node < 3; ++node) (void)Report(node, "filling");
  uint64_t shortest = UINT64_MAX;
  for (int i = 0; i < kTries && shortest > kTurnCpuUsMax; ++i) {
    Restart();
    const size_t leader = cluster_->WaitForLeader();
    const size_t late = (leader + 1) % 3;
    cluster_->Kill(late);
    const uint64_t last = Status(leader).last_index;
    ASSERT_NO_FATAL_FAILURE(Fill(Locks(100'000) / 2));  // busy: they are held
    ASSERT_GT(Status(leader).last_index, last);
    cluster_->Start(late);
    cluster_->WaitUntilAlike();
    ASSERT_EQ(Status(late).snapshots_received, 0u) << "the log had all of it";
    shortest = std::min(
        shortest, std::max(Report(leader, "feeding a follower"), Report(late, "catching up")));
  }
  EXPECT_LE(shortest, kTurnCpuUsMax);
}

}  // namespace
}  // namespace lockd::e2e
