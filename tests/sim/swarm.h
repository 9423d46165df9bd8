// Swarm: which faults one seed sees, and how often (Groce and others, "Swarm testing", 2012). Each
// kind is off in a good part of the seeds, so that what one fault hides another run shows.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_SWARM_H_
#define LOCKD_TESTS_SIM_SWARM_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "protocol/base/random.h"
#include "tests/sim/scheduler.h"

namespace lockd::sim {

enum class Fault : uint8_t {
  kFrameLost,
  kFrameDuplicated,
  kFrameDelayed,
  kConnectionReset,
  kPartitionNode,    // one node apart from everybody
  kPartitionHalves,  // nodes in two groups
  kPartitionOneWay,  // from one node to another
  kPartitionClient,  // a client apart from all nodes
  kNodeCrash,
  kClusterCrash,     // all nodes at once
  kCrashInWrite,     // power goes within a disk write
  kUnsyncedGarbled,  // what was not synced is lost, kept or garbled sector by sector
  kNodePause,
  kSlowDisk,
  kClientCrash,
  kClientPause,  // beyond its TTL
  kCount,
};
inline constexpr size_t kFaultCount = static_cast<size_t>(Fault::kCount);
[[nodiscard]] absl::string_view FaultName(Fault fault);

using FaultCounts = std::array<uint64_t, kFaultCount>;

// What one run is made of, drawn from its seed.
struct Swarm {
  size_t nodes = 3;  // 3 or 5
  size_t clients = 4;
  size_t locks = 2;
  Time duration = 20 * kSeconds;  // of the faulty part

  // In 10,000 frames between nodes.
  uint64_t frame_lost = 0;
  uint64_t frame_duplicated = 0;
  uint64_t frame_delayed = 0;
  // Mean pause between two faults of a kind; 0: none of that kind.
  Time reset_every = 0;
  Time partition_every = 0;
  Time node_crash_every = 0;
  Time cluster_crash_every = 0;
  Time node_pause_every = 0;
  Time slow_disk_every = 0;
  Time client_crash_every = 0;
  Time client_pause_every = 0;
  bool garble_unsynced = false;

  int64_t clock_rate_ppm_max = 0;
  int64_t ttl_ms = 1'000;
  int64_t grace_ms = 0;            // some clients use it
  Time think_mean = 50 * kMillis;  // between two operations of a client
  Time hold_mean = 30 * kMillis;

  [[nodiscard]] static Swarm Draw(Random* random);
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SWARM_H_
