// SimNode: one lockd process on its own machine: the shipping Node over the shipping LogStore, on a
// simulated disk, clock and network. The rim of server/net with the sockets and threads left out.
//
// It lives, crashes, is paused and starts again; its disk and its clock live on.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_SIM_NODE_H_
#define LOCKD_TESTS_SIM_SIM_NODE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "consensus/storage/log_store.h"
#include "protocol/base/random.h"
#include "protocol/frame_decoder.h"
#include "server/node/node.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/swarm.h"
#include "tests/support/mem_file_system.h"

namespace lockd::sim {

class SimNode : public Host {
 public:
  struct Options {
    HostId host;
    NodeId node_id;
    std::vector<state::Member> members;  // of the whole cluster
    uint64_t seed = 0;
    int64_t clock_rate_ppm_max = 0;
    // Which host answers at a member's peer address.
    std::function<HostId(NodeId)> host_of;
    // After each turn, with everything that the turn changed in place.
    std::function<void(SimNode&)> after_turn;
    std::function<void(const std::string&)> trace;  // may be empty
  };

  SimNode(Scheduler* scheduler, SimNetwork* network, FaultCounts* faults, Options options);

  void Start();
  // Power off. `in_write`: in the middle of the disk write that is under way, if one is.
  void Crash(bool in_write, storage::MemFileSystem::Unsynced unsynced);
  // The process stands still; what arrives waits.
  void Pause();
  void Resume();
  void set_disk_is_slow(bool slow) { disk_is_slow_ = slow; }

  [[nodiscard]] bool is_up() const { return node_ != nullptr; }
  [[nodiscard]] bool is_paused() const { return is_paused_; }
  [[nodiscard]] HostId host() const { return options_.host; }
  [[nodiscard]] NodeId node_id() const { return options_.node_id; }
  [[nodiscard]] const node::Node& node() const { return *node_; }
  // Counts the lives of this process, from 1.
  [[nodiscard]] uint64_t life() const { return life_; }

  void OnDialed(LinkId link) override;
  void OnDialFailed(LinkId link, bool refused) override;
  void OnAccepted(LinkId link, bool is_peer_port) override;
  void OnBytes(LinkId link, std::string bytes) override;
  void OnLinkClosed(LinkId link) override;

 private:
  struct Connection {
    bool is_peer = false;
    NodeId dialled_peer;  // zero: accepted
    FrameDecoder decoder{kHelloFrameBytesMax};
  };

  // Runs `action` in the process: now, or when its pause ends. Never in a later life.
  void InProcess(std::function<void()> action);
  // The same after a delay.
  void InProcessAfter(Time delay, std::function<void()> action);
  void ScheduleTurn();
  void RunTurn();
  void CarryOut(node::NodeActions actions);
  void ArmTimer(LocalTime wakeup);
  void DialMembers();
  void DeliverFrames(LinkId link);
  void Drop(LinkId link);
  void StartNextDiskJob();
  void FinishDiskJob();
  void StartFileJobs();
  Time DiskLatency();
  void Trace(const std::string& text) const;

  Scheduler* const scheduler_;
  SimNetwork* const network_;
  FaultCounts* const faults_;
  const Options options_;

  // The machine: outlives crashes.
  Random random_;
  SimClock clock_;
  storage::MemFileSystem disk_;
  bool disk_is_slow_ = false;

  // The process: gone at a crash.
  uint64_t life_ = 0;
  bool is_paused_ = false;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<storage::LogStore> store_;
  std::map<LinkId, Connection> connections_;
  std::map<NodeId, LinkId> dials_;       // to each member: being dialled or up
  std::set<NodeId> broken_;              // whose good link broke and was not dialled again yet
  std::deque<node::DiskJob> disk_jobs_;  // the front one is under way
  std::deque<std::function<void()>> waiting_;  // for the end of a pause
  bool is_turn_scheduled_ = false;
  Time timer_at_ = SimClock::kNever;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SIM_NODE_H_
