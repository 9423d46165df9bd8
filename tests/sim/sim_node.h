// SimNode: one lockd process on its own machine: the shipping Node over the shipping LogStore and
// SnapshotStore, on a simulated disk, clock and network. The rim of server/net with the sockets and
// threads left out.
//
// It lives, crashes, is paused and starts again; its disk and its clock live on. A process that
// cannot go on (a failed write, a damaged log) ends by itself, as lockd does; somebody starts it
// again. What fails of a snapshot ends nothing. When a start refuses the disk for good, the node is
// lost for the rest of the run; an operator may remove it and add another machine. A spare machine
// does nothing until it is told to join; one that was removed does nothing any more.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_SIM_NODE_H_
#define LOCKD_TESTS_SIM_SIM_NODE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "consensus/storage/log_store.h"
#include "consensus/storage/snapshot_store.h"
#include "consensus/storage/start.h"
#include "protocol/base/random.h"
#include "protocol/frame_decoder.h"
#include "server/node/node.h"
#include "tests/sim/disk_shadow.h"
#include "tests/sim/fault_book.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_network.h"
#include "tests/support/mem_file_system.h"

namespace lockd::sim {

class SimNode : public Host {
 public:
  struct Options {
    HostId host;
    NodeId node_id;
    std::string peer_address;
    std::vector<state::Member> members;  // of the whole cluster
    uint64_t seed = 0;
    Swarm swarm;
    storage::LogBase log_base = {};                  // where its log begins
    std::function<void(node::NodeOptions*)> tune{};  // may be empty; changes them at each start
    bool is_spare = false;                           // joins later, instead of having these members
    uint64_t peer_features = node::NodeOptions{}.peer_features;  // of the program it begins with
    int64_t wall_start_ms = 0;  // what the clock on the wall shows when the run begins
    // Which host answers at a peer address.
    std::function<HostId(const std::string&)> host_of;
    // After each turn, with everything that the turn changed in place.
    std::function<void(SimNode&)> after_turn;
    // A write is handed to the disk, and has become durable (before the node hears of it).
    std::function<void(NodeId, const storage::LogWrite&)> on_write_begins;
    std::function<void(NodeId, const storage::LogWrite&)> on_durable;
    // These snapshots were just read back from its disk; it took over one of its leader's.
    std::function<void(NodeId, const std::vector<raft::SnapshotId>&)> on_snapshots_kept =
        [](NodeId, const std::vector<raft::SnapshotId>&) {};
    std::function<void(NodeId, const raft::LogBase&)> on_restored = [](NodeId,
                                                                       const raft::LogBase&) {};
    // A start has recovered this.
    std::function<void(NodeId, const raft::RecoveredLog&)> on_recovered;
    // The process has ended for good, because it is a member no more.
    std::function<void(SimNode&)> on_removed = [](SimNode&) {};
    // The process has ended by itself; it should be started again after a while.
    std::function<void(SimNode&)> on_exit;
    std::function<void(const std::string&)> trace;  // may be empty
  };

  SimNode(Scheduler* scheduler, SimNetwork* network, FaultBook* faults, Options options);

  // -- process --
  // Nothing, where there is nothing to start: a spare, a lost or a removed node.
  void Start();
  // A spare is one no more: it asks at this peer address to be let in.
  void Join(std::string contact_address);
  // Power off, or only the process; what the disk keeps is drawn from the swarm.
  void Crash();
  // The same within the disk write that it begins next; then it should be started again.
  void CrashInNextWrite();
  // The same within the next piece of work on a snapshot file.
  void CrashInNextSnapshotJob();
  // An orderly stop: a leader hands over, what the node says last is sent, then it is gone, to be
  // started again.
  void Stop();
  // The program is this version's from the next start on, by what its hellos name.
  void SetVersion(uint64_t peer_features) { next_features_ = peer_features; }
  // The process stands still; what arrives waits. `suspended`: its monotonic clock too.
  void Pause(bool suspended);
  void Resume();
  void set_is_slow(bool slow) { is_slow_ = slow; }
  // Somebody asks for a snapshot.
  void TakeSnapshot();

