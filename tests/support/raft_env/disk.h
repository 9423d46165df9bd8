// The stable storage of one scripted member: what would still be there after a power cut.
//
// Writes become durable only when the script says so (RaftEnv::CompleteWrite); until then they wait
// in a queue beside the disk. The log starts after its base, like one whose beginning a snapshot
// has replaced. Snapshots are durable at once.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_RAFT_ENV_DISK_H_
#define LOCKD_TESTS_SUPPORT_RAFT_ENV_DISK_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "consensus/raft/types.h"

namespace lockd::raft_env {

struct Disk {
  raft::HardState hard_state;
  raft::LogBase base;
  std::vector<raft::Entry> entries;       // contiguous from base.index + 1
  std::optional<raft::LogBase> snapshot;  // the newest one

  [[nodiscard]] raft::Index last_index() const { return base.index + entries.size(); }
  // Null when the index is not on disk.
  [[nodiscard]] const raft::Entry* At(raft::Index index) const;
  // The entry is in the log, or before its beginning.
  [[nodiscard]] bool Holds(const raft::LogBase& entry) const;

  // Carries a write out: forgets what its base covers, cuts a conflicting suffix, appends, replaces
  // the hard state.
  void Write(const raft::WriteRequest& write);
  // What a start does first: a snapshot that the log does not reach, or contradicts, replaces it.
  void Start();
  // What a restarting member is given: the hard state and the newest entries, all that are
  // not known to be committed and the last one that is, at least one, and beyond that as many as
  // fit into `tail_bytes_max`.
  [[nodiscard]] raft::RecoveredLog Recover(size_t tail_bytes_max) const;
  // Answers a read within its byte limit; the first entry is given however large it is.
  [[nodiscard]] std::vector<raft::Entry> Read(const raft::ReadRequest& read) const;

 private:
  void Rebase(const raft::LogBase& to);
};

// The entry that scripts name by its term alone: a command `xINDEX.TERM`.
[[nodiscard]] raft::Entry ScriptedEntry(raft::Term term, raft::Index index);

// "#4 t3 vote=1 commit=7 [(3,8) (3,9)]": the parts that are there.
[[nodiscard]] std::string DescribeWrite(const raft::WriteRequest& write);

}  // namespace lockd::raft_env

#endif  // LOCKD_TESTS_SUPPORT_RAFT_ENV_DISK_H_
