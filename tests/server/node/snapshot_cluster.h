// SnapshotCluster: a NodeEnv whose nodes have disks, and take snapshots often.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SERVER_NODE_SNAPSHOT_CLUSTER_H_
#define LOCKD_TESTS_SERVER_NODE_SNAPSHOT_CLUSTER_H_

#include <cstdint>
#include <map>
#include <string>

#include "tests/server/node/node_env.h"
#include "tests/support/mem_file_system.h"

namespace lockd::node {

using storage::MemFileSystem;

class SnapshotCluster {
 public:
  static constexpr uint64_t kLogBytes = 64 * 1024;

  explicit SnapshotCluster(int count, const NodeEnv::Tweak& tweak = {});

  [[nodiscard]] NodeEnv& env() { return env_; }
  [[nodiscard]] MemFileSystem& disk(int id) { return disks_[id]; }

 private:
  std::map<int, MemFileSystem> disks_;
  NodeEnv env_;
};

// About a KiB, in the log and in a snapshot.
[[nodiscard]] std::string LongName(const std::string& prefix, int number);
// Acquires LongName(prefix, 0..count), several in one entry.
void Fill(NodeEnv& env, TestClient& client, TestClient::Session& session, const std::string& prefix,
          int count);

}  // namespace lockd::node

#endif  // LOCKD_TESTS_SERVER_NODE_SNAPSHOT_CLUSTER_H_
