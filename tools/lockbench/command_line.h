// What a lockbench command line asks for.
//
// Threading: pure value (LOCKD_ENDPOINTS is read).
#ifndef LOCKD_TOOLS_LOCKBENCH_COMMAND_LINE_H_
#define LOCKD_TOOLS_LOCKBENCH_COMMAND_LINE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "tools/cli/options.h"

namespace lockd::lockbench {

enum class Workload : uint8_t {
  kUncontended,  // each logical client has keys of its own
  kContended,    // all logical clients want the same keys
};
[[nodiscard]] absl::string_view ToString(Workload workload);

struct Arguments {
  std::vector<std::string> endpoints;
  Workload workload = Workload::kUncontended;
  uint64_t connections = 8;
  uint64_t in_flight = 64;
  uint64_t keys = 0;  // after parsing: at least in_flight when uncontended, else at least 1
  uint64_t seconds = 10;
  int64_t warmup_ms = 1'000;
  uint64_t held = 0;      // locks that are held all the time
  bool snapshot = false;  // the nodes take one in the middle of the measurement
  bool json = false;
};

// The arguments, or how to end without any work.
using ParsedCommandLine = std::variant<Arguments, cli::Ending>;
[[nodiscard]] ParsedCommandLine ParseCommandLine(int argc, const char* const* argv);

}  // namespace lockd::lockbench

#endif  // LOCKD_TOOLS_LOCKBENCH_COMMAND_LINE_H_
