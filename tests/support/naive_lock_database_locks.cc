// The locks of NaiveLockDatabase: what acquires, releases, cancels and reconciles do, and how freed
// locks are handed on.
#include <algorithm>
#include <utility>

#include "protocol/base/check.h"
#include "tests/support/naive_lock_database.h"

namespace lockd::state {
namespace {

AcquireResult Outcome(AcquireOutcomeKind kind, LimitKind limit = LimitKind::kNone) {
  AcquireResult result;
  result.kind = kind;
  result.limit = limit;
  return result;
}

AcquireResult Granted(const Grant& grant) {
  AcquireResult result = Outcome(AcquireOutcomeKind::kGranted);
  result.grant = grant;
  return result;
}

}  // namespace

LimitKind NaiveLockDatabase::GrantLimit(SessionId session) const {
  if (holds_.size() >= settings_.locks_max) return LimitKind::kLocksMax;
  const auto of_session = static_cast<uint64_t>(std::count_if(
      holds_.begin(), holds_.end(), [&](const auto& h) { return h.second.session == session; }));
  return of_session >= settings_.locks_per_session_max ? LimitKind::kLocksPerSessionMax
                                                       : LimitKind::kNone;
}

LimitKind NaiveLockDatabase::QueueLimit(SessionId session) const {
  uint64_t all = waiters_.size();
  for (const auto& [id, s] : sessions_) all += s.outcomes.size();
  if (all >= settings_.waiters_max) return LimitKind::kWaitersMax;
  uint64_t own = sessions_.at(session).outcomes.size();
  for (const auto& [position, waiter] : waiters_) own += waiter.session == session ? 1 : 0;
  return own >= settings_.waiters_per_session_max ? LimitKind::kWaitersPerSessionMax
                                                  : LimitKind::kNone;
}

AcquireResult NaiveLockDatabase::Execute(Session& session, const Acquire& command) {
  if (holds_.count(command.name) == 0) {
    if (const LimitKind limit = GrantLimit(session.id); limit != LimitKind::kNone) {
      return Outcome(AcquireOutcomeKind::kLimit, limit);
    }
    return Granted(
        GrantTo(session.id, command.mutation.sequence, command.name, command.max_hold_ms));
  }
  if (command.wait_ms == 0) return Outcome(AcquireOutcomeKind::kBusy);
  if (const LimitKind limit = QueueLimit(session.id); limit != LimitKind::kNone) {
    return Outcome(AcquireOutcomeKind::kLimit, limit);
  }
  AcquireResult queued = Outcome(AcquireOutcomeKind::kQueued);
  queued.waiters_before = WaitersOf(command.name);
  Waiter waiter;
  waiter.name = command.name;
  waiter.session = session.id;
  waiter.acquire = command.mutation.sequence;
  if (command.wait_ms != kWaitForever) waiter.deadline = time_ + command.wait_ms;
  waiter.max_hold_ms = command.max_hold_ms;
  waiters_.emplace(++counter_, std::move(waiter));
  return queued;
}

ReleaseResult NaiveLockDatabase::Execute(Session& session, const Release& command) {
  const auto it = holds_.find(command.name);
  if (it == holds_.end() || it->second.session != session.id ||
      it->second.grant.token != command.token || IsDead(it->second.deadline)) {
    return {ReleaseOutcome::kStale};
  }
  Free(command.name);
  return {ReleaseOutcome::kReleased};
}

CancelResult NaiveLockDatabase::Execute(Session& session, const Cancel& command) {
  const auto ended = [](const AcquireResult& outcome) {
    return CancelResult{outcome.kind == AcquireOutcomeKind::kGranted ? CancelOutcome::kTooLate
                                                                     : CancelOutcome::kEnded,
                        outcome};
  };
  if (const uint64_t position = PositionOf(session.id, command.acquire); position != 0) {
    const AcquireResult outcome = CancelWaiter(position);
    if (outcome.kind == AcquireOutcomeKind::kCancelled) {
      return {CancelOutcome::kCancelled, outcome};
    }
    return ended(outcome);
  }
  const auto outcome = session.outcomes.find(command.acquire);
  if (outcome != session.outcomes.end()) return ended(outcome->second);
  const auto reply = session.replies.find(command.acquire);
  if (reply != session.replies.end()) return ended(std::get<AcquireResult>(reply->second));
  if (const std::string name = LockOf(session.id, command.acquire); !name.empty()) {
    return ended(Granted(holds_.at(name).grant));
  }
  const AcquireResult cancelled = Outcome(AcquireOutcomeKind::kCancelled);
  if (command.acquire > session.acknowledged_through) {
    session.replies[command.acquire] = cancelled;
    return {CancelOutcome::kCancelled, cancelled};
  }
  return {CancelOutcome::kEnded, cancelled};
}

ReconcileResult NaiveLockDatabase::Execute(Session& session, const Reconcile& command) {
  ReconcileResult result;
  for (const Sequence acquire : AcquiresOf(session.id)) {
    if (acquire <= command.after || acquire > command.watermark ||
        std::count(command.live_acquires.begin(), command.live_acquires.end(), acquire) > 0) {
      continue;
    }
    if (const uint64_t position = PositionOf(session.id, acquire); position != 0) {
      const AcquireResult outcome = CancelWaiter(position);
      if (outcome.kind == AcquireOutcomeKind::kCancelled) ++result.cancelled;
      continue;
    }
    const std::string name = LockOf(session.id, acquire);
    if (IsDead(holds_.at(name).deadline)) continue;
    Free(name);
    ++result.released;
  }
  return result;
}

Grant NaiveLockDatabase::GrantTo(SessionId session, Sequence acquire, const std::string& name,
                                 int64_t max_hold_ms) {
  Hold hold;
  hold.session = session;
  hold.acquire = acquire;
  hold.grant.token = FencingToken(++counter_);
  hold.grant.fence_floor = hold.grant.token;
  hold.grant.granted_at = time_;
  if (max_hold_ms != 0) {
    hold.grant.hold_deadline = time_ + max_hold_ms;
    hold.deadline = After(max_hold_ms);
  }
  hold.granted_wall = wall_time_;
  const Grant grant = hold.grant;
  LOCKD_CHECK(holds_.emplace(name, std::move(hold)).second, "two owners of ", name);
  return grant;
}

void NaiveLockDatabase::Free(const std::string& name) {
  LOCKD_CHECK(holds_.erase(name) == 1, name);
  freed_.insert(name);
}

void NaiveLockDatabase::GrantFreed() {
  const auto is_candidate = [this](const Waiter& waiter) {
    return freed_.count(waiter.name) > 0 && holds_.count(waiter.name) == 0;
  };
  for (;;) {
    // Positions ascend over all queues, so the first candidate is the first waiter of its lock.
    const auto it = std::find_if(waiters_.begin(), waiters_.end(),
                                 [&](const auto& w) { return is_candidate(w.second); });
    if (it == waiters_.end()) break;
    LookAt(it->first);
  }
  freed_.clear();
}

// A waiter whose turn or whose deadline has come.
void NaiveLockDatabase::LookAt(uint64_t position) {
  const Waiter waiter = waiters_.at(position);
  if (!IsLive(sessions_.at(waiter.session))) {
    waiters_.erase(position);
    return;
  }
  if (IsDead(waiter.deadline)) {
    Finish(position, Outcome(AcquireOutcomeKind::kTimedOut));
    return;
  }
  if (const LimitKind limit = GrantLimit(waiter.session); limit != LimitKind::kNone) {
    Finish(position, Outcome(AcquireOutcomeKind::kLimit, limit));
    return;
  }
  const Grant grant = GrantTo(waiter.session, waiter.acquire, waiter.name, waiter.max_hold_ms);
  Finish(position, Granted(grant));
}

void NaiveLockDatabase::Finish(uint64_t position, const AcquireResult& outcome) {
  const Waiter waiter = waiters_.at(position);
  waiters_.erase(position);
  Session& session = sessions_.at(waiter.session);
  session.outcomes[waiter.acquire] = outcome;
  const auto reply = session.replies.find(waiter.acquire);
  if (reply != session.replies.end()) reply->second = outcome;
  events_.push_back(AcquireDone{waiter.session, waiter.acquire, outcome});
}

AcquireResult NaiveLockDatabase::CancelWaiter(uint64_t position) {
  const AcquireResult outcome =
      Outcome(IsDead(waiters_.at(position).deadline) ? AcquireOutcomeKind::kTimedOut
                                                     : AcquireOutcomeKind::kCancelled);
  Finish(position, outcome);
  return outcome;
}

uint64_t NaiveLockDatabase::PositionOf(SessionId session, Sequence acquire) const {
  for (const auto& [position, waiter] : waiters_) {
    if (waiter.session == session && waiter.acquire == acquire) return position;
  }
  return 0;
}

std::string NaiveLockDatabase::LockOf(SessionId session, Sequence acquire) const {
  for (const auto& [name, hold] : holds_) {
    if (hold.session == session && hold.acquire == acquire) return name;
  }
  return "";
}

std::set<Sequence> NaiveLockDatabase::AcquiresOf(SessionId session) const {
  std::set<Sequence> acquires;
  for (const auto& [position, waiter] : waiters_) {
    if (waiter.session == session) acquires.insert(waiter.acquire);
  }
  for (const auto& [name, hold] : holds_) {
    if (hold.session == session) acquires.insert(hold.acquire);
  }
  return acquires;
}

}  // namespace lockd::state
