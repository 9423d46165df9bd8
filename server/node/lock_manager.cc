#include "server/node/lock_manager.h"

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"
#include "server/node/admin.h"
#include "server/node/lock_wire.h"
#include "server/state/command.h"

namespace lockd::node {
namespace {

// What a command adds to its payload in the log: envelope, epoch, fixed-width numbers.
constexpr size_t kCommandOverheadBytes = 96;

template <typename Request>
concept IsMutation = requires(const Request& wire) {
  wire.mutation();
};

// A newer client's field must not be dropped in silence: it may change what the request means.
template <typename Request>
[[nodiscard]] bool HasUnknownFields(const Request& wire) {
  if (!wire.GetReflection()->GetUnknownFields(wire).empty()) return true;
  if constexpr (IsMutation<Request>) {
    const pb::Mutation& mutation = wire.mutation();
    return !mutation.GetReflection()->GetUnknownFields(mutation).empty();
  }
  return false;
}

}  // namespace

void LockManager::OnRequest(ConnectionId connection, const FrameView& frame) {
  switch (frame.header.opcode) {
    case Opcode::kOpenSession:
      return Handle<pb::OpenSessionRequest>(connection, frame);
    case Opcode::kAttachSession:
      return Handle<pb::AttachSessionRequest>(connection, frame);
    case Opcode::kKeepAlive:
      return Handle<pb::KeepAliveRequest>(connection, frame);
    case Opcode::kCloseSession:
      return Handle<pb::CloseSessionRequest>(connection, frame);
    case Opcode::kPing:
      return Handle<pb::PingRequest>(connection, frame);
    case Opcode::kReconcile:
      return Handle<pb::ReconcileRequest>(connection, frame);
    case Opcode::kAcquire:
      return Handle<pb::AcquireRequest>(connection, frame);
    case Opcode::kRelease:
      return Handle<pb::ReleaseRequest>(connection, frame);
    case Opcode::kCancel:
      return Handle<pb::CancelRequest>(connection, frame);
    case Opcode::kGetLock:
      return Handle<pb::GetLockRequest>(connection, frame);
    case Opcode::kListLocks:
      return Handle<pb::ListLocksRequest>(connection, frame);
    case Opcode::kListSessions:
      return Handle<pb::ListSessionsRequest>(connection, frame);
    case Opcode::kStatus:
      return Handle<pb::StatusRequest>(connection, frame);
    case Opcode::kTransferLeadership:
      return Handle<pb::TransferLeadershipRequest>(connection, frame);
    case Opcode::kChangeMembers:
      return Handle<pb::ChangeMembersRequest>(connection, frame);
    case Opcode::kTakeSnapshot:
      return Handle<pb::TakeSnapshotRequest>(connection, frame);
    case Opcode::kReadSnapshot:
      return Handle<pb::ReadSnapshotRequest>(connection, frame);
    default:
      LOCKD_UNREACHABLE("opcode ", static_cast<int>(frame.header.opcode));
  }
}

template <typename Request>
void LockManager::Handle(ConnectionId connection, const FrameView& frame) {
  Request wire;
  if (!wire.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()))) {
    connections_.Refuse(connection, pb::ERROR_CODE_PROTOCOL,
                        absl::StrCat("a malformed ", OpcodeName(frame.header.opcode), " frame"));
    return;
  }
  RequestRef request{.connection = connection,
                     .request_id = frame.header.request_id,
                     .opcode = frame.header.opcode,
                     .is_counted = true,
                     .session = {},
                     .target = {}};
  if constexpr (std::is_same_v<Request, pb::KeepAliveRequest>) {
    // The first one of a session has a slot of its own, whatever else is in flight.
    request.is_counted = keep_alives_.Has(SessionId{wire.session_id()});
  }
  if (!connections_.Begin(request)) {
    request.is_counted = false;
    connections_.ReplyError(request, pb::ERROR_CODE_RESOURCE_EXHAUSTED,
                            absl::StrCat("more than ", context_.options.requests_in_flight_max,
                                         " requests in flight on this connection"),
                            context_.options.retry_after_ms);
    return;
  }
  if (HasUnknownFields(wire)) {
    connections_.ReplyError(request, pb::ERROR_CODE_INVALID_ARGUMENT,
                            "the request has fields that this node does not know");
    return;
  }
  On(request, wire, frame.payload.size() + kCommandOverheadBytes);
}

