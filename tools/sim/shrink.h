// Shrink: the least of a failing seed that still fails in the same way.
//
// Leaves out ranges of fault occasions, then of acquires, as long as the same invariant breaks
// (delta debugging, Zeller 1999: halves first, then smaller pieces). What remains is not always the
// least there is: with something left out the rest of the run is another one.
//
// Threading: one thread; each try is a child process.
#ifndef LOCKD_TOOLS_SIM_SHRINK_H_
#define LOCKD_TOOLS_SIM_SHRINK_H_

#include <cstdint>
#include <functional>
#include <string>

#include "tests/sim/simulation.h"

namespace lockd::sim {

struct Shrunk {
  std::string broken;  // name of the invariant; empty: the seed does not fail
  SimOptions options;  // the least run that breaks it
  SimProgress before;  // how much of it there was, when it broke
  SimProgress after;
  uint64_t tries = 0;
};

// Gives up looking for less after `tries_max` runs. `run` is RunSimulation, or what a test has in
// its place: it breaks a LOCKD_CHECK, or returns.
using Run = std::function<void(const SimOptions&)>;
[[nodiscard]] Shrunk Shrink(uint64_t seed, uint64_t tries_max, const Run& run);

// "3-10,17" and back: first and last number of each range.
[[nodiscard]] std::string FormatOmissions(const Omissions& omissions);
[[nodiscard]] bool ParseOmissions(const std::string& text, Omissions* omissions);

}  // namespace lockd::sim

#endif  // LOCKD_TOOLS_SIM_SHRINK_H_
