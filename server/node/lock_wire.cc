#include "server/node/lock_wire.h"

#include <vector>

#include "protocol/base/check.h"

namespace lockd::node {
namespace {

template <typename Repeated>
std::vector<Sequence> SequencesOf(const Repeated& numbers) {
  std::vector<Sequence> sequences;
  sequences.reserve(static_cast<size_t>(numbers.size()));
  for (const uint64_t number : numbers) sequences.push_back(Sequence{number});
  return sequences;
}

state::Mutation MutationOf(const pb::Mutation& mutation, ConnectionEpoch epoch) {
  return {.session = SessionId{mutation.session_id()},
          .epoch = epoch,
          .sequence = Sequence{mutation.sequence()},
          .acknowledged_through = Sequence{mutation.acknowledged_through()},
          .acknowledged_acquires = SequencesOf(mutation.acknowledged_acquire_ids())};
}

pb::LockMode WireOf(state::LockMode mode) {
  switch (mode) {
    case state::LockMode::kExclusive:
      return pb::LOCK_MODE_EXCLUSIVE;
  }
  return pb::LOCK_MODE_UNSPECIFIED;
}

pb::AcquireResult WireOf(state::AcquireOutcomeKind kind) {
  switch (kind) {
    case state::AcquireOutcomeKind::kQueued:
      return pb::ACQUIRE_RESULT_QUEUED;
    case state::AcquireOutcomeKind::kGranted:
      return pb::ACQUIRE_RESULT_GRANTED;
    case state::AcquireOutcomeKind::kBusy:
      return pb::ACQUIRE_RESULT_BUSY;
    case state::AcquireOutcomeKind::kTimedOut:
      return pb::ACQUIRE_RESULT_TIMED_OUT;
    case state::AcquireOutcomeKind::kCancelled:
      return pb::ACQUIRE_RESULT_CANCELLED;
    case state::AcquireOutcomeKind::kLimit:
      return pb::ACQUIRE_RESULT_LIMIT;
  }
  return pb::ACQUIRE_RESULT_UNSPECIFIED;
}

void FillGrant(const state::Grant& grant, pb::Grant* wire) {
  wire->set_token(grant.token.value());
  wire->set_mode(WireOf(grant.mode));
  wire->set_fence_floor(grant.fence_floor.value());
  wire->set_granted_time_ms(grant.granted_at.value());
  wire->set_hold_deadline_ms(grant.hold_deadline.value());
}

}  // namespace

state::OpenSession CommandOf(const pb::OpenSessionRequest& request) {
  return {.nonce = request.nonce(),
          .ttl_ms = request.ttl_ms(),
          .grace_ms = request.grace_ms(),
          .owner_id = request.owner_id()};
}

state::AttachSession CommandOf(const pb::AttachSessionRequest& request) {
  return {.session = SessionId{request.session_id()}, .nonce = request.nonce()};
}

state::KeepAlives::One CommandOf(const pb::KeepAliveRequest& request, ConnectionEpoch epoch) {
  return {.session = SessionId{request.session_id()},
          .epoch = epoch,
          .acknowledged_acquires = SequencesOf(request.acknowledged_acquire_ids())};
}

state::CloseSession CommandOf(const pb::CloseSessionRequest& request, ConnectionEpoch epoch) {
  return {.session = SessionId{request.session_id()}, .epoch = epoch};
}

state::Acquire CommandOf(const pb::AcquireRequest& request, ConnectionEpoch epoch) {
  return {.mutation = MutationOf(request.mutation(), epoch),
          .name = request.name(),
          // Any other number becomes one that validation refuses.
          .mode = request.mode() == pb::LOCK_MODE_EXCLUSIVE ? state::LockMode::kExclusive
                                                            : state::LockMode{},
          .wait_ms = request.wait_ms(),
          .max_hold_ms = request.max_hold_ms()};
}

state::Release CommandOf(const pb::ReleaseRequest& request, ConnectionEpoch epoch) {
  return {.mutation = MutationOf(request.mutation(), epoch),
          .name = request.name(),
          .token = FencingToken{request.token()}};
}

state::Cancel CommandOf(const pb::CancelRequest& request, ConnectionEpoch epoch) {
  return {.mutation = MutationOf(request.mutation(), epoch),
          .acquire = Sequence{request.acquire_id()}};
}

state::Reconcile CommandOf(const pb::ReconcileRequest& request, ConnectionEpoch epoch) {
  return {.mutation = MutationOf(request.mutation(), epoch),
          .after = Sequence{request.after()},
          .watermark = Sequence{request.watermark()},
          .live_acquires = SequencesOf(request.live_acquire_ids())};
}

pb::ErrorCode ErrorCodeOf(state::Refusal refusal) {
  switch (refusal) {
    case state::Refusal::kNone:
      break;
    case state::Refusal::kSessionEnded:
      return pb::ERROR_CODE_SESSION_ENDED;
    case state::Refusal::kStaleEpoch:
      return pb::ERROR_CODE_STALE_EPOCH;
    case state::Refusal::kBadSequence:
      return pb::ERROR_CODE_BAD_SEQUENCE;
    case state::Refusal::kWrongSecret:
      return pb::ERROR_CODE_WRONG_SECRET;
    case state::Refusal::kLimit:
      return pb::ERROR_CODE_RESOURCE_EXHAUSTED;
    case state::Refusal::kInvalid:
      return pb::ERROR_CODE_INVALID_ARGUMENT;
  }
  LOCKD_UNREACHABLE("refusal ", static_cast<int>(refusal));
}

const char* MessageOf(state::Refusal refusal) {
  switch (refusal) {
    case state::Refusal::kNone:
      break;
    case state::Refusal::kSessionEnded:
      return "the session is unknown or over";
    case state::Refusal::kStaleEpoch:
      return "the session has been attached to another connection since";
    case state::Refusal::kBadSequence:
      return "the sequence is acknowledged already, or too far ahead, or used for another kind";
    case state::Refusal::kWrongSecret:
      return "the session was opened with another nonce";
    case state::Refusal::kLimit:
      return "a limit of the cluster is reached";
    case state::Refusal::kInvalid:
      return "a field is out of range";
  }
  return "";
}

void FillAcquireReply(const state::AcquireResult& result, pb::AcquireReply* reply) {
  reply->set_result(WireOf(result.kind));
  if (result.kind == state::AcquireOutcomeKind::kGranted) {
    FillGrant(result.grant, reply->mutable_grant());
  }
  reply->set_queue_position(result.waiters_before);
  reply->set_limit_name(state::LimitName(result.limit));
}

void FillOutcome(SessionId session, Sequence acquire, const state::AcquireResult& result,
                 pb::AcquireOutcome* outcome) {
  outcome->set_session_id(session.value());
  outcome->set_acquire_id(acquire.value());
  outcome->set_result(WireOf(result.kind));
  if (result.kind == state::AcquireOutcomeKind::kGranted) {
    FillGrant(result.grant, outcome->mutable_grant());
  }
}

pb::ReleaseResult WireOf(state::ReleaseOutcome outcome) {
  switch (outcome) {
    case state::ReleaseOutcome::kReleased:
      return pb::RELEASE_RESULT_RELEASED;
    case state::ReleaseOutcome::kStale:
      return pb::RELEASE_RESULT_STALE;
  }
  return pb::RELEASE_RESULT_UNSPECIFIED;
}

pb::CancelResult WireOf(state::CancelOutcome outcome) {
  switch (outcome) {
    case state::CancelOutcome::kCancelled:
      return pb::CANCEL_RESULT_CANCELLED;
    case state::CancelOutcome::kTooLate:
      return pb::CANCEL_RESULT_TOO_LATE;
    case state::CancelOutcome::kEnded:
      return pb::CANCEL_RESULT_ENDED;
  }
  return pb::CANCEL_RESULT_UNSPECIFIED;
}

pb::SessionEndReason WireOf(state::SessionEndReason reason) {
  switch (reason) {
    case state::SessionEndReason::kClosed:
      return pb::SESSION_END_REASON_CLOSED;
    case state::SessionEndReason::kExpired:
      return pb::SESSION_END_REASON_EXPIRED;
    case state::SessionEndReason::kDisconnected:
      return pb::SESSION_END_REASON_DISCONNECTED;
    case state::SessionEndReason::kRefounded:
      break;  // no event tells of it
  }
  return pb::SESSION_END_REASON_UNSPECIFIED;
}

void FillLock(const state::LockView& view, pb::LockRecord* record) {
  record->set_lock_id(view.name);
  record->set_waiters(view.waiters);
  if (!view.held) {
    record->set_status(pb::LOCK_STATUS_FREE);
    return;
  }
  record->set_status(pb::LOCK_STATUS_HELD);
  record->set_owner_id(view.owner_id);
  record->set_timestamp(view.granted_wall.value());
  record->set_expiration_time(view.expiration_wall.value());
  record->set_token(view.token.value());
  record->set_mode(pb::LOCK_MODE_EXCLUSIVE);
  record->set_session_id(view.session.value());
}

void FillSession(const state::SessionView& view, pb::SessionRecord* record) {
  record->set_session_id(view.session.value());
  record->set_owner_id(view.owner_id);
  record->set_ttl_ms(view.ttl_ms);
  record->set_grace_ms(view.grace_ms);
  record->set_remaining_ms(view.remaining_ms);
  record->set_holds(view.holds);
  record->set_waiters(view.waiters);
  record->set_epoch(view.epoch.value());
}

}  // namespace lockd::node
