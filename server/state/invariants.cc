#include "server/state/invariants.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "server/state/members.h"

namespace lockd::state {
namespace {

// Each check returns what is wrong, empty when nothing is. The walks stop at the first thing that
// is.

template <typename T>
[[nodiscard]] bool IsRecord(const Slab<T>& slab, uint32_t id) {
  return id < slab.end_id() && slab.IsLive(id);
}

// `check(slot, session)` for each session, until it returns something.
template <typename Check>
std::string ForEachSession(const LockDatabase& db, Check check) {
  const Slab<Session>& sessions = db.sessions().slab();
  std::string wrong;
  for (uint32_t slot = 0; slot < sessions.end_id() && wrong.empty(); ++slot) {
    if (sessions.IsLive(slot)) wrong = check(slot, sessions[slot]);
  }
  return wrong;
}

template <typename Check>
std::string ForEachLock(const LockDatabase& db, Check check) {
  const Slab<LockRecord>& locks = db.locks().slab();
  std::string wrong;
  for (uint32_t lock = 0; lock < locks.end_id() && wrong.empty(); ++lock) {
    if (locks.IsLive(lock)) wrong = check(lock, locks[lock]);
  }
  return wrong;
}

template <typename Check>
std::string ForEachWaiter(const LockDatabase& db, Check check) {
  const Slab<WaiterRecord>& waiters = db.locks().waiter_slab();
  std::string wrong;
  for (uint32_t id = 0; id < waiters.end_id() && wrong.empty(); ++id) {
    if (waiters.IsLive(id)) wrong = check(id, waiters[id]);
  }
  return wrong;
}

std::string NameOf(const LockRecord& lock) {
  return absl::StrCat("lock '", lock.name.view(), "'");
}

// ---- Structure

std::string BetweenCommands(const LockDatabase& db) {
  return db.is_applying() ? "a command is under way" : "";
}

std::string DeadlinesInOrder(const LockDatabase& db) {
  return db.deadlines().IsOrdered() ? "" : "the heap is broken";
}

std::string SessionIndexAgrees(const LockDatabase& db) {
  std::string wrong = ForEachSession(db, [&](uint32_t slot, const Session& session) {
    if (db.sessions().Find(session.id) == slot) return std::string();
    return absl::StrCat("session ", session.id, " is not found");
  });
  if (wrong.empty() && db.sessions().id_count() != db.sessions().slab().live_count()) {
    wrong = absl::StrCat(db.sessions().id_count(), " ids");
  }
  return wrong;
}

std::string NonceIndexAgrees(const LockDatabase& db) {
  uint64_t named = 0;
  std::string wrong = ForEachSession(db, [&](uint32_t slot, const Session& session) {
    const bool is_found = db.sessions().FindByNonce(absl::string_view(
                              session.nonce.data(), session.nonce.size())) == slot;
    if (is_found) ++named;
    if (is_found ? !session.ended : !session.IsLiveAt(db.time())) return std::string();
    return absl::StrCat("session ", session.id, is_found ? " has ended and is" : " is not",
                        " found by its nonce");
  });
  if (wrong.empty() && db.sessions().nonce_count() != named) {
    wrong = absl::StrCat(db.sessions().nonce_count(), " nonces for ", named);
  }
  return wrong;
}

std::string NameIndexAgrees(const LockDatabase& db) {
  std::string wrong = ForEachLock(db, [&](uint32_t id, const LockRecord& lock) {
    return db.locks().Find(lock.name.view()) == id ? "" : NameOf(lock) + " is not found";
  });
  if (wrong.empty() && db.locks().name_count() != db.locks().slab().live_count()) {
    wrong = absl::StrCat(db.locks().name_count(), " names");
  }
  return wrong;
}

std::string QueueLinked(const LockDatabase& db) {
  const Slab<WaiterRecord>& waiters = db.locks().waiter_slab();
  return ForEachLock(db, [&](uint32_t lock_id, const LockRecord& lock) {
    uint32_t previous = kNoRecord;
    uint32_t count = 0;
    for (uint32_t id = lock.first_waiter; id != kNoRecord; id = waiters[id].next) {
      const bool is_link =
          IsRecord(waiters, id) && waiters[id].lock == lock_id && waiters[id].previous == previous;
      if (!is_link || ++count > waiters.live_count()) return NameOf(lock) + " has a broken queue";
      previous = id;
    }
    if (lock.last_waiter == previous && lock.waiter_count == count) return std::string();
    return absl::StrCat(NameOf(lock), " counts ", lock.waiter_count, " waiters, has ", count);
  });
}

std::string WaiterInOneQueue(const LockDatabase& db) {
  // Chains that agree both ways hold nobody twice: it is enough to count.
  uint64_t queued = 0;
  (void)ForEachLock(db, [&](uint32_t, const LockRecord& lock) {
    queued += lock.waiter_count;
    return std::string();
  });
  if (queued == db.locks().waiter_count()) return "";
  return absl::StrCat(queued, " in queues, ", db.locks().waiter_count(), " waiters");
}

std::string QueueInOrder(const LockDatabase& db) {
  return ForEachLock(db, [&](uint32_t, const LockRecord& lock) {
    uint64_t position = 0;
    for (uint32_t id = lock.first_waiter; id != kNoRecord; id = db.locks().waiter(id).next) {
      if (db.locks().waiter(id).position <= position) {
        return absl::StrCat(NameOf(lock), " at position ", position);
      }
      position = db.locks().waiter(id).position;
    }
    return std::string();
  });
}

// ---- Locks and sessions

std::string FreeLockHasNoQueue(const LockDatabase& db) {
  return ForEachLock(db, [](uint32_t, const LockRecord& lock) {
    if (!lock.hold.token.is_zero()) return std::string();
    return absl::StrCat(NameOf(lock), " is free and has ", lock.waiter_count, " waiters");
  });
}

std::string OneExclusiveOwner(const LockDatabase& db) {
  return ForEachLock(db, [](uint32_t, const LockRecord& lock) {
    return lock.hold.mode == LockMode::kExclusive ? "" : NameOf(lock) + " has an unknown mode";
  });
}

// Is `ref` what the session lists under `acquire`?
bool Lists(const LockDatabase& db, uint32_t slot, SessionId id, Sequence acquire, AcquireRef ref) {
  const Slab<Session>& sessions = db.sessions().slab();
  if (!IsRecord(sessions, slot) || sessions[slot].id != id) return false;
  const auto found = sessions[slot].acquires.find(acquire);
  return found != sessions[slot].acquires.end() && found->second == ref;
}

std::string OwnerKnowsHold(const LockDatabase& db) {
  uint64_t holds = 0;
  std::string wrong = ForEachLock(db, [&](uint32_t id, const LockRecord& lock) {
    ++holds;
    const Hold& hold = lock.hold;
    if (Lists(db, hold.session_slot, hold.session, hold.acquire, AcquireRef::Holding(id))) {
      return std::string();
    }
    return absl::StrCat(NameOf(lock), " is not one of session ", hold.session);
  });
  // Every hold is listed by its session; as many as that are listed in all.
  uint64_t listed = 0;
  (void)ForEachSession(db, [&](uint32_t, const Session& session) {
    for (const auto& [acquire, ref] : session.acquires) listed += ref.is_waiting() ? 0 : 1;
    return std::string();
  });
  if (wrong.empty() && listed != holds) wrong = absl::StrCat(listed, " listed, ", holds, " held");
  return wrong;
}

std::string WaiterKnowsAcquire(const LockDatabase& db) {
  std::string wrong = ForEachWaiter(db, [&](uint32_t id, const WaiterRecord& waiter) {
    if (Lists(db, waiter.session_slot, waiter.session, waiter.acquire, AcquireRef::Waiting(id))) {
      return std::string();
    }
    return absl::StrCat("the waiter at ", waiter.position, " is not one of session ",
                        waiter.session);
  });
  uint64_t listed = 0;
  (void)ForEachSession(db, [&](uint32_t, const Session& session) {
    for (const auto& [acquire, ref] : session.acquires) listed += ref.is_waiting() ? 1 : 0;
    return std::string();
  });
  if (wrong.empty() && listed != db.locks().waiter_count()) {
    wrong = absl::StrCat(listed, " listed, ", db.locks().waiter_count(), " wait");
  }
  return wrong;
}

// Alive, or found by the next clean-up because its deadline is due.
bool IsAliveOrDue(const LockDatabase& db, uint32_t slot) {
  const Session& session = db.sessions()[slot];
  return session.IsLiveAt(db.time()) ||
         (db.deadlines().IsArmed(session.deadline_handle) &&
          db.deadlines().Get(session.deadline_handle).time <= db.time());
}

// What it holds is freed after a lock-delay, which is as long as the longest TTL of all.
bool IsDelayed(const Session& session) {
  return session.ended && session.end_reason == SessionEndReason::kRefounded;
}

std::string OwnerSessionAlive(const LockDatabase& db) {
  return ForEachLock(db, [&](uint32_t, const LockRecord& lock) {
    if (IsAliveOrDue(db, lock.hold.session_slot)) return std::string();
    const Session& session = db.sessions()[lock.hold.session_slot];
    if (IsDelayed(session)) return std::string();
    return absl::StrCat(NameOf(lock), " is held by session ", lock.hold.session);
  });
}

std::string WaiterSessionAlive(const LockDatabase& db) {
  return ForEachWaiter(db, [&](uint32_t, const WaiterRecord& waiter) {
    if (IsAliveOrDue(db, waiter.session_slot)) return std::string();
    return absl::StrCat("session ", waiter.session, " waits at ", waiter.position);
  });
}

std::string AcquireHasOneState(const LockDatabase& db) {
  return ForEachWaiter(db, [&](uint32_t, const WaiterRecord& waiter) {
    const Session& session = db.sessions()[waiter.session_slot];
    if (session.outcomes.count(waiter.acquire) == 0) return std::string();
    return absl::StrCat("acquire ", waiter.acquire, " of session ", session.id,
                        " waits and has an outcome");
  });
}

std::string SettledIsBare(const LockDatabase& db) {
  return ForEachSession(db, [](uint32_t, const Session& session) {
    if (!session.settled) return std::string();
    if (session.ended && session.acquires.empty() && session.remembers()) return std::string();
    return absl::StrCat("session ", session.id, " has ", session.acquires.size(), " acquires");
  });
}

std::string GrantNotInTheFuture(const LockDatabase& db) {
  return ForEachLock(db, [&](uint32_t, const LockRecord& lock) {
    if (lock.hold.granted_at <= db.time()) return std::string();
    return absl::StrCat(NameOf(lock), " was granted at ", lock.hold.granted_at);
  });
}

std::string LeaseBounded(const LockDatabase& db) {
  return ForEachSession(db, [&](uint32_t, const Session& session) {
    const int64_t ttl_ms = IsDelayed(session) ? kDurationMsMax : session.ttl_ms;
    const ClusterTime lease = db.time() + ServerDurationMs(ttl_ms);
    const ClusterTime grace = db.time() + ServerDurationMs(session.grace_ms);
    const bool is_bounded =
        session.deadline <= lease &&
        (session.grace_deadline == kNeverCluster || session.grace_deadline <= grace) &&
        session.kept_until <= db.time() + kEndedSessionKeptMs;
    if (is_bounded) return std::string();
    return absl::StrCat("session ", session.id, " lives until ", session.deadline);
  });
}

// ---- Numbers

// Session ids, positions and tokens, ascending.
std::vector<uint64_t> DrawnNumbers(const LockDatabase& db) {
  std::vector<uint64_t> drawn;
  (void)ForEachSession(db, [&](uint32_t, const Session& session) {
    drawn.push_back(session.id.value());
    return std::string();
  });
  (void)ForEachLock(db, [&](uint32_t, const LockRecord& lock) {
    drawn.push_back(lock.hold.token.value());
    return std::string();
  });
  (void)ForEachWaiter(db, [&](uint32_t, const WaiterRecord& waiter) {
    drawn.push_back(waiter.position);
    return std::string();
  });
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

std::string TokensUnique(const LockDatabase& db) {
  const std::vector<uint64_t> drawn = DrawnNumbers(db);
  const auto twice = std::adjacent_find(drawn.begin(), drawn.end());
  return twice == drawn.end() ? "" : absl::StrCat(*twice, " was drawn twice");
}

std::string TokensBelowCounter(const LockDatabase& db) {
  const std::vector<uint64_t> drawn = DrawnNumbers(db);
  if (drawn.empty() || (drawn.front() > 0 && drawn.back() <= db.last_number())) return "";
  return absl::StrCat(drawn.front(), " to ", drawn.back(), ", the counter is at ",
                      db.last_number());
}

std::string RepliesAboveX(const LockDatabase& db) {
  return ForEachSession(db, [](uint32_t, const Session& session) {
    Sequence last = session.acknowledged_through;
    for (const Reply& reply : session.replies) {
      if (reply.sequence <= last) {
        return absl::StrCat("session ", session.id, " has a reply ", reply.sequence, " after ",
                            last);
      }
      last = reply.sequence;
    }
    return std::string();
  });
}

std::string RepliesBounded(const LockDatabase& db) {
  return ForEachSession(db, [](uint32_t, const Session& session) {
    if (session.replies.empty()) return std::string();
    const Sequence last = (session.replies.end() - 1)->sequence;
    if (last - session.acknowledged_through <= kSequenceWindow) return std::string();
    return absl::StrCat("session ", session.id, " has a reply ", last, ", acknowledged ",
                        session.acknowledged_through);
  });
}

std::string OutcomesFinal(const LockDatabase& db) {
  return ForEachSession(db, [](uint32_t, const Session& session) {
    for (const auto& [acquire, outcome] : session.outcomes) {
      if (outcome.result.kind == AcquireOutcomeKind::kQueued) {
        return absl::StrCat("acquire ", acquire, " of session ", session.id);
      }
    }
    return std::string();
  });
}

std::string CountersExact(const LockDatabase& db) {
  uint64_t ended = 0;
  uint64_t outcomes = 0;
  std::string wrong = ForEachSession(db, [&](uint32_t, const Session& session) {
    if (session.ended) ++ended;
    outcomes += session.outcomes.size();
    uint64_t holds = 0;
    for (const auto& [acquire, ref] : session.acquires) holds += ref.is_waiting() ? 0 : 1;
    if (holds == session.holds) return std::string();
    return absl::StrCat("session ", session.id, " counts ", session.holds, " holds, has ", holds);
  });
  if (!wrong.empty()) return wrong;
  // Every record is held, see FreeLockHasNoQueue.
  if (db.lock_count() != db.locks().slab().live_count()) {
    return absl::StrCat(db.lock_count(), " locks counted, ", db.locks().slab().live_count());
  }
  if (db.sessions().kept_count() != ended) {
    return absl::StrCat(db.sessions().kept_count(), " kept sessions counted, ", ended);
  }
  if (db.sessions().outcome_count() != outcomes) {
    return absl::StrCat(db.sessions().outcome_count(), " outcomes counted, ", outcomes);
  }
  return "";
}

// What is wrong with a deadline that should be armed.
std::string CheckArmed(const LockDatabase& db, uint32_t handle, const DeadlineQueue::Entry& want) {
  if (!db.deadlines().IsArmed(handle)) return absl::StrCat("that of ", want.id, " is not");
  const DeadlineQueue::Entry is = db.deadlines().Get(handle);
  if (is.time == want.time && is.id == want.id && is.kind == want.kind &&
      is.record == want.record) {
    return "";
  }
  return absl::StrCat("that of ", want.id, " is armed for ", is.time, " not ", want.time);
}

std::string DeadlinesArmed(const LockDatabase& db) {
  uint64_t armed = 0;
  std::string wrong = ForEachSession(db, [&](uint32_t slot, const Session& session) {
    ++armed;
    return CheckArmed(db, session.deadline_handle,
                      {session.armed_deadline(), session.id.value(), DeadlineKind::kSession, slot});
  });
  if (!wrong.empty()) return wrong;
  wrong = ForEachLock(db, [&](uint32_t id, const LockRecord& lock) {
    const Hold& hold = lock.hold;
    if (hold.max_hold_ms == 0) return std::string();
    ++armed;
    return CheckArmed(db, lock.deadline_handle,
                      {hold.deadline(), hold.token.value(), DeadlineKind::kHold, id});
  });
  if (!wrong.empty()) return wrong;
  wrong = ForEachWaiter(db, [&](uint32_t id, const WaiterRecord& waiter) {
    if (waiter.deadline == kNeverCluster) return std::string();
    ++armed;
    return CheckArmed(db, waiter.deadline_handle,
                      {waiter.deadline, waiter.position, DeadlineKind::kWait, id});
  });
  if (wrong.empty() && armed != db.deadlines().size()) {
    wrong = absl::StrCat(db.deadlines().size(), " are armed for ", armed);
  }
  return wrong;
}

std::string NoDeadlineInThePast(const LockDatabase& db) {
  if (!db.cleaned_all()) return "";
  // After the clean-up commands may have ended sessions, whose end is due at once.
  std::string wrong = ForEachSession(db, [&](uint32_t, const Session& session) {
    if (session.ended || session.IsLiveAt(db.time())) return std::string();
    return absl::StrCat("session ", session.id, " was due at ", session.effective_deadline());
  });
  if (!wrong.empty()) return wrong;
  wrong = ForEachWaiter(db, [&](uint32_t, const WaiterRecord& waiter) {
    if (waiter.deadline > db.time()) return std::string();
    return absl::StrCat("the wait at ", waiter.position, " was due at ", waiter.deadline);
  });
  if (!wrong.empty()) return wrong;
  return ForEachLock(db, [&](uint32_t, const LockRecord& lock) {
    if (lock.hold.deadline() > db.time()) return std::string();
    return NameOf(lock) + " is held beyond its maximum";
  });
}

std::string MembersInOrder(const LockDatabase& db) {
  const std::vector<Member>& members = db.members();
  const auto disorder =
      std::adjacent_find(members.begin(), members.end(),
                         [](const Member& a, const Member& b) { return a.node_id >= b.node_id; });
  return disorder == members.end() ? "" : absl::StrCat("node ", disorder->node_id);
}

std::string MembersBounded(const LockDatabase& db) {
  const size_t count = db.members().size();
  return count <= kMembersMax ? "" : absl::StrCat("there are ", count);
}

std::string MembersHaveVoters(const LockDatabase& db) {
  return db.members().empty() || HaveVoters(db.members()) ? "" : "nobody could be elected";
}

std::string NodeIdsBelowLast(const LockDatabase& db) {
  if (db.members().empty()) return "";
  const NodeId highest = db.members().back().node_id;
  return highest <= db.last_node_id()
             ? ""
             : absl::StrCat("node ", highest, " is above ", db.last_node_id());
}

std::string DigestExact(const LockDatabase& db) {
  DigestSum recomputed;
  db.sessions().AddTo(&recomputed);
  db.locks().AddTo(&recomputed);
  return recomputed.value() == db.digest_sum().value() ? "" : "the sum is not that of the records";
}

struct Invariant {
  absl::string_view name;
  std::string (*check)(const LockDatabase&);
};

// In order: a later check may rely on what an earlier one found in place.
constexpr std::array kInvariants = {
    Invariant{"BetweenCommands", BetweenCommands},
    Invariant{"DeadlinesInOrder", DeadlinesInOrder},
    Invariant{"SessionIndexAgrees", SessionIndexAgrees},
    Invariant{"NonceIndexAgrees", NonceIndexAgrees},
    Invariant{"NameIndexAgrees", NameIndexAgrees},
    Invariant{"QueueLinked", QueueLinked},
    Invariant{"WaiterInOneQueue", WaiterInOneQueue},
    Invariant{"QueueInOrder", QueueInOrder},
    Invariant{"FreeLockHasNoQueue", FreeLockHasNoQueue},
    Invariant{"OneExclusiveOwner", OneExclusiveOwner},
    Invariant{"OwnerKnowsHold", OwnerKnowsHold},
    Invariant{"WaiterKnowsAcquire", WaiterKnowsAcquire},
    Invariant{"OwnerSessionAlive", OwnerSessionAlive},
    Invariant{"WaiterSessionAlive", WaiterSessionAlive},
    Invariant{"AcquireHasOneState", AcquireHasOneState},
    Invariant{"SettledIsBare", SettledIsBare},
    Invariant{"GrantNotInTheFuture", GrantNotInTheFuture},
    Invariant{"LeaseBounded", LeaseBounded},
    Invariant{"TokensUnique", TokensUnique},
    Invariant{"TokensBelowCounter", TokensBelowCounter},
    Invariant{"RepliesAboveX", RepliesAboveX},
    Invariant{"RepliesBounded", RepliesBounded},
    Invariant{"OutcomesFinal", OutcomesFinal},
    Invariant{"CountersExact", CountersExact},
    Invariant{"DeadlinesArmed", DeadlinesArmed},
    Invariant{"NoDeadlineInThePast", NoDeadlineInThePast},
    Invariant{"MembersInOrder", MembersInOrder},
    Invariant{"MembersBounded", MembersBounded},
    Invariant{"MembersHaveVoters", MembersHaveVoters},
    Invariant{"NodeIdsBelowLast", NodeIdsBelowLast},
    Invariant{"DigestExact", DigestExact},
};

}  // namespace

std::string FirstBrokenInvariant(const LockDatabase& database) {
  for (const Invariant& invariant : kInvariants) {
    const std::string wrong = invariant.check(database);
    if (!wrong.empty()) return absl::StrCat(invariant.name, ": ", wrong);
  }
  return "";
}

std::vector<absl::string_view> InvariantNames() {
  std::vector<absl::string_view> names;
  for (const Invariant& invariant : kInvariants) names.push_back(invariant.name);
  return names;
}

void LockDatabase::CheckInvariants() const {
  const std::string broken = FirstBrokenInvariant(*this);
  LOCKD_CHECK(broken.empty(), broken);
}

}  // namespace lockd::state