// ---- Requests

void LockManager::On(const RequestRef& request, const pb::OpenSessionRequest& wire, size_t bytes) {
  if (!MayBindOneMore(request)) return;
  Submit(request, CommandOf(wire), bytes, Admission::kNewWork);
}

void LockManager::On(const RequestRef& request, const pb::AttachSessionRequest& wire,
                     size_t bytes) {
  if (!MayBindOneMore(request)) return;
  // Not new work: the session's locks depend on it.
  Submit(request, CommandOf(wire), bytes, Admission::kWindDown);
}

void LockManager::On(RequestRef request, const pb::KeepAliveRequest& wire, size_t /*bytes*/) {
  const std::optional<ConnectionEpoch> epoch = BoundEpoch(request, SessionId{wire.session_id()});
  if (!epoch) return;
  state::KeepAlives::One keep_alive = CommandOf(wire, *epoch);
  const absl::Status valid =
      state::ValidateCommand(state::KeepAlives{{keep_alive}}, context_.database->settings());
  if (!valid.ok()) {
    connections_.ReplyError(request, pb::ERROR_CODE_INVALID_ARGUMENT, std::string(valid.message()));
    return;
  }
  if (!keep_alives_.Add(std::move(keep_alive), {request, wire.transmission()})) {
    connections_.ReplyError(request, pb::ERROR_CODE_RESOURCE_EXHAUSTED,
                            "too many acknowledgements at once", context_.options.retry_after_ms);
  }
}

void LockManager::On(const RequestRef& request, const pb::CloseSessionRequest& wire, size_t bytes) {
  const SessionId session{wire.session_id()};
  const std::optional<ConnectionEpoch> epoch = BoundEpoch(request, session);
  if (!epoch) return;
  const state::LockDatabase& database = *context_.database;
  const uint64_t freed =
      std::min(database.SessionAcquires(session), database.settings().cleanup_holds_max);
  Submit(request, CommandOf(wire, *epoch), bytes, Admission::kWindDown, freed * kCleanUpBytes);
}

void LockManager::On(const RequestRef& request, const pb::PingRequest& wire, size_t /*bytes*/) {
  // Needs no log and no round: the grace that it stands in for can only be started by this node,
  // for this epoch, when this connection closes.
  const std::optional<ConnectionEpoch> epoch = BoundEpoch(request, SessionId{wire.session_id()});
  if (!epoch) return;
  if (*epoch != ConnectionEpoch{wire.epoch()}) {
    Refuse(request, state::Refusal::kStaleEpoch, "");
    return;
  }
  pb::PingReply reply;
  FillStamp(context_, reply.mutable_stamp());
  reply.set_epoch(wire.epoch());
  reply.set_transmission(wire.transmission());
  connections_.Reply(request, reply);
}

void LockManager::On(const RequestRef& request, const pb::ReconcileRequest& wire, size_t bytes) {
  SubmitMutation(request, wire, bytes, Admission::kWindDown);
}

void LockManager::On(const RequestRef& request, const pb::AcquireRequest& wire, size_t bytes) {
  SubmitMutation(request, wire, bytes, Admission::kNewWork);
}

void LockManager::On(const RequestRef& request, const pb::ReleaseRequest& wire, size_t bytes) {
  SubmitMutation(request, wire, bytes, Admission::kWindDown);
}

void LockManager::On(RequestRef request, const pb::CancelRequest& wire, size_t bytes) {
  request.session = SessionId{wire.mutation().session_id()};
  request.target = Sequence{wire.acquire_id()};
  SubmitMutation(request, wire, bytes, Admission::kWindDown);
}

void LockManager::On(const RequestRef& request, const pb::GetLockRequest& wire, size_t /*bytes*/) {
  reads_.OnQuery(request, wire);
}

