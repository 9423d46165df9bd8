// Ledgers: the checks of checks/, fed with what the nodes of a run do.
//
// What each node sends, writes, recovers, holds in its log and commits goes into books that no
// crash of a node can reach; the books' rules (checks/*.h list them by name) are what Raft promises
// about them. A broken one ends the process (LOCKD_CHECK).
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_LEDGERS_H_
#define LOCKD_TESTS_SIM_LEDGERS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "consensus/storage/log_job.h"
#include "tests/sim/checks/clock_ledger.h"
#include "tests/sim/checks/durability_ledger.h"
#include "tests/sim/checks/log_chain.h"
#include "tests/sim/checks/vote_ledger.h"
#include "tests/sim/checks/wire_ledger.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_node.h"

namespace lockd::sim {

class Ledgers {
 public:
  Ledgers(const Scheduler* scheduler, std::vector<NodeId> voters)
      : scheduler_(scheduler), disks_(std::move(voters)) {}
  // Of the cluster that was made from a backup of `before`'s, of the state after this entry.
  Ledgers(const Ledgers& before, const std::vector<NodeId>& voters, const raft::LogBase& base);

  void OnPeerFrame(NodeId from, NodeId to, absl::string_view frame);
  void OnWriteBegins(NodeId node, const storage::LogWrite& write);
  void OnDurable(NodeId node, const storage::LogWrite& write);
  void OnRecovered(NodeId node, const raft::RecoveredLog& log);
  void OnSnapshotsKept(NodeId node, const std::vector<raft::SnapshotId>& kept) {
    disks_.SnapshotsKept(node, kept);
  }
  void OnRestored(NodeId node, const raft::LogBase& base) { disks_.Restored(node, base); }
  void AfterTurn(const SimNode& node);
  // An entry is seen to be committed for the first time, by the node whose turn it was; ascending.
  void OnCommitted(const raft::Entry& entry);

 private:
  void FollowLog(const SimNode& node);
  // The node's log begins after `base`: what it held up to there is known, or a snapshot's.
  void FollowBase(NodeId node, const raft::LogBase& base);

  const Scheduler* const scheduler_;
  VoteLedger votes_;
  DurabilityLedger disks_;
  WireLedger wires_;
  LogChain logs_;
  ClockLedger clocks_;
  const raft::Raft* committing_ = nullptr;  // of the node whose turn it was
  std::map<NodeId, raft::Index> durable_;   // as each core had it last
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_LEDGERS_H_
