// LogChecker: what must hold of the replicated log and of every replica, whatever happened.
//
// Keeps the one committed log as it is seen to grow, and a LockDatabase of its own that has applied
// exactly that. A cluster that was restored from a backup has a checker of its own, whose log
// begins with the state that the checker before had at the backup's entry. After each turn of a
// node:
//
//   ElectionSafety      (I-1)  one leader per term
//   LeaderCompleteness  (I-2)  a leader's log holds everything committed in earlier terms
//   CommittedNeverLost  (I-3)  where any node ever had an entry committed, all commit that entry
//   DigestsAgree        (I-4)  a replica's digest is that of the committed log at its index
//   MembersFollowTheLog        a replica's members are in the roles that its log gives them there
//   OwnTermCommits             a leader's commit index rises onto entries of its own term only
//   MonotoneMarks       (I-5)  term, base, commit and applied index never go back within a life
//   BaseIsCommitted     (I-3)  what a log begins after is the committed entry of that index
//   AppliedAfterCommit  (I-5)  nothing is applied that nobody committed, and there is no gap
//   RaftInvariants             those of consensus/raft/invariants.h
//   StateInvariants     (I-14..I-26) those of LockDatabase, after every entry
//   OracleAgrees               NaiveLockDatabase, written independently, says the same of each
//   entry TokensIncrease      (I-15) a grant's token is above all before it, in all clusters that
//                              were restored before this one, too; a repeat says the same
//
// And of each stale read that a node answers:
//
//   StaleReadsTrue             the holder that it shows held the lock after the entry that it names
//
// And of backups:
//
//   BackupsAreTrue             one that was saved is the state after the committed entry that it
//                              names
//   RestoredIsTheBackup        a machine that was restored begins with that state, refounded, and
//                              its log after that entry
//
// A broken one ends the process (LOCKD_CHECK).
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_LOG_CHECKER_H_
#define LOCKD_TESTS_SIM_LOG_CHECKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "consensus/raft/types.h"
#include "server/node/node.h"
#include "server/state/command.h"
#include "server/state/lock_database.h"
#include "tests/sim/checks/era_ledger.h"
#include "tests/sim/sim_node.h"
#include "tests/support/naive_lock_database.h"

namespace lockd::sim {

class LogChecker {
 public:
  struct Listeners {
    // An entry is seen to be committed for the first time; ascending.
    std::function<void(const raft::Entry&)> on_committed;
    // The log ends a session by itself (not by a close).
    std::function<void(SessionId)> on_session_expired;
    // A hold is over in the log, whatever ended it.
    std::function<void(const std::string& lock, FencingToken)> on_hold_ended;
  };
  explicit LogChecker(Listeners listeners);
  // Of the cluster that was made from a backup of `before`'s, of the state after this entry, when
  // `last` was lost: the same cluster, or a later one. `before` must outlive this.
  LogChecker(const LogChecker& before, raft::Index backup, const LogChecker& last);

  void AfterTurn(const SimNode& node);

  // The parts of AfterTurn that need no node. The next entry is seen to be committed, by a node in
  // this term; and a node's log begins after this.
  void Append(const raft::Entry& entry, raft::Term term);
  void CheckBase(NodeId node, const raft::LogBase& base) const;

  void CheckBackup(const raft::LogBase& base, const state::Digest& digest) const;
  void CheckRestored(NodeId node, const raft::LogBase& base, const state::Digest& digest) const;
  // `digest` is a replica's after this entry.
  void CheckDigest(NodeId node, raft::Index applied, const state::Digest& digest) const;

  // A node has shown this holder (zero: none) as of this applied entry.
  void OnStaleRead(const std::string& lock, raft::Index applied, FencingToken holder) const;

  [[nodiscard]] const state::LockDatabase& reference() const { return *reference_; }
  [[nodiscard]] const raft::LogBase& base() const { return base_; }
  [[nodiscard]] FencingToken last_token() const { return last_token_; }
  // As of the last committed entry; locks without a holder may be missing.
  [[nodiscard]] const Holders& owners() const { return owners_; }
  [[nodiscard]] uint64_t committed() const { return committed_.size(); }
  [[nodiscard]] uint64_t grants() const { return grants_.size(); }

 private:
  struct Committed {
    raft::Entry entry;
    raft::Term seen_in;    // of the node that was first seen to have it committed
    state::Digest digest;  // of the state after it
  };
  struct Replica {
    uint64_t life = 0;
    raft::Term term;
    raft::Index base;
    raft::Index commit;
    raft::Index applied;
    raft::Index last;
    raft::Term leads;  // as of its last turn; zero: it did not lead
    uint64_t turns = 0;
  };

  // The entry after which the state is the one of this index; there is one above the base.
  [[nodiscard]] const Committed& At(raft::Index index) const {
    return committed_[index - base_.index - 1];
  }
  [[nodiscard]] raft::Index last() const { return base_.index + committed_.size(); }
  [[nodiscard]] raft::LogBase BaseAt(raft::Index index) const;
  [[nodiscard]] const state::Digest& DigestAt(raft::Index index) const {
    return index == base_.index ? base_digest_ : At(index).digest;
  }
  // Applies the committed log from the first cluster's beginning on, up to this entry.
  void Replay(raft::Index index, state::LockDatabase* state,
              state::NaiveLockDatabase* oracle) const;
  void CheckLeader(const SimNode& node);
  void CheckState(const SimNode& node, Replica& replica, bool whole) const;
  static void CheckMembers(const SimNode& node, raft::Index applied);
  static void CheckLeaderCommit(const raft::Raft& raft, Replica& replica);
  void CheckCommits(const SimNode& node, Replica& replica);
  void CheckOracle(const raft::Entry& entry, const state::Batch* batch,
                   const state::ApplyResult& result);
  void NoteAcquires(const state::Batch& batch);
  void CheckGrants(const state::Batch* batch, const state::ApplyResult& result);
  void CheckGrant(SessionId session, Sequence acquire, FencingToken token);
  void TellEnds(raft::Index index, const state::ApplyResult& result);

  const Listeners listeners_;
  const LogChecker* const before_ = nullptr;  // of the cluster that this one was made from
  const raft::LogBase base_;
  state::Digest base_digest_;

  std::map<raft::Term, NodeId> leaders_;
  std::map<NodeId, Replica> replicas_;
  std::vector<Committed> committed_;  // entry i stands at index base + i + 1
  std::unique_ptr<state::LockDatabase> reference_ = std::make_unique<state::LockDatabase>();
  state::NaiveLockDatabase oracle_;
  FencingToken last_token_;
  std::map<FencingToken, std::pair<SessionId, Sequence>> grants_;
  std::map<std::pair<SessionId, Sequence>, std::string> locks_;  // what each acquire asks for
  Holders owners_;                                               // of each lock
  // Each change of an owner, by the entry that made it.
  std::map<std::string, std::map<raft::Index, FencingToken>> owners_since_;
  std::vector<std::pair<FencingToken, std::string>> granted_;  // in the present entry
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_LOG_CHECKER_H_
