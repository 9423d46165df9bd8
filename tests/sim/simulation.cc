#include "tests/sim/simulation.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"
#include "protocol/base/check.h"
#include "server/node/snapshot_receiver.h"
#include "tests/sim/checks/version_check.h"
#include "tests/sim/client_checks.h"
#include "tests/sim/fault_injector.h"
#include "tests/sim/ledgers.h"
#include "tests/sim/log_checker.h"
#include "tests/sim/restorer.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/sim_reader.h"
#include "tests/sim/stranger.h"

namespace lockd::sim {
namespace {

constexpr size_t kOpcodeAt = 8;  // in a frame
constexpr Time kFormationTime = 10 * kSeconds;
// More, when a restored cluster must not go on in the minute of its backup's last number.
constexpr Time kClocksMinute = 61 * kSeconds;
// The bounds of the design, once a majority is healed.
constexpr Time kAnswerTime = 5 * kSeconds;
constexpr Time kExpirySlack = kSeconds;
const Time kPeerFrameTimeout = node::NodeOptions{}.peer_frame_timeout_ms * kMillis;
// For what is frozen longer: until it has caught up.
constexpr Time kCatchUpTime = 20 * kSeconds;
// More, for whoever needs a snapshot: the rest after one that could not be written, and a transfer
// at the slowest pace.
constexpr Time kSnapshotTime = node::SnapshotReceiver::kRestMs * kMillis + 10 * kSeconds;

class Simulation {
 public:
  explicit Simulation(const SimOptions& options);

  SimReport Run();

 private:
  void BuildNodes();
  void BuildClients();
  void RunUntil(Time deadline);
  // Runs until `done` says so; a bug if it does not by `deadline`.
  template <typename Done>
  void RunUntilDone(Time deadline, const char* what, Done done);

  void Form();
  void AwaitFormation(Time deadline);
  void RunWithFaults();
  void Restore();
  void BeginEra(const Backup& backup);
  [[nodiscard]] LogChecker& log() const { return *logs_.back(); }
  [[nodiscard]] Ledgers& ledgers() const { return *ledgers_.back(); }
  [[nodiscard]] std::vector<NodeId> Founders() const;
  void HealCore();
  void HealRest();
  // Some healed node's log ends where another one's has not begun yet.
  [[nodiscard]] bool NeedsSnapshot() const;
  void Converge();

  void AfterTurn(const SimNode& node);
  // Of a frame that this node sends to another one.
  void NoteVersions(const SimNode& sender, Opcode opcode);
  // Null: a client's, or another stranger's.
  [[nodiscard]] const SimNode* NodeAt(HostId host) const;
  [[nodiscard]] bool IsMember(const SimNode& node) const;
  [[nodiscard]] const SimNode* Leader() const;
  [[nodiscard]] bool MembersAreSettled() const;
  [[nodiscard]] bool NothingIsLeft() const;
  [[nodiscard]] bool AllReplicasAlike() const;
  [[nodiscard]] std::string DescribeAll() const;
  [[nodiscard]] SimReport Report() const;

  void Mix(uint64_t value) { hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u + (hash_ >> 29); }
  void Trace(const std::string& text) const;
  [[nodiscard]] std::function<void(const std::string&)> Tracer() const;

