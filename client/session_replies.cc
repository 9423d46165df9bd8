// Frames that the session machine receives. Every function returns false when the server does what
// no correct leader does; the link is then closed and another node tried.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/session_fsm.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"
#include "protocol/lock.pb.h"

namespace lockd::client {
namespace {

constexpr uint64_t kIdLimit = uint64_t{1} << 63;
constexpr int64_t kClusterTimeMsLimit = int64_t{1} << 62;
constexpr int64_t kRetryAfterMsMax = 10'000;
constexpr size_t kAcknowledgementsMax = 65'536;
constexpr uint32_t kInFlightMin = 16;

template <typename Message>
bool Parse(const FrameView& frame, Message* message) {
  return message->ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()));
}

bool IsId(uint64_t value) {
  return value != 0 && value < kIdLimit;
}

int64_t RetryAfterMs(uint32_t wire) {
  return std::clamp<int64_t>(wire, 1, kRetryAfterMsMax);
}

}  // namespace

// A frame is taken only in the state in which it makes sense.
bool SessionFsm::OnFrame(LocalTime now, const FrameView& frame) {
  const FrameHeader& header = frame.header;
  if (!header.group.is_zero()) return false;  // a session speaks with one group
  if (header.opcode == Opcode::kReason) {
    pb::Reason reason;
    if (Parse(frame, &reason)) last_refusal_ = reason.message();
    return false;
  }
  if (link_state_ == LinkState::kGreeting) {
    return header.opcode == Opcode::kHello && OnHello(now, frame);
  }
  if ((header.flags & kFlagReply) == 0) return OnPush(now, frame);
  return (header.request_id & RequestWindow::kRequestIdBit) != 0 ? OnMutationReply(now, frame)
                                                                 : OnControlReply(now, frame);
}

bool SessionFsm::OnHello(LocalTime now, const FrameView& frame) {
  pb::ServerHello hello;
  if (!Parse(frame, &hello) || hello.magic() != kClientMagic) return false;
  if (hello.version() < kProtocolVersionMin || hello.version() > kProtocolVersionMax) {
    last_refusal_ = absl::StrCat("protocol version ", hello.version(), " is not spoken here");
    return false;
  }
  if (cluster_id_ != 0 && hello.cluster_id() != 0 && hello.cluster_id() != cluster_id_) {
    last_refusal_ = absl::StrCat(server_address_, " belongs to another cluster");
    return false;
  }
  if (cluster_id_ == 0) cluster_id_ = hello.cluster_id();
  decoder_.set_frame_bytes_max(kClientFrameBytesMax);
  in_flight_max_ = std::max(hello.requests_in_flight_max(), kInFlightMin) - kInFlightMin / 2;
  const pb::LeaderHint& leader = hello.leader();
  if (leader.node_id() != 0 && leader.node_id() != hello.node_id() &&
      !leader.client_address().empty()) {
    Redirect(now, leader.client_address());
    return true;
  }
  SendOpenOrAttach(now);
  return true;
}

bool SessionFsm::AcceptStamp(const pb::Stamp& stamp) {
  if (stamp.term() < seen_term_ || stamp.applied_index() < seen_applied_index_ ||
      stamp.cluster_time_ms() < seen_cluster_time_ms_) {
    return false;
  }
  if (!IsId(stamp.term()) || stamp.applied_index() >= kIdLimit ||
      stamp.cluster_time_ms() >= kClusterTimeMsLimit) {
    return false;
  }
  seen_term_ = stamp.term();
  seen_applied_index_ = stamp.applied_index();
  seen_cluster_time_ms_ = stamp.cluster_time_ms();
  return true;
}

// ---- Session control

