// What one member of a Raft group is told at its start.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_OPTIONS_H_
#define LOCKD_CONSENSUS_RAFT_OPTIONS_H_

#include <cstddef>
#include <cstdint>

#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::raft {

struct Options {
  NodeId id;
  Configuration configuration;  // in force until the log says otherwise
  uint64_t seed = 0;            // for election timeouts
  uint64_t heartbeat_ticks = 5;
  // An election timeout is drawn from (min, max]: strictly above the lease of `min` ticks that a
  // heard leader has.
  uint64_t election_ticks_min = 30;
  uint64_t election_ticks_max = 60;
  // A leader whose oldest write is under way for longer steps down: it would answer heartbeats and
  // yet commit nothing that needs its disk (S-12). Zero: never.
  uint64_t write_stall_ticks_max = 500;
  size_t append_bytes_max = 256 * 1024;             // entries of one AppendRequest
  size_t send_bytes_max = 4 * 1024 * 1024;          // entries of one Ready, per follower
  size_t inflight_appends_max = 64;                 // per follower
  size_t inflight_bytes_max = 4 * 1024 * 1024;      // per follower
  size_t uncommitted_bytes_max = 16 * 1024 * 1024;  // proposals above it are refused
  size_t tail_bytes_max = 64 * 1024 * 1024;         // durable, applied entries kept for followers
  size_t apply_bytes_max = 1024 * 1024;             // committed entries of one Ready
  size_t read_bytes_max = 256 * 1024;               // one ReadRequest
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_OPTIONS_H_