  const SimOptions options_;
  Random random_;
  const Swarm swarm_;
  Scheduler scheduler_;
  FaultBook faults_;
  SimNetwork network_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::unique_ptr<Stranger> stranger_;
  std::unique_ptr<SimReader> reader_;
  std::unique_ptr<Restorer> restorer_;
  std::unique_ptr<FaultInjector> injector_;
  ClientChecks client_checks_;
  // One of each era, the present one last.
  std::vector<std::unique_ptr<Ledgers>> ledgers_;
  std::vector<std::unique_ptr<LogChecker>> logs_;
  std::set<ClusterId> clusters_;
  std::set<HostId> core_;  // empty while nothing is healed
  uint64_t operations_ = 0;
  uint64_t mixed_verdicts_ = 0;
  uint64_t hash_ = 0;
};

Simulation::Simulation(const SimOptions& options)
    : options_(options),
      random_(options.seed),
      swarm_(Swarm::Draw(&random_, options.seed)),
      faults_(swarm_, random_.Next(), options.omit_faults),
      network_(&scheduler_, random_.Next(), &faults_),
      client_checks_(&scheduler_, &clients_) {
  logs_.push_back(std::make_unique<LogChecker>(LogChecker::Listeners{
      .on_committed = [this](const raft::Entry& entry) { ledgers().OnCommitted(entry); },
      .on_session_expired = [this](SessionId session) { client_checks_.OnSessionExpired(session); },
      .on_hold_ended = [this](const std::string& lock,
                              FencingToken token) { client_checks_.OnHoldEnded(lock, token); }}));
  BuildNodes();
  BuildClients();
  stranger_ = std::make_unique<Stranger>(
      &scheduler_, &network_, HostId(nodes_.size() + swarm_.clients + 1), random_.Next());
  reader_ = std::make_unique<SimReader>(
      &scheduler_, &network_,
      SimReader::Options{
          .host = HostId(nodes_.size() + swarm_.clients + 2),
          .seed = random_.Next(),
          .nodes = swarm_.nodes,
          .locks = swarm_.locks,
          .era = [this] { return client_checks_.eras().era(); },
          .on_answer =
              [this](const std::string& lock, Time asked_at, size_t era, FencingToken owner) {
                client_checks_.OnOwnerRead(lock, asked_at, era, owner);
              },
          .on_stale_answer =
              [this](const std::string& lock, size_t era, uint64_t applied_index,
                     FencingToken owner) {
                logs_.at(era)->OnStaleRead(lock, raft::Index(applied_index), owner);
              }});
  restorer_ = std::make_unique<Restorer>(
      Restorer::World{&scheduler_, &network_, &faults_, &nodes_, &clients_,
                      [this] { return client_checks_.eras().era(); },
                      [this](const Backup& backup) {
                        logs_.at(backup.era)->CheckBackup(backup.base, backup.digest);
                      }},
      swarm_, HostId(nodes_.size() + swarm_.clients + 3), options.seed, Tracer());
  injector_ = std::make_unique<FaultInjector>(
      FaultInjector::World{
          &scheduler_, &network_, &faults_, &nodes_, &clients_, stranger_.get(),
          [this]() -> const std::vector<state::Member>& { return log().reference().members(); },
          [this] { restorer_->SaveBackup(); }, [this] { restorer_->AskForLoss(); }},
      swarm_, random_.Next(), Tracer());
}

const SimNode* Simulation::NodeAt(HostId host) const {
  const auto found = std::find_if(nodes_.begin(), nodes_.end(),
                                  [host](const auto& node) { return node->host() == host; });
  return found == nodes_.end() ? nullptr : found->get();
}

void Simulation::BuildNodes() {
  std::vector<state::Member> members;
  std::map<std::string, HostId> host_of_address;
  for (uint64_t i = 1; i <= swarm_.nodes + swarm_.spares; ++i) {
    const NodeId id(i);
    const std::string address = absl::StrCat("node-", i, ":7421");
    host_of_address.emplace(address, HostId(i));
    if (i > swarm_.nodes) continue;
    members.push_back({.node_id = id, .peer_address = address});
  }
  ledgers_.push_back(std::make_unique<Ledgers>(&scheduler_, Founders()));
  network_.on_peer_frame = [this](HostId from, HostId to, absl::string_view frame) {
    // What an acceptor answers to a stranger is none of the nodes' business.
    const SimNode* const sender = NodeAt(from);
    const SimNode* const receiver = NodeAt(to);
    if (sender == nullptr || receiver == nullptr) return;
    NoteVersions(*sender, static_cast<Opcode>(frame[kOpcodeAt]));
    // A machine that lost its disk may join anew, if it had not been let in before.
    if (!sender->is_wiped() && !receiver->is_wiped()) {
      ledgers().OnPeerFrame(sender->node_id(), receiver->node_id(), frame);
    }
  };
  for (uint64_t i = 1; i <= swarm_.nodes + swarm_.spares; ++i) {
    SimNode::Options node;
    node.host = HostId(i);
    node.node_id = NodeId(i);
    node.peer_address = absl::StrCat("node-", i, ":7421");
    node.is_spare = i > swarm_.nodes;
    if (swarm_.is_restored()) node.wall_start_ms = Restorer::kWallStartMs;
    if (swarm_.begins_as_version_before()) node.peer_features = kFeaturesOfVersionBefore;
    node.members = members;
    node.seed = random_.Next();
    node.swarm = swarm_;
    node.tune = [this](node::NodeOptions* tuned) {
      tuned->bootstrap_settings.cleanup_holds_max = swarm_.cleanup_holds_max;
    };
    node.host_of = [host_of_address](const std::string& address) {
      return host_of_address.at(address);
    };
    node.after_turn = [this](SimNode& turned) { AfterTurn(turned); };
    node.on_write_begins = [this](NodeId id, const storage::LogWrite& write) {
      ledgers().OnWriteBegins(id, write);
    };
    node.on_durable = [this](NodeId id, const storage::LogWrite& write) {
      ledgers().OnDurable(id, write);
    };
    node.on_snapshots_kept = [this](NodeId id, const std::vector<raft::SnapshotId>& kept) {
      ledgers().OnSnapshotsKept(id, kept);
    };
    node.on_restored = [this](NodeId id, const raft::LogBase& base) {
      ledgers().OnRestored(id, base);
    };
    node.on_recovered = [this](NodeId id, const raft::RecoveredLog& log) {
      ledgers().OnRecovered(id, log);
    };
    node.on_removed = [this](SimNode& removed) {
      LOCKD_CHECK(!IsMember(removed), "RemovedIsNoMember: node ", removed.node_id(),
                  " leaves the cluster that it belongs to");
    };
    node.on_exit = [this](SimNode& exited) { injector_->OnExit(exited); };
    node.trace = Tracer();
    nodes_.push_back(std::make_unique<SimNode>(&scheduler_, &network_, &faults_, std::move(node)));
  }
}

std::vector<NodeId> Simulation::Founders() const {
  std::vector<NodeId> founders;
  for (uint64_t i = 1; i <= swarm_.nodes; ++i) founders.emplace_back(i);
  return founders;
}

void Simulation::BuildClients() {
  std::vector<std::string> endpoints;
  std::map<std::string, HostId> host_of_address;
  for (const auto& node : nodes_) {
    endpoints.push_back(absl::StrCat("node-", node->node_id(), ":7420"));
    host_of_address.emplace(endpoints.back(), node->host());
  }
  for (uint64_t i = 1; i <= swarm_.clients; ++i) {
    SimClient::Options client;
    client.host = HostId(nodes_.size() + i);
    client.seed = random_.Next();
    client.swarm = swarm_;
    client.endpoints = endpoints;
    client.host_of = [host_of_address](const std::string& address) {
      return host_of_address.at(address);
    };
    client.listener = &client_checks_;
    client.omitted_operations = options_.omit_operations;
    client.operations = &operations_;
    client.trace = Tracer();
    clients_.push_back(
        std::make_unique<SimClient>(&scheduler_, &network_, &faults_, std::move(client)));
  }
}

std::function<void(const std::string&)> Simulation::Tracer() const {
  if (!options_.trace) return {};
  return [this](const std::string& text) { Trace(text); };
}

void Simulation::Trace(const std::string& text) const {
  if (!options_.trace) return;
  options_.trace(absl::StrCat(scheduler_.now() / kMillis, ".", scheduler_.now() / kMicros % 1000,
                              " ms  ", text));
}

SimReport Simulation::Run() {
  Form();
  for (auto& client : clients_) client->Start();
  faults_.set_on(true);
  injector_->Start();
  reader_->Start();
  RunWithFaults();
  injector_->Stop();
  faults_.set_on(false);
  Converge();
  reader_->Stop();
  client_checks_.CheckHistories();
  return Report();
}

SimReport Simulation::Report() const {
  SimReport report;
  report.hash = hash_ ^ client_checks_.hash();
  report.simulated = scheduler_.now();
  report.events = scheduler_.events_run();
  for (const auto& log : logs_) report.committed += log->committed();
  for (const auto& client : clients_) {
    report.acquires += client->counts().acquires;
    report.operations += client->counts().acquires + client->counts().releases;
    report.losses += client->counts().losses;
  }
  report.nodes_lost = restorer_->nodes_lost();
  for (const auto& node : nodes_) report.nodes_lost += node->is_lost() ? 1 : 0;
  report.grants = log().grants();
  report.reads = client_checks_.reads();
  report.works = client_checks_.works();
  report.stale_writes_refused = client_checks_.stale_writes_refused();
  report.mixed_verdicts = mixed_verdicts_;
  report.fault_occasions = faults_.occasions();
  report.faults = faults_.counts();
  return report;
}

// Or until a restore is due.
void Simulation::RunUntil(Time deadline) {
  while (!restorer_->is_due() && scheduler_.RunNext(deadline)) {
  }
}

template <typename Done>
void Simulation::RunUntilDone(Time deadline, const char* what, Done done) {
  // Asked every few milliseconds, so that asking may cost something.
  while (!done()) {
    LOCKD_CHECK(scheduler_.now() < deadline, "Liveness: ", what, " has not happened in time; ",
                DescribeAll());
    RunUntil(scheduler_.now() + 5 * kMillis);
    if (options_.trace && scheduler_.now() % (100 * kMillis) == 0) Trace(DescribeAll());
  }
}

// The first start of a cluster needs all its nodes, so faults begin when it has formed.
void Simulation::Form() {
  faults_.set_on(false);
  for (auto& node : nodes_) node->Start();
  AwaitFormation(kFormationTime);
}

void Simulation::AwaitFormation(Time deadline) {
  RunUntilDone(deadline, "formation of the cluster", [this] {
    return std::all_of(nodes_.begin(), nodes_.end(), [](const auto& node) {
      if (node->is_spare()) return true;
      return !node->node().is_forming() && !node->node().database().cluster_id().is_zero();
    });
  });
  const ClusterId cluster = log().reference().cluster_id();
  LOCKD_CHECK(clusters_.insert(cluster).second, "NewClusterId: ", cluster,
              " was the id of a cluster before");
}

void Simulation::NoteVersions(const SimNode& sender, Opcode opcode) {
  const std::string broken = CheckVersion(sender.node_id(), sender.peer_features(), opcode);
  LOCKD_CHECK(broken.empty(), broken);
  if (opcode != Opcode::kDigestVerdict) return;
  mixed_verdicts_ += std::any_of(nodes_.begin(), nodes_.end(), [&sender](const auto& node) {
    return node->is_up() && node->peer_features() != sender.peer_features();
  });
}

// ---- Restores

void Simulation::RunWithFaults() {
  Time end = scheduler_.now() + swarm_.duration;
  while (scheduler_.now() < end) {
    RunUntil(end);
    if (!restorer_->TakeDue()) continue;
    const Time began = scheduler_.now();
    Restore();
    end += scheduler_.now() - began;
  }
  restorer_->Stop();
}

// As at the first start, all nodes are needed until the cluster has formed, so faults begin again
// when it has.
void Simulation::Restore() {
  faults_.set_on(false);
  const Backup backup = restorer_->LoseCluster();
  BeginEra(backup);
  RunUntil(scheduler_.now() + restorer_->DrawDowntime());
  for (auto& node : nodes_) {
    const SimNode::Restored restored = restorer_->Replace(*node, backup);
    log().CheckRestored(node->node_id(), restored.base, restored.digest);
  }
  for (auto& node : nodes_) {
    if (!node->is_up()) node->Start();
    RunUntil(scheduler_.now() + restorer_->DrawPause());
  }
  const bool waits = restorer_->MustAwaitClock(log().reference().last_number());
  AwaitFormation(scheduler_.now() + kFormationTime + (waits ? kClocksMinute : 0));
  faults_.set_on(true);
}

void Simulation::BeginEra(const Backup& backup) {
  const LogChecker& last = log();
  auto next = std::make_unique<LogChecker>(*logs_.at(backup.era), backup.base.index, last);
  client_checks_.OnRestored(last.last_token(), last.owners(), next->owners());
  ledgers_.push_back(std::make_unique<Ledgers>(*ledgers_.at(backup.era), Founders(), next->base()));
  logs_.push_back(std::move(next));
}

void Simulation::AfterTurn(const SimNode& node) {
  // What begins anew on a wiped disk is not the member that the ledgers know.
  if (!node.is_wiped()) ledgers().AfterTurn(node);
  log().AfterTurn(node);
  if (options_.progress != nullptr) {
    *options_.progress = {faults_.occasions(), operations_, scheduler_.now()};
  }
  Mix(static_cast<uint64_t>(scheduler_.now()));
  Mix(node.node_id().value());
  Mix(node.node().raft().term().value());
  Mix(node.node().raft().last_index().value());
}

// ---- Liveness

// A majority of nodes with true disks is healed, and so are all clients; what else there is stays
// as it is, cut off from everybody.
void Simulation::HealCore() {
  std::vector<SimNode*> candidates;
  for (auto& node : nodes_) {
    if (node->is_wiped() || node->is_spare() || node->is_removed()) continue;
    // Whether a damaged disk is true shows at its start.
    if (node->was_damaged()) node->Heal();
    if (!node->is_lost()) candidates.push_back(node.get());
  }
  // Where members change, nobody outside knows which of them are a majority just now: all of them.
  uint64_t size = candidates.size();
  if (!swarm_.changes_members()) {
    const size_t majority = swarm_.nodes / 2 + 1;
    LOCKD_CHECK(size >= majority, "the fault budget was exceeded");
    size = random_.Between(majority, size);
  }
  while (candidates.size() > size) {
    candidates.erase(candidates.begin() +
                     static_cast<std::ptrdiff_t>(random_.Below(candidates.size())));
  }
  network_.Heal();
  for (const SimNode* node : candidates) core_.insert(node->host());
  for (const auto& frozen : nodes_) {
    if (core_.contains(frozen->host())) continue;
    for (const auto& node : nodes_) network_.BlockBothWays(frozen->host(), node->host());
    for (const auto& client : clients_) network_.BlockBothWays(frozen->host(), client->host());
  }
  for (SimNode* node : candidates) node->Heal();
  for (auto& client : clients_) {
    client->Resume();
    if (!client->is_up()) client->Start();
  }
}

void Simulation::HealRest() {
  network_.Heal();
  for (auto& node : nodes_) {
    if (node->is_lost() || node->is_spare() || node->is_removed()) continue;
    core_.insert(node->host());
    node->Heal();
  }
}

bool Simulation::NeedsSnapshot() const {
  raft::Index base;
  raft::Index last{UINT64_MAX};
  for (const auto& node : nodes_) {
    if (!core_.contains(node->host()) || !node->is_up()) continue;
    base = std::max(base, node->node().raft().log().base_index());
    last = std::min(last, node->node().raft().last_index());
  }
  return last < base;
}

const SimNode* Simulation::Leader() const {
  for (const auto& node : nodes_) {
    if (core_.contains(node->host()) && node->is_up() && node->node().is_serving()) {
      return node.get();
    }
  }
  return nullptr;
}

bool Simulation::IsMember(const SimNode& node) const {
  const std::vector<state::Member>& members = log().reference().members();
  return std::any_of(members.begin(), members.end(), [&node](const state::Member& member) {
    return member.node_id == node.node_id();
  });
}

// No change is under way, all who have come up have a vote, and who is none of them knows it.
bool Simulation::MembersAreSettled() const {
  const std::vector<state::Member>& members = log().reference().members();
  const bool are_voters = std::all_of(members.begin(), members.end(), [](const auto& member) {
    return member.role == state::MemberRole::kVoter || member.incarnation.is_zero();
  });
  return are_voters && std::all_of(nodes_.begin(), nodes_.end(), [this](const auto& node) {
           return !node->is_up() || node->is_wiped() || IsMember(*node) ||
                  node->node().is_forming();
         });
}

bool Simulation::NothingIsLeft() const {
  const state::LockDatabase& state = log().reference();
  return state.session_count() == 0 && state.lock_count() == 0 && state.waiter_count() == 0;
}

bool Simulation::AllReplicasAlike() const {
  const SimNode* const leader = Leader();
  if (leader == nullptr) return false;
  return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    // Their digests were compared with the reference at that index.
    return node->is_lost() || node->is_wiped() || node->is_spare() || !IsMember(*node) ||
           (node->is_up() &&
            node->node().raft().applied_index() == leader->node().raft().applied_index());
  });
}

