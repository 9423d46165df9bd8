// ServerCost: what the cycles between two looks at the cluster have cost its nodes.
//
// Threading: pure value.
#ifndef LOCKD_TOOLS_LOCKBENCH_SERVER_COST_H_
#define LOCKD_TOOLS_LOCKBENCH_SERVER_COST_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "tools/cli/cluster_status.h"

namespace lockd::lockbench {

// The status of all nodes when so many cycles were completed.
struct ClusterLook {
  std::vector<cli::NodeReport> nodes;
  uint64_t cycles = 0;
};

struct ServerCost {
  // Seconds of processor time of all nodes for each 1,000 cycles. Nothing when a node did not
  // answer both times, has been restarted in between, or there was no cycle.
  std::optional<double> cpu_s_per_1000;
  // Memory of all nodes at the second look; nothing when one did not answer.
  std::optional<uint64_t> rss_bytes;
  // Of all nodes, since each of them began; nothing when one did not answer.
  std::optional<uint64_t> longest_turn_cpu_us;
  std::optional<uint64_t> longest_turn_wall_us;
};

[[nodiscard]] ServerCost ComputeServerCost(const ClusterLook& before, const ClusterLook& after);

}  // namespace lockd::lockbench

#endif  // LOCKD_TOOLS_LOCKBENCH_SERVER_COST_H_
