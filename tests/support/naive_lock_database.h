// NaiveLockDatabase: the oracle of server/state. The same rules as LockDatabase, written down from
// server/README.md alone, with ordered maps, full scans and no index, no slab and no incremental
// count: slow and easy to believe. It shares only types.h and ValidateCommand with what it checks.
//
// Same inputs, same results, events and reads; a difference is a bug in one of the two, or in the
// README.
#ifndef LOCKD_TESTS_SUPPORT_NAIVE_LOCK_DATABASE_H_
#define LOCKD_TESTS_SUPPORT_NAIVE_LOCK_DATABASE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "server/state/command.h"
#include "server/state/types.h"

namespace lockd::state {

class NaiveLockDatabase {
 public:
  // `batch` is null for a no-op entry, which only moves time.
  ApplyResult Apply(ClusterTime time, const Batch* batch);

  // Makes of it what a cluster that is restored begins with.
  void PrepareRefounding();

  // -- reads --
  [[nodiscard]] LockView GetLock(const std::string& name) const;
  [[nodiscard]] std::vector<LockView> Locks(const std::string& prefix) const;  // held, by name
  [[nodiscard]] std::vector<SessionView> Sessions() const;                     // by id
  [[nodiscard]] bool SessionIsLive(SessionId session) const;
  [[nodiscard]] bool SessionHasEnded(SessionId session) const;
  [[nodiscard]] int64_t SessionGraceMs(SessionId session) const;
  [[nodiscard]] uint64_t session_count() const;
  [[nodiscard]] uint64_t lock_count() const { return holds_.size(); }
  [[nodiscard]] uint64_t waiter_count() const { return waiters_.size(); }
  [[nodiscard]] ClusterTime NextDeadline() const;
  [[nodiscard]] bool HasBacklog() const { return NextDeadline() <= time_; }
  [[nodiscard]] ClusterId cluster_id() const { return cluster_id_; }
  [[nodiscard]] uint32_t feature_level() const { return feature_level_; }
  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] const std::vector<Member>& members() const { return members_; }
  [[nodiscard]] NodeId last_node_id() const { return last_node_id_; }

 private:
  using Reply = std::variant<AcquireResult, ReleaseResult, CancelResult, ReconcileResult>;

  struct Session {
    SessionId id;
    std::string nonce;
    std::string owner_id;
    int64_t ttl_ms = 0;
    int64_t grace_ms = 0;
    ConnectionEpoch epoch;
    ClusterTime ttl_deadline;
    std::optional<ClusterTime> grace_deadline;
    // Once its end has begun: the place of the end in the order of clean-up, and until when its
    // replies are kept.
    std::optional<ClusterTime> end_deadline;
    ClusterTime kept_until;
    bool end_is_done = false;  // clean-up has removed all its acquires, or found none left

    Sequence acknowledged_through;
    std::map<Sequence, Reply> replies;
    std::map<Sequence, AcquireResult> outcomes;

    [[nodiscard]] ClusterTime Deadline() const {
      return grace_deadline ? std::min(ttl_deadline, *grace_deadline) : ttl_deadline;
    }
  };
  struct Hold {
    SessionId session;
    Sequence acquire;
    Grant grant;
    std::optional<ClusterTime> deadline;  // maximum hold, as the server counts it
    WallTime granted_wall;
  };
  struct Waiter {
    std::string name;
    SessionId session;
    Sequence acquire;
    std::optional<ClusterTime> deadline;
    int64_t max_hold_ms = 0;
  };
  // Something with a deadline. Ids are unique over all kinds.
  struct Due {
    ClusterTime deadline;
    uint64_t id = 0;
    enum class Kind { kSession, kKeptSession, kWaiter, kHold } kind = Kind::kSession;
    std::string lock;  // kHold
    auto operator<=>(const Due&) const = default;
  };

  [[nodiscard]] std::vector<Due> AllDeadlines() const;
  void CleanUp();
  void EndSession(Session& session, SessionEndReason reason, ClusterTime deadline,
                  uint64_t& budget);
  void ContinueEnd(Session& session, uint64_t& budget);

  [[nodiscard]] bool IsLive(const Session& session) const;
  [[nodiscard]] Session* Find(SessionId session);
  [[nodiscard]] Refusal CheckConnection(SessionId session, ConnectionEpoch epoch) const;
  [[nodiscard]] ClusterTime After(int64_t client_ms) const {
    return time_ + ServerDurationMs(client_ms);
  }
  void Renew(Session& session) { session.ttl_deadline = After(session.ttl_ms); }
  static void Forget(Session& session, const std::vector<Sequence>& acquires);

  CommandResult Do(const OpenSession& command);
  CommandResult Do(const AttachSession& command);
  CommandResult Do(const KeepAlives& command);
  CommandResult Do(const CloseSession& command);
  CommandResult Do(const Disconnect& command);
  CommandResult Do(const Bootstrap& command);
  CommandResult Do(const RegisterMember& command);
  CommandResult Do(const SetSettings& command);
  CommandResult Do(const SetFeatureLevel& command);
  CommandResult Do(const ChangeMembers& command);
  CommandResult Do(const Refound& command);
  template <typename C>
  CommandResult Do(const C& mutating);

  AcquireResult Execute(Session& session, const Acquire& command);
  ReleaseResult Execute(Session& session, const Release& command);
  CancelResult Execute(Session& session, const Cancel& command);
  ReconcileResult Execute(Session& session, const Reconcile& command);

  [[nodiscard]] LimitKind GrantLimit(SessionId session) const;
  [[nodiscard]] LimitKind QueueLimit(SessionId session) const;
  Grant GrantTo(SessionId session, Sequence acquire, const std::string& name, int64_t max_hold_ms);
  void Free(const std::string& name);
  void GrantFreed();
  void LookAt(uint64_t position);
  void Finish(uint64_t position, const AcquireResult& outcome);
  // Ends a waiting acquire of a live session by its own or its session's will.
  AcquireResult CancelWaiter(uint64_t position);
  [[nodiscard]] uint64_t PositionOf(SessionId session, Sequence acquire) const;  // 0: none
  [[nodiscard]] bool IsDead(const std::optional<ClusterTime>& deadline) const {
    return deadline && *deadline <= time_;
  }
  [[nodiscard]] LockView ViewOf(const std::string& name, const Hold& hold) const;
  [[nodiscard]] uint64_t WaitersOf(const std::string& name) const;
  [[nodiscard]] std::string LockOf(SessionId session, Sequence acquire) const;  // "": holds none
  [[nodiscard]] std::set<Sequence> AcquiresOf(SessionId session) const;

  ClusterTime time_;
  WallTime wall_time_;
  uint64_t counter_ = 0;
  ClusterId cluster_id_;
  uint32_t feature_level_ = kFeatureLevelMax;
  Settings settings_;
  std::vector<Member> members_;
  NodeId last_node_id_;

  std::map<SessionId, Session> sessions_;
  std::map<std::string, Hold> holds_;   // by lock name
  std::map<uint64_t, Waiter> waiters_;  // by position
  std::set<std::string> freed_;         // within one command or one step of clean-up
  std::vector<Event> events_;
};

}  // namespace lockd::state

#endif  // LOCKD_TESTS_SUPPORT_NAIVE_LOCK_DATABASE_H_