  // -- disk and clocks --
  void set_disk_is_slow(bool slow) { disk_is_slow_ = slow; }
  // The job that is begun next takes so much longer.
  void StallDisk(Time stall) { disk_stall_ = stall; }
  // The next call of that kind fails; the fault counts when the process ends by it.
  void FailNext(Fault fault);  // kWriteError, kSyncError, kReadError
  // Files still grow, but the reserve of free space is gone.
  void set_disk_is_low(bool low);
  // No file grows any more, until Free.
  void FillDisk();
  void FreeDisk();
  // Everything that is wrong with process and machine is over, but for what is lost; it runs.
  void Heal();
  // Damage at rest; only while the node is down. True if there was something to damage.
  enum class Damage : uint8_t { kBitRot, kUnreadable, kMisdirected, kStaleFile, kWiped };
  bool DamageDisk(Damage damage);
  // Remembers one file as it is now, for kStaleFile.
  void CopyAFile();
  void StepWallClock(int64_t by_ms) { wall_offset_ms_ += by_ms; }

  // -- another machine in its place --
  // The process dies and is not started any more, until Restore.
  void Retire();
  // A machine with an empty disk has its place, and does `lockd restore` with this file: from now
  // on it can be started. Its clock on the wall is wrong by so much. Returns the state that it
  // begins with, and where its log begins.
  struct Restored {
    raft::LogBase base;
    state::Digest digest;
  };
  Restored Restore(const std::string& backup, int64_t wall_error_ms);

  [[nodiscard]] bool is_up() const { return node_ != nullptr; }
  [[nodiscard]] bool is_paused() const { return is_paused_; }
  // Its disk is gone for good: no demand is made of it any more.
  [[nodiscard]] bool is_lost() const { return is_lost_; }
  [[nodiscard]] bool is_spare() const { return is_spare_; }
  [[nodiscard]] bool is_removed() const { return is_removed_; }
  [[nodiscard]] bool is_wiped() const { return is_wiped_; }
  // Something was done to its disk that no majority of disks may suffer.
  [[nodiscard]] bool was_damaged() const { return was_damaged_; }
  [[nodiscard]] HostId host() const { return options_.host; }
  [[nodiscard]] const std::string& peer_address() const { return options_.peer_address; }
  [[nodiscard]] NodeId node_id() const { return options_.node_id; }
  [[nodiscard]] const node::Node& node() const { return *node_; }
  [[nodiscard]] const DiskShadow& shadow() const { return shadow_; }
  // Of the program that runs, or ran last.
  [[nodiscard]] uint64_t peer_features() const { return peer_features_; }
  // Counts the lives of this process, from 1.
  [[nodiscard]] uint64_t life() const { return life_; }

  void OnDialed(LinkId link) override;
  void OnDialFailed(LinkId link, bool refused) override;
  void OnAccepted(LinkId link, bool is_peer_port) override;
  void OnBytes(LinkId link, std::string bytes) override;
  void OnLinkClosed(LinkId link) override;

 private:
  static constexpr char kWalDirectory[] = "/wal";
  static constexpr char kSnapshotDirectory[] = "/snapshots";
  static constexpr char kBackupFile[] = "/backup";
  // Small, so that a run of seconds rolls and recycles segments.
  static constexpr uint64_t kSegmentBytes = 64 * 1024;
  static constexpr uint64_t kDiskReserveBytes = 4 * kSegmentBytes;

  struct Connection {
    bool is_peer = false;
    bool is_dialled = false;
    NodeId dialled_peer;  // zero: not known
    FrameDecoder decoder{kHelloFrameBytesMax};
  };

