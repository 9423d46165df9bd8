#include "tools/lockbench/latency_recorder.h"

#include <algorithm>
#include <array>

namespace lockd::lockbench {

void LatencyRecorder::Clear() {
  std::fill(counts_.begin(), counts_.end(), 0);
  long_us_.clear();
  count_ = 0;
}

LatencySummary LatencyRecorder::Summarize() const {
  LatencySummary summary;
  summary.count = count_;
  if (count_ == 0) return summary;
  // Rank r, from 1, of each share of a thousand: the r-th sample in ascending order.
  constexpr std::array<uint64_t, 5> kShares = {500, 900, 990, 999, 1'000};
  const std::array<int64_t*, 5> results = {&summary.p50_us, &summary.p90_us, &summary.p99_us,
                                           &summary.p999_us, &summary.max_us};
  std::array<uint64_t, 5> ranks{};
  for (size_t i = 0; i < kShares.size(); ++i) ranks[i] = (count_ * kShares[i] + 999) / 1'000;

  size_t next = 0;
  uint64_t seen = 0;
  for (size_t us = 0; us < kCounters && next < ranks.size(); ++us) {
    seen += counts_[us];
    for (; next < ranks.size() && seen >= ranks[next]; ++next) {
      *results[next] = static_cast<int64_t>(us);
    }
  }
  std::vector<int64_t> rest = long_us_;
  std::sort(rest.begin(), rest.end());
  for (; next < ranks.size(); ++next) *results[next] = rest[ranks[next] - seen - 1];
  return summary;
}

}  // namespace lockd::lockbench
