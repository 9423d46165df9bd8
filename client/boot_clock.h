// BootClock: the clock that a session counts by. CLOCK_BOOTTIME never steps and goes on while the
// machine sleeps, so that a lock cannot survive a suspend by accident.
//
// Threading: any.
#ifndef LOCKD_CLIENT_BOOT_CLOCK_H_
#define LOCKD_CLIENT_BOOT_CLOCK_H_

#include <chrono>

#include "protocol/base/time.h"

namespace lockd {

struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock, duration>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept { return ToTimePoint(Read()); }

  // The same reading as the pure parts take it.
  static LocalTime Read() noexcept;
  static constexpr time_point ToTimePoint(LocalTime time) noexcept {
    return time_point(duration(time.value()));
  }
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_BOOT_CLOCK_H_
