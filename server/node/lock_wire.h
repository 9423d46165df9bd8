// Between the client port's messages and the replicated state's commands, results and views.
//
// Numbers are taken over as they are; state::ValidateCommand says what is out of range. Stamps are
// the caller's.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_LOCK_WIRE_H_
#define LOCKD_SERVER_NODE_LOCK_WIRE_H_

#include "protocol/base/ids.h"
#include "protocol/lock.pb.h"
#include "server/state/types.h"

namespace lockd::node {

// -- requests to commands; `epoch` is that of the session's binding --
[[nodiscard]] state::OpenSession CommandOf(const pb::OpenSessionRequest& request);
[[nodiscard]] state::AttachSession CommandOf(const pb::AttachSessionRequest& request);
[[nodiscard]] state::KeepAlives::One CommandOf(const pb::KeepAliveRequest& request,
                                               ConnectionEpoch epoch);
[[nodiscard]] state::CloseSession CommandOf(const pb::CloseSessionRequest& request,
                                            ConnectionEpoch epoch);
[[nodiscard]] state::Acquire CommandOf(const pb::AcquireRequest& request, ConnectionEpoch epoch);
[[nodiscard]] state::Release CommandOf(const pb::ReleaseRequest& request, ConnectionEpoch epoch);
[[nodiscard]] state::Cancel CommandOf(const pb::CancelRequest& request, ConnectionEpoch epoch);
[[nodiscard]] state::Reconcile CommandOf(const pb::ReconcileRequest& request,
                                         ConnectionEpoch epoch);

// -- results to replies --
[[nodiscard]] pb::ErrorCode ErrorCodeOf(state::Refusal refusal);  // not kNone
[[nodiscard]] const char* MessageOf(state::Refusal refusal);
void FillAcquireReply(const state::AcquireResult& result, pb::AcquireReply* reply);
void FillOutcome(SessionId session, Sequence acquire, const state::AcquireResult& result,
                 pb::AcquireOutcome* outcome);
[[nodiscard]] pb::ReleaseResult WireOf(state::ReleaseOutcome outcome);
[[nodiscard]] pb::CancelResult WireOf(state::CancelOutcome outcome);
[[nodiscard]] pb::SessionEndReason WireOf(state::SessionEndReason reason);

// -- views --
void FillLock(const state::LockView& view, pb::LockRecord* record);
void FillSession(const state::SessionView& view, pb::SessionRecord* record);

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_LOCK_WIRE_H_
