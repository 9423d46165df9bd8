#include "tests/sim/fault_injector.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::sim {
namespace {

constexpr int64_t kHourMs = 3'600'000;
// So many entries behind the leader, a node has about as much applied as the others.
constexpr uint64_t kCaughtUp = 100;

bool Leads(const SimNode& node) {
  return node.is_up() && node.node().raft().is_leader();
}

}  // namespace

FaultInjector::FaultInjector(World world, const Swarm& swarm, uint64_t seed,
                             std::function<void(const std::string&)> trace)
    : world_(world), swarm_(swarm), random_(seed), trace_(std::move(trace)) {}

void FaultInjector::Start() {
  is_on_ = true;
  for (size_t i = 0; i < kFaultCount; ++i) {
    const auto fault = static_cast<Fault>(i);
    if (ShapeOf(fault) == FaultShape::kTimed && swarm_.has(fault)) Repeat(fault);
  }
}

void FaultInjector::Repeat(Fault fault) {
  const auto mean = static_cast<Time>(swarm_.rate(fault));
  After(Pick(1, 2 * mean), [this, fault] {
    if (world_.faults->Admit()) Inject(fault);
    Repeat(fault);
  });
}

// Only while faults are on.
void FaultInjector::After(Time delay, std::function<void()> action) {
  world_.scheduler->After(delay, [this, action = std::move(action)] {
    if (is_on_) action();
  });
}

void FaultInjector::Inject(Fault fault) {
  if (trace_) trace_(absl::StrCat("fault: ", FaultName(fault)));
  // Each of these knows some of the kinds.
  for (const auto inject :
       {&FaultInjector::InjectNetwork, &FaultInjector::InjectPartition,
        &FaultInjector::InjectProcess, &FaultInjector::InjectMembers, &FaultInjector::InjectBackups,
        &FaultInjector::InjectDisk, &FaultInjector::InjectClient}) {
    const Effect effect = (this->*inject)(fault);
    if (effect == Effect::kStruck) world_.faults->Happened(fault);
    if (effect != Effect::kOther) return;
  }
}

void FaultInjector::OnExit(SimNode& node) {
  world_.scheduler->After(Pick(20 * kMillis, kSeconds), [&node] {
    if (!node.is_up()) node.Start();
  });
}

// ---- Network

std::pair<HostId, HostId> FaultInjector::AnyPath() {
  const HostId node = AnyNode().host();
  const HostId other = random_.Chance(1, 3) ? AnyClient().host() : AnyNode().host();
  return random_.Chance(1, 2) ? std::make_pair(node, other) : std::make_pair(other, node);
}

void FaultInjector::Flap(HostId a, HostId b, uint64_t times) {
  if (times == 0 || !world_.faults->is_on()) return;
  world_.network->BlockBothWays(a, b);
  After(Pick(10 * kMillis, 300 * kMillis), [this, a, b, times] {
    world_.network->Unblock(a, b);
    world_.network->Unblock(b, a);
    After(Pick(10 * kMillis, 300 * kMillis), [this, a, b, times] { Flap(a, b, times - 1); });
  });
}

FaultInjector::Effect FaultInjector::InjectNetwork(Fault fault) {
  SimNetwork& network = *world_.network;
  const Time now = world_.scheduler->now();
  const auto [from, to] = AnyPath();
  switch (fault) {
    case Fault::kConnectionReset:
      return StruckIf(network.ResetOne(&random_));
    case Fault::kHalfOpen:
      return StruckIf(network.HalfOpenOne(&random_, now + Pick(kSeconds, 8 * kSeconds)));
    case Fault::kPathClogged:
      network.Clog(from, to, now + Pick(50 * kMillis, 5 * kSeconds));
      return Effect::kStruck;
    case Fault::kPathSlow: {
      const HostId a = from;
      const HostId b = to;
      network.SetBandwidth(a, b, random_.Between(2'000, 50'000));
      After(Pick(kSeconds, 6 * kSeconds), [&network, a, b] { network.SetBandwidth(a, b, 0); });
      return Effect::kStruck;
    }
    case Fault::kPathFlapping:
      Flap(from, to, random_.Between(3, 12));
      return Effect::kStruck;
    default:
      return Effect::kOther;
  }
}

void FaultInjector::Block(Paths* paths, HostId from, HostId to) {
  if (from == to) return;
  world_.network->Block(from, to);
  paths->emplace_back(from, to);
}