  // Runs `action` in the process: now, or when its pause ends. Never in a later life.
  void InProcess(std::function<void()> action);
  // The same after a delay.
  void InProcessAfter(Time delay, std::function<void()> action);
  // The end of an orderly stop.
  void Leave();
  void EndProcess(storage::MemFileSystem::Unsynced unsynced);
  void CrashIn(const storage::LogWrite& write);
  void CrashInSnapshotJob();
  // The process ends by itself.
  void Exit(const std::string& why);
  // Whether something that was done to the disk explains a failed call, by what it said; counts it.
  bool IsExplained(const std::string& why);
  // The same of a job on a snapshot file.
  bool IsExplained(const storage::SnapshotJob& job, const absl::Status& status);
  void Lose(const std::string& why);
  storage::MemFileSystem::Unsynced DrawUnsynced();
  storage::StorageOptions MakeStorageOptions();
  std::optional<storage::OpenedStorage> OpenDisk();
  bool AcceptRecovered(const storage::OpenedStorage& opened);
  void MakeNode(storage::OpenedStorage opened);
  void ScheduleTurn();
  void RunTurn();
  void CarryOut(node::NodeActions actions);
  void ArmTimer(LocalTime wakeup);
  void DialMembers();
  void DeliverFrames(LinkId link);
  void Drop(LinkId link);
  void StartNextDiskJob();
  void FinishDiskJob();
  void StartFileJobs();
  // The file thread's other work: a slice of the first job, then of the next.
  void StartSnapshotSlice();
  void RunSnapshotSlice();
  void OnSnapshotJobDone(const storage::SnapshotJob& job, storage::SnapshotJobDone done);
  // As the rim does it now and then.
  void MeasureDisk();
  Time DiskLatency();
  // Files in this directory whose names begin so, with their paths.
  [[nodiscard]] std::vector<std::string> Files(const char* directory, const char* prefix);
  void Trace(const std::string& text) const;

  Scheduler* const scheduler_;
  SimNetwork* const network_;
  FaultBook* const faults_;
  const Options options_;

  // The machine: outlives crashes.
  Random random_;
  SimClock clock_;
  int64_t wall_offset_ms_ = options_.wall_start_ms;
  std::unique_ptr<storage::MemFileSystem> disk_ = std::make_unique<storage::MemFileSystem>();
  DiskShadow shadow_{options_.log_base};
  bool disk_is_slow_ = false;
  bool disk_is_full_ = false;
  bool disk_is_low_ = false;
  Time disk_stall_ = 0;
  std::set<Fault> due_;  // errors of the disk that no call has met yet
  bool was_damaged_ = false;
  int damages_ = 0;           // places in the log that no start has met
  int snapshot_damages_ = 0;  // the same, in snapshots
  bool is_wiped_ = false;
  bool is_lost_ = false;
  bool is_spare_ = options_.is_spare;
  bool is_removed_ = false;
  bool is_retired_ = false;
  bool is_restored_ = false;  // as D/members says it
  std::string contact_address_;
  uint64_t peer_features_ = options_.peer_features;  // of the program that runs, or ran last
  uint64_t next_features_ = options_.peer_features;
  std::string copied_path_;  // for kStaleFile
  std::string copied_contents_;

  // The process: gone at a crash.
  uint64_t life_ = 0;
  bool is_paused_ = false;
  bool crashes_in_write_ = false;
  bool crashes_in_snapshot_job_ = false;
  bool is_stopping_ = false;
  bool is_slow_ = false;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<storage::LogStore> store_;
  std::unique_ptr<storage::SnapshotStore> snapshots_;
  std::map<LinkId, Connection> connections_;
  std::map<NodeId, LinkId> dials_;       // to each member: being dialled or up
  std::deque<node::DiskJob> disk_jobs_;  // the front one is under way
  uint64_t disk_jobs_begun_ = 0;
  std::deque<storage::SnapshotJob> snapshot_jobs_;  // the front one is under way
  bool snapshot_job_has_begun_ = false;
  std::set<uint64_t> failed_drafts_;
  bool snapshot_read_failed_ = false;
  uint64_t snapshots_received_ = 0;
  std::deque<std::function<void()>> waiting_;  // for the end of a pause
  bool is_turn_scheduled_ = false;
  Time timer_at_ = SimClock::kNever;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SIM_NODE_H_
