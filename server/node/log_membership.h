// LogMembership: finds the membership that stands in a recovered log.
//
// A membership counts from the moment at which it is in the log, committed or not (as in thesis
// 4.1), and --peers is only for an empty directory: so a node with a log looks for the first
// command, which is the cluster's Bootstrap, before it takes part in anything. The log's first
// entries are in the recovered tail or have to be read from disk.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_LOG_MEMBERSHIP_H_
#define LOCKD_SERVER_NODE_LOG_MEMBERSHIP_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "consensus/raft/types.h"
#include "consensus/storage/log_job.h"
#include "server/state/types.h"

namespace lockd::node {

class LogMembership {
 public:
  LogMembership() = default;

  // Looks at the log's next entries, in order from the first one.
  void Look(const std::vector<raft::Entry>& entries);
  [[nodiscard]] bool is_done() const { return is_done_; }
  // Nothing: the log has no membership yet.
  [[nodiscard]] const std::optional<state::Bootstrap>& found() const { return found_; }

  // Starts on a recovered log: either done at once, or the first read is to be made.
  void Start(const raft::RecoveredLog& recovered);
  [[nodiscard]] storage::LogRead NextRead(uint64_t id) const;

 private:
  raft::Index next_{1};
  raft::Index last_;
  bool is_done_ = false;
  std::optional<state::Bootstrap> found_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_LOG_MEMBERSHIP_H_
