// FaultBook: whether an occasion becomes a fault, and how often each kind of fault has struck.
//
// Every fault of a run passes through Admit; what then really happens is counted by Happened (a
// disk error that no call ever meets is none). That is what makes a failing seed shrink: each
// occasion has a number, counted through the run, and a run with some numbers left out is a run
// with fewer faults. What a fault draws comes from a generator of its own, so that leaving one out
// does not change the others' dice (it does change what they meet).
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_FAULT_BOOK_H_
#define LOCKD_TESTS_SIM_FAULT_BOOK_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "protocol/base/random.h"
#include "tests/sim/swarm.h"

namespace lockd::sim {

// A set of numbers, as half-open ranges.
class Omissions {
 public:
  Omissions() = default;
  explicit Omissions(std::vector<std::pair<uint64_t, uint64_t>> ranges)
      : ranges_(std::move(ranges)) {}

  [[nodiscard]] bool Contains(uint64_t number) const {
    for (const auto& [begin, end] : ranges_) {
      if (begin <= number && number < end) return true;
    }
    return false;
  }
  [[nodiscard]] const std::vector<std::pair<uint64_t, uint64_t>>& ranges() const { return ranges_; }

 private:
  std::vector<std::pair<uint64_t, uint64_t>> ranges_;
};

class FaultBook {
 public:
  FaultBook(const Swarm& swarm, uint64_t seed, Omissions omitted)
      : swarm_(swarm), random_(seed), omitted_(std::move(omitted)) {}

  // One occasion of a fault that is decided on already (a timed one): true if it is to be tried.
  bool Admit() { return on_ && !omitted_.Contains(occasions_++); }
  // The same, with the dice of its kind's rate (per message or on occasion).
  bool Chooses(Fault fault) {
    const uint64_t rate = swarm_.rate(fault);
    if (rate == 0 || !on_) return false;
    const uint64_t of = ShapeOf(fault) == FaultShape::kPerMessage ? 100'000 : 100;
    return random_.Chance(rate, of) && Admit();
  }
  void Happened(Fault fault) { ++counts_[static_cast<size_t>(fault)]; }
  // Chooses, for what surely happens when it is tried.
  bool Strikes(Fault fault) {
    const bool strikes = Chooses(fault);
    if (strikes) Happened(fault);
    return strikes;
  }
  // Off: no occasion is one, and none is counted.
  void set_on(bool on) { on_ = on; }
  [[nodiscard]] bool is_on() const { return on_; }

  [[nodiscard]] const FaultCounts& counts() const { return counts_; }
  // So many occasions were there: what may be left out.
  [[nodiscard]] uint64_t occasions() const { return occasions_; }

 private:
  const Swarm swarm_;
  Random random_;
  const Omissions omitted_;
  bool on_ = true;
  uint64_t occasions_ = 0;
  FaultCounts counts_{};
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_FAULT_BOOK_H_
