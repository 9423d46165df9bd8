// The vocabulary between a node and its rim: connections, options, and what a turn asks to be done.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_TYPES_H_
#define LOCKD_SERVER_NODE_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "consensus/raft/types.h"
#include "consensus/storage/log_job.h"
#include "consensus/storage/snapshot_job.h"
#include "protocol/base/ids.h"
#include "protocol/base/strong_int.h"
#include "protocol/base/time.h"
#include "protocol/opcode.h"
#include "server/state/lock_database.h"
#include "server/state/snapshot_loader.h"
#include "server/state/types.h"

namespace lockd::node {

// Names of connections within one node; the rim counts up from 1 and never re-uses one.
using ConnectionId = StrongInt<struct ConnectionIdTag>;
using PeerLinkId = StrongInt<struct PeerLinkIdTag>;

// The longest times that a node can be given: wide-area links, and runs of years in a simulator.
inline constexpr int64_t kHeartbeatMsMax = 60'000;
inline constexpr int64_t kElectionMsMax = 600'000;
inline constexpr int64_t kTimeEntryMsMax = 60'000;
inline constexpr int64_t kSuppressMsMax = 120'000;     // twice a time entry
inline constexpr int64_t kTurnAdvanceMsMax = 120'000;  // the same

// Most of the log, in bytes of its entries, that one turn applies; an entry above it has a turn to
// itself. Commands are small, and each costs about a microsecond of the loop's time.
inline constexpr size_t kApplyBytesPerTurn = 128 * 1024;
// What counts so much as well: a session, hold or waiter that an entry ends because its time has
// come. (An entry without any command may end a thousand of them.)
inline constexpr size_t kCleanUpBytes = 64;
// Most entries of one append, by their size; one that is larger goes alone.
inline constexpr size_t kAppendBytesMax = 128 * 1024;
// A turn that has made so much for other nodes leaves what else it has for them to the next one,
// which follows at once. An append or a piece of a snapshot for each of them may be above it.
inline constexpr size_t kSendBytesPerTurn = 256 * 1024;

struct NodeOptions {
  NodeId node_id;
  std::string cluster_name;
  std::string client_address;  // advertised, host:port
  std::string peer_address;    // advertised, host:port
  Incarnation incarnation;     // made with the data directory; never zero
  ClusterId cluster_id;        // as recovered from the directory; zero: not learned yet
  // Members to form a cluster with when the directory is empty (node_id included; incarnations
  // zero). Once the log has a membership, that one is used and this is ignored.
  std::vector<state::Member> bootstrap_members;
  // The directory was made from a backup: its log begins after that.
  bool is_restored = false;
  // Then, as long as it does not know that its cluster has been founded: the snapshot that it was
  // made with, alike on all founders.
  std::optional<raft::SnapshotId> restored_from;
  // The directory was made to join a cluster: there are no bootstrap members.
  bool joins = false;
  // host:port where the other nodes reach a member of it, to be asked as long as this node knows
  // nobody; may be empty when it has joined before.
  std::string contact_address;
  // Random; becomes the cluster's id if this node is the one that forms it.
  ClusterId cluster_id_draw;
  state::Settings bootstrap_settings;
  std::string version;  // shown in status
  // Bits of PeerHello.features: what this node names in its hellos, sends and understands. Without
  // the newest one it behaves as a node of the version before that, for tests of upgrades.
  uint64_t peer_features = kPeerFeatureDigests;
  uint64_t seed = 0;

  // What the state of a node without a snapshot has drawn from its counter of ids and tokens: alike
  // on all members. Runs that are to cross 2^31 begin below it.
  uint64_t numbers_drawn = 0;

  // Times, bounded by kHeartbeatMsMax and its neighbours below.
  int64_t heartbeat_ms = 50;
  int64_t election_ms_min = 300;
  int64_t election_ms_max = 600;
  // A leader appends an entry at least this often while a deadline is armed. So much waited time a
  // failover may forget.
  int64_t time_entry_ms = 500;
  // Keep-alives are collected this long into one command.
  int64_t keep_alive_window_ms = 50;
  // Cluster time stands still while the oldest uncommitted entry is older.
  int64_t suppress_ms = 500;
  // Most cluster time that one turn adds. While deadlines are armed a leader wakes twice as often
  // as the lesser of this and suppress_ms, so that an undisturbed one loses nothing to the bound.
  int64_t turn_advance_ms_max = 500;

