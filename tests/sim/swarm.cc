#include "tests/sim/swarm.h"

#include <algorithm>

namespace lockd::sim {
namespace {

struct FaultSpec {
  absl::string_view name;
  FaultShape shape;
  // Where rates are drawn from: [low, high].
  uint64_t low;
  uint64_t high;
};

constexpr uint64_t operator""_s(unsigned long long seconds) {
  return seconds * static_cast<uint64_t>(kSeconds);
}
constexpr FaultShape kMessage = FaultShape::kPerMessage;
constexpr FaultShape kTimed = FaultShape::kTimed;
constexpr FaultShape kOccasion = FaultShape::kOnOccasion;

// In the order of the enumeration.
constexpr std::array<FaultSpec, kFaultCount> kSpecs = {{
    {"frame-lost", kMessage, 10, 5'000},
    {"frame-duplicated", kMessage, 10, 10'000},
    {"frame-reordered", kMessage, 10, 10'000},
    {"delay-spike", kMessage, 10, 2'000},
    {"frame-replayed", kMessage, 10, 2'000},
    {"bytes-corrupted", kMessage, 1, 50},
    {"reset-in-frame", kMessage, 1, 50},
    {"connection-reset", kTimed, 1_s, 15_s},
    {"half-open", kTimed, 5_s, 30_s},
    {"path-clogged", kTimed, 2_s, 20_s},
    {"path-slow", kTimed, 4_s, 30_s},
    {"path-flapping", kTimed, 5_s, 30_s},
    {"partition-node", kTimed, 5_s, 40_s},
    {"partition-random", kTimed, 5_s, 40_s},
    {"partition-one-way", kTimed, 5_s, 40_s},
    {"partition-bridge", kTimed, 5_s, 40_s},
    {"partition-ring", kTimed, 5_s, 40_s},
    {"partition-client", kTimed, 3_s, 20_s},
    {"node-crash", kTimed, 2_s, 20_s},
    {"cluster-crash", kTimed, 10_s, 60_s},
    {"majority-crash", kTimed, 10_s, 60_s},
    {"leader-crash", kTimed, 3_s, 30_s},
    {"crash-in-write", kTimed, 2_s, 20_s},
    {"crash-in-recovery", kOccasion, 5, 40},
    {"restart-loop", kTimed, 10_s, 60_s},
    {"orderly-restart", kTimed, 5_s, 40_s},
    {"leader-restart", kTimed, 5_s, 40_s},
    {"leadership-transfer", kTimed, 2_s, 20_s},
    {"node-pause", kTimed, 2_s, 20_s},
    {"node-suspend", kTimed, 5_s, 40_s},
    {"node-slow", kTimed, 5_s, 40_s},
    {"snapshot-now", kTimed, 2_s, 20_s},
    {"node-upgraded", kTimed, 4_s, 20_s},
    {"member-added", kTimed, 10_s, 60_s},
    {"member-removed", kTimed, 10_s, 60_s},
    {"member-replaced", kTimed, 15_s, 60_s},
    {"backup-saved", kTimed, 5_s, 40_s},
    {"cluster-restored", kTimed, 40_s, 160_s},
    {"unsynced-lost", kOccasion, 20, 60},
    {"unsynced-reordered", kOccasion, 20, 60},
    {"unsynced-garbled", kOccasion, 20, 60},
    {"write-error", kTimed, 8_s, 60_s},
    {"sync-error", kTimed, 8_s, 60_s},
    {"read-error", kTimed, 8_s, 60_s},
    {"disk-full", kTimed, 8_s, 60_s},
    {"disk-low", kTimed, 8_s, 60_s},
    {"disk-slow", kTimed, 3_s, 30_s},
    {"sync-stall", kTimed, 3_s, 30_s},
    {"bit-rot", kTimed, 30_s, 120_s},
    {"sector-unreadable", kTimed, 30_s, 120_s},
    {"misdirected-write", kTimed, 30_s, 120_s},
    {"stale-file", kTimed, 30_s, 120_s},
    {"disk-wiped", kTimed, 60_s, 200_s},
    {"clock-offset", kOccasion, 100, 100},
    {"clock-drift", kOccasion, 100, 100},
    {"wall-step-forward", kTimed, 10_s, 60_s},
    {"wall-step-back", kTimed, 10_s, 60_s},
    {"client-crash", kTimed, 3_s, 20_s},
    {"client-crash-holding", kTimed, 3_s, 20_s},
    {"client-pause", kTimed, 2_s, 20_s},
    {"client-pause-beyond-ttl", kTimed, 5_s, 30_s},
    {"client-sends-twice", kMessage, 10, 2'000},
    {"client-late-retry", kTimed, 5_s, 30_s},
    {"client-moved", kTimed, 3_s, 20_s},
    {"reconnect-crowd", kTimed, 10_s, 60_s},
    {"cancel-meets-grant", kOccasion, 1, 20},
    {"client-reads-slowly", kTimed, 3_s, 20_s},
    {"hostile-bytes", kTimed, 2_s, 20_s},
}};
static_assert(!kSpecs.back().name.empty(), "a fault without a line in the table");

// Drawn from a generator of their own, so that a seed without them runs as it did before there were
// any: seeds are written down, in the ranges of mutants/ and in reports.
constexpr uint64_t kApart = 0x6b696e647361706aULL;
constexpr Fault kDrawnApart[] = {Fault::kNodeUpgraded, Fault::kBackupSaved,
                                 Fault::kClusterRestored};

bool IsDrawnApart(Fault fault) {
  return std::find(std::begin(kDrawnApart), std::end(kDrawnApart), fault) != std::end(kDrawnApart);
}

}  // namespace

absl::string_view FaultName(Fault fault) {
  return kSpecs[static_cast<size_t>(fault)].name;
}

std::optional<Fault> FaultNamed(absl::string_view name) {
  for (size_t i = 0; i < kFaultCount; ++i) {
    if (kSpecs[i].name == name) return static_cast<Fault>(i);
  }
  return std::nullopt;
}

FaultShape ShapeOf(Fault fault) {
  return kSpecs[static_cast<size_t>(fault)].shape;
}

void Swarm::DrawApart(uint64_t seed) {
  Random random(seed ^ kApart);
  const auto draw = [&](Fault fault, bool on) {
    const auto i = static_cast<size_t>(fault);
    const uint64_t rate = random.Between(kSpecs[i].low, kSpecs[i].high);
    if (on) rates[i] = rate;
  };
  draw(Fault::kNodeUpgraded, random.Chance(1, 10));
  draw(Fault::kBackupSaved, random.Chance(1, 8));
  draw(Fault::kClusterRestored, has(Fault::kBackupSaved) && !changes_members());
  // Some hold for so long that they still do when a new cluster has formed.
  if (is_restored() && random.Chance(2, 3)) {
    hold_mean = static_cast<Time>(random.Between(500, 3'000)) * kMillis;
  }
}

Swarm Swarm::Of(uint64_t seed) {
  Random random(seed);
  return Draw(&random, seed);
}

Swarm Swarm::Draw(Random* random, uint64_t seed) {
  Swarm swarm;
  swarm.nodes = random->Chance(1, 8) ? 3 : 5;
  swarm.clients = random->Between(4, 9);
  swarm.locks = random->Between(1, 5);
  swarm.duration = static_cast<Time>(random->Between(150, 210)) * kSeconds;
  // From few kinds at a time to most of them.
  const uint64_t percent_on = random->Between(5, 60);
  for (size_t i = 0; i < kFaultCount; ++i) {
    if (IsDrawnApart(static_cast<Fault>(i))) continue;
    const bool on = random->Chance(percent_on, 100);
    const uint64_t rate = random->Between(kSpecs[i].low, kSpecs[i].high);
    if (on) swarm.rates[i] = rate;
  }
  // More machines cost more: in two of five runs.
  constexpr Fault kOfMembers[] = {Fault::kMemberAdded, Fault::kMemberRemoved,
                                  Fault::kMemberReplaced};
  const bool may_change_members = random->Chance(2, 5);
  for (const Fault fault : kOfMembers) {
    if (!may_change_members) swarm.rates[static_cast<size_t>(fault)] = 0;
    if (swarm.has(fault)) swarm.spares = 3;
  }
  swarm.clock_rate_ppm_max = swarm.has(Fault::kClockDrift) ? 2'480 : 0;
  if (random->Chance(1, 2)) {
    swarm.heartbeat_ms = static_cast<int64_t>(random->Between(50, 200));
    swarm.election_ms_min = swarm.heartbeat_ms * static_cast<int64_t>(random->Between(5, 10));
    swarm.election_ms_max = 2 * swarm.election_ms_min;
  }
  // From a few election timeouts down to hardly more than one: expiry races with failover.
  swarm.ttl_ms = static_cast<int64_t>(random->Between(1'000, 6'000));
  swarm.grace_ms = random->Chance(1, 2) ? static_cast<int64_t>(random->Between(3'000, 4'000)) : 0;
  if (random->Chance(1, 3)) swarm.cleanup_holds_max = random->Between(1, 3);
  swarm.think_mean = static_cast<Time>(random->Between(150, 800)) * kMillis;
  swarm.hold_mean = static_cast<Time>(random->Between(1, 300)) * kMillis;
  // There is little state: so snapshots come often, slowly and in small pieces.
  if (random->Chance(3, 4)) swarm.snapshot_log_bytes = random->Between(4, 32) * 1024;
  swarm.snapshot_bytes_per_s = uint64_t{1} << random->Between(13, 20);
  swarm.snapshot_piece_bytes = size_t{1} << random->Between(9, 14);
  swarm.DrawApart(seed);
  return swarm;
}

}  // namespace lockd::sim
