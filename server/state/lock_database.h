// LockDatabase: the replicated tables. Sessions, locks, waiters, deadlines, and the one counter
// that ids and tokens come from.
//
// Apply(entry) is the only way in, and it is deterministic: the same entries in the same order give
// the same results, events and digest on every replica, whatever the hash seeds, clocks or builds.
// It cannot fail; a command that makes no sense is refused alike everywhere. Its order (README.md
// of server/ has all the rules):
//
//   1. time := the entry's cluster time. Everything with a deadline <= time is dead for every
//      purpose from here on (keep-alive, acquire, attach, grant), cleaned up or not.
//   2. Clean-up of what is dead, in (deadline, id) order, with a budget of
//      Settings::cleanup_holds_max. HasBacklog() tells the leader to append time entries until all
//      is done.
//   3. The commands, in order. One command, or one session's end, first frees all that it frees;
//      then candidate waiters are granted in position order, each re-checked.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_LOCK_DATABASE_H_
#define LOCKD_SERVER_STATE_LOCK_DATABASE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "server/state/deadline_queue.h"
#include "server/state/digest.h"
#include "server/state/lock_table.h"
#include "server/state/session_table.h"
#include "server/state/types.h"

namespace lockd::state {

class LockDatabase {
 public:
  // `hash_key` should be a secret of the node; it decides nothing that anybody can see.
  // `numbers_drawn` is where the counter of ids and tokens stands at the log's base: alike on all
  // replicas.
  explicit LockDatabase(const HashKey& hash_key = {}, uint64_t numbers_drawn = 0);
  ~LockDatabase();
  LockDatabase(const LockDatabase&) = delete;
  LockDatabase& operator=(const LockDatabase&) = delete;

  // Applies one log entry. `time` never decreases. `payload` is empty for a no-op (which only moves
  // time). Ends the process on a payload that this build does not understand: it must not be
  // skipped, and a newer build can go on from the same log.
  ApplyResult Apply(ClusterTime time, absl::string_view payload);

  // -- reads: of the state as applied, any replica, any time --
  [[nodiscard]] ClusterTime time() const { return time_; }
  [[nodiscard]] LockView GetLock(absl::string_view name) const;
  // A page of held locks with this prefix: at most `count_max`, from `cursor` (0: the start).
  // Returns the next cursor, 0 at the end. Order is unspecified; a lock held during the whole
  // listing is seen exactly once. One call looks at a bounded number of records, so a page may be
  // empty and not the last.
  uint64_t ListLocks(absl::string_view prefix, uint64_t cursor, size_t count_max,
                     std::vector<LockView>* locks) const;
  uint64_t ListSessions(uint64_t cursor, size_t count_max,
                        std::vector<SessionView>* sessions) const;
  [[nodiscard]] bool SessionIsLive(SessionId session) const;
  // Over, and kept for a while: what became of its requests can still be found out.
  [[nodiscard]] bool SessionHasEnded(SessionId session) const;
  // The session's disconnect grace; 0: none, or no live session.
  [[nodiscard]] int64_t SessionGraceMs(SessionId session) const;
  // Its holds and waits; 0: none, or no session.
  [[nodiscard]] uint64_t SessionAcquires(SessionId session) const;
  // What the limits count: including what is dead and not cleaned up.
  [[nodiscard]] uint64_t session_count() const { return sessions_.live_count(); }
  [[nodiscard]] uint64_t lock_count() const { return locks_.held_count(); }
  [[nodiscard]] uint64_t waiter_count() const { return locks_.waiter_count(); }

  // -- for the leader --
  // The earliest armed deadline (session, wait, hold, kept ended session), kNeverCluster when none:
  // while one is armed the leader keeps appending time entries.
  [[nodiscard]] ClusterTime NextDeadline() const;
  // Whether dead things are left to clean up after the last Apply.
  [[nodiscard]] bool HasBacklog() const;

