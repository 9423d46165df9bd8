// Simulation: a whole cluster and its clients in one thread, from one seed.
//
//   SimReport report = RunSimulation({.seed = 7});
//
// First a time with faults (the seed's swarm). Then a core of the nodes, a majority with true
// disks, is healed, the rest is frozen as it is, and progress is demanded within the bounds that
// lockd promises: a leader, every pending operation answered, dead sessions gone, waiters granted,
// nothing held. Then the rest is healed too, and all replicas must become alike.
//
// Invariants are checked throughout; a broken one ends the process through LOCKD_CHECK. The same
// seed gives the same run: SimReport::hash is over all that happened.
//
// Threading: one thread; several simulations may run in several processes.
#ifndef LOCKD_TESTS_SIM_SIMULATION_H_
#define LOCKD_TESTS_SIM_SIMULATION_H_

#include <cstdint>
#include <functional>
#include <string>

#include "protocol/base/reach.h"
#include "tests/sim/fault_book.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/swarm.h"

namespace lockd::sim {

struct SimProgress {
  uint64_t fault_occasions = 0;
  uint64_t operations = 0;  // acquires
  Time simulated = 0;
};

struct SimOptions {
  uint64_t seed = 0;
  std::function<void(const std::string&)> trace{};  // a line for all that happens; may be empty
  // For shrinking: occasions of faults, and acquires, that are left out.
  Omissions omit_faults{};
  Omissions omit_operations{};
  // Kept up to date, so that it is known when the run does not end well; may be null.
  SimProgress* progress = nullptr;
};

// All but the hash add up over runs.
struct SimReport {
  uint64_t hash = 0;
  Time simulated = 0;
  uint64_t events = 0;
  uint64_t committed = 0;
  uint64_t acquires = 0;
  uint64_t operations = 0;  // acquires and releases
  uint64_t grants = 0;
  uint64_t reads = 0;  // linearizable, answered
  uint64_t works = 0;  // fenced writes accepted
  uint64_t stale_writes_refused = 0;
  uint64_t losses = 0;
  uint64_t nodes_lost = 0;  // whose disks were refused for good
  // Of the digest watch, told while a node of another version was up.
  uint64_t mixed_verdicts = 0;
  uint64_t fault_occasions = 0;
  FaultCounts faults{};
  ReachCounters marks{};  // of this run

  void Add(const SimReport& other);
};

[[nodiscard]] SimReport RunSimulation(const SimOptions& options);

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SIMULATION_H_
