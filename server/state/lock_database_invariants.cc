// What must hold between any two entries, recomputed from the records. The names (I-14..I-21, I-25)
// stand in every message:
//
//   I-14  at most one exclusive owner: a record has room for one hold, of a known mode (LockTable)
//   I-15  tokens are distinct and were drawn from the counter, which only grows
//   I-16  an owner's session exists in the same state and lists the hold
//   I-17  each waiter is in exactly one queue, in ascending positions; its session exists
//   (LockTable) I-18  a free lock has no record, hence no waiters (LockTable) I-19  the sum of
//   permits is constant: there are none yet, exclusive locks have nothing to sum I-20  session ->
//   acquires and lock -> owner, waiter agree both ways; so do all indexes I-21  remembered replies
//   lie within the window above X (SessionTable) I-25  counters are what they count, and each
//   deadline is armed exactly once

#include <algorithm>
#include <vector>

#include "protocol/base/check.h"
#include "server/state/lock_database.h"

namespace lockd::state {

void LockDatabase::CheckInvariants() const {
  LOCKD_CHECK(events_ == nullptr && freed_.empty(), "a command is under way");
  DigestSum recomputed;
  sessions_.CheckInvariants(time_, &recomputed);
  locks_.CheckInvariants(&recomputed);
  LOCKD_CHECK(recomputed.value() == digest_sum_.value(),
              "digest: the running sum is not that of the records");
  CheckAcquires();
  CheckNumbers();
  CheckDeadlines();
}

void LockDatabase::CheckAcquires() const {
  const Slab<Session>& sessions = sessions_.slab();
  uint64_t all_holds = 0;
  uint64_t all_waiters = 0;
  for (uint32_t slot = 0; slot < sessions.end_id(); ++slot) {
    if (!sessions.IsLive(slot)) continue;
    const Session& session = sessions[slot];
    uint64_t holds = 0;
    for (const auto& [acquire, ref] : session.acquires) {
      if (ref.is_waiting()) {
        const WaiterRecord& waiter = locks_.waiter(ref.record());
        LOCKD_CHECK(waiter.session == session.id && waiter.session_slot == slot &&
                        waiter.acquire == acquire,
                    "I-20: session ", session.id, " and the waiter of its acquire ", acquire);
        LOCKD_CHECK(session.outcomes.count(acquire) == 0, "I-20: acquire ", acquire,
                    " waits and has an outcome");
      } else {
        ++holds;
        const Hold& hold = locks_[ref.record()].hold;
        LOCKD_CHECK(
            hold.session == session.id && hold.session_slot == slot && hold.acquire == acquire,
            "I-16: session ", session.id, " and the hold of its acquire ", acquire);
      }
    }
    LOCKD_CHECK(holds == session.holds, "I-25: session ", session.id, " counts ", session.holds,
                " holds, has ", holds);
    all_holds += holds;
    all_waiters += session.waiters();
  }
  // Each acquire points at a record that points back, and there are as many of them as records: so
  // every hold and every waiter has its session.
  LOCKD_CHECK(all_holds == locks_.held_count(), "I-16: holds of sessions: ", all_holds, " not ",
              locks_.held_count());
  LOCKD_CHECK(all_waiters == locks_.waiter_count(), "I-17: waiters of sessions: ", all_waiters,
              " not ", locks_.waiter_count());
}

void LockDatabase::CheckNumbers() const {
  // Session ids, positions and tokens are draws of one counter: all different, none in the future.
  std::vector<uint64_t> drawn;
  const Slab<Session>& sessions = sessions_.slab();
  for (uint32_t slot = 0; slot < sessions.end_id(); ++slot) {
    if (sessions.IsLive(slot)) drawn.push_back(sessions[slot].id.value());
  }
  const Slab<LockRecord>& locks = locks_.slab();
  for (uint32_t lock = 0; lock < locks.end_id(); ++lock) {
    if (!locks.IsLive(lock)) continue;
    drawn.push_back(locks[lock].hold.token.value());
    for (uint32_t waiter = locks[lock].first_waiter; waiter != kNoRecord;
         waiter = locks_.waiter(waiter).next) {
      drawn.push_back(locks_.waiter(waiter).position);
    }
  }
  std::sort(drawn.begin(), drawn.end());
  LOCKD_CHECK(std::adjacent_find(drawn.begin(), drawn.end()) == drawn.end(),
              "I-15: a number was drawn twice");
  LOCKD_CHECK(drawn.empty() || (drawn.front() > 0 && drawn.back() <= counter_),
              "I-15: a number beyond the counter ", counter_);
}

void LockDatabase::CheckDeadlines() const {
  deadlines_.CheckInvariants();
  uint64_t armed = 0;
  const auto check = [&](uint32_t handle, ClusterTime time, uint64_t id, DeadlineKind kind,
                         uint32_t record) {
    LOCKD_CHECK(handle != kNoRecord, "I-25: a deadline of ", id, " is not armed");
    const DeadlineQueue::Entry entry = deadlines_.Get(handle);
    LOCKD_CHECK(
        entry.time == time && entry.id == id && entry.kind == kind && entry.record == record,
        "I-25: the deadline of ", id, " is armed for ", entry.time, " not ", time);
    ++armed;
  };
  const Slab<Session>& sessions = sessions_.slab();
  for (uint32_t slot = 0; slot < sessions.end_id(); ++slot) {
    if (!sessions.IsLive(slot)) continue;
    const Session& session = sessions[slot];
    // One whose last waiters were dropped by grants is moved on when clean-up comes to it.
    const bool kept = session.ended && session.acquires.empty() &&
                      deadlines_.Get(session.deadline_handle).time == session.kept_until;
    check(session.deadline_handle, kept ? session.kept_until : session.effective_deadline(),
          session.id.value(), DeadlineKind::kSession, slot);
  }
  const Slab<LockRecord>& locks = locks_.slab();
  for (uint32_t lock = 0; lock < locks.end_id(); ++lock) {
    if (!locks.IsLive(lock)) continue;
    const Hold& hold = locks[lock].hold;
    if (hold.max_hold_ms != 0) {
      check(locks[lock].deadline_handle, hold.granted_at + ServerDurationMs(hold.max_hold_ms),
            hold.token.value(), DeadlineKind::kHold, lock);
    }
    for (uint32_t id = locks[lock].first_waiter; id != kNoRecord; id = locks_.waiter(id).next) {
      const WaiterRecord& waiter = locks_.waiter(id);
      if (waiter.deadline == kNeverCluster) continue;
      check(waiter.deadline_handle, waiter.deadline, waiter.position, DeadlineKind::kWait, id);
    }
  }
  LOCKD_CHECK(armed == deadlines_.size(), "I-25: deadlines armed: ", deadlines_.size(), " not ",
              armed);
}

}  // namespace lockd::state
