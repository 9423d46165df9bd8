// CrashCluster: three shipping nodes over shipping logs on disks that can lose power, without
// latency; and ScriptedClient, a client that asks until it is answered and remembers what it was
// told.
//
//   CrashCluster cluster(CrashCluster::NewDisks(), seed);
//   ScriptedClient client(&cluster);
//   client.OpenSession(); client.Acquire("a"); ...
//   cluster.disk(2).CutPowerAt(17); ...
//
// Beside each log a LogLedger says what it must hold, and `committed` what the cluster must never
// lose; both are kept from what the nodes do, whatever they say about it later.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_ENUMERATION_CRASH_CLUSTER_H_
#define LOCKD_TESTS_ENUMERATION_CRASH_CLUSTER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/consensus/storage/log_fixture.h"
#include "tests/server/node/node_env.h"
#include "tests/support/mem_file_system.h"

namespace lockd::node {

using storage::MemFileSystem;

// What the writes to one log add up to.
struct LogLedger {
  storage::LogModel acknowledged;  // those that returned OK
  storage::LogModel under_way;     // and the one that did not return yet

  [[nodiscard]] bool Allows(const storage::LogModel& found) const {
    return found == acknowledged || found == under_way;
  }
};

class CrashCluster {
 public:
  static constexpr int kCount = 3;
  using Disks = std::array<std::unique_ptr<MemFileSystem>, kCount>;
  [[nodiscard]] static Disks NewDisks();

  // Starts the nodes that are named; one that refuses its disk stays down (see env().fatal).
  CrashCluster(Disks disks, uint64_t seed, const std::vector<int>& started = {1, 2, 3});
  CrashCluster(const CrashCluster&) = delete;
  CrashCluster& operator=(const CrashCluster&) = delete;

  [[nodiscard]] NodeEnv& env() { return env_; }
  [[nodiscard]] MemFileSystem& disk(int id) { return *disks_.at(static_cast<size_t>(id - 1)); }
  [[nodiscard]] const LogLedger& ledger(int id) const {
    return ledgers_.at(static_cast<size_t>(id - 1));
  }
  // Entries that were committed, from index 1; each was found durable on a majority.
  [[nodiscard]] const std::vector<raft::Entry>& committed();

  // Starts a node on what its disk holds now, and checks that it is what its ledger allows.
  void Restart(int id);
  // The log that a disk holds, read by a LogStore of its own; nullopt, and a failed test, when it
  // is refused.
  [[nodiscard]] std::optional<storage::LogModel> ReadLog(int id, MemFileSystem* disk) const;
  // Waits until all nodes that are up have applied all there is, and compares their states; all
  // that was committed must be in each of their logs.
  void ExpectConverged();

 private:
  void Start(int id);

  Disks disks_;
  std::array<LogLedger, kCount> ledgers_;
  std::vector<raft::Entry> committed_;
  NodeEnv env_;
};

class ScriptedClient {
 public:
  // What it was told, and must therefore be true whatever happens to the cluster.
  struct Knowledge {
    uint64_t session_id = 0;
    std::string nonce;
    uint64_t sequence = 0;
    std::map<std::string, uint64_t> held;                // lock to token
    std::map<std::string, std::set<uint64_t>> released;  // lock to tokens
    std::set<std::string> unsure;                        // locks of which a request is under way
    uint64_t token_max = 0;
  };

  explicit ScriptedClient(CrashCluster* cluster) : cluster_(cluster) {}
  // One that goes on with what another one knew.
  ScriptedClient(CrashCluster* cluster, Knowledge knowledge)
      : cluster_(cluster), knowledge_(std::move(knowledge)) {}

  // Called when a request got no answer for a while, before it is sent again.
  void set_when_stuck(std::function<void()> when_stuck) { when_stuck_ = std::move(when_stuck); }

  // Each asks serving leaders until it is answered; a failed test when it is not.
  void OpenSession();
  void Acquire(const std::string& name);
  void Release(const std::string& name);
  // Sends a request to this node and does not care.
  void SendTo(int node, Opcode opcode, const google::protobuf::MessageLite& message);
  // All that it was told is still so.
  void ExpectNothingForgotten();

  [[nodiscard]] const Knowledge& knowledge() const { return knowledge_; }

 private:
  std::optional<Received> Ask(Opcode opcode, const google::protobuf::MessageLite& message);
  std::optional<Received> AskOnce(Opcode opcode, const google::protobuf::MessageLite& message);
  // Says hello, and attaches to the session if there is one already.
  bool Connect(int node);
  [[nodiscard]] bool IsConnected();

  CrashCluster* const cluster_;
  Knowledge knowledge_;
  std::function<void()> when_stuck_;
  std::optional<TestClient> client_;
  int node_ = 0;
};

}  // namespace lockd::node

#endif  // LOCKD_TESTS_ENUMERATION_CRASH_CLUSTER_H_
