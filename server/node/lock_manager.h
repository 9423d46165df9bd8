// LockManager: from a client's request to a command in the log, and from the command's result to
// the reply.
//
// A request is parsed, checked and admitted here, or refused with a typed error; what is admitted
// waits in GroupCommit or, for keep-alives, in the KeepAliveCollector. The node proposes those and
// comes back with what applying them yielded. Events (a queued acquire's outcome, a session's end)
// go to the connection that the session is bound to.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_LOCK_MANAGER_H_
#define LOCKD_SERVER_NODE_LOCK_MANAGER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/frame.h"
#include "protocol/lock.pb.h"
#include "server/node/client_connections.h"
#include "server/node/context.h"
#include "server/node/group_commit.h"
#include "server/node/hand_over.h"
#include "server/node/keep_alive_collector.h"
#include "server/node/member_changes.h"
#include "server/node/pending_requests.h"
#include "server/node/reads.h"
#include "server/node/snapshot_backup.h"
#include "server/node/types.h"
#include "server/state/types.h"

namespace lockd::node {

class LockManager {
 public:
  // All must outlive this.
  LockManager(NodeContext& context, ClientConnections& connections, GroupCommit& group_commit,
              KeepAliveCollector& keep_alives, Reads& reads, HandOver& hand_over,
              MemberChanges& member_changes, SnapshotBackup& backup)
      : context_(context),
        connections_(connections),
        group_commit_(group_commit),
        keep_alives_(keep_alives),
        reads_(reads),
        hand_over_(hand_over),
        member_changes_(member_changes),
        backup_(backup) {}

  // A frame after the hello; its opcode is a request.
  void OnRequest(ConnectionId connection, const FrameView& frame);
  // Connections have ended: sessions with a disconnect grace have it logged.
  void ReportDisconnects();

  // An entry was applied, and these wait for the results of its commands (or nobody does).
  void OnApplied(const std::vector<Waiter>& waiters, const state::ApplyResult& result);
  // This node leads no more and does not know what becomes of their commands.
  void FailAll(const std::vector<Waiter>& waiters);

 private:
  template <typename Request>
  void Handle(ConnectionId connection, const FrameView& frame);

  // -- one for each kind of request --
  void On(const RequestRef& request, const pb::OpenSessionRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::AttachSessionRequest& wire, size_t bytes);
  void On(RequestRef request, const pb::KeepAliveRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::CloseSessionRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::PingRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::ReconcileRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::AcquireRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::ReleaseRequest& wire, size_t bytes);
  void On(RequestRef request, const pb::CancelRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::GetLockRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::ListLocksRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::ListSessionsRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::StatusRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::TransferLeadershipRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::ChangeMembersRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::TakeSnapshotRequest& wire, size_t bytes);
  void On(const RequestRef& request, const pb::ReadSnapshotRequest& wire, size_t bytes);

  // Each of these answers the request when it returns false or nothing.
  [[nodiscard]] bool MayBindOneMore(const RequestRef& request);
  [[nodiscard]] std::optional<ConnectionEpoch> BoundEpoch(const RequestRef& request,
                                                          SessionId session);
  template <typename Request>
  void SubmitMutation(const RequestRef& request, const Request& wire, size_t bytes,
                      Admission admission);
  // `clean_up_bytes`: see GroupCommit.
  void Submit(const RequestRef& request, state::Command command, size_t bytes, Admission admission,
              size_t clean_up_bytes = 0);

  // -- results --
  void AnswerSession(const RequestRef& request, const state::SessionResult& result);
  void AnswerKeepAlives(const KeepAliveRefs& waiters, const state::CommandResult& result);
  void Answer(const RequestRef& request, const state::CommandResult& result);
  void Refuse(const RequestRef& request, state::Refusal refusal, const char* limit);
  void PushEvent(const state::Event& event);
  void PushOutcome(ConnectionId connection, SessionId session, Sequence acquire,
                   const state::AcquireResult& result);

  NodeContext& context_;
  ClientConnections& connections_;
  GroupCommit& group_commit_;
  KeepAliveCollector& keep_alives_;
  Reads& reads_;
  HandOver& hand_over_;
  MemberChanges& member_changes_;
  SnapshotBackup& backup_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_LOCK_MANAGER_H_
