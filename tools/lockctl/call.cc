#include "tools/lockctl/call.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "protocol/base/text.h"

namespace lockd::lockctl {

ReadOptions MakeReadOptions(const Arguments& arguments) {
  return {.stale = arguments.stale, .timeout = std::chrono::milliseconds(arguments.timeout_ms)};
}

int Report(const Arguments& arguments, const absl::Status& failure) {
  const bool is_down = ReadExitStatus(failure) == kExitUnavailable;
  std::cerr << "lockctl: "
            << (is_down ? absl::StrCat("no answer from ", absl::StrJoin(arguments.endpoints, ","),
                                       " within ", FormatDurationMs(arguments.timeout_ms), ": ")
                        : "refused: ")
            << EscapeName(failure.message()) << '\n';
  return ReadExitStatus(failure);
}

}  // namespace lockd::lockctl
