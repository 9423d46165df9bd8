#include "client/boot_clock.h"

#include <time.h>

namespace lockd {

LocalTime BootClock::Read() noexcept {
  timespec reading{};
  clock_gettime(CLOCK_BOOTTIME, &reading);
  return LocalTime(int64_t{reading.tv_sec} * 1'000'000'000 + reading.tv_nsec);
}

}  // namespace lockd
