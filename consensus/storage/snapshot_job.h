// What a node asks of its snapshot files, and the answers: owned values that travel between the
// loop and the file thread (or through a simulated disk), as LogWrite and LogRead do.
//
// A snapshot is made as a draft: SnapshotWrite jobs in order, then SnapshotFinish, which is the
// only one that promises durability; SnapshotAbandon instead gives the space back. `draft` is a
// number of the owner's choice; no two drafts of a process have the same one. Any number of drafts
// may be in the making (an own snapshot and a received one).
//
// Jobs are carried out in the order given and each is answered by exactly one SnapshotJobDone. A
// failed job is not the end of the process, unlike a failed write of the log: nothing was promised
// yet. The draft is unusable after it; the owner abandons it and may begin another one later.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_STORAGE_SNAPSHOT_JOB_H_
#define LOCKD_CONSENSUS_STORAGE_SNAPSHOT_JOB_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "consensus/raft/types.h"

namespace lockd::storage {

// The next bytes of a draft's content. Offset 0 makes the draft anew, also when there is one of
// that number; else `offset` is exactly where the content ended so far.
struct SnapshotWrite {
  uint64_t id = 0;
  uint64_t draft = 0;
  raft::LogBase base = {};  // the same in all writes of a draft
  uint64_t offset = 0;
  std::string bytes = {};
};

// The draft is whole: makes it durable, reads it back, compares it with `snapshot`, and gives it
// its name; then removes snapshots older than the two newest ones that verify. OK means that the
// snapshot is on the device and was read from there. The draft is gone either way.
//
// DataLoss: the content is not what `snapshot` says (a received snapshot was damaged on its way, or
// the device lost something). AlreadyExists: another snapshot of this index and term is there and
// whole; it is kept, and listed in `kept`.
struct SnapshotFinish {
  uint64_t id = 0;
  uint64_t draft = 0;
  raft::SnapshotId snapshot = {};
};

// Removes a draft; OK also if there is none.
struct SnapshotAbandon {
  uint64_t id = 0;
  uint64_t draft = 0;
};

// Bytes of the content from `offset` on: at most `bytes_max` (and kSnapshotReadBytesMax), fewer,
// but at least one, where a block of the file ends; none exactly at the content's end. NotFound:
// there is no such snapshot (any more). DataLoss: it is damaged at that place.
struct SnapshotRead {
  uint64_t id = 0;
  raft::SnapshotId snapshot = {};
  uint64_t offset = 0;
  size_t bytes_max = 0;
};

using SnapshotJob = std::variant<SnapshotWrite, SnapshotFinish, SnapshotAbandon, SnapshotRead>;

struct SnapshotJobDone {
  uint64_t id = 0;
  absl::Status status = {};
  std::string bytes = {};                   // of a SnapshotRead
  std::vector<raft::SnapshotId> kept = {};  // of a SnapshotFinish: what verifies on disk, ascending
};

// What one write may carry and one read gives.
inline constexpr size_t kSnapshotWriteBytesMax = 256 * 1024;
inline constexpr size_t kSnapshotReadBytesMax = 256 * 1024;

[[nodiscard]] inline uint64_t IdOf(const SnapshotJob& job) {
  return std::visit([](const auto& kind) { return kind.id; }, job);
}

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_SNAPSHOT_JOB_H_
