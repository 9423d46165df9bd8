#include "tests/sim/long_time_world.h"

#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "server/state/command.h"

namespace lockd::sim {
namespace {

constexpr uint64_t kStateCheckEveryEntries = 256;

// No faults but the machines' own clocks, within the bound that lockd is built on.
Swarm Calm(Swarm swarm) {
  swarm.rates = {};
  swarm.rates[static_cast<size_t>(Fault::kClockOffset)] = 100;
  swarm.rates[static_cast<size_t>(Fault::kClockDrift)] = 100;
  return swarm;
}

}  // namespace

LongTimeWorld::LongTimeWorld(LongTimeOptions options)
    : options_(std::move(options)),
      random_(options_.seed),
      no_faults_(Calm(options_.swarm), random_.Next(), Omissions()),
      network_(&scheduler_, random_.Next(), &no_faults_),
      checks_(&scheduler_, &clients_),
      reference_(state::HashKey{}, options_.numbers_drawn) {
  Build();
  for (auto& node : nodes_) node->Start();
  RunUntil(10 * options_.swarm.election_ms_max * kMillis, "the cluster forms",
           [this] { return HasLeader(); });
  for (auto& client : clients_) client->Start();
  RunUntil(kMinutes, "every client has a session", [this] {
    for (const auto& client : clients_) {
      if (client->session_id().is_zero()) return false;
    }
    return true;
  });
  for (const auto& client : clients_) sessions_.push_back(client->session_id());
}

void LongTimeWorld::Build() {
  const Swarm swarm = Calm(options_.swarm);
  std::vector<state::Member> members;
  std::vector<std::string> endpoints;
  std::map<std::string, HostId> host_of_address;
  for (uint64_t i = 1; i <= swarm.nodes; ++i) {
    members.push_back({.node_id = NodeId(i), .peer_address = absl::StrCat("node-", i, ":7421")});
    endpoints.push_back(absl::StrCat("node-", i, ":7420"));
    host_of_address.emplace(endpoints.back(), HostId(i));
  }
  for (uint64_t i = 1; i <= swarm.nodes; ++i) {
    SimNode::Options node;
    node.host = HostId(i);
    node.node_id = NodeId(i);
    node.peer_address = absl::StrCat("node-", i, ":7421");
    node.members = members;
    node.seed = random_.Next();
    node.swarm = swarm;
    node.log_base = options_.log_base;
    node.tune = [this](node::NodeOptions* node_options) {
      node_options->numbers_drawn = options_.numbers_drawn;
      options_.tune(node_options);
    };
    node.host_of = [members](const std::string& address) {
      const auto found = std::find_if(members.begin(), members.end(), [&](const auto& member) {
        return member.peer_address == address;
      });
      return HostId(found->node_id.value());
    };
    node.after_turn = [this](SimNode& turned) { AfterTurn(turned); };
    node.on_write_begins = [](NodeId, const storage::LogWrite&) {};
    node.on_durable = [](NodeId, const storage::LogWrite&) {};
    node.on_recovered = [](NodeId, const raft::RecoveredLog&) {};
    node.on_exit = [](SimNode& exited) {
      LOCKD_UNREACHABLE("node ", exited.node_id(), " ended by itself");
    };
    nodes_.push_back(
        std::make_unique<SimNode>(&scheduler_, &network_, &no_faults_, std::move(node)));
  }
  for (uint64_t i = 1; i <= swarm.clients; ++i) {
    SimClient::Options client;
    client.host = HostId(swarm.nodes + i);
    client.seed = random_.Next();
    client.swarm = swarm;
    client.used_numbers = options_.used_numbers;
    client.endpoints = endpoints;
    client.host_of = [host_of_address](const std::string& address) {
      return host_of_address.at(address);
    };
    client.listener = &checks_;
    client.operations = &operations_;
    clients_.push_back(
        std::make_unique<SimClient>(&scheduler_, &network_, &no_faults_, std::move(client)));
  }
}

void LongTimeWorld::RunFor(Time time) {
  const Time end = scheduler_.now() + time;
  while (scheduler_.RunNext(end)) {
  }
  CheckSessions();
}

template <typename Done>
void LongTimeWorld::RunUntil(Time patience, const char* what, Done done) {
  const Time end = scheduler_.now() + patience;
  const Time step = patience / 1'000;  // so that asking may cost something
  while (!done()) {
    LOCKD_CHECK(scheduler_.now() < end, "Liveness: ", what, " has not happened in time");
    RunFor(step);
  }
}

void LongTimeWorld::Restart(size_t number, Time down_for) {
  nodes_[number]->Crash();
  RunFor(down_for);
  nodes_[number]->Start();
}

void LongTimeWorld::ChangeLeader() {
  SimNode& old = *nodes_[leader()];
  old.Pause(/*suspended=*/false);
  // Three times the longest election timeout, as the design demands.
  RunUntil(3 * options_.swarm.election_ms_max * kMillis, "another leader serves",
           [this] { return HasLeader(); });
  old.Resume();
}

bool LongTimeWorld::HasLeader() const {
  for (const auto& node : nodes_) {
    if (node->is_up() && !node->is_paused() && node->node().is_serving()) return true;
  }
  return false;
}

size_t LongTimeWorld::leader() const {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]->is_up() && !nodes_[i]->is_paused() && nodes_[i]->node().is_serving()) return i;
  }
  LOCKD_UNREACHABLE("nobody leads");
}

