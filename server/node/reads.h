// Reads: questions about the state that change nothing.
//
// A linearizable read waits until a majority has confirmed, after the question came, that this node
// leads, and until what was committed by then is applied (read index, thesis 6.4). A stale read is
// answered at the end of the turn in which it came, from what this node has applied, whatever its
// role, with the age of that (freshness.h): before the end of the turn a process that stood still
// does not know yet for how long it did.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_READS_H_
#define LOCKD_SERVER_NODE_READS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "consensus/raft/types.h"
#include "protocol/lock.pb.h"
#include "server/node/client_connections.h"
#include "server/node/context.h"
#include "server/node/pending_requests.h"

namespace lockd::node {

class Reads {
 public:
  using Query = std::variant<pb::GetLockRequest, pb::ListLocksRequest, pb::ListSessionsRequest>;

  // Both must outlive this.
  Reads(NodeContext& context, ClientConnections& connections)
      : context_(context), connections_(connections) {}

  void OnQuery(const RequestRef& request, Query query);
  // The core has decided about a read; it is answered now, or once enough is applied.
  void OnReleased(const raft::ReleasedRead& released);
  // More is applied.
  void OnApplied();
  // The end of a turn; what this node shows is so old.
  void AnswerStale(std::optional<int64_t> age_ms);
  // Leadership is lost: nothing can be confirmed any more.
  void FailAll();

 private:
  struct Read {
    RequestRef request;
    Query query;
    bool is_confirmed = false;
    raft::Index index;  // confirmed: to be answered once this is applied
  };

  // `age_ms` is zero for a linearizable read, and -1 where it is unknown.
  void Answer(const Read& read, int64_t age_ms);
  void AnswerGetLock(const RequestRef& request, const pb::GetLockRequest& query, int64_t age_ms);
  void AnswerListLocks(const RequestRef& request, const pb::ListLocksRequest& query,
                       int64_t age_ms);
  void AnswerListSessions(const RequestRef& request, const pb::ListSessionsRequest& query,
                          int64_t age_ms);

  NodeContext& context_;
  ClientConnections& connections_;
  uint64_t last_context_ = 0;
  std::map<uint64_t, Read> waiting_;  // by the core's context number
  std::vector<uint64_t> confirmed_;   // waiting for apply
  std::vector<Read> stale_;           // of this turn
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_READS_H_
