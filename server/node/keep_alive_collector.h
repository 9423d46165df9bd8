// KeepAliveCollector: keep-alives of a short window become one command.
//
// One slot per session: a second keep-alive of the same session joins the first one, and both are
// answered from the one renewal. So what is collected is bounded by the sessions, and keep-alives
// need not be shed when everything else is.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_KEEP_ALIVE_COLLECTOR_H_
#define LOCKD_SERVER_NODE_KEEP_ALIVE_COLLECTOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "server/node/pending_requests.h"
#include "server/state/types.h"

namespace lockd::node {

class KeepAliveCollector {
 public:
  explicit KeepAliveCollector(int64_t window_ms) : window_ns_(window_ms * kNanosPerMilli) {}

  [[nodiscard]] bool Has(SessionId session) const { return places_.contains(session); }
  // False: its slot has no room for that many acknowledgements now.
  [[nodiscard]] bool Add(state::KeepAlives::One keep_alive, KeepAliveRef waiter);

  // A turn begins: the window opens with the first keep-alive of a turn.
  void OnTime(LocalTime now);
  [[nodiscard]] bool empty() const { return slots_.empty(); }
  // The end of the window; kNeverLocal when nothing is collected.
  [[nodiscard]] LocalTime due_at() const { return due_at_; }

  struct Taken {
    state::KeepAlives command;
    KeepAliveRefs waiters;
  };
  // The oldest slots, as many as make up about `bytes_max` in the log; the rest is due at once.
  [[nodiscard]] Taken Take(size_t bytes_max);
  // Gives up all that is collected; whoever waits is to be told.
  [[nodiscard]] KeepAliveRefs TakeAllWaiters();

 private:
  struct Slot {
    state::KeepAlives::One keep_alive;
    std::vector<KeepAliveRef> waiters;
  };

  const int64_t window_ns_;
  std::vector<Slot> slots_;  // in order of arrival
  absl::flat_hash_map<SessionId, size_t> places_;
  LocalTime due_at_ = kNeverLocal;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_KEEP_ALIVE_COLLECTOR_H_