  // -- the cluster's own record --
  [[nodiscard]] ClusterId cluster_id() const { return cluster_id_; }  // zero before Bootstrap
  [[nodiscard]] uint32_t feature_level() const { return feature_level_; }
  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] const std::vector<Member>& members() const { return members_; }  // by node id
  // The highest id that any member ever had, zero before Bootstrap. Ids are not used again.
  [[nodiscard]] NodeId last_node_id() const { return last_node_id_; }
  // Whether apply would take this change now; if not, why. InvalidArgument: it makes no sense in
  // itself. FailedPrecondition: not with the members there are.
  [[nodiscard]] absl::Status CheckChange(const ChangeMembers& change) const;

  // -- snapshots: the state as it is at BeginSnapshot, whatever Apply does meanwhile --
  // What a snapshot holds is a stream of bytes (snapshot_format.h), taken in pieces between two
  // Applies. Beginning copies no records. A piece has at most `bytes_max` bytes and is a bounded
  // amount of work, so it may be shorter, or empty, and not be the last. While a snapshot is under
  // way, Apply saves what it changes for the first time.
  void BeginSnapshot();  // none is under way
  // Replaces `*piece`. True: that was the last, and no snapshot is under way any more.
  [[nodiscard]] bool NextSnapshotPiece(size_t bytes_max, std::string* piece);
  void CancelSnapshot();  // if one is under way
  [[nodiscard]] bool is_in_snapshot() const { return snapshot_ != nullptr; }

  // -- to make a new cluster of it (refounding.h); not while a node works on it. O(n) --
  // Returns when what was held is freed, on the cluster's clock.
  ClusterTime PrepareRefounding();

  // Order-independent digest of everything above and of all sessions, replies, locks and waiters.
  [[nodiscard]] Digest digest() const;
  // Ends the process when one of the rules of invariants.h is broken. O(n): tests, simulator.
  void CheckInvariants() const;

  // -- the inside, for invariants.h --
  [[nodiscard]] const SessionTable& sessions() const { return sessions_; }
  [[nodiscard]] const LockTable& locks() const { return locks_; }
  [[nodiscard]] const DeadlineQueue& deadlines() const { return deadlines_; }
  [[nodiscard]] const DigestSum& digest_sum() const { return digest_sum_; }
  [[nodiscard]] uint64_t last_number() const { return counter_; }
  [[nodiscard]] bool is_applying() const { return events_ != nullptr || !freed_.empty(); }
  // Whether the last entry's clean-up had budget left, i.e. met nothing more that was due.
  [[nodiscard]] bool cleaned_all() const { return cleaned_all_; }
  // nullptr: no snapshot is under way.
  [[nodiscard]] const SnapshotWriter* snapshot() const { return snapshot_.get(); }

 private:
  friend class SnapshotLoader;          // builds a database up from records
  friend struct LockDatabaseCorruptor;  // tests/server/state/corruptor.h

  // What the exactly-once rules say about a mutation before anything is changed.
  struct Admission {
    Refusal refusal = Refusal::kNone;
    uint32_t slot = kNoRecord;
    Sequence acknowledged_through;     // X', to be taken over if the command is not refused
    std::optional<ReplyValue> repeat;  // already executed: this is its reply
  };

  // -- lock_database_sessions.cc: sessions, their ends, clean-up --
  CommandResult Apply(const OpenSession& command);
  CommandResult Apply(const AttachSession& command);
  CommandResult Apply(const KeepAlives& command);
  CommandResult Apply(const CloseSession& command);
  CommandResult Apply(const Disconnect& command);

  [[nodiscard]] ClusterTime LeaseFromNow(int64_t client_ms) const {
    return ClusterTime(time_.value() + ServerDurationMs(client_ms));
  }
  [[nodiscard]] Refusal CheckConnection(uint32_t slot, ConnectionEpoch epoch) const;
  void CleanUp();
  void BeginEnd(uint32_t slot, SessionEndReason reason, ClusterTime deadline);
  void ArmSession(uint32_t slot);
  // Removes acquires of an ended session while `*budget` lasts.
  void ContinueEnd(uint32_t slot, uint64_t* budget);
  // Of an ended session without acquires: keeps or forgets it.
  void SettleEnd(uint32_t slot);
  void ForgetSession(uint32_t slot);

