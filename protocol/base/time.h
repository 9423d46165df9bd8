// The three kinds of time in lockd, as types that do not mix.
//
//   LocalTime    what this machine's monotonic clock says, in nanoseconds since an arbitrary start.
//   Only differences mean
//                anything, and only on one machine. Servers read CLOCK_MONOTONIC, clients
//                CLOCK_BOOTTIME (which goes on while the machine sleeps).
//   ClusterTime  milliseconds of the replicated cluster clock: stamped into every log entry by the
//   leader, never decreasing, not
//                moving while there is no leader. Every deadline that decides about a lock is a
//                ClusterTime.
//   WallTime     milliseconds since 1970, for people. Decides nothing.
//
// Durations are plain int64_t with the unit in the name (`ttl_ms`, `elapsed_ns`).
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_BASE_TIME_H_
#define LOCKD_PROTOCOL_BASE_TIME_H_

#include <cstdint>
#include <limits>

#include "protocol/base/strong_int.h"

namespace lockd {

using LocalTime = StrongInt<struct LocalTimeTag, int64_t>;
using ClusterTime = StrongInt<struct ClusterTimeTag, int64_t>;
using WallTime = StrongInt<struct WallTimeTag, int64_t>;

inline constexpr int64_t kNanosPerMilli = 1'000'000;
inline constexpr LocalTime kNeverLocal{std::numeric_limits<int64_t>::max()};
inline constexpr ClusterTime kNeverCluster{std::numeric_limits<int64_t>::max()};

// The bound on the difference in *rate* between any two clocks, which all deadlines are computed
// with: r = 1/200 (0.5 %).
inline constexpr int64_t kDriftDivisor = 200;

// A server counts a client's duration as duration x (1 + r) / (1 - r) + 20 ms, so that it never
// ends before the client's own count of it, whatever the two clocks do within the bound: (1 +
// 1/200) / (1 - 1/200) = 201/199, rounded up.
inline constexpr int64_t kDeadlineMarginMs = 20;
[[nodiscard]] constexpr int64_t ServerDurationMs(int64_t client_ms) {
  // Split, so that hours in ms stay far from overflow and the result is exact: ceil(client * 201 /
  // 199).
  return client_ms + (client_ms * 2 + 198) / 199 + kDeadlineMarginMs;
}

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_BASE_TIME_H_
