// LongTimeWorld: three nodes and a few clients on a calm day, for as long as one likes.
//
// What the swarm (swarm.h) does to a cluster in minutes is left out; what only time does is in: a
// world of years with every interval at its upper bound, or one whose numbers begin just below a
// power of two. Nodes are restarted and leaders changed when the test says so. After each turn of a
// node:
//
//   ElectionSafety      one leader per term
//   CommittedNeverLost  where any node ever had an entry committed, all commit that entry
//   DigestsAgree        a replica's digest is that of the committed log at its index
//   MonotoneMarks       term, commit and applied index never go back within a life
//   ClusterTimeBounded  entry times never decrease, nor outrun the fastest clock
//   TokensIncrease      a grant's token is above all before it; a repeat says the same
//   SessionsLive        no session ends: nobody here gives a reason
//
// and at the clients what ClientChecks checks. A broken one ends the process (LOCKD_CHECK).
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_LONG_TIME_WORLD_H_
#define LOCKD_TESTS_SIM_LONG_TIME_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "client/session_fsm.h"
#include "consensus/storage/log_job.h"
#include "server/node/types.h"
#include "server/state/lock_database.h"
#include "tests/sim/client_checks.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_node.h"

namespace lockd::sim {

inline constexpr Time kMinutes = 60 * kSeconds;
inline constexpr Time kHours = 60 * kMinutes;
inline constexpr Time kDays = 24 * kHours;

struct LongTimeOptions {
  uint64_t seed = 1;
  Swarm swarm;  // its times; no faults
  std::function<void(node::NodeOptions*)> tune = [](node::NodeOptions*) {};
  // Where the numbers begin.
  storage::LogBase log_base = {};
  uint64_t numbers_drawn = 0;             // session ids, positions and tokens
  client::UsedNumbers used_numbers = {};  // of each client
};

class LongTimeWorld {
 public:
  // The cluster has formed and every client has its session.
  explicit LongTimeWorld(LongTimeOptions options);

  void RunFor(Time time);
  // The process dies and is started again after `down_for`; its disk keeps what it has.
  void Restart(size_t node, Time down_for);
  // The leader stands still until another one serves.
  void ChangeLeader();

  [[nodiscard]] size_t leader() const;  // index into nodes; there is one, or the run ends
  [[nodiscard]] const SimNode& node(size_t number) const { return *nodes_[number]; }
  [[nodiscard]] const SimClient& client(size_t number) const { return *clients_[number]; }
  [[nodiscard]] const state::LockDatabase& reference() const { return reference_; }
  [[nodiscard]] uint64_t committed() const { return committed_.size(); }
  [[nodiscard]] uint64_t grants() const { return grants_.size(); }
  [[nodiscard]] uint64_t works() const { return checks_.works(); }
  [[nodiscard]] uint64_t events() const { return scheduler_.events_run(); }
  [[nodiscard]] FencingToken first_token() const { return grants_.begin()->first; }
  [[nodiscard]] FencingToken last_token() const { return grants_.rbegin()->first; }
  // All nodes have applied all that is committed, within `patience`.
  void AwaitAllApplied(Time patience);

 private:
  struct Committed {
    raft::Term term;
    state::Digest digest;  // of the state after it
  };
  struct Replica {
    uint64_t life = 0;
    raft::Term term;
    raft::Index commit;
    raft::Index applied;
  };

  void Build();
  template <typename Done>
  void RunUntil(Time patience, const char* what, Done done);
  [[nodiscard]] bool HasLeader() const;
  void AfterTurn(const SimNode& node);
  void CheckCommits(const SimNode& node, Replica& replica);
  void Append(const raft::Entry& entry);
  void CheckResults(const raft::Entry& entry, const state::ApplyResult& result);
  // `last`: of the tokens granted by earlier entries.
  void CheckGrant(SessionId session, Sequence acquire, const state::AcquireResult& result,
                  FencingToken last);
  void CheckSessions() const;
  [[nodiscard]] const Committed& At(raft::Index index) const {
    return committed_[index - options_.log_base.index - 1];
  }
  [[nodiscard]] raft::Index last_committed() const {
    return options_.log_base.index + committed_.size();
  }

  const LongTimeOptions options_;
  Random random_;
  Scheduler scheduler_;
  FaultBook no_faults_;
  SimNetwork network_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::vector<SessionId> sessions_;  // of the clients, once they are open
  ClientChecks checks_;
  uint64_t operations_ = 0;

  std::map<raft::Term, NodeId> leaders_;
  std::map<NodeId, Replica> replicas_;
  std::vector<Committed> committed_;  // entry i stands at index base + i + 1
  state::LockDatabase reference_;
  std::map<FencingToken, std::pair<SessionId, Sequence>> grants_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_LONG_TIME_WORLD_H_
