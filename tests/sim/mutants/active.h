// Which mutation is on in this process. Included by the mutated copies of product sources only: the
// product itself knows nothing of mutations.
//
// Threading: set once, before anything runs.
#ifndef LOCKD_TESTS_SIM_MUTANTS_ACTIVE_H_
#define LOCKD_TESTS_SIM_MUTANTS_ACTIVE_H_

namespace lockd::mutants {

// A place in AllMutants(), counted from one; zero: none.
inline int active = 0;

[[nodiscard]] inline bool IsOn(int mutant) {
  return active == mutant;
}

}  // namespace lockd::mutants

#endif  // LOCKD_TESTS_SIM_MUTANTS_ACTIVE_H_
