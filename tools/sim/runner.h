// Runner: many seeds in parallel processes, with a progress line.
//
// Threading: one thread.
#ifndef LOCKD_TOOLS_SIM_RUNNER_H_
#define LOCKD_TOOLS_SIM_RUNNER_H_

#include <chrono>
#include <cstdint>

#include "tools/sim/totals.h"

namespace lockd::sim {

// A line on a terminal that is written over, or one line every ten seconds elsewhere.
class ProgressLine {
 public:
  void Show(const Totals& totals);
  void End();

 private:
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = began_;
};

// Runs the seeds [first, last], `jobs` at a time, on top of what `before` has already (for the
// progress line). Seeds whose run breaks an invariant are counted, and the rest goes on.
[[nodiscard]] Totals RunSeeds(uint64_t first, uint64_t last, uint64_t jobs, const Totals& before,
                              ProgressLine* progress);

}  // namespace lockd::sim

#endif  // LOCKD_TOOLS_SIM_RUNNER_H_