void LockManager::On(const RequestRef& request, const pb::ListLocksRequest& wire,
                     size_t /*bytes*/) {
  reads_.OnQuery(request, wire);
}

void LockManager::On(const RequestRef& request, const pb::ListSessionsRequest& wire,
                     size_t /*bytes*/) {
  reads_.OnQuery(request, wire);
}

void LockManager::On(const RequestRef& request, const pb::StatusRequest& /*wire*/,
                     size_t /*bytes*/) {
  connections_.Reply(request, StatusOf(context_));
}

void LockManager::On(const RequestRef& request, const pb::TransferLeadershipRequest& wire,
                     size_t /*bytes*/) {
  hand_over_.OnRequest(request, wire);
}

void LockManager::On(const RequestRef& request, const pb::ChangeMembersRequest& wire,
                     size_t /*bytes*/) {
  member_changes_.OnRequest(request, wire);
}

void LockManager::On(const RequestRef& request, const pb::TakeSnapshotRequest& wire,
                     size_t /*bytes*/) {
  backup_.OnTake(request, wire);
}

void LockManager::On(const RequestRef& request, const pb::ReadSnapshotRequest& wire,
                     size_t /*bytes*/) {
  backup_.OnRead(request, wire);
}

bool LockManager::MayBindOneMore(const RequestRef& request) {
  if (connections_.SessionCount(request.connection) <=
      context_.options.sessions_per_connection_max) {
    return true;
  }
  connections_.ReplyError(request, pb::ERROR_CODE_RESOURCE_EXHAUSTED,
                          absl::StrCat("more than ", context_.options.sessions_per_connection_max,
                                       " sessions on this connection"),
                          context_.options.retry_after_ms);
  return false;
}

std::optional<ConnectionEpoch> LockManager::BoundEpoch(const RequestRef& request,
                                                       SessionId session) {
  if (!context_.is_serving) {
    connections_.ReplyNotServing(request);
    return std::nullopt;
  }
  const std::optional<ConnectionEpoch> epoch = connections_.EpochOn(request.connection, session);
  if (epoch) return epoch;
  // A serving leader has applied every open and attach that was ever answered, and what has ended
  // never comes back: this needs no entry.
  if (context_.database->SessionHasEnded(session)) {
    Refuse(request, state::Refusal::kSessionEnded, "");
  } else {
    connections_.ReplyError(
        request, pb::ERROR_CODE_NOT_ATTACHED,
        absl::StrCat("session ", session, " is not opened or attached on this connection"));
  }
  return std::nullopt;
}

template <typename Request>
void LockManager::SubmitMutation(const RequestRef& request, const Request& wire, size_t bytes,
                                 Admission admission) {
  const SessionId session{wire.mutation().session_id()};
  if (context_.is_serving && context_.database->SessionHasEnded(session)) {
    // Nothing is attached to it any more, but what became of the request can be found out: apply
    // answers a repeated one, and executes nothing.
    Submit(request, CommandOf(wire, ConnectionEpoch{0}), bytes, admission);
    return;
  }
  const std::optional<ConnectionEpoch> epoch = BoundEpoch(request, session);
  if (epoch) Submit(request, CommandOf(wire, *epoch), bytes, admission);
}

void LockManager::Submit(const RequestRef& request, state::Command command, size_t bytes,
                         Admission admission, size_t clean_up_bytes) {
  if (!context_.is_serving) {
    connections_.ReplyNotServing(request);
    return;
  }
  const absl::Status valid = state::ValidateCommand(command, context_.database->settings());
  if (!valid.ok()) {
    connections_.ReplyError(request, pb::ERROR_CODE_INVALID_ARGUMENT, std::string(valid.message()));
    return;
  }
  if (admission == Admission::kNewWork && context_.disk_space.is_low()) {
    LOCKD_REACH(kRefusedForDiskSpace);
    connections_.ReplyError(request, pb::ERROR_CODE_RESOURCE_EXHAUSTED,
                            context_.disk_space.Refusal(),
                            std::max(context_.options.retry_after_ms, DiskSpace::kRetryAfterMs));
    return;
  }
  if (!group_commit_.Admits(admission, bytes, context_.raft->uncommitted_bytes())) {
    connections_.ReplyError(request, pb::ERROR_CODE_RESOURCE_EXHAUSTED,
                            "this node has too many commands under way",
                            context_.options.retry_after_ms);
    return;
  }
  group_commit_.Add(std::move(command), bytes, request, clean_up_bytes);
}

