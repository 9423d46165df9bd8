// LockDatabaseCorruptor: reaches into a database and breaks it, so that a test sees an invariant
// trip. A friend of the classes of server/state; nothing else may be one.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SERVER_STATE_CORRUPTOR_H_
#define LOCKD_TESTS_SERVER_STATE_CORRUPTOR_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/state/lock_database.h"

namespace lockd::state {

struct LockDatabaseCorruptor {
  explicit LockDatabaseCorruptor(LockDatabase& d) : db(d) {}

  // -- records --
  Session& session(SessionId id) { return db.sessions_.sessions_[db.sessions_.Find(id)]; }
  uint32_t lock_id(absl::string_view name) { return db.locks_.Find(name); }
  LockRecord& lock(absl::string_view name) { return db.locks_.locks_[lock_id(name)]; }
  // The first, second, ... in the queue of a lock.
  uint32_t waiter_id(absl::string_view name, int place) {
    uint32_t id = lock(name).first_waiter;
    for (; place > 0; --place) id = db.locks_.waiters_[id].next;
    return id;
  }
  WaiterRecord& waiter(absl::string_view name, int place) {
    return db.locks_.waiters_[waiter_id(name, place)];
  }
  uint32_t AllocateWaiter() { return db.locks_.waiters_.Allocate(); }

  // -- indexes and counters --
  IndexMap<SessionId, uint32_t>& by_id() { return db.sessions_.by_id_; }
  IndexMap<Nonce, uint32_t>& by_nonce() { return db.sessions_.by_nonce_; }
  void EraseName(absl::string_view name) { db.locks_.names_.Erase(name); }
  uint64_t& held_count() { return db.locks_.held_count_; }
  uint64_t& kept_count() { return db.sessions_.kept_count_; }
  uint64_t& outcome_count() { return db.sessions_.outcome_count_; }

  // -- the rest --
  ClusterTime& time() { return db.time_; }
  uint64_t& counter() { return db.counter_; }
  std::vector<Member>& members() { return db.members_; }
  NodeId& last_node_id() { return db.last_node_id_; }
  std::vector<uint32_t>& freed() { return db.freed_; }
  DeadlineQueue& deadlines() { return db.deadlines_; }
  void SwapFirstDeadlines() { std::swap(db.deadlines_.heap_[0], db.deadlines_.heap_[1]); }
  // Without telling the digest.
  void Renew(SessionId id, ClusterTime deadline) {
    session(id).deadline = deadline;
    db.deadlines_.Move(session(id).deadline_handle, deadline);
  }

  LockDatabase& db;
};

}  // namespace lockd::state

#endif  // LOCKD_TESTS_SERVER_STATE_CORRUPTOR_H_
