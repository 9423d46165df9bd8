// One scripted member: the core, its disk, and what it has asked for and not yet got.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_RAFT_ENV_MEMBER_H_
#define LOCKD_TESTS_SUPPORT_RAFT_ENV_MEMBER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"
#include "tests/support/raft_env/disk.h"

namespace lockd::raft_env {

// A read from disk that was asked for.
struct WaitingRead {
  raft::ReadRequest request;
  // What it finds, when the disk has carried it out before a write that was asked for later.
  std::optional<std::vector<raft::Entry>> found;
};

struct Member {
  raft::Options options;  // its configuration: that of a log from its first entry on
  Disk disk;
  std::unique_ptr<raft::Raft> raft;       // null: down
  std::deque<raft::WriteRequest> writes;  // started, not yet durable, oldest first
  std::deque<WaitingRead> reads;          // started, not yet answered
  std::deque<raft::Entry> to_apply;       // committed, handed out by the core, not yet applied
  raft::Index applied;                    // of this incarnation's state machine
  // A snapshot that comes in from the leader, and how much of it is there.
  std::optional<raft::SnapshotId> receiving;
  uint64_t received_bytes = 0;
  bool disk_stalled = false;   // stabilize and run do not complete writes and reads
  bool apply_stalled = false;  // nor does anything but `apply` apply entries

  [[nodiscard]] bool up() const { return raft != nullptr; }

  // The member's log as far as its owner has seen it: the disk with the waiting writes on top.
  // (Entries that the core has not handed out in a Ready yet are missing.)
  [[nodiscard]] std::vector<raft::Entry> Log() const { return Seen().entries; }
  [[nodiscard]] Disk Seen() const {
    Disk seen = disk;
    for (const raft::WriteRequest& write : writes) seen.Write(write);
    return seen;
  }
};

}  // namespace lockd::raft_env

#endif  // LOCKD_TESTS_SUPPORT_RAFT_ENV_MEMBER_H_
