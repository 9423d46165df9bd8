// LockDatabase: the replicated tables. Sessions, locks, waiters, deadlines, and the one counter
// that ids and tokens come from.
//
// Apply(entry) is the only way in, and it is deterministic: the same entries in the same order give
// the same results, events and digest on every replica, whatever the hash seeds, clocks or builds.
// It cannot fail; a command that makes no sense is refused alike everywhere. Its order (docs:
// README.md, "What apply does"):
//
//   1. time := the entry's cluster time. Everything with a deadline <= time is dead for every
//   purpose from here on (keep-alive,
//      acquire, attach, grant), cleaned up or not.
//   2. Clean-up of what is dead, at most Settings::cleanup_holds_max holds, in (deadline, id)
//   order. HasBacklog() tells the leader
//      to append time entries until all is done.
//   3. The commands, in order. One command, or one session's end, first frees all that it frees;
//   then candidate waiters are
//      granted in position order, each re-checked.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_LOCK_DATABASE_H_
#define LOCKD_SERVER_STATE_LOCK_DATABASE_H_
// (the private part is the implementation's)
namespace lockd::state {

class LockDatabase {
 public:
  LockDatabase();
  ~LockDatabase();

  // Applies one log entry. `time` never decreases. `payload` is empty for a no-op (which only moves
  // time).
  ApplyResult Apply(ClusterTime time, absl::string_view payload);

  // -- reads: of the state as applied, any replica, any time --
  [[nodiscard]] ClusterTime time() const;
  [[nodiscard]] LockView GetLock(absl::string_view name) const;
  // A page of held locks with this prefix: at most `count_max`, from `cursor` (0: the start).
  // Returns the next cursor, 0 at the end. Order is unspecified; a lock held during the whole
  // listing is seen exactly once.
  uint64_t ListLocks(absl::string_view prefix, uint64_t cursor, size_t count_max,
                     std::vector<LockView>* locks) const;
  uint64_t ListSessions(uint64_t cursor, size_t count_max,
                        std::vector<SessionView>* sessions) const;
  [[nodiscard]] bool SessionIsLive(SessionId session) const;
  // The session's disconnect grace; 0: none, or no live session.
  [[nodiscard]] int64_t SessionGraceMs(SessionId session) const;
  [[nodiscard]] uint64_t session_count() const;  // live
  [[nodiscard]] uint64_t lock_count() const;     // held
  [[nodiscard]] uint64_t waiter_count() const;

  // -- for the leader --
  // The earliest armed deadline (session, wait, hold, kept reply), kNeverCluster when none: while
  // one is armed the leader keeps appending time entries.
  [[nodiscard]] ClusterTime NextDeadline() const;
  // Whether dead things are left to clean up after the last Apply.
  [[nodiscard]] bool HasBacklog() const;

  // -- the cluster's own record --
  [[nodiscard]] ClusterId cluster_id() const;  // zero before Bootstrap
  [[nodiscard]] uint32_t feature_level() const;
  [[nodiscard]] const Settings& settings() const;
  [[nodiscard]] const std::vector<Member>& members() const;  // ascending by node id

  // Order-independent digest of everything above and of all sessions, replies, locks and waiters.
  [[nodiscard]] Digest digest() const;
  // Recomputes every index, counter and the digest from the records and ends the process on a
  // difference. O(n): tests, simulator.
  void CheckInvariants() const;
};

}  // namespace lockd::state
#endif  // LOCKD_SERVER_STATE_LOCK_DATABASE_H_
