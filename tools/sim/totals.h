// Totals: what many simulated runs amount to, as text and as JSON.
//
// Threading: pure value.
#ifndef LOCKD_TOOLS_SIM_TOTALS_H_
#define LOCKD_TOOLS_SIM_TOTALS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/simulation.h"

namespace lockd::sim {

struct Totals {
  uint64_t seeds = 0;
  uint64_t violations = 0;
  SimReport sum;  // of the runs that ended well
  std::vector<uint64_t> failed_seeds;
  double cpu_s = 0;  // of the runs

  void Add(const Totals& other);
  [[nodiscard]] double simulated_hours() const;
  [[nodiscard]] uint64_t fault_count() const;
  // Kinds of faults and marks that no run has hit; a clean result proves nothing about those.
  [[nodiscard]] std::vector<std::string> Missed() const;
};

[[nodiscard]] std::string AsText(const Totals& totals);
[[nodiscard]] std::string AsJson(const Totals& totals);

}  // namespace lockd::sim

#endif  // LOCKD_TOOLS_SIM_TOTALS_H_