bool SessionFsm::OnControlReply(LocalTime now, const FrameView& frame) {
  const auto found = std::find_if(controls_.begin(), controls_.end(), [&](const Control& control) {
    return control.request_id == frame.header.request_id;
  });
  if (found == controls_.end() || found->opcode != frame.header.opcode) return false;
  const Control control = *found;
  controls_.erase(found);

  if ((frame.header.flags & kFlagError) != 0) {
    pb::Error error;
    return Parse(frame, &error) && OnControlError(now, control, error);
  }
  switch (control.opcode) {
    case Opcode::kOpenSession: {
      pb::OpenSessionReply reply;
      return Parse(frame, &reply) && OnOpenReply(now, control, reply);
    }
    case Opcode::kAttachSession: {
      pb::AttachSessionReply reply;
      return Parse(frame, &reply) && OnAttachReply(now, control, reply);
    }
    case Opcode::kKeepAlive: {
      pb::KeepAliveReply reply;
      if (!Parse(frame, &reply) || !AcceptStamp(reply.stamp())) return false;
      // A reply credits its own transmission and no other.
      if (reply.transmission() != control.transmission) return false;
      lease_.CreditRenewal(control.sent_at, ClusterTime(reply.stamp().cluster_time_ms()));
      return true;
    }
    case Opcode::kPing: {
      pb::PingReply reply;
      if (!Parse(frame, &reply) || !AcceptStamp(reply.stamp())) return false;
      if (reply.transmission() != control.transmission || reply.epoch() != epoch_.value()) {
        return false;
      }
      lease_.CreditPing(control.sent_at);
      return true;
    }
    case Opcode::kCloseSession: {
      pb::CloseSessionReply reply;
      if (!Parse(frame, &reply)) return false;
      FinishClose(true);
      return true;
    }
    default:
      LOCKD_UNREACHABLE("a control request of kind ", static_cast<int>(control.opcode));
  }
}

bool SessionFsm::OnOpenReply(LocalTime now, const Control& control,
                             const pb::OpenSessionReply& reply) {
  if (!IsId(reply.session_id()) || !IsId(reply.epoch()) || !AcceptStamp(reply.stamp())) {
    return false;
  }
  // An answer that took as long as the session lives opens nothing; the next try finds what is
  // there.
  if (now >= control.sent_at + config_.ttl_ms * kNanosPerMilli) return false;
  session_id_ = SessionId(reply.session_id());
  life_ = Life::kLive;
  open_deadline_ = kNeverLocal;
  actions_.opened = OpenDone{.status = OpenStatus::kOpened, .message = {}};
  lease_.CreditRenewal(control.sent_at, ClusterTime(reply.stamp().cluster_time_ms()));
  lease_.CreditPing(control.sent_at);
  Attached(now, control.sent_at, ConnectionEpoch(reply.epoch()));
  return true;
}

bool SessionFsm::OnAttachReply(LocalTime now, const Control& control,
                               const pb::AttachSessionReply& reply) {
  if (!IsId(reply.epoch()) || !AcceptStamp(reply.stamp())) return false;
  if (reply.epoch() <= epoch_.value()) return false;  // each attach raises it
  lease_.CreditRenewal(control.sent_at, ClusterTime(reply.stamp().cluster_time_ms()));
  lease_.CreditPing(control.sent_at);
  Attached(now, control.sent_at, ConnectionEpoch(reply.epoch()));
  if (life_ != Life::kLive) return true;
  for (const pb::AcquireOutcome& outcome : reply.outcomes()) {
    if (!OnOutcome(now, outcome)) return false;
  }
  StartReconcile(now);
  return true;
}

