// What the command lines of the tools have in common: options that read durations, counts and
// endpoints, and that say what is wrong, the allowed range and where to read on.
//
// Threading: pure value (EndpointsOr reads the environment).
#ifndef LOCKD_TOOLS_CLI_OPTIONS_H_
#define LOCKD_TOOLS_CLI_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace lockd::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUnavailable = 3;

// What a program prints and how it leaves when a command line asks for no work: help, version, or a
// mistake.
struct Ending {
  int exit_status = kExitOk;
  std::string text;  // to stdout when exit_status is 0, else one line for stderr
};

// Nothing when the program may go on. `version` is what --version prints.
[[nodiscard]] std::optional<Ending> Parse(CLI::App& app, int argc, const char* const* argv,
                                          absl::string_view version);
// A mistake that shows only after parsing: "PROGRAM: MESSAGE (PROGRAM [SUBCOMMAND] --help)".
[[nodiscard]] Ending Mistake(const CLI::App& app, absl::string_view message);
// Prints to stdout or stderr; returns the exit status.
int Leave(const Ending& ending);

// A value that `take` reads; it returns what is wrong with the text, or nothing.
CLI::Option* AddText(CLI::App& app, const std::string& name, const std::string& type,
                     const std::string& help, std::function<std::string(const std::string&)> take);
// A duration within [min_ms, max_ms]; `zero_allowed`: or 0.
struct DurationRange {
  int64_t min_ms = 1;
  int64_t max_ms = 0;
  bool zero_allowed = false;

  // "1s..1h", "0ms or 3s..1h"
  [[nodiscard]] std::string ToString() const;
};
CLI::Option* AddDuration(CLI::App& app, const std::string& name, int64_t* value_ms,
                         const DurationRange& range, const std::string& help);
CLI::Option* AddCount(CLI::App& app, const std::string& name, uint64_t* value, uint64_t min,
                      uint64_t max, const std::string& help);

// --endpoints, as text; EndpointsOr reads it, or LOCKD_ENDPOINTS, or the default.
CLI::Option* AddEndpoints(CLI::App& app, std::string* list);
// InvalidArgument, naming the flag or the variable.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> EndpointsOr(const std::string& list);

}  // namespace lockd::cli

#endif  // LOCKD_TOOLS_CLI_OPTIONS_H_
