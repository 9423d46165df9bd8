// When the command under a lock must be stopped, so that it is dead before the lock can be granted
// to anybody else.
//
//   last answer          TERM            KILL          deadline (client's)     server's deadline
//       ├───────────1/2────┼──────1/4──────┼──────1/4──────┤                        ┤
//
// The last answer is the send time of the newest transmission (keep-alive or ping) that the cluster
// has answered. Each answer moves all of it to the right, unless the deadline is that of a maximum
// hold, which stands.
//
// Threading: pure value.
#ifndef LOCKD_TOOLS_LOCKCTL_STOP_TIMES_H_
#define LOCKD_TOOLS_LOCKCTL_STOP_TIMES_H_

#include <algorithm>

#include "client/boot_clock.h"

namespace lockd::lockctl {

struct StopTimes {
  BootClock::time_point term;
  BootClock::time_point kill;
};

[[nodiscard]] constexpr StopTimes ComputeStopTimes(BootClock::time_point last_answer,
                                                   BootClock::time_point deadline) {
  const BootClock::duration remains = std::max(deadline - last_answer, BootClock::duration(0));
  return {deadline - remains / 2, deadline - remains / 4};
}

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_STOP_TIMES_H_