std::string Simulation::DescribeAll() const {
  std::string text;
  for (const auto& node : nodes_) {
    absl::StrAppend(&text, core_.contains(node->host()) ? "core " : "", "node ", node->node_id());
    if (!node->is_up()) {
      absl::StrAppend(&text, node->is_lost() ? " is lost; " : " is down; ");
      continue;
    }
    const raft::Raft& raft = node->node().raft();
    absl::StrAppend(&text, " ", raft::RoleName(raft.role()), " term ", raft.term(), " leader ",
                    raft.leader_id(), " last ", raft.last_index(), " commit ", raft.commit_index(),
                    " applied ", raft.applied_index(),
                    node->node().is_serving() ? " serving; " : "; ");
  }
  for (const auto& client : clients_) {
    if (!client->is_finished()) absl::StrAppend(&text, client->Describe(), "; ");
  }
  const state::LockDatabase& state = log().reference();
  absl::StrAppend(&text, "sessions ", state.session_count(), " locks ", state.lock_count(),
                  " waiters ", state.waiter_count());
  return text;
}

void Simulation::Converge() {
  Trace("healed: a core, from here on");
  HealCore();
  const Time healed_at = scheduler_.now() + (NeedsSnapshot() ? kSnapshotTime : 0);
  // A link whose length field was damaged before is found out only by its frame's time.
  const Time stuck_links = swarm_.has(Fault::kBytesCorrupted) ? kPeerFrameTimeout : 0;
  RunUntilDone(healed_at + stuck_links + 3 * swarm_.election_ms_max * kMillis, "a serving leader",
               [this] { return Leader() != nullptr; });
  const Time led_at = scheduler_.now();
  for (auto& client : clients_) client->Finish();
  // A queue drains one hold after another; a dead session's lock takes its TTL first.
  const Time ttl = (swarm_.ttl_ms * 101 / 100 + swarm_.grace_ms) * kMillis;
  const Time drain = static_cast<Time>(swarm_.clients * 3) * 6 * swarm_.hold_mean;
  const Time done_by = led_at + kAnswerTime + ttl + kExpirySlack + drain;
  RunUntilDone(done_by, "an answer to every operation, and the close of every session", [this] {
    return std::all_of(clients_.begin(), clients_.end(),
                       [](const auto& client) { return client->is_finished(); });
  });
  RunUntilDone(std::max(done_by, scheduler_.now() + ttl + kExpirySlack),
               "the end of all dead sessions, of their holds and waiters",
               [this] { return NothingIsLeft(); });
  Trace("healed: everything");
  HealRest();
  RunUntilDone(scheduler_.now() + kCatchUpTime + kSnapshotTime, "equality of all replicas",
               [this] { return MembersAreSettled() && AllReplicasAlike(); });
  log().reference().CheckInvariants();
}

}  // namespace

void SimReport::Add(const SimReport& other) {
  simulated += other.simulated;
  events += other.events;
  committed += other.committed;
  acquires += other.acquires;
  operations += other.operations;
  grants += other.grants;
  reads += other.reads;
  works += other.works;
  stale_writes_refused += other.stale_writes_refused;
  losses += other.losses;
  nodes_lost += other.nodes_lost;
  mixed_verdicts += other.mixed_verdicts;
  fault_occasions += other.fault_occasions;
  for (size_t i = 0; i < kFaultCount; ++i) faults[i] += other.faults[i];
  for (size_t i = 0; i < kReachCount; ++i) marks[i] += other.marks[i];
}

SimReport RunSimulation(const SimOptions& options) {
  const ReachCounters before = ReachCounts();
  SimReport report = Simulation(options).Run();
  report.marks = ReachCounts();
  for (size_t i = 0; i < kReachCount; ++i) report.marks[i] -= before[i];
  return report;
}

}  // namespace lockd::sim