void LockManager::ReportDisconnects() {
  for (const SessionBinding& orphan : connections_.TakeOrphans()) {
    if (!context_.is_serving || context_.database->SessionGraceMs(orphan.session) == 0) continue;
    group_commit_.Add(state::Disconnect{.session = orphan.session, .epoch = orphan.epoch},
                      kCommandOverheadBytes, Nobody{});
  }
}

// ---- Results

void LockManager::OnApplied(const std::vector<Waiter>& waiters, const state::ApplyResult& result) {
  LOCKD_CHECK(waiters.empty() || waiters.size() == result.results.size(), waiters.size(),
              " waiters for ", result.results.size(), " results");
  for (size_t i = 0; i < waiters.size(); ++i) {
    if (const auto* request = std::get_if<RequestRef>(&waiters[i])) {
      Answer(*request, result.results[i]);
    } else if (const auto* keep_alives = std::get_if<KeepAliveRefs>(&waiters[i])) {
      AnswerKeepAlives(*keep_alives, result.results[i]);
    }
  }
  // After the replies: a QUEUED of this entry goes before the outcome that another command of the
  // same entry brought about.
  for (const state::Event& event : result.events) PushEvent(event);
}

void LockManager::FailAll(const std::vector<Waiter>& waiters) {
  for (const Waiter& waiter : waiters) {
    if (const auto* request = std::get_if<RequestRef>(&waiter)) {
      connections_.ReplyOutcomeUnknown(*request);
    } else if (const auto* keep_alives = std::get_if<KeepAliveRefs>(&waiter)) {
      for (const auto& of_session : *keep_alives) {
        for (const KeepAliveRef& keep_alive : of_session) {
          connections_.ReplyOutcomeUnknown(keep_alive.request);
        }
      }
    }
  }
}

void LockManager::Refuse(const RequestRef& request, state::Refusal refusal, const char* limit) {
  const bool is_limit = refusal == state::Refusal::kLimit;
  connections_.ReplyError(
      request, ErrorCodeOf(refusal),
      is_limit ? absl::StrCat(MessageOf(refusal), ": ", limit) : std::string(MessageOf(refusal)),
      is_limit ? context_.options.retry_after_ms : 0);
}

void LockManager::AnswerKeepAlives(const KeepAliveRefs& waiters,
                                   const state::CommandResult& result) {
  const auto* sessions = std::get_if<state::KeepAliveResults>(&result.value);
  for (size_t i = 0; i < waiters.size(); ++i) {
    const state::Refusal refusal = sessions != nullptr && i < sessions->sessions.size()
                                       ? sessions->sessions[i]
                                       : result.refusal;
    for (const KeepAliveRef& waiter : waiters[i]) {
      if (refusal != state::Refusal::kNone) {
        Refuse(waiter.request, refusal, result.limit);
        continue;
      }
      pb::KeepAliveReply reply;
      FillStamp(context_, reply.mutable_stamp());
      reply.set_transmission(waiter.transmission);
      connections_.Reply(waiter.request, reply);
    }
  }
}

