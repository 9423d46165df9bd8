// Timing: milliseconds of the options, in the core's ticks.
//
// What is out of the bounds of types.h ends the process: it is for server/config to refuse what
// people ask for. A tick is a fifth of the heartbeat interval. Time that the process was stopped
// for is given to the core only in part: what the others sent meanwhile waits in the sockets and
// comes first.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_TIMING_H_
#define LOCKD_SERVER_NODE_TIMING_H_

#include <cstdint>

#include "consensus/raft/options.h"
#include "protocol/base/time.h"
#include "server/node/types.h"

namespace lockd::node {

class Timing {
 public:
  explicit Timing(const NodeOptions& options);

  // All but the configuration.
  [[nodiscard]] raft::Options RaftOptions(const NodeOptions& options) const;

  struct Ticks {
    uint64_t count = 0;  // to give to the core
    LocalTime until;     // the last tick at or before the end
  };
  [[nodiscard]] Ticks TicksBetween(LocalTime from, LocalTime to) const;
  // `count` ticks after `from`, itself a tick; no later than a heartbeat interval.
  [[nodiscard]] LocalTime TickAfter(LocalTime from, uint64_t count) const;

 private:
  int64_t tick_ns_;
  uint64_t heartbeat_ticks_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_TIMING_H_
