// ClockLedger: cluster time against real time.
//
//   ClusterTimeMonotone  (I-12) the time of committed entries never decreases
//   ClusterTimeBounded   (I-12) between any two committed entries it grows by no more than the real
//                        time between their stampings x 1.005 and one millisecond of rounding,
//                        whoever stamped them
//
// Tell it each entry as its leader appends it, with the real (simulated) time of that turn, and
// each entry as it is first seen committed, in order of index. It keeps the greatest lead that
// cluster time ever had to make up, so that all pairs are compared at the price of one.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_CLOCK_LEDGER_H_
#define LOCKD_TESTS_SIM_CHECKS_CLOCK_LEDGER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "consensus/raft/types.h"
#include "protocol/base/time.h"

namespace lockd::sim {

class ClockLedger {
 public:
  // The log goes on behind an entry of this time, in place of what came after it: a restore. What
  // the clock had gained then, it has not lost.
  void GoOnAfter(ClusterTime time) {
    stamped_.clear();
    last_time_ = time;
  }
  // The leader of `term` appended this entry at `real_ns`. Once for each; later calls say nothing.
  void Stamped(raft::Index index, raft::Term term, int64_t real_ns);
  // `real_ns` of an entry that Stamped never told counts as now.
  [[nodiscard]] std::string Committed(raft::Index index, raft::Term term, ClusterTime time,
                                      int64_t real_ns);

 private:
  absl::flat_hash_map<std::pair<raft::Index, raft::Term>, int64_t> stamped_;
  ClusterTime last_time_;
  // The least of (cluster time - real time x 1.005) over all committed entries, in microseconds /
  // kDriftDivisor; none yet: nullopt.
  std::optional<int64_t> least_lead_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_CLOCK_LEDGER_H_