  // Local limits: what is above them is answered with a typed error and retry-after, or a reason
  // frame and close.
  int64_t hello_timeout_ms = 5'000;
  // How long the rest of a frame may take once its first bytes are there.
  int64_t client_frame_timeout_ms = 30'000;
  int64_t peer_frame_timeout_ms = 5'000;
  uint32_t requests_in_flight_max = 4'096;  // per connection
  uint64_t sessions_per_connection_max = 65'536;
  size_t batch_bytes_max = kApplyBytesPerTurn;  // commands of one log entry
  // Commands accepted and not yet proposed, and entries proposed and not yet committed. Acquires
  // and new sessions are refused above these; releases, cancels and closes only above twice as
  // much; keep-alives never (their number is bounded by the sessions).
  size_t pending_command_bytes_max = 16 * 1024 * 1024;
  size_t uncommitted_bytes_max = 16 * 1024 * 1024;
  size_t pending_reads_max = 65'536;  // linearizable reads waiting for their heartbeat round
  uint32_t retry_after_ms = 100;
  // With less free space on its disk the node takes no new work (disk_space.h); 0: never.
  uint64_t disk_reserve_bytes = 0;

  // A snapshot is taken whenever entries of so many bytes have been applied since the last one; 0:
  // only when asked for. The log on disk holds about twice as much.
  uint64_t snapshot_log_bytes = 0;
  // How fast own snapshots are written, and how fast all followers together are sent one.
  uint64_t snapshot_bytes_per_s = 16 * 1024 * 1024;
  // What is made or sent of one at a time, at most, and never more than snapshot_taker.h and
  // snapshot_sender.h say. Runs with little state have less, so that their snapshots have several
  // pieces.
  size_t snapshot_piece_bytes_max = 256 * 1024;
};

// What a start found of snapshots.
struct RecoveredSnapshots {
  // To be loaded before anything is applied: its index is RecoveredLog::applied_index.
  std::optional<raft::SnapshotId> to_load;
  std::vector<raft::SnapshotId> kept;  // all that verified, ascending
};

struct ClientOutput {
  ConnectionId connection;
  std::string bytes;   // whole frames, one send; may be empty
  bool close = false;  // after the bytes have been sent (within reason)
};
struct PeerOutput {
  PeerLinkId link;
  std::string bytes;
  bool close = false;
};
// A node never has more than one write with Raft state outstanding: what comes up meanwhile becomes
// the next one.
using DiskJob = std::variant<storage::LogWrite, storage::LogRead>;

// A state that is no longer in use, or was never finished. Destroying a large one takes long.
using Discard =
    std::variant<std::unique_ptr<state::LockDatabase>, std::unique_ptr<state::SnapshotLoader>>;

// The node cannot go on: the rim logs the message and leaves with the exit status (17: removed or
// wiped, 11: directory of another cluster or incarnation, 12 and 14: its snapshot is of a newer
// version, or damaged).
struct Fatal {
  int exit_status = 0;
  std::string message;
  // The state was found to be wrong (16); after this entry it was still right. Snapshots of later
  // ones may hold the wrong state: storage::SetAsideSnapshots keeps the next start from them.
  std::optional<raft::Index> last_right = {};
};

// What a log line or a trace may be made of; never changes behaviour.
struct NodeNote {
  bool warning = false;
  std::string text;
};

struct NodeActions {
  std::vector<ClientOutput> clients;                // at most one for each connection
  std::vector<PeerOutput> peers;                    // at most one for each link
  std::vector<DiskJob> disk;                        // start in this order
  std::vector<storage::SnapshotJob> snapshot_jobs;  // likewise, among themselves
  std::vector<Discard> discards;                    // to be destroyed off the loop
  std::vector<NodeNote> notes;
  std::optional<Fatal> fatal;
  // After OnStop: all that the node still had to do is in these actions or was in earlier ones.
  bool has_stopped = false;
  // When to call OnTime at the latest, events or not. In the past: at once.
  LocalTime next_wakeup = kNeverLocal;
};

// What the rim knows and the status reply shows.
struct RimStatus {
  uint64_t longest_turn_cpu_us = 0;
  uint64_t longest_turn_wall_us = 0;
  uint64_t rss_bytes = 0;
  uint64_t process_cpu_us = 0;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_TYPES_H_
