// HandOver: this node's leadership goes to another node, because an operator asks for it or because
// this node is about to stop.
//
//   begun ──► the core hands over ──► another leader is known     done: clients are sent there
//                    │
//                    ├──► the core gives up                       aborted: this node leads on
//                    └──► no leader for an election timeout       unknown
//
// While one is under way requests of clients wait: the core takes no proposals, and once this node
// has stepped down, those that wait are answered only when they can be told where to go. They lose
// a few milliseconds, not a round of looking for the leader.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_HAND_OVER_H_
#define LOCKD_SERVER_NODE_HAND_OVER_H_

#include <optional>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "protocol/lock.pb.h"
#include "server/node/client_connections.h"
#include "server/node/context.h"
#include "server/node/pending_requests.h"

namespace lockd::node {

class HandOver {
 public:
  // Both must outlive this.
  HandOver(NodeContext& context, ClientConnections& connections)
      : context_(context), connections_(connections) {}

  // An operator asks; answered now, or when it is decided.
  void OnRequest(const RequestRef& request, const pb::TransferLeadershipRequest& wire);
  // To whom it suits best. False: this node does not lead, or knows nobody that could.
  [[nodiscard]] bool Begin();

  [[nodiscard]] bool is_under_way() const { return context_.is_handing_over; }
  // At the end of a turn: decides whether it is over, and answers who waits.
  void OnTime(LocalTime now);
  // When it is over at the latest.
  [[nodiscard]] LocalTime NextDeadline() const { return deadline_.value_or(kNeverLocal); }

 private:
  struct Waiting {
    RequestRef request;
    NodeId to;  // zero: anybody
  };

  void Started();
  void AnswerAll(NodeId leader);
  void Answer(const RequestRef& request, pb::TransferResult result);

  NodeContext& context_;
  ClientConnections& connections_;
  std::vector<Waiting> waiting_;
  std::optional<LocalTime> deadline_;  // from the turn on in which it began
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_HAND_OVER_H_
