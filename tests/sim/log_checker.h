// LogChecker: what must hold of the replicated log and of every replica, whatever happened.
//
// Keeps the one committed log as it is seen to grow, and a LockDatabase of its own that has applied
// exactly that. After each turn of a node:
//
//   ElectionSafety      (I-1)  one leader per term
//   LeaderCompleteness  (I-2)  a leader's log holds everything committed in earlier terms
//   CommittedNeverLost  (I-3)  where any node ever had an entry committed, all commit that entry
//   DigestsAgree        (I-4)  a replica's digest is that of the committed log up to its index
//   MonotoneMarks       (I-5)  term, commit and applied index never go back within a life
//   ClusterTimeBounded  (I-12) entry times never decrease, nor outrun the fastest clock
//   State               (I-14..I-21) LockDatabase::CheckInvariants, now and then
//   TokensIncrease      (I-15) a grant's token is above all before it; a repeat says the same
//   NeverEarly          (I-22) when a session's expiry commits, its client has given it up
//
// A broken one ends the process (LOCKD_CHECK).
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_LOG_CHECKER_H_
#define LOCKD_TESTS_SIM_LOG_CHECKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "consensus/raft/types.h"
#include "server/node/node.h"
#include "server/state/lock_database.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_node.h"

namespace lockd::sim {

class LogChecker {
 public:
  // `on_session_ended` hears of each session that the log ends by itself (not by a close).
  LogChecker(const Scheduler* scheduler, int64_t clock_rate_ppm_max,
             std::function<void(SessionId, state::SessionEndReason)> on_session_ended);

  void AfterTurn(const SimNode& node);

  [[nodiscard]] const state::LockDatabase& reference() const { return reference_; }
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
    raft::Index commit;
    raft::Index applied;
    uint64_t turns = 0;
  };

  void CheckLeader(const SimNode& node);
  void CheckCommits(const SimNode& node, Replica& replica);
  void Append(const raft::Entry& entry, raft::Term term);
  void CheckResults(const raft::Entry& entry, const state::ApplyResult& result);
  void CheckGrant(SessionId session, Sequence acquire, FencingToken token);

  const Scheduler* const scheduler_;
  const int64_t clock_rate_ppm_max_;
  const std::function<void(SessionId, state::SessionEndReason)> on_session_ended_;

  std::map<raft::Term, NodeId> leaders_;
  std::map<NodeId, Replica> replicas_;
  std::vector<Committed> committed_;  // entry i stands at index i + 1
  state::LockDatabase reference_;
  FencingToken last_token_;
  std::map<FencingToken, std::pair<SessionId, Sequence>> grants_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_LOG_CHECKER_H_
