// Acquires and holds of the session machine, and the requests that carry them to the server.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/request_encoder.h"
#include "client/session_fsm.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"
#include "protocol/lock.pb.h"

namespace lockd::client {
namespace {

constexpr size_t kNameBytesMax = 1'024;
// Above this a duration is as good as for ever (34 years), and sums of times stay far from
// overflow.
constexpr int64_t kDurationMsMax = int64_t{1} << 40;
// Places of the window that new acquires, and then releases and cancels, leave free: an acquire
// must never be in the way of what frees a lock.
constexpr uint64_t kRoomKeptByAcquires = 64;
constexpr uint64_t kRoomKeptByOthers = 16;
// Live acquire ids in one reconcile request: what a server takes, and as varints what fits into a
// frame.
constexpr size_t kReconcileIdsMax = 8'192;
constexpr size_t kReconcileBytesMax = 60'000;
constexpr int kSlotBits = 24;
constexpr uint64_t kSlotMask = (uint64_t{1} << kSlotBits) - 1;

LocalTime AddMs(LocalTime time, int64_t ms) {
  return time + ms * kNanosPerMilli;
}

// From the wire; no honest one is out of this range.
ClusterTime ToClusterTime(int64_t ms) {
  return ClusterTime(std::clamp<int64_t>(ms, 0, int64_t{1} << 62));
}

size_t VarintBytes(uint64_t value) {
  size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

}  // namespace

// ---- The slab

SessionFsm::Operation* SessionFsm::Find(OperationId id) {
  const uint64_t slot = id.value() & kSlotMask;
  if (id.is_zero() || slot >= operations_.size() || operations_[slot].id != id) return nullptr;
  return &operations_[slot];
}

const SessionFsm::Operation* SessionFsm::Find(OperationId id) const {
  return const_cast<SessionFsm*>(this)->Find(id);
}

SessionFsm::Operation& SessionFsm::NewOperation(LocalTime now) {
  uint64_t slot = 0;
  if (free_operations_.empty()) {
    slot = operations_.size();
    LOCKD_CHECK(slot <= kSlotMask, "too many operations");
    operations_.emplace_back();
  } else {
    slot = free_operations_.back();
    free_operations_.pop_back();
  }
  Operation& operation = operations_[slot];
  operation.id = OperationId(next_operation_++ << kSlotBits | slot);
  operation.called_at = now;
  ++operation_count_;
  return operation;
}

void SessionFsm::Free(Operation& operation) {
  SetTimer(operation, kNeverLocal);
  if (!operation.sequence.is_zero()) by_sequence_.erase(operation.sequence);
  if (operation.phase == Phase::kLocal) --waiting_count_;
  if (operation.phase == Phase::kHeld) --hold_count_;
  free_operations_.push_back(static_cast<uint32_t>(operation.id.value() & kSlotMask));
  operation = Operation{};
  --operation_count_;
}

void SessionFsm::SetTimer(Operation& operation, LocalTime at) {
  if (operation.timer == at) return;
  if (operation.timer != kNeverLocal) timers_.erase({operation.timer, operation.id});
  operation.timer = at;
  if (at != kNeverLocal) timers_.insert({at, operation.id});
}

bool SessionFsm::IsIdle() const {
  return operation_count_ == hold_count_ && window_.unanswered() == 0;
}

// ---- What callers ask for

OperationId SessionFsm::Acquire(LocalTime now, absl::string_view name, int64_t wait_ms,
                                int64_t max_hold_ms) {
  Advance(now);
  Operation& operation = NewOperation(now);
  const OperationId id = operation.id;
  if (life_ != Life::kOpening && life_ != Life::kLive) {
    EndWithoutHold(operation, AcquireStatus::kSessionLost, end_message_, 0);
  } else if (name.empty() || name.size() > kNameBytesMax) {
    EndWithoutHold(operation, AcquireStatus::kInvalid,
                   absl::StrCat("a lock name has 1..", kNameBytesMax, " bytes, not ", name.size()),
                   0);
  } else if (wait_ms < kWaitForever || max_hold_ms < 0) {
    EndWithoutHold(operation, AcquireStatus::kInvalid, "a negative duration", 0);
  } else if (waiting_count_ >= config_.pending_operations_max) {
    EndWithoutHold(operation, AcquireStatus::kLimit,
                   absl::StrCat("the limit pending_operations_max (",
                                config_.pending_operations_max, ") is reached"),
                   config_.operation_timeout_ms);
  } else {
    operation.phase = Phase::kLocal;
    operation.name.assign(name.data(), name.size());
    operation.wait_ms = std::min(wait_ms, kDurationMsMax);
    operation.max_hold_ms = std::min(max_hold_ms, kDurationMsMax);
    if (wait_ms == 0) {
      SetTimer(operation, AddMs(now, config_.operation_timeout_ms));
    } else if (wait_ms > 0) {
      SetTimer(operation, AddMs(now, operation.wait_ms + config_.answer_slack_ms));
    }
    waiting_.push_back(id);
    ++waiting_count_;
    ForgetEndedWaiting();
  }
  return id;
}

// Acquires that ended while they waited here leave their place in the queue behind.
void SessionFsm::ForgetEndedWaiting() {
  if (waiting_.size() <= 2 * waiting_count_ + 64) return;
  std::erase_if(waiting_, [this](OperationId id) { return Find(id) == nullptr; });
}

void SessionFsm::Cancel(LocalTime now, OperationId acquire) {
  Advance(now);
  Operation* operation = Find(acquire);
  if (operation == nullptr || operation->abandoned) return;
  switch (operation->phase) {
    case Phase::kLocal:
    case Phase::kUnanswered:
    case Phase::kQueued:
      Abandon(*operation, AcquireStatus::kCancelled, "");
      return;
    case Phase::kFree:
    case Phase::kHeld:
    case Phase::kReleasing:
      return;
  }
}

bool SessionFsm::Release(LocalTime now, OperationId hold) {
  Advance(now);
  Operation* operation = Find(hold);
  if (operation == nullptr || operation->phase != Phase::kHeld) return false;
  --hold_count_;
  operation->release_waits = true;
  SetTimer(*operation, AddMs(now, config_.operation_timeout_ms));
  StartRelease(*operation);
  return true;
}

bool SessionFsm::IsHeld(OperationId hold, LocalTime now) const {
  return now < SafeUntil(hold);
}

LocalTime SessionFsm::SafeUntil(OperationId hold) const {
  const Operation* operation = Find(hold);
  if (life_ != Life::kLive || operation == nullptr || operation->phase != Phase::kHeld) {
    return LocalTime(0);
  }
  return std::min(lease_.deadline(), operation->hold_deadline);
}

// ---- What becomes of them

void SessionFsm::OnOperationTimer(Operation& operation) {
  switch (operation.phase) {
    case Phase::kLocal:
    case Phase::kUnanswered:
      Abandon(operation, AcquireStatus::kUnavailable, "no leader answered in time");
      return;
    case Phase::kQueued:
      Abandon(operation, AcquireStatus::kTimedOut, "");
      return;
    case Phase::kHeld:
      LOCKD_REACH(kClientMaxHoldOver);
      // Its maximum. The server ends the hold by itself, a little later.
      actions_.lost.push_back({operation.id});
      Free(operation);
      return;
    case Phase::kReleasing:
      actions_.releases.push_back({.hold = operation.id, .status = ReleaseStatus::kUnavailable});
      operation.release_waits = false;
      return;
    case Phase::kFree:
      break;
  }
  LOCKD_UNREACHABLE("a timer of a free operation");
}

void SessionFsm::Complete(Operation& operation, AcquireStatus status, absl::string_view message,
                          int64_t retry_after_ms) {
  AcquireDone& done = actions_.acquires.emplace_back();
  done.operation = operation.id;
  done.status = status;
  done.message = std::string(message);
  done.retry_after_ms = retry_after_ms;
  if (status == AcquireStatus::kGranted) {
    done.token = operation.token;
    done.fence_floor = operation.fence_floor;
    done.hold_deadline = operation.hold_deadline;
  }
}

void SessionFsm::EndWithoutHold(Operation& operation, AcquireStatus status,
                                absl::string_view message, int64_t retry_after_ms) {
  if (!operation.abandoned) Complete(operation, status, message, retry_after_ms);
  Free(operation);
}

// The caller gets its answer now. What the server may have made of the request, or may still make
// of it, stays in the care of the machine: the cancel goes out, and what was granted is released.
void SessionFsm::Abandon(Operation& operation, AcquireStatus status, absl::string_view message) {
  Complete(operation, status, message, 0);
  if (operation.phase == Phase::kLocal) {
    Free(operation);
    return;
  }
  operation.abandoned = true;
  SetTimer(operation, kNeverLocal);
  urgent_.emplace_back(RequestKind::kCancel, operation.id);
}

void SessionFsm::OnGranted(LocalTime now, Operation& operation, const pb::Grant& grant) {
  operation.token = FencingToken(grant.token());
  operation.fence_floor = FencingToken(grant.fence_floor());
  if (operation.abandoned) {
    LOCKD_REACH(kClientReleasesGrantAfterCancel);
    StartRelease(operation);
    return;
  }
  if (grant.hold_deadline_ms() > 0) {
    operation.hold_deadline =
        lease_.HoldDeadline(operation.first_sent_at, ToClusterTime(grant.granted_time_ms()),
                            ToClusterTime(grant.hold_deadline_ms()));
  }
  if (operation.max_hold_ms > 0) {
    // It was granted before now, whatever the server says.
    operation.hold_deadline = std::min(operation.hold_deadline, AddMs(now, operation.max_hold_ms));
  }
  operation.phase = Phase::kHeld;
  ++hold_count_;
  SetTimer(operation, operation.hold_deadline);
  Complete(operation, AcquireStatus::kGranted, "", 0);
}

void SessionFsm::StartRelease(Operation& operation) {
  operation.phase = Phase::kReleasing;
  urgent_.emplace_back(RequestKind::kRelease, operation.id);
}

// The session is over: so is everything in it.
void SessionFsm::EndAllOperations() {
  for (Operation& operation : operations_) {
    switch (operation.phase) {
      case Phase::kFree:
        continue;
      case Phase::kLocal:
      case Phase::kUnanswered:
      case Phase::kQueued:
        EndWithoutHold(operation, AcquireStatus::kSessionLost, end_message_, 0);
        continue;
      case Phase::kHeld:
        actions_.lost.push_back({operation.id});
        Free(operation);
        continue;
      case Phase::kReleasing:
        if (operation.release_waits) {
          actions_.releases.push_back(
              {.hold = operation.id, .status = ReleaseStatus::kSessionLost});
        }
        Free(operation);
        continue;
    }
  }
  waiting_.clear();
  urgent_.clear();
  acknowledgements_.clear();
  reconciles_.clear();
  reconciles_unanswered_ = 0;
  window_ = RequestWindow();
}

// ---- Requests

bool SessionFsm::HasRoomFor(RequestKind kind) const {
  switch (kind) {
    case RequestKind::kAcquire:
      return window_.room() > kRoomKeptByAcquires &&
             window_.in_flight() < in_flight_max_ - in_flight_max_ / 8;
    case RequestKind::kRelease:
    case RequestKind::kCancel:
      return window_.room() > kRoomKeptByOthers && window_.in_flight() < in_flight_max_;
    case RequestKind::kReconcile:
      return window_.room() > 0 && window_.in_flight() < in_flight_max_;
  }
  LOCKD_UNREACHABLE("request kind");
}

// Repeats first, in order of their sequences; then what frees locks; then acquires in the order in
// which they were called.
void SessionFsm::Pump(LocalTime now) {
  if (!is_attached() || life_ != Life::kLive) return;
  acquires_wait_ = others_wait_ = false;
  window_.ForEachToSend([this, now](Request& request) {
    if (request.kind == RequestKind::kCancel && Find(OperationId(request.subject)) == nullptr) {
      // Its acquire has ended in another way, and the link broke before this was answered: nothing
      // is left to cancel, and whether it was executed makes no difference.
      window_.Answered(request);
      return true;
    }
    if (window_.in_flight() >= in_flight_max_) return false;
    const bool is_acquire = request.kind == RequestKind::kAcquire;
    if (now < (is_acquire ? acquires_from_ : others_from_)) {
      (is_acquire ? acquires_wait_ : others_wait_) = true;
      return false;
    }
    LOCKD_REACH(kClientSendsRequestAgain);
    SendRequest(now, request);
    return true;
  });

  while (!urgent_.empty() && HasRoomFor(RequestKind::kRelease)) {
    if (now < others_from_) {
      others_wait_ = true;
      break;
    }
    const auto [kind, id] = urgent_.front();
    urgent_.pop_front();
    Operation* operation = Find(id);
    if (operation == nullptr) continue;
    const bool is_due = kind == RequestKind::kRelease ? operation->phase == Phase::kReleasing
                                                      : operation->phase == Phase::kUnanswered ||
                                                            operation->phase == Phase::kQueued;
    if (is_due) SendRequest(now, window_.Add(kind, id.value()));
  }

  while (!waiting_.empty() && HasRoomFor(RequestKind::kAcquire)) {
    Operation* operation = Find(waiting_.front());
    if (operation != nullptr) {
      if (now < acquires_from_) {
        acquires_wait_ = true;
        break;
      }
      SendAcquire(now, *operation);
    }
    waiting_.pop_front();
  }
}

// The first time: from here on the acquire has a sequence, and its wait is counted by the server.
void SessionFsm::SendAcquire(LocalTime now, Operation& operation) {
  Request& request = window_.Add(RequestKind::kAcquire, operation.id.value());
  operation.phase = Phase::kUnanswered;
  --waiting_count_;
  operation.sequence = request.sequence;
  operation.first_sent_at = now;
  operation.server_wait_ms = operation.wait_ms;
  if (operation.wait_ms > 0) {
    const int64_t waited_ms = (now - operation.called_at) / kNanosPerMilli;
    operation.server_wait_ms = std::max<int64_t>(operation.wait_ms - waited_ms, 0);
  }
  by_sequence_[operation.sequence] = operation.id;
  SendRequest(now, request);
}

void SessionFsm::SendRequest(LocalTime now, Request& request) {
  const MutationHead head{
      .session = session_id_,
      .sequence = request.sequence,
      .acknowledged_through = window_.acknowledged_through(),
      .acknowledgements = request.kind == RequestKind::kReconcile ? nullptr : &acknowledgements_};
  request.sent_at = now;
  window_.SetInFlight(request, true);
  ExpectAnswer(now);
  if (request.kind == RequestKind::kReconcile) {
    const ReconcileBatch& batch = reconciles_[request.subject];
    encoder_->Reconcile(actions_.send, head, batch.after, batch.watermark, batch.live);
    return;
  }
  // An unanswered request keeps its operation: it ends by the answer, or takes the request along.
  const Operation* operation = Find(OperationId(request.subject));
  LOCKD_CHECK(operation != nullptr, "request ", request.sequence, " of no operation");
  switch (request.kind) {
    case RequestKind::kAcquire:
      encoder_->Acquire(actions_.send, head, operation->name, operation->server_wait_ms,
                        operation->max_hold_ms);
      return;
    case RequestKind::kRelease:
      encoder_->Release(actions_.send, head, operation->name, operation->token);
      return;
    case RequestKind::kCancel:
      encoder_->Cancel(actions_.send, head, operation->sequence);
      return;
    case RequestKind::kReconcile:
      break;
  }
  LOCKD_UNREACHABLE("request kind");
}

// Tells the server everything that is still wanted, waiting, held or being released, so that
// nothing else stays behind. The machine itself forgets nothing; this holds even where it is wrong.
// A batch that is still unanswered is repeated instead: what it lists has only become less since.
void SessionFsm::StartReconcile(LocalTime now) {
  if (reconciles_.empty()) BuildReconciles();
  for (size_t i = 0; i < reconciles_.size(); ++i) {
    Request* request = window_.Find(reconciles_[i].sequence);
    if (request != nullptr) SendRequest(now, *request);
  }
}

void SessionFsm::BuildReconciles() {
  const Sequence watermark = window_.last();
  if (watermark.is_zero()) return;  // the session has never asked for anything
  std::vector<Sequence> live;
  for (const Operation& operation : operations_) {
    if (operation.phase == Phase::kFree || operation.sequence.is_zero()) continue;
    const bool is_wanted = !operation.abandoned || operation.phase == Phase::kReleasing;
    if (is_wanted) live.push_back(operation.sequence);
  }
  std::sort(live.begin(), live.end());

  Sequence after(0);
  size_t next = 0;
  do {
    // More than fits into the window is left to the next attach.
    if (window_.room() == 0) break;
    ReconcileBatch batch{.after = after, .watermark = watermark};
    size_t bytes = 0;
    while (next < live.size() && batch.live.size() < kReconcileIdsMax &&
           bytes < kReconcileBytesMax) {
      bytes += VarintBytes(live[next].value());
      batch.live.push_back(live[next++]);
    }
    if (next < live.size()) batch.watermark = batch.live.back();
    after = batch.watermark;
    batch.sequence = window_.Add(RequestKind::kReconcile, reconciles_.size()).sequence;
    reconciles_.push_back(std::move(batch));
    ++reconciles_unanswered_;
  } while (next < live.size());
}

}  // namespace lockd::client
