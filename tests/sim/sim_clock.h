// SimClock: one machine's monotonic clock, with an offset of its own and a rate that is a little
// off.
//
// Rates differ by less than the bound that lockd is built on (protocol/base/time.h: 0.5 % between
// any two clocks), so that everything that depends on it must hold.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_SIM_CLOCK_H_
#define LOCKD_TESTS_SIM_SIM_CLOCK_H_

#include <cstdint>
#include <optional>

#include "protocol/base/random.h"
#include "protocol/base/time.h"
#include "tests/sim/scheduler.h"

namespace lockd::sim {

class SimClock {
 public:
  // `has_offset`: begins anywhere, not at a second. `rate_ppm_max`: how far from true time the rate
  // may be, in millionths; 2,480 keeps two clocks within 0.5 %.
  SimClock(const Scheduler* scheduler, Random* random, bool has_offset, int64_t rate_ppm_max)
      : scheduler_(scheduler),
        offset_(static_cast<int64_t>(has_offset ? random->Between(1, 1'000'000'000) : 1'000) *
                kSeconds / 1'000),
        rate_ppm_(
            static_cast<int64_t>(random->Between(0, static_cast<uint64_t>(2 * rate_ppm_max))) -
            rate_ppm_max) {}

  [[nodiscard]] LocalTime Now() const {
    if (stands_at_.has_value()) return *stands_at_;
    const Time now = scheduler_->now();
    // In two parts, so that it is exact without overflow, and never goes back.
    return LocalTime(offset_ + now + now / 1'000'000 * rate_ppm_ +
                     now % 1'000'000 * rate_ppm_ / 1'000'000);
  }
  // The simulated time at which this clock shows at least `local`; not before now.
  [[nodiscard]] Time WhenReached(LocalTime local) const {
    if (local == kNeverLocal) return kNever;
    const int64_t distance = local - Now();
    if (distance <= 0) return scheduler_->now();
    // A little late rather than early: a timer never fires before its time.
    return scheduler_->now() + distance +
           distance / 1'000'000 * (rate_ppm_ < 0 ? -rate_ppm_ + 20 : 0) + 1'000;
  }
  // The simulated time at which this clock showed or will show `local`, if it never stands still.
  [[nodiscard]] Time TrueTimeOf(LocalTime local) const {
    const auto distance = static_cast<__int128>(local - Now());
    return scheduler_->now() +
           static_cast<Time>(distance * 1'000'000 / (1'000'000 + static_cast<__int128>(rate_ppm_)));
  }
  static constexpr Time kNever = INT64_MAX;

  // The machine is suspended: CLOCK_MONOTONIC stands still until GoOn.
  void StandStill() {
    if (!stands_at_.has_value()) stands_at_ = Now();
  }
  void GoOn() {
    if (!stands_at_.has_value()) return;
    const LocalTime stood_at = *stands_at_;
    stands_at_.reset();
    offset_ -= Now() - stood_at;
  }

 private:
  const Scheduler* scheduler_;
  int64_t offset_;
  int64_t rate_ppm_;
  std::optional<LocalTime> stands_at_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SIM_CLOCK_H_
