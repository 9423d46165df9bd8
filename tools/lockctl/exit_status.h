// How lockctl leaves. Scripts depend on these numbers.
//
// Threading: pure value.
#ifndef LOCKD_TOOLS_LOCKCTL_EXIT_STATUS_H_
#define LOCKD_TOOLS_LOCKCTL_EXIT_STATUS_H_

#include "absl/status/status.h"
#include "tools/cli/options.h"

namespace lockd::lockctl {

// Every command. 1, "not found", belongs to commands that name what must exist.
inline constexpr int kExitOk = cli::kExitOk;
inline constexpr int kExitNoSuch = 1;
inline constexpr int kExitUsage = cli::kExitUsage;
inline constexpr int kExitUnavailable = cli::kExitUnavailable;
inline constexpr int kExitRefused = 4;

// `lock` leaves all small numbers to the command that it runs (kExitUsage excepted, for a command
// line that says nothing to run).
inline constexpr int kExitLockLost = 122;
inline constexpr int kExitFailure = 123;
inline constexpr int kExitNotAcquired = 124;
inline constexpr int kExitNotRunnable = 126;
inline constexpr int kExitNotFound = 127;
inline constexpr int kExitSignalBase = 128;

// Of a read that failed.
[[nodiscard]] inline int ReadExitStatus(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  const bool is_reached = !absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status);
  return is_reached ? kExitRefused : kExitUnavailable;
}

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_EXIT_STATUS_H_