void FaultInjector::BlockBothWays(Paths* paths, HostId a, HostId b) {
  Block(paths, a, b);
  Block(paths, b, a);
}

FaultInjector::Effect FaultInjector::InjectPartition(Fault fault) {
  const auto& nodes = *world_.nodes;
  const auto& clients = *world_.clients;
  const HostId victim = AnyNode().host();
  Paths paths;
  switch (fault) {
    case Fault::kPartitionNode:
      for (const auto& node : nodes) BlockBothWays(&paths, victim, node->host());
      for (const auto& client : clients) BlockBothWays(&paths, victim, client->host());
      break;
    case Fault::kPartitionRandom:
      for (const auto& a : nodes) {
        for (const auto& b : nodes) {
          if (a->host() < b->host() && random_.Chance(1, 2)) {
            BlockBothWays(&paths, a->host(), b->host());
          }
        }
      }
      break;
    case Fault::kPartitionOneWay:
      for (const auto& node : nodes) {
        if (random_.Chance(1, 2)) Block(&paths, victim, node->host());
      }
      break;
    case Fault::kPartitionBridge: {
      // The victim sees both halves.
      std::vector<HostId> halves[2];
      for (const auto& node : nodes) {
        if (node->host() != victim) halves[random_.Below(2)].push_back(node->host());
      }
      for (const HostId a : halves[0]) {
        for (const HostId b : halves[1]) BlockBothWays(&paths, a, b);
      }
      break;
    }
    case Fault::kPartitionRing: {
      const size_t count = nodes.size();
      for (size_t a = 0; a < count; ++a) {
        for (size_t b = a + 2; b < count; ++b) {
          if ((b + 1) % count != a) BlockBothWays(&paths, nodes[a]->host(), nodes[b]->host());
        }
      }
      break;
    }
    case Fault::kPartitionClient: {
      const HostId client = AnyClient().host();
      for (const auto& node : nodes) BlockBothWays(&paths, client, node->host());
      break;
    }
    default:
      return Effect::kOther;
  }
  const Effect effect = StruckIf(!paths.empty());
  After(Pick(50 * kMillis, 5 * kSeconds), [this, paths = std::move(paths)] {
    for (const auto& [from, to] : paths) world_.network->Unblock(from, to);
  });
  return effect;
}

// ---- Processes

bool FaultInjector::Crash(SimNode& node, Time down_for) {
  if (!node.is_up()) return false;
  node.Crash();
  After(down_for, [&node] {
    if (!node.is_up()) node.Start();
  });
  return true;
}

void FaultInjector::LoopRestarts(SimNode& node, uint64_t times) {
  if (times == 0 || !world_.faults->is_on()) return;
  Crash(node, Pick(5 * kMillis, 50 * kMillis));
  After(Pick(60 * kMillis, 400 * kMillis), [this, &node, times] { LoopRestarts(node, times - 1); });
}

// As an operator is told to (server/README.md): one after the other, the leader last, and none
// before the one before has caught up. What else happens to the nodes meanwhile he does not see.
bool FaultInjector::ChangeVersion() {
  const bool goes_back = !was_taken_back_ && upgraded_ != nullptr && random_.Chance(1, 6);
  const uint64_t from = goes_back ? kFeaturesOfThisVersion : kFeaturesOfVersionBefore;
  const uint64_t to = goes_back ? kFeaturesOfVersionBefore : kFeaturesOfThisVersion;
  raft::Index commit;
  for (const auto& node : *world_.nodes) {
    if (Leads(*node)) commit = std::max(commit, node->node().raft().commit_index());
  }
  if (upgraded_ != nullptr && !upgraded_->is_lost() && !upgraded_->is_removed() &&
      (!upgraded_->is_up() || upgraded_->node().raft().applied_index() + kCaughtUp < commit)) {
    return false;
  }
  std::vector<SimNode*> followers;
  std::vector<SimNode*> others;
  for (const auto& node : *world_.nodes) {
    if (!node->is_up() || node->is_paused() || node->peer_features() != from) continue;
    (Leads(*node) ? others : followers).push_back(node.get());
  }
  const std::vector<SimNode*>& candidates = followers.empty() ? others : followers;
  if (candidates.empty()) return false;
  upgraded_ = candidates[random_.Below(candidates.size())];
  was_taken_back_ |= goes_back;
  upgraded_->SetVersion(to);
  upgraded_->Stop();
  return true;
}

