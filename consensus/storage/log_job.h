// What a node asks of its disk, and the answers: owned values that travel between threads (or
// through a simulated disk).
//
// Nothing is ever read from disk synchronously by the deciding parts; every job is answered by a
// later input.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_STORAGE_LOG_JOB_H_
#define LOCKD_CONSENSUS_STORAGE_LOG_JOB_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::storage {

using LogBase = raft::LogBase;

// One write and one sync. Writes are carried out in order; done means durable. When the first
// entry's index is not above the last index on disk, the conflicting suffix from that index on is
// cut first, as part of the same write.
struct LogWrite {
  uint64_t id = 0;
  std::optional<raft::HardState> hard_state = {};
  std::vector<raft::Entry> entries = {};
  // Set once in a directory's life: the cluster that this node now belongs to, made durable before
  // the write completes.
  std::optional<ClusterId> cluster_id = {};
  // Entries up to here may be forgotten: a durable snapshot holds their effect. Where the log does
  // not hold this very entry (it is shorter, or has another term there), all of the log is
  // forgotten and `entries` continue after the base. Takes effect before `entries`.
  std::optional<LogBase> base = {};
};
struct LogWriteDone {
  uint64_t id = 0;
};

// Entries [first, last] as far as `bytes_max` (sum of Entry::size_bytes) goes, at least one.
struct LogRead {
  uint64_t id = 0;
  raft::Index first = {};
  raft::Index last = {};
  size_t bytes_max = 0;
};
struct LogReadDone {
  uint64_t id = 0;
  std::vector<raft::Entry> entries;
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_LOG_JOB_H_
