// Swarm: which faults one seed sees, and how often (Groce and others, "Swarm testing", 2012). Each
// kind is off in a good part of the seeds, so that what one fault hides another run shows.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_SWARM_H_
#define LOCKD_TESTS_SIM_SWARM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "protocol/base/random.h"
#include "tests/sim/scheduler.h"

namespace lockd::sim {

enum class Fault : uint8_t {
  // Network: what happens to single frames and pieces of a stream.
  kFrameLost,
  kFrameDuplicated,
  kFrameReordered,  // a few milliseconds late: others overtake it
  kDelaySpike,      // up to half a second late
  kFrameReplayed,   // an old frame of the same two nodes comes again, perhaps of an earlier term
  kBytesCorrupted,  // one bit flips; the checksum must notice
  kResetInFrame,    // the connection breaks in the middle of a frame
  // Network: what happens to connections and paths for a while.
  kConnectionReset,
  kHalfOpen,         // a connection that carries nothing any more, and nobody is told
  kPathClogged,      // nothing is lost, nothing arrives; then all at once
  kPathSlow,         // few bytes a second
  kPathFlapping,     // up, down, up, down
  kPartitionNode,    // one node apart from everybody
  kPartitionRandom,  // some pairs of nodes cannot talk
  kPartitionOneWay,  // from one node to some others
  kPartitionBridge,  // two halves of the nodes, and one node that sees both
  kPartitionRing,    // every node sees its two neighbours only
  kPartitionClient,  // a client apart from all nodes
  // Processes.
  kNodeCrash,
  kClusterCrash,        // all nodes at once
  kMajorityCrash,       // half of the nodes and one more at once
  kLeaderCrash,         // whoever leads
  kCrashInWrite,        // the power goes within a disk write
  kCrashInRecovery,     // the power goes while a node starts
  kRestartLoop,         // a node that starts and dies again and again
  kOrderlyRestart,      // a node is told to stop, and is started again
  kLeaderRestart,       // the same to whoever leads
  kLeadershipTransfer,  // an operator wants another leader
  kNodePause,
  kNodeSuspend,   // paused, and its monotonic clock stands still meanwhile
  kNodeSlow,      // every turn takes milliseconds
  kSnapshotNow,   // an operator wants a snapshot
  kNodeUpgraded,  // all begin as the version before; one is stopped and started as today's
  // Members: an operator's wish to whoever leads, which may get lost.
  kMemberAdded,     // one more machine, with an empty disk, joins
  kMemberRemoved,   // the leader itself, too
  kMemberReplaced,  // both at once; whoever lost its disk goes first
  // Backups: an operator's, too.
  kBackupSaved,      // from any node, over the network
  kClusterRestored,  // all nodes are lost for good, and a new cluster is made from a backup
  // Disks.
  kUnsyncedLost,       // nothing that was not synced survives a crash
  kUnsyncedReordered,  // of what was not synced some sectors and names survive
  kUnsyncedGarbled,    // the same, and some sectors hold garbage
  kWriteError,
  kSyncError,
  kReadError,
  kDiskFull,
  kDiskLow,  // the reserve of free space is gone
  kDiskSlow,
  kSyncStall,         // one sync takes seconds
  kBitRot,            // a bit of a file at rest flips
  kSectorUnreadable,  // for ever
  kMisdirectedWrite,  // a sector is where another one should be
  kStaleFile,         // an older copy of a file is back
  kDiskWiped,         // an empty disk under an old name
  // Clocks.
  kClockOffset,  // of every machine
  kClockDrift,   // rates differ, within the bound that lockd is built on
  kWallStepForward,
  kWallStepBack,
  // Clients.
  kClientCrash,
  kClientCrashHolding,
  kClientPause,
  kClientPauseBeyondTtl,
  kClientSendsTwice,   // the same requests again on the same connection
  kClientLateRetry,    // an old connection's requests again, at another node
  kClientMoved,        // cut off from its node, it goes to another one
  kReconnectCrowd,     // all clients lose their connections at once
  kCancelMeetsGrant,   // a cancel that is sent when the grant is on its way
  kClientReadsSlowly,  // answers lie unread
  kHostileBytes,       // a stranger sends garbage to a client or a peer port
  kCount,
};
inline constexpr size_t kFaultCount = static_cast<size_t>(Fault::kCount);
[[nodiscard]] absl::string_view FaultName(Fault fault);
[[nodiscard]] std::optional<Fault> FaultNamed(absl::string_view name);

using FaultCounts = std::array<uint64_t, kFaultCount>;

// How a kind of fault comes about.
enum class FaultShape : uint8_t {
  kPerMessage,  // the rate is so many in 100,000 frames or pieces of a stream
  kTimed,       // the rate is the mean pause between two, in nanoseconds
  kOnOccasion,  // the rate is so many in 100 of the occasions
};
[[nodiscard]] FaultShape ShapeOf(Fault fault);

// What one run is made of, drawn from its seed.
struct Swarm {
  size_t nodes = 5;   // 3 or 5 found the cluster
  size_t spares = 0;  // machines that may join it later
  size_t clients = 8;
  size_t locks = 3;
  Time duration = 180 * kSeconds;  // of the faulty part

  // By fault, see FaultShape; 0: none of that kind in this run.
  std::array<uint64_t, kFaultCount> rates{};
  [[nodiscard]] uint64_t rate(Fault fault) const { return rates[static_cast<size_t>(fault)]; }
  [[nodiscard]] bool has(Fault fault) const { return rate(fault) != 0; }

  // Only then.
  [[nodiscard]] bool changes_members() const { return spares != 0; }
  [[nodiscard]] bool is_restored() const { return has(Fault::kClusterRestored); }
  [[nodiscard]] bool begins_as_version_before() const { return has(Fault::kNodeUpgraded); }

  int64_t clock_rate_ppm_max = 0;
  int64_t heartbeat_ms = 50;
  int64_t election_ms_min = 300;
  int64_t election_ms_max = 600;
  int64_t ttl_ms = 1'000;
  int64_t grace_ms = 0;                // some clients use it
  uint64_t cleanup_holds_max = 1'024;  // holds that one entry cleans up
  Time think_mean = 200 * kMillis;     // between two operations of a client's task
  Time hold_mean = 30 * kMillis;
  uint64_t snapshot_log_bytes = 0;  // one is taken whenever the log has grown so much; 0: never
  uint64_t snapshot_bytes_per_s = 1'000'000;
  size_t snapshot_piece_bytes = 256 * 1024;

  // That of a seed, for who wants to know without running it.
  [[nodiscard]] static Swarm Of(uint64_t seed);
  // `random` is that of the seed; the kinds that came last are drawn apart from it.
  [[nodiscard]] static Swarm Draw(Random* random, uint64_t seed);

 private:
  void DrawApart(uint64_t seed);
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SWARM_H_
