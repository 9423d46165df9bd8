// What a run has measured, as JSON and as text.
//
// Threading: pure value.
#ifndef LOCKD_TOOLS_LOCKBENCH_REPORT_H_
#define LOCKD_TOOLS_LOCKBENCH_REPORT_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "tools/lockbench/command_line.h"
#include "tools/lockbench/latency_recorder.h"
#include "tools/lockbench/server_cost.h"

namespace lockd::lockbench {

// All nodes were asked for a snapshot at the same time.
struct SnapshotMeasurement {
  double elapsed_s = 0;  // until the last of them had it
  uint64_t bytes = 0;    // of the largest one
  // Of what ended meanwhile.
  LatencySummary acquire;
  LatencySummary release;
};

struct Measurement {
  double elapsed_s = 0;
  uint64_t errors = 0;
  // Of what did not end while a snapshot was taken; the count of release is that of whole cycles.
  LatencySummary acquire;
  LatencySummary release;
  // Nothing: none was asked for, or a node had none; what ended meanwhile is left out then.
  std::optional<SnapshotMeasurement> snapshot;
  double client_cpu_s = 0;
  ServerCost server;
};

// What could not be known is null.
[[nodiscard]] nlohmann::ordered_json ToJson(const Arguments& arguments,
                                            const Measurement& measurement);
[[nodiscard]] std::string ToText(const Arguments& arguments, const Measurement& measurement);

}  // namespace lockd::lockbench

#endif  // LOCKD_TOOLS_LOCKBENCH_REPORT_H_
