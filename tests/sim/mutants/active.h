// Which mutation is on in this process. Included by the mutated copies of product sources only: the
// product itself knows nothing of mutations.
//
// Threading: set once, before anything runs.
#ifndef LOCKD_TESTS_SIM_MUTANTS_ACTIVE_H_
#define LOCKD_TESTS_SIM_MUTANTS_ACTIVE_H_

#include <cstdint>

namespace lockd::mutants {

// Mutant::id of the one that is on; zero: none.
inline uint64_t active = 0;

[[nodiscard]] inline bool IsOn(uint64_t mutant) {
  return active == mutant;
}

}  // namespace lockd::mutants

#endif  // LOCKD_TESTS_SIM_MUTANTS_ACTIVE_H_