void LongTimeWorld::AwaitAllApplied(Time patience) {
  // What is committed now: with a time entry a heartbeat, followers may stay one behind for ever.
  RunUntil(patience, "all replicas have applied what was committed",
           [this, target = last_committed()] {
             for (const auto& node : nodes_) {
               if (!node->is_up() || node->node().raft().applied_index() < target) return false;
             }
             return true;
           });
}

// ---- Checks

void LongTimeWorld::AfterTurn(const SimNode& node) {
  const raft::Raft& raft = node.node().raft();
  Replica& replica = replicas_[node.node_id()];
  if (replica.life != node.life()) {
    replica = {node.life(), raft::Term(0), options_.log_base.index, options_.log_base.index};
  }
  LOCKD_CHECK(raft.term() >= replica.term && raft.applied_index() >= replica.applied &&
                  raft.commit_index() >= replica.commit,
              "MonotoneMarks: node ", node.node_id(), " went back");
  replica.term = raft.term();
  replica.applied = raft.applied_index();
  if (raft.is_leader()) {
    const NodeId known = leaders_.try_emplace(raft.term(), node.node_id()).first->second;
    LOCKD_CHECK(known == node.node_id(), "ElectionSafety: nodes ", known, " and ", node.node_id(),
                " lead in term ", raft.term());
  }
  CheckCommits(node, replica);
  LOCKD_CHECK(replica.applied <= last_committed(), "applied what nobody committed");
  if (replica.applied > options_.log_base.index) {
    LOCKD_CHECK(node.node().database().digest() == At(replica.applied).digest,
                "DigestsAgree: node ", node.node_id(), " differs at index ", replica.applied);
  }
}

void LongTimeWorld::CheckCommits(const SimNode& node, Replica& replica) {
  const raft::Raft& raft = node.node().raft();
  for (raft::Index index = replica.commit + 1; index <= raft.commit_index(); ++index) {
    if (!raft.log().InMemory(index)) {
      LOCKD_CHECK(index <= last_committed(), "index ", index, " is committed and was never seen");
      continue;  // committed in an earlier life; its effect is compared when it is applied
    }
    const raft::Entry& entry = raft.log().At(index);
    if (index > last_committed()) {
      LOCKD_CHECK(index == last_committed() + 1, "a gap before committed index ", index);
      Append(entry);
    }
    LOCKD_CHECK(entry.term == At(index).term, "CommittedNeverLost: node ", node.node_id(),
                " commits another entry at index ", index);
  }
  replica.commit = raft.commit_index();
}

void LongTimeWorld::Append(const raft::Entry& entry) {
  LOCKD_CHECK(entry.time >= reference_.time(), "ClusterTimeBounded: time went back");
  const int64_t grown_ms = entry.time - options_.log_base.time;
  const int64_t now_ms = scheduler_.now() / kMillis;
  LOCKD_CHECK(grown_ms <= now_ms + now_ms / kDriftDivisor + 2, "ClusterTimeBounded: entry ",
              entry.index, " is ", grown_ms, " ms after the start, after ", now_ms, " ms");
  const state::ApplyResult result = reference_.Apply(entry.time, entry.payload);
  committed_.push_back({entry.term, reference_.digest()});
  CheckResults(entry, result);
  if (committed_.size() % kStateCheckEveryEntries == 0) reference_.CheckInvariants();
}

void LongTimeWorld::CheckResults(const raft::Entry& entry, const state::ApplyResult& result) {
  // Of earlier entries: in one entry a waiter may be granted behind an acquire that need not wait,
  // and is told of first here.
  const FencingToken last = grants_.empty() ? FencingToken(0) : last_token();
  for (const state::Event& event : result.events) {
    if (const auto* done = std::get_if<state::AcquireDone>(&event)) {
      CheckGrant(done->session, done->acquire, done->result, last);
    } else if (const auto* ended = std::get_if<state::SessionEnded>(&event)) {
      LOCKD_UNREACHABLE("SessionsLive: session ", ended->session, " has ended");
    }
  }
  if (result.results.empty()) return;
  const absl::StatusOr<state::Batch> batch = state::DecodeBatch(entry.payload);
  LOCKD_CHECK(batch.ok() && batch->commands.size() == result.results.size(),
              "a batch without its results");
  for (size_t i = 0; i < batch->commands.size(); ++i) {
    const auto* acquire = std::get_if<state::Acquire>(&batch->commands[i]);
    const auto* value = std::get_if<state::AcquireResult>(&result.results[i].value);
    if (acquire == nullptr || value == nullptr) continue;
    if (result.results[i].refusal != state::Refusal::kNone) continue;
    CheckGrant(acquire->mutation.session, acquire->mutation.sequence, *value, last);
  }
}

void LongTimeWorld::CheckGrant(SessionId session, Sequence acquire,
                               const state::AcquireResult& result, FencingToken last) {
  if (result.kind != state::AcquireOutcomeKind::kGranted) return;
  const FencingToken token = result.grant.token;
  const auto [grant, is_new] = grants_.try_emplace(token, session, acquire);
  LOCKD_CHECK(!is_new || token > last, "TokensIncrease: ", token, " after ", last);
  LOCKD_CHECK(grant->second == std::make_pair(session, acquire), "token ", token,
              " was granted twice");
}

void LongTimeWorld::CheckSessions() const {
  for (size_t i = 0; i < sessions_.size(); ++i) {
    LOCKD_CHECK(clients_[i]->session_id() == sessions_[i] && clients_[i]->BelievesInSession(),
                "SessionsLive: ", clients_[i]->Describe(), ", once session ", sessions_[i]);
  }
}

}  // namespace lockd::sim