  // -- lock_database_locks.cc: mutations, grants --
  CommandResult Apply(const Acquire& command);
  CommandResult Apply(const Release& command);
  CommandResult Apply(const Cancel& command);
  CommandResult Apply(const Reconcile& command);

  template <typename Result>
  [[nodiscard]] Admission Admit(const Mutation& mutation) const;
  // Takes over X' and what was acknowledged, then gives the repeated reply or executes.
  template <typename C>
  CommandResult Commit(const Admission& admission, const C& command);
  AcquireResult Execute(uint32_t slot, const Acquire& command);
  ReleaseResult Execute(uint32_t slot, const Release& command);
  CancelResult Execute(uint32_t slot, const Cancel& command);
  ReconcileResult Execute(uint32_t slot, const Reconcile& command);

  [[nodiscard]] LimitKind HoldLimit(uint32_t slot) const;
  [[nodiscard]] LimitKind WaitLimit(uint32_t slot) const;
  [[nodiscard]] bool HoldIsDead(const Hold& hold) const;
  [[nodiscard]] static Grant GrantOf(const Hold& hold);

  Grant GrantLock(uint32_t lock, uint32_t slot, Sequence acquire, LockMode mode,
                  int64_t max_hold_ms);
  // `session_slot` is set; arms the maximum hold, or the wait.
  void AddHold(uint32_t lock, const Hold& hold);
  void AddWaiter(uint32_t lock, const WaiterRecord& waiter);
  // The hold ends; the lock waits in `freed_` for GrantFreed.
  void FreeHold(uint32_t lock);
  // Hands on what was freed, in position order.
  void GrantFreed();
  // Looks at the first waiter of a free lock: grants to it, or removes it. True: granted.
  bool GrantOrDropFirst(uint32_t lock);
  void RemoveWaiter(uint32_t waiter);
  void FinishWaiter(uint32_t waiter, const AcquireResult& outcome);
  // A waiter whose session is dead, or else whose wait deadline has come.
  void DropDeadWaiter(uint32_t waiter);

  // -- lock_database.cc: the cluster's own record --
  CommandResult Apply(const Bootstrap& command);
  CommandResult Apply(const RegisterMember& command);
  CommandResult Apply(const SetSettings& command);
  CommandResult Apply(const SetFeatureLevel& command);
  CommandResult Apply(const ChangeMembers& command);

  // -- refounding.cc --
  CommandResult Apply(const Refound& command);
  void EndForRefounding(uint32_t slot, ClusterTime delayed_until);

  void AddChangesTo(DigestSum* sum) const;

  [[nodiscard]] uint64_t NextNumber();
  [[nodiscard]] LockView ViewOf(uint32_t lock) const;

  ClusterTime time_;
  WallTime wall_time_;  // of the last entry that had one; for people
  uint64_t counter_;    // the last number drawn
  ClusterId cluster_id_;
  uint32_t feature_level_ = kFeatureLevelMax;
  Settings settings_;
  std::vector<Member> members_;
  NodeId last_node_id_;

  DigestSum digest_sum_;  // of sessions and locks; digest() adds the rest
  SessionTable sessions_{&digest_sum_};
  LockTable locks_;
  DeadlineQueue deadlines_;

  // Within one Apply only.
  std::vector<Event>* events_ = nullptr;
  uint64_t cleaned_up_ = 0;      // by the entry that is being applied
  std::vector<uint32_t> freed_;  // locks freed and not handed on yet

  bool cleaned_all_ = true;  // decides nothing

  std::unique_ptr<SnapshotWriter> snapshot_;  // reads the tables
};

}  // namespace lockd::state
#endif  // LOCKD_SERVER_STATE_LOCK_DATABASE_H_
