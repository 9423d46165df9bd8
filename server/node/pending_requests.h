// PendingRequests: who waits for what. Commands of this node that are in the log and not applied
// yet, by the entry they went into and their ordinal in it.
//
// A request is answered when its entry is applied, in the term in which this node proposed it. When
// another leader's entry stands at that index, or this node stops leading, whoever waits is told to
// ask the leader: whether the command took effect is unknown here, the session's sequence numbers
// find out.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_PENDING_REQUESTS_H_
#define LOCKD_SERVER_NODE_PENDING_REQUESTS_H_

#include <cstdint>
#include <deque>
#include <variant>
#include <vector>

#include "consensus/raft/types.h"
#include "protocol/base/ids.h"
#include "protocol/opcode.h"
#include "server/node/types.h"

namespace lockd::node {

// A request that is to be answered.
struct RequestRef {
  ConnectionId connection;
  uint32_t request_id = 0;
  Opcode opcode = Opcode::kHello;
  bool is_counted = true;  // against the connection's requests in flight
  // Of a cancel: whose outcome the reply shows.
  SessionId session;
  Sequence target;
  friend bool operator==(const RequestRef&, const RequestRef&) = default;
};

struct KeepAliveRef {
  RequestRef request;
  uint64_t transmission = 0;
};
// Those that wait for one KeepAlives command: for each of its sessions, one or more.
using KeepAliveRefs = std::vector<std::vector<KeepAliveRef>>;

struct Nobody {};  // a command of the node's own
using Waiter = std::variant<Nobody, RequestRef, KeepAliveRefs>;

class PendingRequests {
 public:
  // `waiters`: one for each command of the entry, by ordinal.
  void Add(raft::Term term, raft::Index index, std::vector<Waiter> waiters);

  // The entry at `index` is applied. Returns the waiters of its commands (none when this node did
  // not propose it), and adds those whose entry it superseded to `superseded`.
  [[nodiscard]] std::vector<Waiter> Take(raft::Term term, raft::Index index,
                                         std::vector<Waiter>* superseded);
  [[nodiscard]] std::vector<Waiter> TakeAll();

 private:
  struct Proposed {
    raft::Term term;
    raft::Index index;
    std::vector<Waiter> waiters;
  };
  std::deque<Proposed> proposed_;  // ascending by index
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_PENDING_REQUESTS_H_
