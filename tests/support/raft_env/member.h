// One scripted member: the core, its disk, and what it has asked for and not yet got.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_RAFT_ENV_MEMBER_H_
#define LOCKD_TESTS_SUPPORT_RAFT_ENV_MEMBER_H_

#include <deque>
#include <memory>
#include <vector>

#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"
#include "tests/support/raft_env/disk.h"

namespace lockd::raft_env {

struct Member {
  raft::Options options;
  Disk disk;
  std::unique_ptr<raft::Raft> raft;       // null: down
  std::deque<raft::WriteRequest> writes;  // started, not yet durable, oldest first
  std::deque<raft::ReadRequest> reads;    // started, not yet answered
  std::deque<raft::Entry> to_apply;       // committed, handed out by the core, not yet applied
  raft::Index applied;                    // of this incarnation's state machine
  bool disk_stalled = false;              // stabilize and run do not complete writes and reads
  bool apply_stalled = false;             // nor does anything but `apply` apply entries

  [[nodiscard]] bool up() const { return raft != nullptr; }

  // The member's log as far as its owner has seen it: the disk with the waiting writes on top.
  // (Entries that the core has not handed out in a Ready yet are missing.)
  [[nodiscard]] std::vector<raft::Entry> Log() const {
    Disk seen = disk;
    for (const raft::WriteRequest& write : writes) seen.Write(write);
    return seen.entries;
  }
};

}  // namespace lockd::raft_env

#endif  // LOCKD_TESTS_SUPPORT_RAFT_ENV_MEMBER_H_
