// The mutations that this program contains; table.cc is written by make_sources.py.
//
// Threading: any (constant).
#ifndef LOCKD_TESTS_SIM_MUTANTS_TABLE_H_
#define LOCKD_TESTS_SIM_MUTANTS_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace lockd::mutants {

struct Mutant {
  uint64_t id = 0;  // as the copies know it, see active.h
  std::string name;
  std::string title;  // catalogue number if it has one, what is wrong, where it happened
  // The recorded range: simulation finds it there, within the time that CI grants.
  uint64_t first_seed = 0;
  uint64_t last_seed = 0;
};

// In the order of their names.
[[nodiscard]] const std::vector<Mutant>& AllMutants();

}  // namespace lockd::mutants

#endif  // LOCKD_TESTS_SIM_MUTANTS_TABLE_H_