bool SessionFsm::OnControlError(LocalTime now, const Control& control, const pb::Error& error) {
  last_refusal_ = error.message();
  const bool is_open = control.opcode == Opcode::kOpenSession;
  switch (error.code()) {
    case pb::ERROR_CODE_NOT_LEADER:
    case pb::ERROR_CODE_UNAVAILABLE:
      OnLeaderError(now, error);
      return true;
    case pb::ERROR_CODE_RESOURCE_EXHAUSTED: {
      const int64_t retry_after_ms = RetryAfterMs(error.retry_after_ms());
      const LocalTime again = now + retry_after_ms * kNanosPerMilli;
      if (control.opcode == Opcode::kKeepAlive) {
        keep_alive_at_ = std::min(keep_alive_at_, again);
      } else if (control.opcode == Opcode::kPing) {
        ping_at_ = std::min(ping_at_, again);
      } else {
        Retry(now, retry_after_ms);
      }
      return true;
    }
    case pb::ERROR_CODE_SESSION_ENDED:
      if (is_open) return false;
      OnSessionEnded("the server says that the session is over");
      return true;
    case pb::ERROR_CODE_INVALID_ARGUMENT:
    case pb::ERROR_CODE_WRONG_SECRET:
      open_refused_ = is_open;
      Lose(is_open ? Life::kOpenFailed : Life::kLost, error.message());
      return true;
    default:
      return false;
  }
}

void SessionFsm::OnSessionEnded(absl::string_view message) {
  if (life_ == Life::kClosing) {
    FinishClose(true);
  } else {
    Lose(Life::kLost, message);
  }
}

void SessionFsm::OnLeaderError(LocalTime now, const pb::Error& error) {
  if (error.leader().client_address().empty()) {
    Retry(now, std::min<int64_t>(error.retry_after_ms(), config_.backoff_ms_max));
  } else {
    Redirect(now, error.leader().client_address());
  }
}

bool SessionFsm::OnPush(LocalTime now, const FrameView& frame) {
  switch (frame.header.opcode) {
    case Opcode::kAcquireOutcome: {
      pb::AcquireOutcome outcome;
      // It may also overtake the reply to the attach of the same log entry.
      if (!Parse(frame, &outcome) || session_id_.is_zero()) return false;
      if (outcome.session_id() != session_id_.value() || !AcceptStamp(outcome.stamp()))
        return false;
      return life_ != Life::kLive || OnOutcome(now, outcome);
    }
    case Opcode::kSessionEnded: {
      pb::SessionEnded ended;
      if (!Parse(frame, &ended) || session_id_.is_zero()) return false;
      if (ended.session_id() != session_id_.value()) return false;
      OnSessionEnded("the server ended the session");
      return true;
    }
    case Opcode::kNotLeader: {
      pb::NotLeader not_leader;
      if (!Parse(frame, &not_leader)) return false;
      if (not_leader.leader().client_address().empty()) return false;
      Redirect(now, not_leader.leader().client_address());
      return true;
    }
    default:
      return false;
  }
}

// ---- Mutations

bool SessionFsm::OnMutationReply(LocalTime now, const FrameView& frame) {
  if (!is_attached()) return false;
  Request* request = window_.FindByRequestId(frame.header.request_id);
  // Answered in another way meanwhile (an acquire by its cancel): nothing is left to learn.
  if (request == nullptr || !request->in_flight) return true;
  if ((frame.header.flags & kFlagError) != 0) {
    pb::Error error;
    return Parse(frame, &error) && OnMutationError(now, *request, error);
  }
  switch (request->kind) {
    case RequestKind::kAcquire: {
      pb::AcquireReply reply;
      return frame.header.opcode == Opcode::kAcquire && Parse(frame, &reply) &&
             AcceptStamp(reply.stamp()) && OnAcquireReply(now, *request, reply);
    }
    case RequestKind::kRelease: {
      pb::ReleaseReply reply;
      return frame.header.opcode == Opcode::kRelease && Parse(frame, &reply) &&
             AcceptStamp(reply.stamp()) && OnReleaseReply(*request, reply);
    }
    case RequestKind::kCancel: {
      pb::CancelReply reply;
      return frame.header.opcode == Opcode::kCancel && Parse(frame, &reply) &&
             AcceptStamp(reply.stamp()) && OnCancelReply(now, *request, reply);
    }
    case RequestKind::kReconcile: {
      pb::ReconcileReply reply;
      if (frame.header.opcode != Opcode::kReconcile || !Parse(frame, &reply) ||
          !AcceptStamp(reply.stamp())) {
        return false;
      }
      window_.Answered(*request);
      if (--reconciles_unanswered_ == 0) reconciles_.clear();
      return true;
    }
  }
  LOCKD_UNREACHABLE("request kind");
}

