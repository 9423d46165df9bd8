#include "tools/lockctl/boot_alarm.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "protocol/base/check.h"

namespace lockd::lockctl {
namespace {

int MakeTimer() {
  const int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  LOCKD_CHECK(timer >= 0, "timerfd_create failed");
  return timer;
}

void SetTimer(int timer, int64_t at_ns) {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  itimerspec spec{};
  spec.it_value.tv_sec = at_ns / kNanosPerSecond;
  spec.it_value.tv_nsec = at_ns % kNanosPerSecond;
  LOCKD_CHECK(timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, nullptr) == 0, "at ", at_ns);
}

}  // namespace

BootAlarm::BootAlarm(boost::asio::io_context& context, absl::AnyInvocable<void()> ring)
    : ring_(std::move(ring)), timer_(context, MakeTimer()) {
  Wait();
}

void BootAlarm::Set(BootClock::time_point at) {
  // Zero would disarm it.
  SetTimer(timer_.native_handle(), std::max<int64_t>(at.time_since_epoch().count(), 1));
}

void BootAlarm::Stop() {
  SetTimer(timer_.native_handle(), 0);
}

void BootAlarm::Wait() {
  timer_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](const boost::system::error_code& error) {
                      if (error) return;
                      uint64_t expirations = 0;
                      // Nothing to read: it was set anew since.
                      const bool is_due = read(timer_.native_handle(), &expirations,
                                               sizeof(expirations)) == sizeof(expirations);
                      if (is_due) ring_();
                      Wait();
                    });
}

}  // namespace lockd::lockctl