FaultInjector::Effect FaultInjector::InjectProcess(Fault fault) {
  auto& nodes = *world_.nodes;
  SimNode& node = AnyNode();
  bool struck = false;
  switch (fault) {
    case Fault::kNodeCrash:
      return StruckIf(Crash(node, Pick(20 * kMillis, 4 * kSeconds)));
    case Fault::kClusterCrash: {
      // All at once, or each in what it writes next.
      const bool in_write = swarm_.has(Fault::kCrashInWrite) && random_.Chance(1, 2);
      for (auto& each : nodes) {
        struck |= each->is_up();
        if (in_write) {
          each->CrashInNextWrite();
        } else {
          Crash(*each, Pick(20 * kMillis, 2 * kSeconds));
        }
      }
      return StruckIf(struck);
    }
    case Fault::kCrashInWrite:
      if (random_.Chance(1, 4)) {
        node.CrashInNextSnapshotJob();
      } else {
        node.CrashInNextWrite();
      }
      return Effect::kNone;  // counts when it happens
    case Fault::kMajorityCrash:
      for (size_t i = 0; i <= nodes.size() / 2; ++i) {
        struck |=
            Crash(*nodes[(node.node_id().value() + i) % nodes.size()], Pick(kMillis, 2 * kSeconds));
      }
      return StruckIf(struck);
    case Fault::kLeaderCrash:
      for (auto& each : nodes) {
        if (Leads(*each)) struck |= Crash(*each, Pick(20 * kMillis, 3 * kSeconds));
      }
      return StruckIf(struck);
    case Fault::kRestartLoop:
      if (!node.is_up()) return Effect::kNone;
      LoopRestarts(node, random_.Between(3, 8));
      return Effect::kStruck;
    case Fault::kOrderlyRestart:
      if (!node.is_up() || node.is_paused()) return Effect::kNone;
      node.Stop();
      return Effect::kStruck;
    case Fault::kLeaderRestart:
      for (auto& each : nodes) {
        if (!Leads(*each) || each->is_paused()) continue;
        each->Stop();
        struck = true;
      }
      return StruckIf(struck);
    case Fault::kLeadershipTransfer: {
      // To this node, or to whom it suits.
      const NodeId to = random_.Chance(2, 3) ? node.node_id() : NodeId{0};
      for (auto& each : nodes) {
        if (!Leads(*each)) continue;
        world_.stranger->AskForTransfer(each->host(), to);
        struck = true;
      }
      return StruckIf(struck);
    }
    case Fault::kNodePause:
    case Fault::kNodeSuspend:
      if (!node.is_up() || node.is_paused()) return Effect::kNone;
      node.Pause(fault == Fault::kNodeSuspend);
      After(Pick(10 * kMillis, 4 * kSeconds), [&node] { node.Resume(); });
      return Effect::kStruck;
    case Fault::kNodeSlow:
      if (!node.is_up()) return Effect::kNone;
      node.set_is_slow(true);
      After(Pick(500 * kMillis, 5 * kSeconds), [&node] { node.set_is_slow(false); });
      return Effect::kStruck;
    case Fault::kSnapshotNow:
      if (!node.is_up()) return Effect::kNone;
      node.TakeSnapshot();
      return Effect::kStruck;
    case Fault::kNodeUpgraded:
      return StruckIf(ChangeVersion());
    default:
      return Effect::kOther;
  }
}

// ---- Members

const state::MemberRole* FaultInjector::RoleOf(NodeId node) const {
  for (const state::Member& member : world_.members()) {
    if (member.node_id == node) return &member.role;
  }
  return nullptr;
}

// The next machine, again and again until it is in. It is started before or after it is added.
bool FaultInjector::AddMember() {
  for (auto& each : *world_.nodes) {
    SimNode& joiner = *each;
    if (joiner.node_id().value() <= swarm_.nodes || joiner.is_removed() || joiner.is_lost() ||
        RoleOf(joiner.node_id()) != nullptr) {
      continue;
    }
    for (auto& node : *world_.nodes) {
      if (!Leads(*node)) continue;
      world_.stranger->AskToAdd(node->host(), joiner.node_id(), joiner.peer_address());
    }
    if (!joiner.is_spare()) return true;
    const std::string contact = AnyNode().peer_address();
    After(Pick(0, 2 * kSeconds), [&joiner, contact] {
      if (joiner.is_spare()) joiner.Join(contact);
    });
    return true;
  }
  return false;
}

