// FaultInjector: makes the timed faults of a run happen, and ends them.
//
// Every kind that the swarm gave a rate happens again and again, at random times with that mean.
// Within a budget: no more than a minority of the nodes ever has its disk damaged, so that a
// majority of true logs remains and recovery is a fair demand. Where members change, one disk alone
// may be damaged, and three voters stay. Everything else may hit everybody.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_FAULT_INJECTOR_H_
#define LOCKD_TESTS_SIM_FAULT_INJECTOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/fault_book.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/stranger.h"

namespace lockd::sim {

inline const uint64_t kFeaturesOfThisVersion = node::NodeOptions{}.peer_features;
inline const uint64_t kFeaturesOfVersionBefore = kFeaturesOfThisVersion & ~kPeerFeatureDigests;

class FaultInjector {
 public:
  struct World {
    Scheduler* scheduler;
    SimNetwork* network;
    FaultBook* faults;
    std::vector<std::unique_ptr<SimNode>>* nodes;
    std::vector<std::unique_ptr<SimClient>>* clients;
    Stranger* stranger;
    // The members as the committed log has them.
    std::function<const std::vector<state::Member>&()> members;
    // Begins to save a backup; it counts when it is there.
    std::function<void()> save_backup;
    // The same of a restore.
    std::function<void()> restore;
  };

  FaultInjector(World world, const Swarm& swarm, uint64_t seed,
                std::function<void(const std::string&)> trace);

  void Start();
  // No more of them; what is going on is ended by Simulation's healing.
  void Stop() { is_on_ = false; }
  // A node's process has ended by itself: somebody starts it again.
  void OnExit(SimNode& node);

 private:
  using Paths = std::vector<std::pair<HostId, HostId>>;

  enum class Effect : uint8_t {
    kOther,   // not one of this function's kinds
    kNone,    // nothing happened (yet): there was nothing to do it to
    kStruck,  // it happened
  };

  void Repeat(Fault fault);
  void Inject(Fault fault);
  Effect InjectNetwork(Fault fault);
  Effect InjectPartition(Fault fault);
  Effect InjectProcess(Fault fault);
  Effect InjectMembers(Fault fault);
  Effect InjectBackups(Fault fault);
  Effect InjectDisk(Fault fault);
  Effect InjectClient(Fault fault);

  static Effect StruckIf(bool struck) { return struck ? Effect::kStruck : Effect::kNone; }
  [[nodiscard]] Time Pick(Time low, Time high) {
    return static_cast<Time>(
        random_.Between(static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
  }
  SimNode& AnyNode() { return *(*world_.nodes)[random_.Below(world_.nodes->size())]; }
  SimClient& AnyClient() { return *(*world_.clients)[random_.Below(world_.clients->size())]; }
  std::pair<HostId, HostId> AnyPath();
  void After(Time delay, std::function<void()> action);
  // One step of a rolling upgrade, perhaps back.
  bool ChangeVersion();
  // These say whether they found something to do.
  bool Crash(SimNode& node, Time down_for);
  bool AddMember();
  bool RemoveMember(bool prefers_lost);
  // In the committed log; null: no member.
  [[nodiscard]] const state::MemberRole* RoleOf(NodeId node) const;
  void Flap(HostId a, HostId b, uint64_t times);
  void LoopRestarts(SimNode& node, uint64_t times);
  void Block(Paths* paths, HostId from, HostId to);
  void BlockBothWays(Paths* paths, HostId a, HostId b);
  [[nodiscard]] bool MayDamage(const SimNode& node) const;
  [[nodiscard]] bool ComesUpFirst(const SimNode& node) const;
  bool DamageDisk(SimNode& node, SimNode::Damage damage);

  const World world_;
  const Swarm swarm_;
  Random random_;
  const std::function<void(const std::string&)> trace_;
  bool is_on_ = false;
  std::set<NodeId> to_remove_;   // asked for, and perhaps not heard
  SimNode* upgraded_ = nullptr;  // whose version was changed last
  bool was_taken_back_ = false;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_FAULT_INJECTOR_H_