bool SessionFsm::OnMutationError(LocalTime now, Request& request, const pb::Error& error) {
  switch (error.code()) {
    case pb::ERROR_CODE_NOT_LEADER:
    case pb::ERROR_CODE_UNAVAILABLE:
      OnLeaderError(now, error);
      return true;
    case pb::ERROR_CODE_RESOURCE_EXHAUSTED: {
      // It was not executed; the same request goes out again, and others of its kind after it.
      window_.SetInFlight(request, false);
      const LocalTime again = now + RetryAfterMs(error.retry_after_ms()) * kNanosPerMilli;
      if (request.kind == RequestKind::kAcquire) {
        acquires_from_ = std::max(acquires_from_, again);
      } else {
        others_from_ = std::max(others_from_, again);
      }
      return true;
    }
    case pb::ERROR_CODE_SESSION_ENDED:
      OnSessionEnded("the server says that the session is over");
      return true;
    case pb::ERROR_CODE_INVALID_ARGUMENT:
      if (request.kind == RequestKind::kAcquire) {
        Operation* operation = Find(OperationId(request.subject));
        window_.Answered(request);
        if (operation != nullptr && operation->phase == Phase::kUnanswered) {
          EndWithoutHold(*operation, AcquireStatus::kInvalid, error.message(), 0);
        }
        return true;
      }
      [[fallthrough]];
    case pb::ERROR_CODE_BAD_SEQUENCE:
      // What became of the request cannot be found out any more. The session ends, and with it
      // whatever the request has left behind: by its TTL, since nothing renews it from here on.
      Lose(Life::kLost, absl::StrCat("the server refuses a request: ", error.message()));
      return true;
    default:
      return false;
  }
}

bool SessionFsm::OnAcquireReply(LocalTime now, Request& request, const pb::AcquireReply& reply) {
  Operation* operation = Find(OperationId(request.subject));
  if (operation == nullptr || operation->phase != Phase::kUnanswered) {
    window_.Answered(request);
    return true;
  }
  switch (reply.result()) {
    case pb::ACQUIRE_RESULT_GRANTED:
      if (!IsId(reply.grant().token())) return false;
      window_.Answered(request);
      OnGranted(now, *operation, reply.grant());
      return true;
    case pb::ACQUIRE_RESULT_QUEUED:
      window_.Answered(request);
      operation->phase = Phase::kQueued;
      return true;
    case pb::ACQUIRE_RESULT_BUSY:
    case pb::ACQUIRE_RESULT_TIMED_OUT:
    case pb::ACQUIRE_RESULT_CANCELLED:
    case pb::ACQUIRE_RESULT_LIMIT:
      window_.Answered(request);
      OnRefused(*operation, reply.result(), reply.limit_name(),
                RetryAfterMs(reply.retry_after_ms()));
      return true;
    default:
      return false;
  }
}

bool SessionFsm::OnReleaseReply(Request& request, const pb::ReleaseReply& reply) {
  if (reply.result() != pb::RELEASE_RESULT_RELEASED && reply.result() != pb::RELEASE_RESULT_STALE) {
    return false;
  }
  Operation* operation = Find(OperationId(request.subject));
  window_.Answered(request);
  if (operation == nullptr || operation->phase != Phase::kReleasing) return true;
  if (operation->release_waits) {
    actions_.releases.push_back({.hold = operation->id,
                                 .status = reply.result() == pb::RELEASE_RESULT_RELEASED
                                               ? ReleaseStatus::kReleased
                                               : ReleaseStatus::kNotHeld});
  }
  Free(*operation);
  return true;
}

