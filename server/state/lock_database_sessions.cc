// The session half of LockDatabase: leases, their ends, and clean-up.

#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/base/reach.h"
#include "server/state/lock_database.h"

namespace lockd::state {
namespace {

CommandResult Refused(Refusal refusal, LimitKind limit = LimitKind::kNone) {
  CommandResult result;
  result.refusal = refusal;
  result.limit = LimitName(limit);
  return result;
}

}  // namespace

// ---- Commands

CommandResult LockDatabase::Apply(const OpenSession& command) {
  const ClusterTime deadline = LeaseFromNow(command.ttl_ms);
  CommandResult result;
  SessionResult& opened = result.value.emplace<SessionResult>();
  uint32_t slot = sessions_.FindByNonce(command.nonce);
  if (slot != kNoRecord && sessions_[slot].IsLiveAt(time_)) {
    const ClusterTime renewed = LeaseFromNow(sessions_[slot].ttl_ms);
    sessions_.Attach(slot, renewed);
    deadlines_.Move(sessions_[slot].deadline_handle, renewed);
    LOCKD_REACH(kNonceFindsLiveSession);
    opened.found = true;
  } else {
    // Ended sessions are kept for a while, so they count too, or opening and closing in a loop
    // would grow without bound.
    const uint64_t live = sessions_.live_count();
    if (live >= settings_.sessions_max ||
        live + sessions_.kept_count() >= 2 * settings_.sessions_max) {
      return Refused(Refusal::kLimit, LimitKind::kSessionsMax);
    }
    const SessionId id(NextNumber());
    slot = sessions_.Open(id, command, deadline);
    ArmSession(slot);
  }
  opened.session = sessions_[slot].id;
  opened.epoch = sessions_[slot].epoch;
  return result;
}

CommandResult LockDatabase::Apply(const AttachSession& command) {
  const uint32_t slot = sessions_.Find(command.session);
  if (slot == kNoRecord || !sessions_[slot].IsLiveAt(time_)) return Refused(Refusal::kSessionEnded);
  const Session& session = sessions_[slot];
  if (!std::equal(session.nonce.begin(), session.nonce.end(), command.nonce.begin(),
                  command.nonce.end())) {
    return Refused(Refusal::kWrongSecret);
  }
  if (session.grace_deadline != kNeverCluster) LOCKD_REACH(kAttachTakesGraceBack);
  sessions_.Attach(slot, LeaseFromNow(session.ttl_ms));
  deadlines_.Move(session.deadline_handle, session.effective_deadline());

  CommandResult result;
  SessionResult& attached = result.value.emplace<SessionResult>();
  attached.session = session.id;
  attached.epoch = session.epoch;
  attached.found = true;
  attached.outcomes.reserve(session.outcomes.size());
  for (const auto& [acquire, outcome] : session.outcomes) {
    attached.outcomes.emplace_back(acquire, outcome.result);
  }
  return result;
}

CommandResult LockDatabase::Apply(const KeepAlives& command) {
  CommandResult result;
  std::vector<Refusal>& refusals = result.value.emplace<KeepAliveResults>().sessions;
  refusals.reserve(command.sessions.size());
  for (const KeepAlives::One& one : command.sessions) {
    const uint32_t slot = sessions_.Find(one.session);
    refusals.push_back(CheckConnection(slot, one.epoch));
    if (refusals.back() == Refusal::kSessionEnded) LOCKD_REACH(kKeepAliveAfterTheEnd);
    if (refusals.back() != Refusal::kNone) continue;
    // A pending disconnect stays pending: the connection of this epoch is gone, however late its
    // last words are logged. Only an attach, on another connection, takes it back.
    sessions_.Renew(slot, LeaseFromNow(sessions_[slot].ttl_ms));
    deadlines_.Move(sessions_[slot].deadline_handle, sessions_[slot].effective_deadline());
    sessions_.AcknowledgeOutcomes(slot, one.acknowledged_acquires);
  }
  return result;
}

CommandResult LockDatabase::Apply(const CloseSession& command) {
  const uint32_t slot = sessions_.Find(command.session);
  const Refusal refusal = CheckConnection(slot, command.epoch);
  if (refusal != Refusal::kNone) return Refused(refusal);
  const uint64_t budget_max = settings_.cleanup_holds_max - 1;
  uint64_t budget = budget_max;
  BeginEnd(slot, SessionEndReason::kClosed, time_);
  ContinueEnd(slot, &budget);
  cleaned_up_ += budget_max - budget;
  return {};
}

CommandResult LockDatabase::Apply(const Disconnect& command) {
  const uint32_t slot = sessions_.Find(command.session);
  const Refusal refusal = CheckConnection(slot, command.epoch);
  if (refusal == Refusal::kStaleEpoch) LOCKD_REACH(kDisconnectOfStaleEpochIgnored);
  if (refusal != Refusal::kNone) return Refused(refusal);
  const Session& session = sessions_[slot];
  if (session.grace_ms == 0 || session.grace_deadline != kNeverCluster) return {};
  sessions_.ArmGrace(slot, LeaseFromNow(session.grace_ms));
  deadlines_.Move(session.deadline_handle, session.effective_deadline());
  return {};
}

void LockDatabase::ArmSession(uint32_t slot) {
  const Session& session = sessions_[slot];
  sessions_.set_deadline_handle(slot, deadlines_.Arm({session.armed_deadline(), session.id.value(),
                                                      DeadlineKind::kSession, slot}));
}

Refusal LockDatabase::CheckConnection(uint32_t slot, ConnectionEpoch epoch) const {
  if (slot == kNoRecord || !sessions_[slot].IsLiveAt(time_)) return Refusal::kSessionEnded;
  if (sessions_[slot].epoch != epoch) return Refusal::kStaleEpoch;
  return Refusal::kNone;
}

// ---- Ends

void LockDatabase::CleanUp() {
  uint64_t budget = settings_.cleanup_holds_max;
  while (budget > 0 && HasBacklog()) {
    const DeadlineQueue::Entry due = deadlines_.earliest();
    switch (due.kind) {
      case DeadlineKind::kWait:
        --budget;
        DropDeadWaiter(due.record);
        break;
      case DeadlineKind::kHold: {
        --budget;
        LOCKD_REACH(kMaxHoldExpiry);
        const Hold hold = locks_[due.record].hold;
        // A dead session's end says all that there is to say.
        if (sessions_[hold.session_slot].IsLiveAt(time_)) {
          events_->push_back(HoldExpired{hold.session, hold.token});
        }
        FreeHold(due.record);
        GrantFreed();
        break;
      }
      case DeadlineKind::kSession: {
        const Session& session = sessions_[due.record];
        if (!session.ended) {
          --budget;
          const bool disconnected = session.grace_deadline <= session.deadline;
          if (disconnected) LOCKD_REACH(kGraceExpiry);
          if (!disconnected) LOCKD_REACH(kTtlExpiry);
          BeginEnd(due.record,
                   disconnected ? SessionEndReason::kDisconnected : SessionEndReason::kExpired,
                   due.time);
          ContinueEnd(due.record, &budget);
        } else if (!session.acquires.empty()) {
          ContinueEnd(due.record, &budget);
        } else if (!session.settled) {
          // Its last waiters were dropped by grants in between.
          SettleEnd(due.record);
        } else {
          --budget;
          LOCKD_REACH(kKeptSessionForgotten);
          ForgetSession(due.record);
        }
        break;
      }
    }
  }
  cleaned_up_ += settings_.cleanup_holds_max - budget;
  cleaned_all_ = !HasBacklog();
  if (!cleaned_all_) LOCKD_REACH(kCleanupBudgetExhausted);
}

void LockDatabase::BeginEnd(uint32_t slot, SessionEndReason reason, ClusterTime deadline) {
  sessions_.End(slot, reason, deadline, time_ + kEndedSessionKeptMs);
  deadlines_.Move(sessions_[slot].deadline_handle, deadline);
  events_->push_back(SessionEnded{sessions_[slot].id, reason});
}

void LockDatabase::ContinueEnd(uint32_t slot, uint64_t* budget) {
  const Session& session = sessions_[slot];
  while (*budget > 0 && !session.acquires.empty()) {
    --*budget;
    const AcquireRef ref = session.acquires.begin()->second;
    if (ref.is_waiting()) {
      RemoveWaiter(ref.record());
    } else {
      FreeHold(ref.record());
    }
  }
  GrantFreed();
  if (session.acquires.empty()) SettleEnd(slot);
}

void LockDatabase::SettleEnd(uint32_t slot) {
  const Session& session = sessions_[slot];
  if (session.remembers()) {
    sessions_.Settle(slot);
    deadlines_.Move(session.deadline_handle, session.kept_until);
  } else {
    ForgetSession(slot);
  }
}

void LockDatabase::ForgetSession(uint32_t slot) {
  deadlines_.Disarm(sessions_[slot].deadline_handle);
  sessions_.Forget(slot);
}

}  // namespace lockd::state