// Three voters with true disks stay, whatever becomes of what was asked for before.
bool FaultInjector::RemoveMember(bool prefers_lost) {
  std::vector<SimNode*> candidates;
  std::vector<SimNode*> lost;
  size_t staying = 0;
  for (auto& node : *world_.nodes) {
    const state::MemberRole* const role = RoleOf(node->node_id());
    if (role == nullptr) continue;
    (node->is_lost() ? lost : candidates).push_back(node.get());
    const bool votes = *role == state::MemberRole::kVoter || *role == state::MemberRole::kIncoming;
    if (votes && !node->was_damaged() && !to_remove_.contains(node->node_id())) ++staying;
  }
  if (!lost.empty() && (prefers_lost || random_.Chance(1, 2))) candidates = lost;
  SimNode& gone = *candidates[random_.Below(candidates.size())];
  const bool was_asked_for = to_remove_.contains(gone.node_id());
  const bool is_missed = !gone.was_damaged() && !was_asked_for &&
                         *RoleOf(gone.node_id()) != state::MemberRole::kLearner;
  if (is_missed && staying <= 3) return false;
  bool asked = false;
  for (auto& node : *world_.nodes) {
    if (!Leads(*node)) continue;
    world_.stranger->AskToRemove(node->host(), gone.node_id());
    asked = true;
  }
  if (asked) to_remove_.insert(gone.node_id());
  return asked;
}

FaultInjector::Effect FaultInjector::InjectMembers(Fault fault) {
  switch (fault) {
    case Fault::kMemberAdded:
      return StruckIf(AddMember());
    case Fault::kMemberRemoved:
      return StruckIf(RemoveMember(/*prefers_lost=*/false));
    case Fault::kMemberReplaced: {
      const bool added = AddMember();
      return StruckIf(RemoveMember(/*prefers_lost=*/true) && added);
    }
    default:
      return Effect::kOther;
  }
}

FaultInjector::Effect FaultInjector::InjectBackups(Fault fault) {
  switch (fault) {
    case Fault::kBackupSaved:
      world_.save_backup();
      return Effect::kNone;
    case Fault::kClusterRestored:
      world_.restore();
      return Effect::kNone;
    default:
      return Effect::kOther;
  }
}

// ---- Disks and clocks

bool FaultInjector::MayDamage(const SimNode& node) const {
  if (node.was_damaged()) return true;
  size_t damaged = 0;
  for (const auto& each : *world_.nodes) damaged += each->was_damaged() ? 1 : 0;
  return damaged < (swarm_.changes_members() ? 1 : (swarm_.nodes - 1) / 2);
}

// It is a member, and not registered yet: whatever directory it has when it is, is the right one.
bool FaultInjector::ComesUpFirst(const SimNode& node) const {
  const std::vector<state::Member>& members = world_.members();
  return std::any_of(members.begin(), members.end(), [&node](const state::Member& member) {
    return member.node_id == node.node_id() && member.incarnation.is_zero();
  });
}

bool FaultInjector::DamageDisk(SimNode& node, SimNode::Damage damage) {
  if (node.is_lost() || node.is_spare() || node.is_removed() || !MayDamage(node)) return false;
  node.Crash();
  const bool struck = node.DamageDisk(damage);
  After(Pick(20 * kMillis, 2 * kSeconds), [&node] {
    if (!node.is_up()) node.Start();
  });
  return struck;
}

