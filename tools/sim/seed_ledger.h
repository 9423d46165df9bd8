// SeedLedger: which seeds a build has run already, in a text file, so that a soak goes on where the
// last one of the same build stopped.
//
//   # build     seeds        violations  simulated hours
//   9f3c21aa    1..128       0           6.41
//
// A build is named by the checksum of its program: other code begins anew at seed 1.
//
// Threading: one thread.
#ifndef LOCKD_TOOLS_SIM_SEED_LEDGER_H_
#define LOCKD_TOOLS_SIM_SEED_LEDGER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "tools/sim/totals.h"

namespace lockd::sim {

class SeedLedger {
 public:
  explicit SeedLedger(std::string path);

  // Reads the file; makes it if there is none. InvalidArgument: not a ledger, with the line.
  // Unavailable: it cannot be written.
  absl::Status Open();
  // The first seed that no range of this build covers.
  [[nodiscard]] uint64_t next_seed() const { return next_seed_; }
  [[nodiscard]] const std::string& build() const { return build_; }
  // Notes a range that has been run to its end.
  absl::Status Add(uint64_t first, uint64_t last, const Totals& totals);

 private:
  const std::string path_;
  const std::string build_;
  uint64_t next_seed_ = 1;
};

}  // namespace lockd::sim

#endif  // LOCKD_TOOLS_SIM_SEED_LEDGER_H_
