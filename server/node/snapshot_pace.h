// SnapshotPace: spreads the bytes of snapshots over time, so that commits get their share of disk
// and network.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_SNAPSHOT_PACE_H_
#define LOCKD_SERVER_NODE_SNAPSHOT_PACE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "protocol/base/check.h"
#include "protocol/base/time.h"

namespace lockd::node {

class SnapshotPace {
 public:
  explicit SnapshotPace(uint64_t bytes_per_s) : bytes_per_s_(bytes_per_s) {
    LOCKD_CHECK(bytes_per_s > 0);
  }

  // When the next bytes may go.
  [[nodiscard]] LocalTime due_at() const { return due_at_; }
  [[nodiscard]] bool IsDue(LocalTime now) const { return now >= due_at_; }

  void Spent(size_t bytes, LocalTime now) {
    const auto cost_ns =
        static_cast<int64_t>(static_cast<uint64_t>(bytes) * 1'000'000'000 / bytes_per_s_);
    due_at_ = std::max(due_at_, now - kCatchUpNs) + cost_ns;
  }

 private:
  // A turn that came late by no more than this does not slow things down; a longer pause is not
  // made up for by a burst.
  static constexpr int64_t kCatchUpNs = 10 * kNanosPerMilli;

  uint64_t bytes_per_s_;
  LocalTime due_at_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_SNAPSHOT_PACE_H_
