// The lock half of LockDatabase: mutations that take effect exactly once, and grants.

#include <algorithm>
#include <functional>
#include <optional>
#include <queue>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/base/reach.h"
#include "server/state/lock_database.h"

namespace lockd::state {
namespace {

CommandResult Refused(Refusal refusal) {
  CommandResult result;
  result.refusal = refusal;
  return result;
}

AcquireResult Outcome(AcquireOutcomeKind kind, LimitKind limit = LimitKind::kNone) {
  AcquireResult result;
  result.kind = kind;
  result.limit = limit;
  return result;
}

AcquireResult Granted(const Grant& grant) {
  AcquireResult result;
  result.kind = AcquireOutcomeKind::kGranted;
  result.grant = grant;
  return result;
}

const char* LimitOf(const AcquireResult& result) {
  return LimitName(result.limit);
}
template <typename Result>
const char* LimitOf(const Result&) {
  return "";
}

// The result type of each mutation.
template <typename C>
struct ResultOf;
template <>
struct ResultOf<Acquire> {
  using type = AcquireResult;
};
template <>
struct ResultOf<Release> {
  using type = ReleaseResult;
};
template <>
struct ResultOf<Cancel> {
  using type = CancelResult;
};
template <>
struct ResultOf<Reconcile> {
  using type = ReconcileResult;
};

template <typename Result>
CommandResult Answer(const Result& result) {
  CommandResult answer;
  answer.limit = LimitOf(result);
  answer.value = result;
  return answer;
}

// What a session that is over still tells about one of its requests. A reply QUEUED is no outcome:
// such an acquire ended with its session.
template <typename Result>
std::optional<ReplyValue> LastWord(const Session& session, Sequence sequence) {
  const ReplyValue* reply = session.replies.Find(sequence);
  if (reply == nullptr || !std::holds_alternative<Result>(*reply)) return std::nullopt;
  return *reply;
}
template <>
std::optional<ReplyValue> LastWord<AcquireResult>(const Session& session, Sequence sequence) {
  const auto outcome = session.outcomes.find(sequence);
  if (outcome != session.outcomes.end()) return outcome->second.result;
  const ReplyValue* reply = session.replies.Find(sequence);
  const AcquireResult* result = reply == nullptr ? nullptr : std::get_if<AcquireResult>(reply);
  if (result == nullptr || result->kind == AcquireOutcomeKind::kQueued) return std::nullopt;
  return *result;
}

}  // namespace

// ---- Exactly once

template <typename Result>
LockDatabase::Admission LockDatabase::Admit(const Mutation& mutation) const {
  Admission admission;
  const auto refuse = [&admission](Refusal refusal) {
    admission.refusal = refusal;
    return admission;
  };
  admission.slot = sessions_.Find(mutation.session);
  if (admission.slot == kNoRecord) return refuse(Refusal::kSessionEnded);
  const Session& session = sessions_[admission.slot];
  if (!session.IsLiveAt(time_)) {
    // It can be found out what became of a request, but nothing changes any more.
    admission.acknowledged_through = session.acknowledged_through;
    admission.repeat = LastWord<Result>(session, mutation.sequence);
    if (!admission.repeat.has_value()) return refuse(Refusal::kSessionEnded);
    LOCKD_REACH(kEndedSessionTellsOutcome);
    return admission;
  }
  if (mutation.epoch != session.epoch) {
    LOCKD_REACH(kStaleEpochRefused);
    return refuse(Refusal::kStaleEpoch);
  }
  const Sequence through = std::max(session.acknowledged_through, mutation.acknowledged_through);
  if (mutation.sequence <= through) LOCKD_REACH(kSequenceBelowWindowRefused);
  if (mutation.sequence <= through || mutation.sequence - through > kSequenceWindow) {
    return refuse(Refusal::kBadSequence);
  }
  admission.acknowledged_through = through;
  if (const ReplyValue* reply = session.replies.Find(mutation.sequence)) {
    if (!std::holds_alternative<Result>(*reply)) return refuse(Refusal::kBadSequence);
    LOCKD_REACH(kRetryAnsweredFromReplyWindow);
    admission.repeat = *reply;
  }
  return admission;
}

template <typename C>
CommandResult LockDatabase::Commit(const Admission& admission, const C& command) {
  using Result = typename ResultOf<C>::type;
  if (admission.refusal != Refusal::kNone) return Refused(admission.refusal);
  const uint32_t slot = admission.slot;
  if (sessions_[slot].IsLiveAt(time_)) {
    sessions_.AcknowledgeThrough(slot, admission.acknowledged_through);
    sessions_.AcknowledgeOutcomes(slot, command.mutation.acknowledged_acquires);
  }
  if (admission.repeat.has_value()) return Answer(std::get<Result>(*admission.repeat));
  const Result result = Execute(slot, command);
  sessions_.AddReply(slot, command.mutation.sequence, result);
  return Answer(result);
}

CommandResult LockDatabase::Apply(const Acquire& command) {
  return Commit(Admit<AcquireResult>(command.mutation), command);
}

CommandResult LockDatabase::Apply(const Release& command) {
  return Commit(Admit<ReleaseResult>(command.mutation), command);
}

CommandResult LockDatabase::Apply(const Cancel& command) {
  Admission admission = Admit<CancelResult>(command.mutation);
  const bool new_here = admission.refusal == Refusal::kNone && !admission.repeat.has_value();
  if (new_here && command.acquire > admission.acknowledged_through) {
    // A cancelled acquire that was never seen is remembered, so it must lie within the window.
    const ReplyValue* target = sessions_[admission.slot].replies.Find(command.acquire);
    if (target != nullptr && !std::holds_alternative<AcquireResult>(*target)) {
      admission.refusal = Refusal::kInvalid;
    } else if (command.acquire - admission.acknowledged_through > kSequenceWindow) {
      admission.refusal = Refusal::kBadSequence;
    }
  }
  return Commit(admission, command);
}

CommandResult LockDatabase::Apply(const Reconcile& command) {
  return Commit(Admit<ReconcileResult>(command.mutation), command);
}

// ---- What the mutations do

AcquireResult LockDatabase::Execute(uint32_t slot, const Acquire& command) {
  const Sequence acquire = command.mutation.sequence;
  uint32_t lock = locks_.Find(command.name);
  if (lock == kNoRecord) {
    const LimitKind limit = HoldLimit(slot);
    if (limit != LimitKind::kNone) return Outcome(AcquireOutcomeKind::kLimit, limit);
    lock = locks_.Create(command.name);
    return Granted(GrantLock(lock, slot, acquire, command.mode, command.max_hold_ms));
  }
  if (command.wait_ms == 0) return Outcome(AcquireOutcomeKind::kBusy);
  const LimitKind limit = WaitLimit(slot);
  if (limit != LimitKind::kNone) return Outcome(AcquireOutcomeKind::kLimit, limit);

  AcquireResult queued = Outcome(AcquireOutcomeKind::kQueued);
  queued.waiters_before = locks_[lock].waiter_count;
  WaiterRecord waiter;
  waiter.session = sessions_[slot].id;
  waiter.acquire = acquire;
  waiter.position = NextNumber();
  waiter.max_hold_ms = command.max_hold_ms;
  waiter.session_slot = slot;
  waiter.mode = command.mode;
  if (command.wait_ms != kWaitForever) waiter.deadline = time_ + command.wait_ms;
  AddWaiter(lock, waiter);
  return queued;
}

ReleaseResult LockDatabase::Execute(uint32_t slot, const Release& command) {
  const uint32_t lock = locks_.Find(command.name);
  if (lock == kNoRecord) {
    LOCKD_REACH(kReleaseOfStaleToken);
    return {ReleaseOutcome::kStale};
  }
  const Hold& hold = locks_[lock].hold;
  // The token alone grants nothing: it is not a secret.
  if (hold.token != command.token || hold.session_slot != slot || HoldIsDead(hold)) {
    LOCKD_REACH(kReleaseOfStaleToken);
    return {ReleaseOutcome::kStale};
  }
  FreeHold(lock);
  GrantFreed();
  return {ReleaseOutcome::kReleased};
}

CancelResult LockDatabase::Execute(uint32_t slot, const Cancel& command) {
  const Session& session = sessions_[slot];
  const Sequence target = command.acquire;
  const auto known = [](const AcquireResult& outcome) {
    const bool granted = outcome.kind == AcquireOutcomeKind::kGranted;
    if (granted) LOCKD_REACH(kCancelTooLate);
    return CancelResult{granted ? CancelOutcome::kTooLate : CancelOutcome::kEnded, outcome};
  };
  const auto live = session.acquires.find(target);
  if (live != session.acquires.end() && live->second.is_waiting()) {
    const uint32_t waiter = live->second.record();
    if (locks_.waiter(waiter).deadline <= time_) {
      DropDeadWaiter(waiter);
      return known(Outcome(AcquireOutcomeKind::kTimedOut));
    }
    const AcquireResult cancelled = Outcome(AcquireOutcomeKind::kCancelled);
    LOCKD_REACH(kCancelFindsWaiter);
    FinishWaiter(waiter, cancelled);
    return {CancelOutcome::kCancelled, cancelled};
  }
  if (const auto last_word = LastWord<AcquireResult>(session, target)) {
    return known(std::get<AcquireResult>(*last_word));
  }
  if (live != session.acquires.end()) {
    return known(Granted(GrantOf(locks_[live->second.record()].hold)));
  }
  const AcquireResult cancelled = Outcome(AcquireOutcomeKind::kCancelled);
  if (target <= session.acknowledged_through) return {CancelOutcome::kEnded, cancelled};
  sessions_.AddReply(slot, target, cancelled);
  return {CancelOutcome::kCancelled, cancelled};
}

ReconcileResult LockDatabase::Execute(uint32_t slot, const Reconcile& command) {
  const Session& session = sessions_[slot];
  ReconcileResult result;
  auto wanted = command.live_acquires.begin();
  auto at = session.acquires.upper_bound(command.after);
  while (at != session.acquires.end() && at->first <= command.watermark) {
    const Sequence acquire = at->first;
    const AcquireRef ref = at->second;
    wanted = std::lower_bound(wanted, command.live_acquires.end(), acquire);
    if (wanted != command.live_acquires.end() && *wanted == acquire) {
      ++at;
      continue;
    }
    if (!ref.is_waiting()) {
      if (HoldIsDead(locks_[ref.record()].hold)) {
        ++at;
        continue;
      }
      LOCKD_REACH(kReconcileReleasesOrphan);
      FreeHold(ref.record());
      ++result.released;
    } else if (locks_.waiter(ref.record()).deadline <= time_) {
      DropDeadWaiter(ref.record());
    } else {
      LOCKD_REACH(kReconcileCancelsOrphan);
      FinishWaiter(ref.record(), Outcome(AcquireOutcomeKind::kCancelled));
      ++result.cancelled;
    }
    // The entry is gone from the map, and `at` with it.
    at = session.acquires.upper_bound(acquire);
  }
  GrantFreed();
  return result;
}

// ---- Limits

LimitKind LockDatabase::HoldLimit(uint32_t slot) const {
  if (locks_.held_count() >= settings_.locks_max) return LimitKind::kLocksMax;
  if (sessions_[slot].holds >= settings_.locks_per_session_max) {
    return LimitKind::kLocksPerSessionMax;
  }
  return LimitKind::kNone;
}

LimitKind LockDatabase::WaitLimit(uint32_t slot) const {
  const Session& session = sessions_[slot];
  if (locks_.waiter_count() + sessions_.outcome_count() >= settings_.waiters_max) {
    return LimitKind::kWaitersMax;
  }
  if (session.waiters() + session.outcomes.size() >= settings_.waiters_per_session_max) {
    return LimitKind::kWaitersPerSessionMax;
  }
  return LimitKind::kNone;
}

// ---- Holds and grants

bool LockDatabase::HoldIsDead(const Hold& hold) const {
  return hold.deadline() <= time_;
}

Grant LockDatabase::GrantOf(const Hold& hold) {
  Grant grant;
  grant.token = hold.token;
  grant.mode = hold.mode;
  grant.fence_floor = hold.token;  // an exclusive hold is the only one
  grant.granted_at = hold.granted_at;
  if (hold.max_hold_ms != 0) grant.hold_deadline = hold.granted_at + hold.max_hold_ms;
  return grant;
}

Grant LockDatabase::GrantLock(uint32_t lock, uint32_t slot, Sequence acquire, LockMode mode,
                              int64_t max_hold_ms) {
  Hold hold;
  hold.session = sessions_[slot].id;
  hold.acquire = acquire;
  hold.token = FencingToken(NextNumber());
  hold.granted_at = time_;
  hold.granted_wall = wall_time_;
  hold.max_hold_ms = max_hold_ms;
  hold.session_slot = slot;
  hold.mode = mode;
  AddHold(lock, hold);
  return GrantOf(hold);
}

void LockDatabase::AddHold(uint32_t lock, const Hold& hold) {
  locks_.SetHold(lock, hold);
  sessions_.AddAcquire(hold.session_slot, hold.acquire, AcquireRef::Holding(lock));
  if (hold.max_hold_ms != 0) {
    const ClusterTime deadline = hold.deadline();
    locks_.set_deadline_handle(
        lock, deadlines_.Arm({deadline, hold.token.value(), DeadlineKind::kHold, lock}));
  }
}

void LockDatabase::AddWaiter(uint32_t lock, const WaiterRecord& waiter) {
  const uint32_t id = locks_.Enqueue(lock, waiter);
  sessions_.AddAcquire(waiter.session_slot, waiter.acquire, AcquireRef::Waiting(id));
  if (waiter.deadline != kNeverCluster) {
    locks_.set_waiter_deadline_handle(
        id, deadlines_.Arm({waiter.deadline, waiter.position, DeadlineKind::kWait, id}));
  }
}

void LockDatabase::FreeHold(uint32_t lock) {
  const LockRecord& record = locks_[lock];
  deadlines_.Disarm(record.deadline_handle);
  locks_.set_deadline_handle(lock, kNoRecord);
  sessions_.RemoveAcquire(record.hold.session_slot, record.hold.acquire);
  locks_.ClearHold(lock);
  freed_.push_back(lock);
}

void LockDatabase::GrantFreed() {
  if (freed_.size() == 1) {
    const uint32_t lock = freed_.front();
    freed_.clear();
    bool dropped = false;
    while (locks_[lock].waiter_count > 0) {
      if (GrantOrDropFirst(lock)) {
        if (dropped) LOCKD_REACH(kGrantToWaiterAfterDeadWaiter);
        return;
      }
      dropped = true;
    }
    locks_.Erase(lock);
    return;
  }
  if (freed_.size() > 1) LOCKD_REACH(kSeveralLocksFreedAtOnce);
  // Several locks: among their first waiters the one that has waited longest is looked at first, so
  // that tokens and limits go by position and not by the order in which locks were freed.
  using Candidate = std::pair<uint64_t, uint32_t>;  // position, lock
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto look_at = [&](uint32_t lock) {
    const uint32_t first = locks_[lock].first_waiter;
    if (first == kNoRecord) {
      locks_.Erase(lock);
    } else {
      candidates.emplace(locks_.waiter(first).position, lock);
    }
  };
  for (const uint32_t lock : freed_) look_at(lock);
  freed_.clear();
  while (!candidates.empty()) {
    const uint32_t lock = candidates.top().second;
    candidates.pop();
    if (!GrantOrDropFirst(lock)) look_at(lock);
  }
}

bool LockDatabase::GrantOrDropFirst(uint32_t lock) {
  const uint32_t first = locks_[lock].first_waiter;
  const WaiterRecord waiter = locks_.waiter(first);
  // The session may have died, or the wait ended, since it queued: being first is not enough.
  const Session& session = sessions_[waiter.session_slot];
  if (!session.IsLiveAt(time_) || waiter.deadline <= time_) {
    if (session.IsLiveAt(time_)) LOCKD_REACH(kWaitTimesOutInSameEntry);
    if (!session.IsLiveAt(time_) && !session.ended) LOCKD_REACH(kWaiterSessionExpiresInSameEntry);
    DropDeadWaiter(first);
    return false;
  }
  const LimitKind limit = HoldLimit(waiter.session_slot);
  if (limit != LimitKind::kNone) {
    FinishWaiter(first, Outcome(AcquireOutcomeKind::kLimit, limit));
    return false;
  }
  RemoveWaiter(first);
  const AcquireResult outcome = Granted(
      GrantLock(lock, waiter.session_slot, waiter.acquire, waiter.mode, waiter.max_hold_ms));
  sessions_.AddOutcome(waiter.session_slot, waiter.acquire, outcome);
  events_->push_back(AcquireDone{waiter.session, waiter.acquire, outcome});
  return true;
}

void LockDatabase::RemoveWaiter(uint32_t waiter) {
  const WaiterRecord& record = locks_.waiter(waiter);
  deadlines_.Disarm(record.deadline_handle);
  sessions_.RemoveAcquire(record.session_slot, record.acquire);
  locks_.RemoveWaiter(waiter);
}

void LockDatabase::FinishWaiter(uint32_t waiter, const AcquireResult& outcome) {
  const WaiterRecord record = locks_.waiter(waiter);
  RemoveWaiter(waiter);
  sessions_.AddOutcome(record.session_slot, record.acquire, outcome);
  events_->push_back(AcquireDone{record.session, record.acquire, outcome});
}

void LockDatabase::DropDeadWaiter(uint32_t waiter) {
  if (sessions_[locks_.waiter(waiter).session_slot].IsLiveAt(time_)) {
    FinishWaiter(waiter, Outcome(AcquireOutcomeKind::kTimedOut));
  } else {
    RemoveWaiter(waiter);
  }
}

}  // namespace lockd::state
