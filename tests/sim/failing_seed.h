// FailingSeed: while one lives, a broken invariant is reported with the command that replays it.
//
// Threading: one at a time in a process.
#ifndef LOCKD_TESTS_SIM_FAILING_SEED_H_
#define LOCKD_TESTS_SIM_FAILING_SEED_H_

#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/strings/string_view.h"
#include "protocol/base/check.h"

namespace lockd::sim {

class FailingSeed {
 public:
  explicit FailingSeed(uint64_t seed) {
    Current() = seed;
    SetCheckFailureHandler(Report);
  }
  ~FailingSeed() { SetCheckFailureHandler(nullptr); }
  FailingSeed(const FailingSeed&) = delete;
  FailingSeed& operator=(const FailingSeed&) = delete;

 private:
  static uint64_t& Current() {
    static uint64_t seed = 0;
    return seed;
  }
  static void Report(absl::string_view message) {
    std::fprintf(stderr,
                 "seed %lu failed: %s\nreplay: build/release/bin/sim --replay %lu --trace\n",
                 Current(), std::string(message).c_str(), Current());
  }
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_FAILING_SEED_H_