bool SessionFsm::OnCancelReply(LocalTime now, Request& request, const pb::CancelReply& reply) {
  Operation* operation = Find(OperationId(request.subject));
  const bool is_open = operation != nullptr && (operation->phase == Phase::kUnanswered ||
                                                operation->phase == Phase::kQueued);
  if (!is_open) {
    window_.Answered(request);
    return true;
  }
  switch (reply.result()) {
    case pb::CANCEL_RESULT_CANCELLED:
    case pb::CANCEL_RESULT_ENDED:
      window_.Answered(request);
      Settle(*operation);
      EndWithoutHold(*operation, AcquireStatus::kCancelled, "", 0);
      return true;
    case pb::CANCEL_RESULT_TOO_LATE:
      if (reply.outcome().result() != pb::ACQUIRE_RESULT_GRANTED ||
          !IsId(reply.outcome().grant().token())) {
        return false;
      }
      window_.Answered(request);
      Settle(*operation);
      OnGranted(now, *operation, reply.outcome().grant());
      return true;
    default:
      return false;
  }
}

bool SessionFsm::OnOutcome(LocalTime now, const pb::AcquireOutcome& outcome) {
  const Sequence acquire(outcome.acquire_id());
  if (acquire.is_zero() || acquire > window_.last()) return false;
  if (outcome.result() == pb::ACQUIRE_RESULT_GRANTED && !IsId(outcome.grant().token())) {
    return false;
  }
  const auto found = by_sequence_.find(acquire);
  Operation* operation = found == by_sequence_.end() ? nullptr : Find(found->second);
  const bool is_open = operation != nullptr && (operation->phase == Phase::kUnanswered ||
                                                operation->phase == Phase::kQueued);
  if (!is_open) {
    LOCKD_REACH(kOutcomeRepeated);
    // A repeat: the acknowledgement was lost, or is still on its way.
    AcknowledgeOutcome(acquire);
    return true;
  }
  switch (outcome.result()) {
    case pb::ACQUIRE_RESULT_GRANTED:
      Settle(*operation);
      OnGranted(now, *operation, outcome.grant());
      return true;
    case pb::ACQUIRE_RESULT_BUSY:
    case pb::ACQUIRE_RESULT_TIMED_OUT:
    case pb::ACQUIRE_RESULT_CANCELLED:
    case pb::ACQUIRE_RESULT_LIMIT:
      Settle(*operation);
      OnRefused(*operation, outcome.result(), "", 0);
      return true;
    default:
      return false;
  }
}

// The final outcome of an acquire came by another way than the reply to its request: that request
// needs no answer any more, and the server may forget the outcome.
void SessionFsm::Settle(Operation& operation) {
  AcknowledgeOutcome(operation.sequence);
  Request* request = window_.Find(operation.sequence);
  if (request == nullptr) return;
  LOCKD_REACH(kOutcomeOvertakesAcquireReply);
  window_.Answered(*request);
}

// Bounded: what is dropped here, the next attach reports again.
void SessionFsm::AcknowledgeOutcome(Sequence acquire) {
  if (acknowledgements_.size() < kAcknowledgementsMax) acknowledgements_.push_back(acquire);
}

void SessionFsm::OnRefused(Operation& operation, int result, absl::string_view limit_name,
                           int64_t retry_after_ms) {
  switch (result) {
    case pb::ACQUIRE_RESULT_BUSY:
      // A wait that was used up before the request could leave is sent as a try.
      EndWithoutHold(operation,
                     operation.wait_ms == 0 ? AcquireStatus::kBusy : AcquireStatus::kTimedOut, "",
                     0);
      return;
    case pb::ACQUIRE_RESULT_TIMED_OUT:
      EndWithoutHold(operation, AcquireStatus::kTimedOut, "", 0);
      return;
    case pb::ACQUIRE_RESULT_LIMIT:
      EndWithoutHold(operation, AcquireStatus::kLimit,
                     absl::StrCat("the limit ", limit_name, " is reached"), retry_after_ms);
      return;
    default:
      EndWithoutHold(operation, AcquireStatus::kCancelled, "", 0);
      return;
  }
}

}  // namespace lockd::client