FaultInjector::Effect FaultInjector::InjectDisk(Fault fault) {
  SimNode& node = AnyNode();
  switch (fault) {
    // These count when the process meets them.
    case Fault::kWriteError:
    case Fault::kSyncError:
    case Fault::kReadError:
      node.FailNext(fault);
      return Effect::kNone;
    case Fault::kDiskFull:
      node.FillDisk();
      After(Pick(kSeconds, 6 * kSeconds), [&node] { node.FreeDisk(); });
      return Effect::kNone;
    case Fault::kDiskLow:
      node.set_disk_is_low(true);
      After(Pick(kSeconds, 10 * kSeconds), [&node] { node.set_disk_is_low(false); });
      return Effect::kStruck;
    case Fault::kDiskSlow:
      node.set_disk_is_slow(true);
      After(Pick(100 * kMillis, 4 * kSeconds), [&node] { node.set_disk_is_slow(false); });
      return Effect::kStruck;
    case Fault::kSyncStall:
      node.StallDisk(Pick(200 * kMillis, 6 * kSeconds));
      return Effect::kStruck;
    case Fault::kBitRot:
      return StruckIf(DamageDisk(node, SimNode::Damage::kBitRot));
    case Fault::kSectorUnreadable:
      return StruckIf(DamageDisk(node, SimNode::Damage::kUnreadable));
    case Fault::kMisdirectedWrite:
      return StruckIf(DamageDisk(node, SimNode::Damage::kMisdirected));
    case Fault::kStaleFile:
      node.CopyAFile();
      After(Pick(2 * kSeconds, 10 * kSeconds), [this, &node, fault] {
        if (!world_.faults->is_on()) return;
        if (DamageDisk(node, SimNode::Damage::kStaleFile)) world_.faults->Happened(fault);
      });
      return Effect::kNone;
    case Fault::kDiskWiped:
      if (ComesUpFirst(node)) return Effect::kNone;
      return StruckIf(DamageDisk(node, SimNode::Damage::kWiped));
    case Fault::kWallStepForward:
      node.StepWallClock(static_cast<int64_t>(random_.Between(1, 3 * kHourMs)));
      return Effect::kStruck;
    case Fault::kWallStepBack:
      node.StepWallClock(-static_cast<int64_t>(random_.Between(1, 3 * kHourMs)));
      return Effect::kStruck;
    default:
      return Effect::kOther;
  }
}

// ---- Clients

FaultInjector::Effect FaultInjector::InjectClient(Fault fault) {
  SimNetwork& network = *world_.network;
  SimClient& client = AnyClient();
  bool struck = false;
  switch (fault) {
    case Fault::kClientCrash:
    case Fault::kClientCrashHolding: {
      SimClient* victim = fault == Fault::kClientCrash ? &client : nullptr;
      for (auto& each : *world_.clients) {
        if (fault == Fault::kClientCrashHolding && each->IsHolding()) victim = each.get();
      }
      if (victim == nullptr || !victim->is_up()) return Effect::kNone;
      victim->Crash();
      After(Pick(10 * kMillis, 3 * kSeconds), [victim] {
        if (!victim->is_up()) victim->Start();
      });
      return Effect::kStruck;
    }
    case Fault::kClientPause:
    case Fault::kClientPauseBeyondTtl: {
      if (!client.is_up() || client.is_paused()) return Effect::kNone;
      client.Pause();
      const Time ttl = swarm_.ttl_ms * kMillis;
      After(fault == Fault::kClientPause ? Pick(10 * kMillis, ttl) : Pick(ttl, 3 * ttl),
            [&client] { client.Resume(); });
      return Effect::kStruck;
    }
    case Fault::kClientLateRetry:
      if (client.sent().empty()) return Effect::kNone;
      After(Pick(10 * kMillis, 3 * kSeconds),
            [this, sent = client.sent()] { world_.stranger->SendAgain(AnyNode().host(), sent); });
      return Effect::kStruck;
    case Fault::kClientMoved:
      for (auto& node : *world_.nodes) {
        if (client.server_address() != absl::StrCat("node-", node->node_id(), ":7420")) continue;
        struck = true;
        const HostId a = node->host();
        const HostId b = client.host();
        network.ResetAllOf(b);
        network.BlockBothWays(a, b);
        After(Pick(500 * kMillis, 4 * kSeconds), [&network, a, b] {
          network.Unblock(a, b);
          network.Unblock(b, a);
        });
      }
      return StruckIf(struck);
    case Fault::kReconnectCrowd:
      for (auto& each : *world_.clients) struck |= network.ResetAllOf(each->host());
      return StruckIf(struck);
    case Fault::kClientReadsSlowly: {
      const Time until = world_.scheduler->now() + Pick(100 * kMillis, 4 * kSeconds);
      for (auto& node : *world_.nodes) network.Clog(node->host(), client.host(), until);
      return Effect::kStruck;
    }
    case Fault::kHostileBytes:
      world_.stranger->SendGarbage(AnyNode().host(), client.sent());
      return Effect::kStruck;
    default:
      return Effect::kOther;
  }
}

}  // namespace lockd::sim
