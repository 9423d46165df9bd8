#include "tests/sim/swarm.h"

namespace lockd::sim {
namespace {

// Zero in half of the seeds, else within [low, high].
template <typename T>
T Sometimes(Random* random, T low, T high) {
  const bool on = random->Chance(1, 2);
  const uint64_t drawn = random->Between(static_cast<uint64_t>(low), static_cast<uint64_t>(high));
  return on ? static_cast<T>(drawn) : T{0};
}

}  // namespace

absl::string_view FaultName(Fault fault) {
  constexpr std::array<absl::string_view, kFaultCount> kNames = {
      "frame-lost",     "frame-duplicated", "frame-delayed",     "connection-reset",
      "partition-node", "partition-halves", "partition-one-way", "partition-client",
      "node-crash",     "cluster-crash",    "crash-in-write",    "unsynced-garbled",
      "node-pause",     "slow-disk",        "client-crash",      "client-pause",
  };
  return kNames[static_cast<size_t>(fault)];
}

Swarm Swarm::Draw(Random* random) {
  Swarm swarm;
  swarm.nodes = random->Chance(1, 4) ? 5 : 3;
  swarm.clients = random->Between(2, 8);
  swarm.locks = random->Between(1, 4);
  swarm.duration = static_cast<Time>(random->Between(10, 30)) * kSeconds;
  swarm.frame_lost = Sometimes<uint64_t>(random, 1, random->Chance(1, 5) ? 3'000 : 300);
  swarm.frame_duplicated = Sometimes<uint64_t>(random, 1, 2'000);
  swarm.frame_delayed = Sometimes<uint64_t>(random, 1, 1'000);
  swarm.reset_every = Sometimes<Time>(random, kSeconds / 2, 8 * kSeconds);
  swarm.partition_every = Sometimes<Time>(random, kSeconds, 8 * kSeconds);
  swarm.node_crash_every = Sometimes<Time>(random, kSeconds, 8 * kSeconds);
  swarm.cluster_crash_every = Sometimes<Time>(random, 4 * kSeconds, 15 * kSeconds);
  swarm.node_pause_every = Sometimes<Time>(random, kSeconds, 8 * kSeconds);
  swarm.slow_disk_every = Sometimes<Time>(random, kSeconds, 8 * kSeconds);
  swarm.client_crash_every = Sometimes<Time>(random, kSeconds, 8 * kSeconds);
  swarm.client_pause_every = Sometimes<Time>(random, kSeconds, 8 * kSeconds);
  swarm.garble_unsynced = random->Chance(1, 2);
  swarm.clock_rate_ppm_max = random->Chance(1, 2) ? 2'480 : 0;
  swarm.ttl_ms = static_cast<int64_t>(random->Between(1'000, 5'000));
  swarm.grace_ms = Sometimes<int64_t>(random, 3'000, 4'000);
  swarm.think_mean = static_cast<Time>(random->Between(5, 200)) * kMillis;
  swarm.hold_mean = static_cast<Time>(random->Between(1, 300)) * kMillis;
  return swarm;
}

}  // namespace lockd::sim
