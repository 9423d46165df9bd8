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

struct Measurement {
  double elapsed_s = 0;
  uint64_t errors = 0;
  LatencySummary acquire;
  LatencySummary release;  // its count is that of whole cycles
  double client_cpu_s = 0;
  ServerCost server;
};

// What could not be known is null.
[[nodiscard]] nlohmann::ordered_json ToJson(const Arguments& arguments,
                                            const Measurement& measurement);
[[nodiscard]] std::string ToText(const Arguments& arguments, const Measurement& measurement);

}  // namespace lockd::lockbench

#endif  // LOCKD_TOOLS_LOCKBENCH_REPORT_H_
