// MemberChanges: what a serving leader does about the members: it carries out what operators ask
// for, registers those that join, and makes voters of learners that have caught up.
//
//   add       ──► learner ──► comes up, is registered ──► has the log ──► voter (by itself)
//   promote   ──► voter at once, if it has come up
//   remove    ──► a learner goes in one step, a voter through a joint configuration
//
// One change is under way at a time, and each step waits until the one before is committed and
// applied. A change of voters is two steps (thesis 4.3); whoever leads when the first one is
// committed takes the second. So a change that has begun ends as wanted whatever happens to the
// leader that began it, and a request asked again finds it done. A leader that is to be removed
// first hands its leadership over, and the request is asked again of the next one.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_MEMBER_CHANGES_H_
#define LOCKD_SERVER_NODE_MEMBER_CHANGES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <variant>

#include "consensus/raft/membership.h"
#include "consensus/raft/types.h"
#include "protocol/base/time.h"
#include "protocol/lock.pb.h"
#include "server/node/client_connections.h"
#include "server/node/context.h"
#include "server/node/hand_over.h"
#include "server/node/pending_requests.h"
#include "server/state/types.h"

namespace lockd::node {

class MemberChanges {
 public:
  // A learner becomes a voter when it is no more entries behind than this, and needs no snapshot,
  // so that the cluster does not wait for it (thesis 4.2.1).
  static constexpr uint64_t kCaughtUpEntries = 64;
  // Requests that wait for their turn.
  static constexpr size_t kWaitingMax = 64;

  // All must outlive this.
  MemberChanges(NodeContext& context, ClientConnections& connections, HandOver& hand_over)
      : context_(context), connections_(connections), hand_over_(hand_over) {}

  void OnRequest(const RequestRef& request, const pb::ChangeMembersRequest& wire);

  // Of a serving leader, in each turn. Answers the requests that are done, or cannot be.
  // What the leader is to propose next: the next step of a change; nothing while one is under way.
  [[nodiscard]] std::optional<raft::ConfigurationChange> NextChange(WallTime now);
  // A member that has come up for the first time. OnRegistering says where that stands in the log.
  [[nodiscard]] std::optional<state::RegisterMember> NextRegistration() const;
  void OnRegistering(raft::Index index) { registering_ = index; }

  // This node leads no more.
  void FailAll();

 private:
  struct Waiting {
    RequestRef request;
    pb::ChangeMembersRequest wire;
    bool has_begun = false;        // a step towards it has been proposed
    bool has_handed_over = false;  // tried it, to be removed itself
  };
  struct Change {
    raft::Configuration to;
    std::vector<state::Member> added;
  };
  // What there is to do about a request: say this, or propose that, or wait.
  struct Wait {};
  using Step = std::variant<pb::ChangeMembersResult, Change, Wait>;

  [[nodiscard]] Step StepOf(Waiting& waiting);
  [[nodiscard]] Step StepOfAdd(Waiting& waiting) const;
  [[nodiscard]] Step StepOfRemove(Waiting& waiting);
  [[nodiscard]] Step StepOfPromote(const Waiting& waiting) const;
  [[nodiscard]] std::optional<Change> Promotion() const;
  [[nodiscard]] const state::Member* MemberOf(NodeId node) const;
  void Answer(const Waiting& waiting, pb::ChangeMembersResult result);

  NodeContext& context_;
  ClientConnections& connections_;
  HandOver& hand_over_;
  std::deque<Waiting> waiting_;
  raft::Index registering_;  // the newest registration
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_MEMBER_CHANGES_H_