void LockManager::AnswerSession(const RequestRef& request, const state::SessionResult& result) {
  connections_.Bind(request.connection, {result.session, result.epoch});
  if (request.opcode == Opcode::kOpenSession) {
    pb::OpenSessionReply reply;
    FillStamp(context_, reply.mutable_stamp());
    reply.set_session_id(result.session.value());
    reply.set_epoch(result.epoch.value());
    reply.set_found(result.found);
    connections_.Reply(request, reply);
    return;
  }
  pb::AttachSessionReply reply;
  FillStamp(context_, reply.mutable_stamp());
  reply.set_epoch(result.epoch.value());
  // As many outcomes as surely fit into the frame; the others follow as pushes.
  constexpr size_t kOutcomesMax = 512;
  static_assert(kOutcomesMax * 100 < kClientFrameBytesMax);
  const size_t inside = std::min(kOutcomesMax, result.outcomes.size());
  for (size_t i = 0; i < inside; ++i) {
    FillOutcome(result.session, result.outcomes[i].first, result.outcomes[i].second,
                reply.add_outcomes());
  }
  connections_.Reply(request, reply);
  for (size_t i = inside; i < result.outcomes.size(); ++i) {
    PushOutcome(request.connection, result.session, result.outcomes[i].first,
                result.outcomes[i].second);
  }
}

void LockManager::Answer(const RequestRef& request, const state::CommandResult& result) {
  if (result.refusal != state::Refusal::kNone) {
    Refuse(request, result.refusal, result.limit);
    return;
  }
  if (const auto* session = std::get_if<state::SessionResult>(&result.value)) {
    AnswerSession(request, *session);
  } else if (const auto* acquire = std::get_if<state::AcquireResult>(&result.value)) {
    pb::AcquireReply reply;
    FillStamp(context_, reply.mutable_stamp());
    FillAcquireReply(*acquire, &reply);
    if (acquire->kind == state::AcquireOutcomeKind::kLimit) {
      reply.set_retry_after_ms(context_.options.retry_after_ms);
    }
    connections_.Reply(request, reply);
  } else if (const auto* release = std::get_if<state::ReleaseResult>(&result.value)) {
    pb::ReleaseReply reply;
    FillStamp(context_, reply.mutable_stamp());
    reply.set_result(WireOf(release->outcome));
    connections_.Reply(request, reply);
  } else if (const auto* cancel = std::get_if<state::CancelResult>(&result.value)) {
    pb::CancelReply reply;
    FillStamp(context_, reply.mutable_stamp());
    reply.set_result(WireOf(cancel->outcome));
    FillOutcome(request.session, request.target, cancel->acquire, reply.mutable_outcome());
    connections_.Reply(request, reply);
  } else if (const auto* reconcile = std::get_if<state::ReconcileResult>(&result.value)) {
    pb::ReconcileReply reply;
    FillStamp(context_, reply.mutable_stamp());
    reply.set_cancelled(reconcile->cancelled);
    reply.set_released(reconcile->released);
    connections_.Reply(request, reply);
  } else {
    LOCKD_CHECK(request.opcode == Opcode::kCloseSession, "no result for a ",
                OpcodeName(request.opcode));
    pb::CloseSessionReply reply;
    FillStamp(context_, reply.mutable_stamp());
    connections_.Reply(request, reply);
  }
}

void LockManager::PushEvent(const state::Event& event) {
  if (const auto* done = std::get_if<state::AcquireDone>(&event)) {
    if (const auto connection = connections_.ConnectionOf(done->session)) {
      PushOutcome(*connection, done->session, done->acquire, done->result);
    }
  } else if (const auto* ended = std::get_if<state::SessionEnded>(&event)) {
    if (const auto connection = connections_.ConnectionOf(ended->session)) {
      pb::SessionEnded push;
      FillStamp(context_, push.mutable_stamp());
      push.set_session_id(ended->session.value());
      push.set_reason(WireOf(ended->reason));
      connections_.Push(*connection, Opcode::kSessionEnded, push);
      connections_.Unbind(ended->session);
    }
  }
  // A hold that ended by its maximum needs no message: the client counts the same deadline.
}

void LockManager::PushOutcome(ConnectionId connection, SessionId session, Sequence acquire,
                              const state::AcquireResult& result) {
  pb::AcquireOutcome push;
  FillStamp(context_, push.mutable_stamp());
  FillOutcome(session, acquire, result, &push);
  connections_.Push(connection, Opcode::kAcquireOutcome, push);
}

}  // namespace lockd::node
