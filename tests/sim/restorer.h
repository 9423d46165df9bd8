// Restorer: the operators of a cluster that is lost. It keeps the backups that they have saved,
// says when all nodes are lost and which backup is restored, and puts new machines in their places.
//
// What must be true meanwhile is the business of who runs the cluster (simulation.cc):
//
//   if (restorer.TakeDue()) {
//     backup = restorer.LoseCluster();       // all nodes are dead for good
//     ... a new era begins, and DrawDowntime passes
//     restorer.Replace(node, backup)         // each founder; then they start, DrawPause apart
//     ... they form a cluster; without faults, for the first start needs them all
//   }
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_RESTORER_H_
#define LOCKD_TESTS_SIM_RESTORER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "consensus/raft/types.h"
#include "protocol/base/random.h"
#include "tests/sim/fault_book.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/sim_operator.h"
#include "tests/sim/swarm.h"

namespace lockd::sim {

class Restorer {
 public:
  // When a run begins with a restore to come: tokens go on from the clock on the wall. 2026.
  static constexpr int64_t kWallStartMs = 1'767'225'600'000;

  struct World {
    Scheduler* scheduler;
    SimNetwork* network;
    FaultBook* faults;
    const std::vector<std::unique_ptr<SimNode>>* nodes;
    const std::vector<std::unique_ptr<SimClient>>* clients;
    // How often the cluster was restored.
    std::function<size_t()> era;
    std::function<void(const Backup&)> check_backup;
  };

  // `host`: of the operator who saves them. All draws come from a generator of its own.
  Restorer(World world, const Swarm& swarm, HostId host, uint64_t run_seed,
           std::function<void(const std::string&)> trace);

  void SaveBackup() { operator_.Save(); }
  // The cluster shall be lost: now, if there is a backup, or as soon as there is another one.
  void AskForLoss();
  // No more of them.
  void Stop() { loss_follows_ = is_due_ = false; }
  [[nodiscard]] bool is_due() const { return is_due_; }
  [[nodiscard]] bool TakeDue() { return std::exchange(is_due_, false); }

  // Also: the network is healed, but that some clients do not hear of the new cluster for a while.
  Backup LoseCluster();
  [[nodiscard]] Time DrawDowntime();
  SimNode::Restored Replace(SimNode& node, const Backup& backup);
  [[nodiscard]] Time DrawPause() { return Draw(100 * kMillis); }
  // A backup with numbers up to `last` may have to wait for the clock's next minute.
  [[nodiscard]] bool MustAwaitClock(uint64_t last) const;

  // Nodes whose disks were refused for good, and were replaced.
  [[nodiscard]] uint64_t nodes_lost() const { return nodes_lost_; }

 private:
  [[nodiscard]] Time Draw(Time most) {
    return static_cast<Time>(random_.Between(0, static_cast<uint64_t>(most)));
  }
  [[nodiscard]] raft::Index Applied() const;
  void OnSaved(Backup backup);
  [[nodiscard]] const Backup& Choose();
  void CutOffClients();

  const World world_;
  const Swarm swarm_;
  Random random_;
  const std::function<void(const std::string&)> trace_;
  SimOperator operator_;
  std::vector<Backup> backups_;
  bool is_due_ = false;
  bool loss_follows_ = false;  // on the next backup
  uint64_t nodes_lost_ = 0;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_RESTORER_H_
