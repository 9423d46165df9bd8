// Cluster: real lockd processes on loopback, with ports and directories of their own.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_E2E_CLUSTER_H_
#define LOCKD_TESTS_E2E_CLUSTER_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/blocking_client.h"
#include "tests/support/process.h"

namespace lockd::e2e {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using testing::Process;

// How long anything may take on a machine that is busy with other tests, before it counts as never.
inline constexpr milliseconds kPatience{30'000};

// Flags for a cluster in which no stall of the machine makes an election, but its first one takes
// seconds.
[[nodiscard]] std::vector<std::string> SteadyElections();

// A directory that goes with its owner.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A port of loopback that nobody listens on now, below those that the kernel gives to outgoing
// connections.
[[nodiscard]] uint16_t PickPort();
// Asks again and again until `done`, for kPatience at most. False: never.
[[nodiscard]] bool Eventually(const std::function<bool()>& done);

class Cluster {
 public:
  // `flags` go to every node.
  explicit Cluster(size_t nodes, std::vector<std::string> flags = {});

  // One node more, with ports and a directory of its own, that the others do not know of. The
  // cluster is expected to number it in this order.
  size_t AddNode();
  // What this node is started with from now on, instead of --peers: the words of a line for lockd.
  // The address for clients and the directory are filled in.
  void set_start_line(size_t node, testing::Words words) { start_lines_[node] = std::move(words); }

  void StartAll();
  // ... and waits until each takes part and has all that was committed; the node that leads. For
  // whatever next expects something of a certain node.
  size_t StartAllAlike();
  void Start(size_t node);  // from 0
  void Kill(size_t node);   // SIGKILL, and gone
  // SIGTERM; the exit status.
  int Stop(size_t node);
  [[nodiscard]] Process& process(size_t node) { return *processes_.at(node); }
  [[nodiscard]] size_t size() const { return client_ports_.size(); }

  [[nodiscard]] std::string endpoint(size_t node) const;
  [[nodiscard]] std::string endpoints() const;
  [[nodiscard]] uint16_t client_port(size_t node) const { return client_ports_[node]; }
  [[nodiscard]] uint16_t peer_port(size_t node) const { return peer_ports_[node]; }
  [[nodiscard]] std::string peer_address(size_t node) const;
  [[nodiscard]] std::filesystem::path data_dir(size_t node) const;
  // Of a node that is down: what was written long before the tail cannot be read any more.
  void DamageLog(size_t node);
  // Of nodes that start from now on; 0: as many as this process may open.
  void set_descriptors_max(uint64_t descriptors) { descriptors_max_ = descriptors; }
  // NAME=VALUE, of this node when it starts from now on.
  void set_environment(size_t node, testing::Words environment) {
    environments_[node] = std::move(environment);
  }
  // What lockd is started with.
  [[nodiscard]] std::vector<std::string> Flags(size_t node) const;
  [[nodiscard]] std::string log_path(size_t node) const;
  [[nodiscard]] std::string ReadLog(size_t node) const;

  [[nodiscard]] ClientOptions client_options() const;
  // The node that leads and serves, waiting for one; fails the test when none comes.
  size_t WaitForLeader();
  // All running nodes have applied the same entries with the same result.
  void WaitUntilAlike();

 private:
  [[nodiscard]] std::vector<std::string> FlagsOfFounder(size_t node) const;
  [[nodiscard]] std::vector<std::string> FlagsOfLine(size_t node) const;

  TempDirectory directory_;
  std::vector<std::string> flags_;
  uint64_t descriptors_max_ = 0;
  std::map<size_t, testing::Words> environments_;
  std::map<size_t, testing::Words> start_lines_;
  size_t founders_ = 0;
  std::vector<uint16_t> client_ports_;
  std::vector<uint16_t> peer_ports_;
  std::vector<std::unique_ptr<Process>> processes_;  // null: never started
};

}  // namespace lockd::e2e

#endif  // LOCKD_TESTS_E2E_CLUSTER_H_
