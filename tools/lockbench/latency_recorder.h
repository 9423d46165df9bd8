// LatencyRecorder: counts latencies exactly, in whole microseconds.
//
// Every microsecond up to about a second has a counter of its own; what is longer is kept as it is,
// and there is little of it. So percentiles are those of the samples, not of buckets, and memory
// does not grow with their number.
//
// Threading: pure value.
#ifndef LOCKD_TOOLS_LOCKBENCH_LATENCY_RECORDER_H_
#define LOCKD_TOOLS_LOCKBENCH_LATENCY_RECORDER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockd::lockbench {

struct LatencySummary {
  uint64_t count = 0;
  // Nothing is known about these when count is 0. A percentile is the smallest sample that is not
  // below that share of all.
  int64_t p50_us = 0;
  int64_t p90_us = 0;
  int64_t p99_us = 0;
  int64_t p999_us = 0;
  int64_t max_us = 0;
};

class LatencyRecorder {
 public:
  static constexpr size_t kCounters = size_t{1} << 20;

  LatencyRecorder() : counts_(kCounters) {}

  void Record(int64_t latency_ns) {
    const int64_t us = latency_ns / 1'000;
    ++count_;
    if (us >= 0 && static_cast<size_t>(us) < kCounters) {
      ++counts_[static_cast<size_t>(us)];
    } else {
      long_us_.push_back(us);
    }
  }
  void Clear();

  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] LatencySummary Summarize() const;

 private:
  std::vector<uint64_t> counts_;  // by microseconds
  std::vector<int64_t> long_us_;  // those that have no counter
  uint64_t count_ = 0;
};

}  // namespace lockd::lockbench

#endif  // LOCKD_TOOLS_LOCKBENCH_LATENCY_RECORDER_H_
