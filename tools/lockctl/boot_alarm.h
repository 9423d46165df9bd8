// BootAlarm: calls back at a moment of the boot clock, also when the machine was asleep then: at
// once when it wakes up, before any other timer would notice.
//
// Threading: loop only.
#ifndef LOCKD_TOOLS_LOCKCTL_BOOT_ALARM_H_
#define LOCKD_TOOLS_LOCKCTL_BOOT_ALARM_H_

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "absl/functional/any_invocable.h"
#include "client/boot_clock.h"

namespace lockd::lockctl {

class BootAlarm {
 public:
  // `ring` runs once for each time that was set and has come.
  BootAlarm(boost::asio::io_context& context, absl::AnyInvocable<void()> ring);

  // Replaces the time set before. A time in the past rings at once.
  void Set(BootClock::time_point at);
  void Stop();

 private:
  void Wait();

  absl::AnyInvocable<void()> ring_;
  boost::asio::posix::stream_descriptor timer_;
};

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_BOOT_ALARM_H_
