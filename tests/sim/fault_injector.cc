#include "tests/sim/fault_injector.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::sim {
namespace {

constexpr int64_t kHourMs = 3'600'000;

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
    if (world_.faults->Admit(fault)) Inject(fault);
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
  (void)(InjectNetwork(fault) || InjectPartition(fault) || InjectProcess(fault) ||
         InjectDisk(fault) || InjectClient(fault));
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
  if (times == 0) return;
  world_.network->BlockBothWays(a, b);
  After(Pick(10 * kMillis, 300 * kMillis), [this, a, b, times] {
    world_.network->Unblock(a, b);
    world_.network->Unblock(b, a);
    After(Pick(10 * kMillis, 300 * kMillis), [this, a, b, times] { Flap(a, b, times - 1); });
  });
}

bool FaultInjector::InjectNetwork(Fault fault) {
  SimNetwork& network = *world_.network;
  const Time now = world_.scheduler->now();
  const auto [from, to] = AnyPath();
  switch (fault) {
    case Fault::kConnectionReset:
      network.ResetOne(HostId(0), &random_);
      return true;
    case Fault::kHalfOpen:
      network.HalfOpenOne(&random_, now + Pick(kSeconds, 8 * kSeconds));
      return true;
    case Fault::kPathClogged:
      network.Clog(from, to, now + Pick(50 * kMillis, 5 * kSeconds));
      return true;
    case Fault::kPathSlow: {
      const HostId a = from;
      const HostId b = to;
      network.SetBandwidth(a, b, random_.Between(2'000, 50'000));
      After(Pick(kSeconds, 6 * kSeconds), [&network, a, b] { network.SetBandwidth(a, b, 0); });
      return true;
    }
    case Fault::kPathFlapping:
      Flap(from, to, random_.Between(3, 12));
      return true;
    default:
      return false;
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

bool FaultInjector::InjectPartition(Fault fault) {
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
      return false;
  }
  After(Pick(50 * kMillis, 5 * kSeconds), [this, paths = std::move(paths)] {
    for (const auto& [from, to] : paths) world_.network->Unblock(from, to);
  });
  return true;
}

// ---- Processes

void FaultInjector::Crash(SimNode& node, Time down_for) {
  node.Crash();
  After(down_for, [&node] {
    if (!node.is_up()) node.Start();
  });
}

void FaultInjector::LoopRestarts(SimNode& node, uint64_t times) {
  if (times == 0) return;
  Crash(node, Pick(5 * kMillis, 50 * kMillis));
  After(Pick(60 * kMillis, 400 * kMillis), [this, &node, times] { LoopRestarts(node, times - 1); });
}

bool FaultInjector::InjectProcess(Fault fault) {
  auto& nodes = *world_.nodes;
  SimNode& node = AnyNode();
  switch (fault) {
    case Fault::kNodeCrash:
      Crash(node, Pick(20 * kMillis, 4 * kSeconds));
      return true;
    case Fault::kClusterCrash:
      for (auto& each : nodes) Crash(*each, Pick(20 * kMillis, 2 * kSeconds));
      return true;
    case Fault::kMajorityCrash:
      for (size_t i = 0; i <= nodes.size() / 2; ++i) {
        Crash(*nodes[(node.node_id().value() + i) % nodes.size()], Pick(kMillis, 2 * kSeconds));
      }
      return true;
    case Fault::kLeaderCrash:
      for (auto& each : nodes) {
        if (each->is_up() && each->node().raft().is_leader()) {
          Crash(*each, Pick(20 * kMillis, 3 * kSeconds));
        }
      }
      return true;
    case Fault::kRestartLoop:
      LoopRestarts(node, random_.Between(3, 8));
      return true;
    case Fault::kOrderlyRestart:
      node.Stop();
      After(Pick(20 * kMillis, 500 * kMillis), [&node] {
        if (!node.is_up()) node.Start();
      });
      return true;
    case Fault::kNodePause:
    case Fault::kNodeSuspend:
      if (node.is_paused()) return true;
      node.Pause(fault == Fault::kNodeSuspend);
      After(Pick(10 * kMillis, 4 * kSeconds), [&node] { node.Resume(); });
      return true;
    case Fault::kNodeSlow:
      node.set_is_slow(true);
      After(Pick(500 * kMillis, 5 * kSeconds), [&node] { node.set_is_slow(false); });
      return true;
    default:
      return false;
  }
}

// ---- Disks and clocks

bool FaultInjector::MayDamage(const SimNode& node) const {
  if (node.was_damaged()) return true;
  size_t damaged = 0;
  for (const auto& each : *world_.nodes) damaged += each->was_damaged() ? 1 : 0;
  return damaged < (world_.nodes->size() - 1) / 2;
}

void FaultInjector::DamageDisk(SimNode& node, SimNode::Damage damage) {
  if (node.is_lost() || !MayDamage(node)) return;
  node.Crash();
  node.DamageDisk(damage);
  After(Pick(20 * kMillis, 2 * kSeconds), [&node] {
    if (!node.is_up()) node.Start();
  });
}

bool FaultInjector::InjectDisk(Fault fault) {
  SimNode& node = AnyNode();
  switch (fault) {
    case Fault::kWriteError:
      node.FailNextWrite();
      return true;
    case Fault::kSyncError:
      node.FailNextSync();
      return true;
    case Fault::kReadError:
      node.FailNextRead();
      return true;
    case Fault::kDiskFull:
      node.FillDisk();
      After(Pick(kSeconds, 6 * kSeconds), [&node] { node.FreeDisk(); });
      return true;
    case Fault::kDiskSlow:
      node.set_disk_is_slow(true);
      After(Pick(100 * kMillis, 4 * kSeconds), [&node] { node.set_disk_is_slow(false); });
      return true;
    case Fault::kSyncStall:
      node.StallDisk(Pick(200 * kMillis, 6 * kSeconds));
      return true;
    case Fault::kBitRot:
      DamageDisk(node, SimNode::Damage::kBitRot);
      return true;
    case Fault::kSectorUnreadable:
      DamageDisk(node, SimNode::Damage::kUnreadable);
      return true;
    case Fault::kMisdirectedWrite:
      DamageDisk(node, SimNode::Damage::kMisdirected);
      return true;
    case Fault::kStaleFile:
      node.CopyAFile();
      After(Pick(2 * kSeconds, 10 * kSeconds),
            [this, &node] { DamageDisk(node, SimNode::Damage::kStaleFile); });
      return true;
    case Fault::kDiskWiped:
      DamageDisk(node, SimNode::Damage::kWiped);
      return true;
    case Fault::kWallStepForward:
      node.StepWallClock(static_cast<int64_t>(random_.Between(1, 3 * kHourMs)));
      return true;
    case Fault::kWallStepBack:
      node.StepWallClock(-static_cast<int64_t>(random_.Between(1, 3 * kHourMs)));
      return true;
    default:
      return false;
  }
}

// ---- Clients

bool FaultInjector::InjectClient(Fault fault) {
  SimNetwork& network = *world_.network;
  SimClient& client = AnyClient();
  switch (fault) {
    case Fault::kClientCrash:
    case Fault::kClientCrashHolding: {
      SimClient* victim = &client;
      for (auto& each : *world_.clients) {
        if (fault == Fault::kClientCrashHolding && each->IsHolding()) victim = each.get();
      }
      victim->Crash();
      After(Pick(10 * kMillis, 3 * kSeconds), [victim] {
        if (!victim->is_up()) victim->Start();
      });
      return true;
    }
    case Fault::kClientPause:
    case Fault::kClientPauseBeyondTtl: {
      if (client.is_paused()) return true;
      client.Pause();
      const Time ttl = swarm_.ttl_ms * kMillis;
      After(fault == Fault::kClientPause ? Pick(10 * kMillis, ttl) : Pick(ttl, 3 * ttl),
            [&client] { client.Resume(); });
      return true;
    }
    case Fault::kClientLateRetry:
      After(Pick(10 * kMillis, 3 * kSeconds),
            [this, sent = client.sent()] { world_.stranger->SendAgain(AnyNode().host(), sent); });
      return true;
    case Fault::kClientMoved:
      for (auto& node : *world_.nodes) {
        if (client.server_address() != absl::StrCat("node-", node->node_id(), ":7420")) continue;
        const HostId a = node->host();
        const HostId b = client.host();
        network.ResetAllOf(b);
        network.BlockBothWays(a, b);
        After(Pick(500 * kMillis, 4 * kSeconds), [&network, a, b] {
          network.Unblock(a, b);
          network.Unblock(b, a);
        });
      }
      return true;
    case Fault::kReconnectCrowd:
      for (auto& each : *world_.clients) network.ResetAllOf(each->host());
      return true;
    case Fault::kClientReadsSlowly: {
      const Time until = world_.scheduler->now() + Pick(100 * kMillis, 4 * kSeconds);
      for (auto& node : *world_.nodes) network.Clog(node->host(), client.host(), until);
      return true;
    }
    case Fault::kHostileBytes:
      world_.stranger->SendGarbage(AnyNode().host(), client.sent());
      return true;
    default:
      return false;
  }
}

}  // namespace lockd::sim
