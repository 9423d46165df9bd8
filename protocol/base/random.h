// A seeded generator whose sequence is the same on every machine, library and run.
//
// The pure parts take a seed and own a `Random`; standard distributions are not used because their
// output is unspecified. The algorithm is xoshiro256** seeded through splitmix64 (both public
// domain, Blackman and Vigna). Not for secrets: nonces come from the operating system at the rim.
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_BASE_RANDOM_H_
#define LOCKD_PROTOCOL_BASE_RANDOM_H_

#include <array>
#include <bit>
#include <cstdint>

#include "protocol/base/check.h"

namespace lockd {

class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15u;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
  }

  [[nodiscard]] uint64_t Next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // Uniform in [low, high], both included.
  [[nodiscard]] uint64_t Between(uint64_t low, uint64_t high) {
    LOCKD_CHECK(low <= high, low, " > ", high);
    const uint64_t span = high - low + 1;
    if (span == 0) return Next();
    // Reject the uneven rest, so that every value is equally likely.
    const uint64_t limit = ~uint64_t{0} - (~uint64_t{0} % span + 1) % span;
    uint64_t draw = Next();
    while (draw > limit) draw = Next();
    return low + draw % span;
  }
  // Uniform in [0, bound).
  [[nodiscard]] uint64_t Below(uint64_t bound) { return Between(0, bound - 1); }
  // True `numerator` times in `denominator`.
  [[nodiscard]] bool Chance(uint64_t numerator, uint64_t denominator) {
    return Below(denominator) < numerator;
  }
  // A generator for a part of its own, independent of how often this one is used afterwards.
  [[nodiscard]] Random Fork() { return Random(Next()); }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_BASE_RANDOM_H_
