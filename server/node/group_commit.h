// GroupCommit: what goes into the next write.
//
// While a write is under way, commands collect; when it is done they become one log entry and one
// write. An idle node does not wait for company: the first command leaves in the turn in which it
// came. The keep-alives collected so far go first in every entry, whatever else is waiting.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_GROUP_COMMIT_H_
#define LOCKD_SERVER_NODE_GROUP_COMMIT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "protocol/base/time.h"
#include "server/node/keep_alive_collector.h"
#include "server/node/pending_requests.h"
#include "server/node/types.h"
#include "server/state/types.h"

namespace lockd::node {

// How much a command may ask of a node under load.
enum class Admission : uint8_t {
  kNewWork,   // acquires, sessions: shed first
  kWindDown,  // releases, cancels, closes: they make room, and are shed at twice the load
  kAlways,    // the node's own commands
};

class GroupCommit {
 public:
  explicit GroupCommit(const NodeOptions& options)
      : batch_bytes_max_(options.batch_bytes_max),
        pending_bytes_max_(options.pending_command_bytes_max),
        uncommitted_bytes_max_(options.uncommitted_bytes_max) {}

  // Is there room for a command of `bytes`, when the log has `uncommitted_bytes` under way?
  [[nodiscard]] bool Admits(Admission admission, size_t bytes, size_t uncommitted_bytes) const;
  // `bytes`: about what it takes up in the log. `clean_up_bytes`: what the work beside it counts as
  // (kCleanUpBytes), so that an entry is not too much for a turn.
  void Add(state::Command command, size_t bytes, Waiter waiter, size_t clean_up_bytes = 0);

  [[nodiscard]] bool empty() const { return pending_.empty(); }
  [[nodiscard]] size_t pending_bytes() const { return pending_bytes_; }

  struct Draft {
    std::string payload;
    std::vector<Waiter> waiters;  // one for each command, by ordinal
  };
  // The next entry: keep-alives, then commands in the order in which they came, up to the batch
  // limit. Without either it is a time entry.
  [[nodiscard]] Draft Take(KeepAliveCollector& keep_alives, WallTime wall_time);
  [[nodiscard]] std::vector<Waiter> TakeAllWaiters();

 private:
  struct Pending {
    state::Command command;
    size_t bytes;
    Waiter waiter;
    size_t clean_up_bytes;
  };

  const size_t batch_bytes_max_;
  const size_t pending_bytes_max_;
  const size_t uncommitted_bytes_max_;
  std::deque<Pending> pending_;
  size_t pending_bytes_ = 0;  // sum over pending_
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_GROUP_COMMIT_H_
