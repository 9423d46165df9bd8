#include "tests/sim/simulation.h"

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/fence_gate.h"
#include "protocol/base/check.h"
#include "tests/sim/log_checker.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_node.h"

namespace lockd::sim {
namespace {

constexpr uint64_t kFirstClientHost = 101;
// After the last fault: how long until everything must be in order. Far above what it should take;
// the bounds of the design have tests of their own.
constexpr Time kConvergenceTime = 60 * kSeconds;
constexpr Time kFormationTime = 5 * kSeconds;

class Simulation {
 public:
  explicit Simulation(const SimOptions& options);

  SimReport Run();

 private:
  void RunUntil(Time deadline);
  // Runs until `done` says so; a bug if it does not by `deadline`.
  template <typename Done>
  void RunUntilDone(Time deadline, const char* what, Done done);

  // -- faults --
  void StartFaults();
  // Calls `inject` again and again, at random times with this mean, while faults are on.
  void Every(Time mean, std::function<void()> inject);
  void Count(Fault fault) { ++faults_[static_cast<size_t>(fault)]; }
  [[nodiscard]] Time Pick(Time low, Time high) {
    return static_cast<Time>(
        random_.Between(static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
  }
  void InjectPartition();
  void InjectNodeCrash();
  void InjectClusterCrash();
  void InjectNodePause();
  void InjectSlowDisk();
  void InjectClientCrash();
  void InjectClientPause();
  void CrashNode(SimNode& node, Time down_for);
  void BlockBothWays(HostId a, HostId b);
  void StopFaults();

  // -- checks --
  void AfterTurn(const SimNode& node);
  void CheckExclusion(const SimClient& owner, const std::string& lock, FencingToken token);
  void CheckWork(const std::string& lock, FencingToken token);
  void CheckSessionEnd(SessionId session);
  [[nodiscard]] const SimNode* Leader() const;
  [[nodiscard]] bool AllReplicasAlike() const;
  void Converge();
  std::string DescribeAll() const;

  void Mix(uint64_t value) { hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u + (hash_ >> 29); }
  void Trace(const std::string& text);

  const SimOptions options_;
  Random random_;
  const Swarm swarm_;
  FaultCounts faults_{};
  Scheduler scheduler_;
  SimNetwork network_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  LogChecker checker_;
  std::map<std::string, FenceGate> resources_;  // by lock
  bool faults_are_on_ = false;
  uint64_t works_ = 0;
  uint64_t hash_ = 0;
};

Simulation::Simulation(const SimOptions& options)
    : options_(options),
      random_(options.seed),
      swarm_(Swarm::Draw(&random_)),
      network_(&scheduler_, random_.Next(), swarm_, &faults_),
      checker_(&scheduler_, swarm_.clock_rate_ppm_max,
               [this](SessionId session, state::SessionEndReason) { CheckSessionEnd(session); }) {
  std::vector<state::Member> members;
  std::vector<std::string> endpoints;
  std::map<std::string, HostId> host_of_address;
  for (uint64_t i = 1; i <= swarm_.nodes; ++i) {
    members.push_back({.node_id = NodeId(i), .peer_address = absl::StrCat("node-", i, ":7421")});
    endpoints.push_back(absl::StrCat("node-", i, ":7420"));
    host_of_address.emplace(endpoints.back(), HostId(i));
  }
  const auto trace = options_.trace ? [this](const std::string& text) { Trace(text); }
                                    : std::function<void(const std::string&)>();
  for (uint64_t i = 1; i <= swarm_.nodes; ++i) {
    SimNode::Options node;
    node.host = HostId(i);
    node.node_id = NodeId(i);
    node.members = members;
    node.seed = random_.Next();
    node.clock_rate_ppm_max = swarm_.clock_rate_ppm_max;
    node.host_of = [](NodeId id) { return HostId(id.value()); };
    node.after_turn = [this](SimNode& turned) { AfterTurn(turned); };
    node.trace = trace;
    nodes_.push_back(std::make_unique<SimNode>(&scheduler_, &network_, &faults_, std::move(node)));
  }
  for (uint64_t i = 0; i < swarm_.clients; ++i) {
    SimClient::Options client;
    client.host = HostId(kFirstClientHost + i);
    client.seed = random_.Next();
    client.swarm = swarm_;
    client.endpoints = endpoints;
    client.host_of = [host_of_address](const std::string& address) {
      return host_of_address.at(address);
    };
    client.on_granted = [this](SimClient& owner, const std::string& lock, FencingToken token) {
      CheckExclusion(owner, lock, token);
    };
    client.on_work = [this](SimClient& owner, const std::string& lock, FencingToken token) {
      CheckExclusion(owner, lock, token);
      CheckWork(lock, token);
    };
    client.trace = trace;
    clients_.push_back(std::make_unique<SimClient>(&scheduler_, &network_, std::move(client)));
  }
}

void Simulation::Trace(const std::string& text) {
  options_.trace(absl::StrCat(scheduler_.now() / kMillis, ".", scheduler_.now() / kMicros % 1000,
                              " ms  ", text));
}

SimReport Simulation::Run() {
  for (auto& node : nodes_) node->Start();
  // The first start of a cluster needs all its nodes, so faults begin when it has formed.
  RunUntilDone(kFormationTime, "the cluster forms", [this] {
    for (const auto& node : nodes_) {
      if (node->node().is_forming() || node->node().database().cluster_id().is_zero()) return false;
    }
    return true;
  });
  for (auto& client : clients_) client->Start();
  StartFaults();
  RunUntil(scheduler_.now() + swarm_.duration);
  StopFaults();
  Converge();

  SimReport report;
  report.hash = hash_;
  report.simulated = scheduler_.now();
  report.events = scheduler_.events_run();
  report.committed = checker_.committed();
  for (const auto& client : clients_) {
    report.acquires += client->counts().acquires;
    report.losses += client->counts().losses;
  }
  report.grants = checker_.grants();
  report.works = works_;
  report.faults = faults_;
  return report;
}

void Simulation::RunUntil(Time deadline) {
  while (scheduler_.RunNext(deadline)) {
  }
}

template <typename Done>
void Simulation::RunUntilDone(Time deadline, const char* what, Done done) {
  // Asked every few milliseconds, so that asking may cost something.
  while (!done()) {
    LOCKD_CHECK(scheduler_.now() < deadline, "no progress: ", what, " has not happened; ",
                DescribeAll());
    RunUntil(scheduler_.now() + 5 * kMillis);
  }
}

// ---- Faults
// -----------------------------------------------------------------------------------------------------------------

void Simulation::Every(Time mean, std::function<void()> inject) {
  if (mean == 0) return;
  scheduler_.After(Pick(1, 2 * mean), [this, mean, inject = std::move(inject)]() mutable {
    if (!faults_are_on_) return;
    inject();
    Every(mean, std::move(inject));
  });
}

void Simulation::StartFaults() {
  faults_are_on_ = true;
  Every(swarm_.reset_every, [this] { network_.ResetOne(); });
  Every(swarm_.partition_every, [this] { InjectPartition(); });
  Every(swarm_.node_crash_every, [this] { InjectNodeCrash(); });
  Every(swarm_.cluster_crash_every, [this] { InjectClusterCrash(); });
  Every(swarm_.node_pause_every, [this] { InjectNodePause(); });
  Every(swarm_.slow_disk_every, [this] { InjectSlowDisk(); });
  Every(swarm_.client_crash_every, [this] { InjectClientCrash(); });
  Every(swarm_.client_pause_every, [this] { InjectClientPause(); });
}

void Simulation::BlockBothWays(HostId a, HostId b) {
  network_.Block(a, b);
  network_.Block(b, a);
}

void Simulation::InjectPartition() {
  const HostId victim = nodes_[random_.Below(nodes_.size())]->host();
  switch (random_.Below(4)) {
    case 0:
      Count(Fault::kPartitionNode);
      for (const auto& node : nodes_) BlockBothWays(victim, node->host());
      for (const auto& client : clients_) BlockBothWays(victim, client->host());
      break;
    case 1:
      Count(Fault::kPartitionHalves);
      for (const auto& a : nodes_) {
        for (const auto& b : nodes_) {
          if (a->host() < b->host() && random_.Chance(1, 2)) BlockBothWays(a->host(), b->host());
        }
      }
      break;
    case 2: {
      Count(Fault::kPartitionOneWay);
      for (const auto& node : nodes_) {
        if (random_.Chance(1, 2)) network_.Block(victim, node->host());
      }
      break;
    }
    default: {
      Count(Fault::kPartitionClient);
      const HostId client = clients_[random_.Below(clients_.size())]->host();
      for (const auto& node : nodes_) BlockBothWays(client, node->host());
      break;
    }
  }
  scheduler_.After(Pick(50 * kMillis, 4 * kSeconds), [this] { network_.Heal(); });
}

void Simulation::CrashNode(SimNode& node, Time down_for) {
  auto unsynced = storage::MemFileSystem::Unsynced::kKept;  // the process died, not the machine
  if (random_.Chance(1, 2)) {
    unsynced = storage::MemFileSystem::Unsynced::kLost;
    if (swarm_.garble_unsynced) {
      Count(Fault::kUnsyncedGarbled);
      unsynced = storage::MemFileSystem::Unsynced::kRandomGarbled;
    }
  }
  node.Crash(random_.Chance(1, 2), unsynced);
  scheduler_.After(down_for, [&node] {
    if (!node.is_up()) node.Start();
  });
}

void Simulation::InjectNodeCrash() {
  SimNode& node = *nodes_[random_.Below(nodes_.size())];
  if (!node.is_up()) return;
  Count(Fault::kNodeCrash);
  CrashNode(node, Pick(20 * kMillis, 3 * kSeconds));
}

void Simulation::InjectClusterCrash() {
  Count(Fault::kClusterCrash);
  for (auto& node : nodes_) {
    if (node->is_up()) CrashNode(*node, Pick(20 * kMillis, 2 * kSeconds));
  }
}

void Simulation::InjectNodePause() {
  SimNode& node = *nodes_[random_.Below(nodes_.size())];
  if (!node.is_up() || node.is_paused()) return;
  Count(Fault::kNodePause);
  node.Pause();
  scheduler_.After(Pick(10 * kMillis, 3 * kSeconds), [&node] { node.Resume(); });
}

void Simulation::InjectSlowDisk() {
  SimNode& node = *nodes_[random_.Below(nodes_.size())];
  Count(Fault::kSlowDisk);
  node.set_disk_is_slow(true);
  scheduler_.After(Pick(100 * kMillis, 3 * kSeconds), [&node] { node.set_disk_is_slow(false); });
}

void Simulation::InjectClientCrash() {
  SimClient& client = *clients_[random_.Below(clients_.size())];
  if (!client.is_up()) return;
  Count(Fault::kClientCrash);
  client.Crash();
  scheduler_.After(Pick(10 * kMillis, 2 * kSeconds), [&client] {
    if (!client.is_up()) client.Start();
  });
}

void Simulation::InjectClientPause() {
  SimClient& client = *clients_[random_.Below(clients_.size())];
  if (!client.is_up() || client.is_paused()) return;
  Count(Fault::kClientPause);
  client.Pause();
  scheduler_.After(Pick(10 * kMillis, 2 * swarm_.ttl_ms * kMillis), [&client] { client.Resume(); });
}

void Simulation::StopFaults() {
  faults_are_on_ = false;
  network_.StopFaults();
  for (auto& node : nodes_) {
    if (!node->is_up()) node->Start();
    node->Resume();
    node->set_disk_is_slow(false);
  }
  for (auto& client : clients_) {
    if (!client->is_up()) client->Start();
    client->Resume();
  }
}

// ---- Checks
// -----------------------------------------------------------------------------------------------------------------

void Simulation::AfterTurn(const SimNode& node) {
  checker_.AfterTurn(node);
  Mix(static_cast<uint64_t>(scheduler_.now()));
  Mix(node.node_id().value());
  Mix(node.node().raft().term().value());
  Mix(node.node().raft().last_index().value());
  Mix(node.node().database().digest().low);
}

// P2 and P4 at the clients: nobody else, by its own clock, believes in another hold of this lock.
void Simulation::CheckExclusion(const SimClient& owner, const std::string& lock,
                                FencingToken token) {
  Mix(token.value());
  for (const auto& client : clients_) {
    LOCKD_CHECK(!client->BelievesInHold(lock, token), "Exclusion: client ", owner.host(), " has ",
                lock, " under token ", token, " and client ", client->host(),
                " believes that it has it too");
  }
}

// P1 at the resource: a write of a client that is right in believing that it holds is never
// refused.
void Simulation::CheckWork(const std::string& lock, FencingToken token) {
  ++works_;
  LOCKD_CHECK(resources_[lock].Admit(token), "FencedWork: a valid holder's write under token ",
              token, " to ", lock, " was refused; the resource has seen ",
              resources_[lock].largest_token());
}

// P3: the log ended a session; its client must know already.
void Simulation::CheckSessionEnd(SessionId session) {
  for (const auto& client : clients_) {
    LOCKD_CHECK(client->session_id() != session || !client->BelievesInSession(),
                "NeverEarly: session ", session, " of client ", client->host(),
                " was ended while the client still counts on it");
  }
}

const SimNode* Simulation::Leader() const {
  for (const auto& node : nodes_) {
    if (node->is_up() && node->node().is_serving()) return node.get();
  }
  return nullptr;
}

bool Simulation::AllReplicasAlike() const {
  const SimNode* const leader = Leader();
  if (leader == nullptr) return false;
  for (const auto& node : nodes_) {
    if (node->node().raft().applied_index() != leader->node().raft().applied_index()) return false;
  }
  return true;  // their digests were compared with the reference at that index
}

std::string Simulation::DescribeAll() const {
  std::string text;
  for (const auto& node : nodes_) {
    if (!node->is_up()) {
      absl::StrAppend(&text, "node ", node->node_id(), " is down; ");
      continue;
    }
    const raft::Raft& raft = node->node().raft();
    absl::StrAppend(&text, "node ", node->node_id(), raft.is_leader() ? " leads" : " follows",
                    " term ", raft.term(), " last ", raft.last_index(), " commit ",
                    raft.commit_index(), " applied ", raft.applied_index(),
                    node->node().is_serving() ? " serving; " : "; ");
  }
  for (const auto& client : clients_) absl::StrAppend(&text, client->Describe(), "; ");
  const state::LockDatabase& state = checker_.reference();
  absl::StrAppend(&text, "sessions ", state.session_count(), " locks ", state.lock_count(),
                  " waiters ", state.waiter_count());
  return text;
}

void Simulation::Converge() {
  const Time deadline = scheduler_.now() + kConvergenceTime;
  RunUntilDone(deadline, "a leader serves", [this] { return Leader() != nullptr; });
  for (auto& client : clients_) client->Finish();
  RunUntilDone(deadline, "every operation is answered and every session closed", [this] {
    for (const auto& client : clients_) {
      if (!client->is_finished()) return false;
    }
    return true;
  });
  RunUntilDone(deadline, "dead sessions are gone, and nothing is held or waited for", [this] {
    const state::LockDatabase& state = checker_.reference();
    return state.session_count() == 0 && state.lock_count() == 0 && state.waiter_count() == 0;
  });
  RunUntilDone(deadline, "all replicas are alike", [this] { return AllReplicasAlike(); });
  checker_.reference().CheckInvariants();
}

}  // namespace

SimReport RunSimulation(const SimOptions& options) {
  return Simulation(options).Run();
}

}  // namespace lockd::sim
