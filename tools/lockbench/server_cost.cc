#include "tools/lockbench/server_cost.h"

#include <algorithm>

namespace lockd::lockbench {
namespace {

// Processor time that a node has spent between the two looks.
std::optional<uint64_t> CpuUsSince(const ClusterLook& before, const cli::NodeReport& after) {
  const auto earlier =
      std::find_if(before.nodes.begin(), before.nodes.end(),
                   [&](const auto& report) { return report.node_id == after.node_id; });
  if (earlier == before.nodes.end() || !earlier->status.ok()) return std::nullopt;
  const uint64_t from = earlier->status->process_cpu_us;
  const uint64_t to = after.status->process_cpu_us;
  // A node that does not know its own time says 0, and one that was restarted begins anew.
  if (from == 0 || to < from) return std::nullopt;
  return to - from;
}

}  // namespace

ServerCost ComputeServerCost(const ClusterLook& before, const ClusterLook& after) {
  const bool all_answered =
      !after.nodes.empty() && std::all_of(after.nodes.begin(), after.nodes.end(),
                                          [](const auto& report) { return report.status.ok(); });
  if (!all_answered) return {};
  ServerCost cost;
  cost.rss_bytes = 0;
  cost.longest_turn_cpu_us = 0;
  cost.longest_turn_wall_us = 0;
  uint64_t cpu_us = 0;
  bool is_cpu_known = after.cycles > before.cycles;
  for (const cli::NodeReport& report : after.nodes) {
    const NodeStatus& status = *report.status;
    *cost.rss_bytes += status.rss_bytes;
    cost.longest_turn_cpu_us = std::max(*cost.longest_turn_cpu_us, status.longest_turn_cpu_us);
    cost.longest_turn_wall_us = std::max(*cost.longest_turn_wall_us, status.longest_turn_wall_us);
    const std::optional<uint64_t> spent_us = CpuUsSince(before, report);
    is_cpu_known = is_cpu_known && spent_us.has_value();
    cpu_us += spent_us.value_or(0);
  }
  if (is_cpu_known) {
    // us for each cycle is ms for each 1,000.
    cost.cpu_s_per_1000 =
        static_cast<double>(cpu_us) / static_cast<double>(after.cycles - before.cycles) / 1'000.0;
  }
  return cost;
}

}  // namespace lockd::lockbench
