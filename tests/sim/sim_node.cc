#include "tests/sim/sim_node.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "tests/sim/checks/version_check.h"

namespace lockd::sim {
namespace {

constexpr size_t kTailBytesMax = 16 * 1024;
constexpr Time kRedialPause = 50 * kMillis;

}  // namespace

SimNode::SimNode(Scheduler* scheduler, SimNetwork* network, FaultBook* faults, Options options)
    : scheduler_(scheduler),
      network_(network),
      faults_(faults),
      options_(std::move(options)),
      random_(options_.seed),
      clock_(scheduler, &random_, faults->Strikes(Fault::kClockOffset),
             faults->Strikes(Fault::kClockDrift) ? options_.swarm.clock_rate_ppm_max : 0) {
  network_->AddHost(options_.host, this);
}

void SimNode::Trace(const std::string& text) const {
  if (options_.trace) options_.trace(absl::StrCat("node ", options_.node_id, " ", text));
}

// ---- Life

storage::StorageOptions SimNode::MakeStorageOptions() {
  storage::StorageOptions options;
  options.log.directory = kWalDirectory;
  options.log.node_id = options_.node_id;
  options.log.cluster_name = "sim";
  options.log.incarnation_draw = Incarnation(random_.Next() >> 1 | 1);
  options.log.segment_bytes = kSegmentBytes;
  options.log.tail_bytes_max = kTailBytesMax;
  options.log.new_log_base = options_.log_base;
  options.snapshot_directory = kSnapshotDirectory;
  return options;
}

// Empty: this start came to nothing, and what follows from that has been done.
std::optional<storage::OpenedStorage> SimNode::OpenDisk() {
  const storage::StorageOptions options = MakeStorageOptions();
  if (life_ > 1 && faults_->Chooses(Fault::kCrashInRecovery)) {
    disk_->CutPowerAt(random_.Between(1, 8));
  }
  absl::StatusOr<storage::OpenedStorage> opened = storage::OpenStorage(disk_.get(), options);
  if (opened.ok() && disk_->power_is_on()) {
    disk_->CutPowerAt(storage::MemFileSystem::kNever);
    return *std::move(opened);
  }
  const std::string why(opened.status().message());
  const bool power_went = !disk_->power_is_on();
  if (power_went) faults_->Happened(Fault::kCrashInRecovery);
  const bool may_fail = power_went || IsExplained(why);
  opened = absl::CancelledError();  // closes its files
  EndProcess(power_went ? DrawUnsynced() : storage::MemFileSystem::Unsynced::kKept);
  if (may_fail) {
    Trace(absl::StrCat("does not come up: ", power_went ? "power cut" : why));
    options_.on_exit(*this);
  } else {
    const std::string broken = shadow_.OnRefused(was_damaged_, damages_, snapshot_damages_);
    LOCKD_CHECK(broken.empty(), broken, " (node ", options_.node_id, ", which says: ", why, ")");
    Lose(why);
  }
  return std::nullopt;
}

// False: this node cannot be counted on any more.
bool SimNode::AcceptRecovered(const storage::OpenedStorage& opened) {
  if (is_wiped_) return true;  // what becomes of it is the cluster's business
  const std::string broken = shadow_.OnSnapshotsFound(opened.kept, snapshot_damages_ > 0);
  LOCKD_CHECK(broken.empty(), broken, " (node ", options_.node_id, ")");
  std::string difference;
  switch (shadow_.OnRecovered(opened.log.log, &difference)) {
    case DiskShadow::Verdict::kExact:
      options_.on_snapshots_kept(options_.node_id, opened.kept);
      options_.on_recovered(options_.node_id, opened.log.log);
      return true;
    case DiskShadow::Verdict::kLostLastWrite:
      // Damage to both copies of the last batch cannot be told from a write that was under way; an
      // operator who knows of the damage does not start such a node (consensus/README.md). Damage
      // in one place costs nothing.
      LOCKD_CHECK(damages_ > 1, "DurableNeverLost: node ", options_.node_id,
                  " lost its last acknowledged write: ", difference);
      return false;
    case DiskShadow::Verdict::kWrong:
      LOCKD_UNREACHABLE("NeverSilentlyWrong: node ", options_.node_id,
                        " accepts a log that it never wrote: ", difference);
  }
  return false;
}

void SimNode::Start() {
  LOCKD_CHECK(!is_up(), "started twice");
  if (is_lost_ || is_spare_ || is_removed_ || is_retired_) return;
  ++life_;
  std::optional<storage::OpenedStorage> opened = OpenDisk();
  if (!opened.has_value()) return;
  if (!AcceptRecovered(*opened)) {
    opened.reset();
    EndProcess(storage::MemFileSystem::Unsynced::kKept);
    Lose("its last write is gone");
    return;
  }
  // What a start met is mended, or not counted on any more. It does not read what no write has
  // reached: a bad sector of a prepared file can stand in the way later, when log precedes it.
  damages_ = static_cast<int>(disk_->UnreadableSectors(kWalDirectory));
  snapshot_damages_ = static_cast<int>(disk_->UnreadableSectors(kSnapshotDirectory));
  MakeNode(*std::move(opened));
  network_->SetUp(options_.host, true);
  StartFileJobs();
  MeasureDisk();
}

void SimNode::Join(std::string contact_address) {
  contact_address_ = std::move(contact_address);
  is_spare_ = false;
  if (!is_up()) Start();
}

void SimNode::MakeNode(storage::OpenedStorage opened) {
  store_ = std::move(opened.log.store);
  snapshots_ = std::move(opened.snapshots);
  node::NodeOptions node_options;
  node_options.node_id = options_.node_id;
  node_options.cluster_name = "sim";
  node_options.client_address = absl::StrCat("node-", options_.node_id, ":7420");
  node_options.peer_address = options_.peer_address;
  node_options.incarnation = opened.log.identity.incarnation;
  node_options.cluster_id = opened.log.identity.cluster_id;
  if (options_.is_spare) {
    node_options.joins = true;
    node_options.contact_address = contact_address_;
  } else {
    node_options.bootstrap_members = options_.members;
    node_options.is_restored = is_restored_;
    const bool is_of_no_cluster = opened.log.identity.cluster_id.is_zero();
    if (is_restored_ && is_of_no_cluster) node_options.restored_from = opened.snapshot;
  }
  node_options.cluster_id_draw = ClusterId(random_.Next() >> 1 | 1);
  node_options.seed = random_.Next();
  node_options.disk_reserve_bytes = kDiskReserveBytes;
  node_options.heartbeat_ms = options_.swarm.heartbeat_ms;
  node_options.election_ms_min = options_.swarm.election_ms_min;
  node_options.election_ms_max = options_.swarm.election_ms_max;
  node_options.snapshot_log_bytes = options_.swarm.snapshot_log_bytes;
  node_options.snapshot_bytes_per_s = options_.swarm.snapshot_bytes_per_s;
  node_options.snapshot_piece_bytes_max = options_.swarm.snapshot_piece_bytes;
  node_options.peer_features = next_features_;
  // What comes again is of the same two programs.
  if (next_features_ != peer_features_) network_->ForgetFramesOf(options_.host);
  peer_features_ = next_features_;
  if (options_.tune) options_.tune(&node_options);
  Trace(absl::StrCat("starts, life ", life_, ", log from ", opened.log.log.base_index, " to ",
                     opened.log.log.last_index, ", snapshot of ", opened.log.log.applied_index));
  for (const std::string& note : opened.notes) Trace(note);
  node_ = std::make_unique<node::Node>(
      std::move(node_options), std::move(opened.log.log), clock_.Now(),
      node::RecoveredSnapshots{.to_load = opened.snapshot, .kept = std::move(opened.kept)});
}

storage::MemFileSystem::Unsynced SimNode::DrawUnsynced() {
  using Unsynced = storage::MemFileSystem::Unsynced;
  constexpr std::pair<Fault, Unsynced> kFates[] = {
      {Fault::kUnsyncedGarbled, Unsynced::kRandomGarbled},
      {Fault::kUnsyncedReordered, Unsynced::kRandom},
      {Fault::kUnsyncedLost, Unsynced::kLost},
  };
  for (const auto& [fault, fate] : kFates) {
    if (!faults_->Chooses(fault)) continue;
    if (disk_->unsynced_sectors() > 0) faults_->Happened(fault);
    return fate;
  }
  return Unsynced::kKept;  // the process died, not the machine
}

void SimNode::Crash() {
  if (!is_up()) return;
  Trace("crashes");
  EndProcess(DrawUnsynced());
}

void SimNode::CrashInNextWrite() {
  if (is_up()) crashes_in_write_ = true;
}

// The power goes before, between or after the steps of this write: it fails somewhere, or it is
// whole and was never acknowledged.
void SimNode::CrashIn(const storage::LogWrite& write) {
  Trace("crashes in a write");
  faults_->Happened(Fault::kCrashInWrite);
  disk_->CutPowerAt(random_.Between(1, 3));
  shadow_.OnWriteStarted(write);
  (void)store_->Write(write);
  EndProcess(DrawUnsynced());
  options_.on_exit(*this);
}

void SimNode::TakeSnapshot() {
  InProcess([this] {
    node_->TakeSnapshot();
    ScheduleTurn();
  });
}

void SimNode::Stop() {
  if (!is_up() || is_paused_) return;
  Trace("is told to stop");
  is_stopping_ = true;
  node_->OnStop();
  InProcessAfter(2 * options_.swarm.election_ms_max * kMillis, [this] { Leave(); });
  RunTurn();
}

void SimNode::Leave() {
  EndProcess(storage::MemFileSystem::Unsynced::kKept);
  options_.on_exit(*this);
}

void SimNode::EndProcess(storage::MemFileSystem::Unsynced unsynced) {
  node_.reset();
  store_.reset();
  snapshots_.reset();
  connections_.clear();
  dials_.clear();
  disk_jobs_.clear();
  snapshot_jobs_.clear();
  snapshot_job_has_begun_ = false;
  failed_drafts_.clear();
  snapshot_read_failed_ = false;
  snapshots_received_ = 0;
  waiting_.clear();
  is_paused_ = false;
  is_turn_scheduled_ = false;
  timer_at_ = SimClock::kNever;
  clock_.GoOn();
  due_.clear();
  crashes_in_write_ = false;
  crashes_in_snapshot_job_ = false;
  is_stopping_ = false;
  ++life_;  // what is scheduled for the old life finds another one
  disk_->Crash(unsynced, &random_);
  network_->SetUp(options_.host, false);
}

void SimNode::Exit(const std::string& why) {
  Trace(absl::StrCat("gives up: ", why));
  EndProcess(storage::MemFileSystem::Unsynced::kKept);
  options_.on_exit(*this);
}

void SimNode::Lose(const std::string& why) {
  Trace(absl::StrCat("is lost for good: ", why));
  is_lost_ = true;
}

void SimNode::Pause(bool suspended) {
  if (!is_up()) return;
  is_paused_ = true;
  if (suspended) clock_.StandStill();
}

void SimNode::Resume() {
  clock_.GoOn();
  is_paused_ = false;
  std::deque<std::function<void()>> waiting;
  waiting.swap(waiting_);
  const uint64_t life = life_;
  for (std::function<void()>& action : waiting) {
    if (life == life_) action();
  }
}

void SimNode::Heal() {
  if (is_lost_ || is_spare_ || is_removed_) return;
  FreeDisk();
  set_disk_is_low(false);
  disk_->ForgetFaults();
  due_.clear();
  crashes_in_write_ = false;
  crashes_in_snapshot_job_ = false;
  disk_is_slow_ = false;
  is_slow_ = false;
  disk_stall_ = 0;
  StartNextDiskJob();  // what is under way takes no longer than it would now
  Resume();
  if (is_stopping_) EndProcess(storage::MemFileSystem::Unsynced::kKept);  // somebody is quick
  if (!is_up()) Start();
}

void SimNode::InProcess(std::function<void()> action) {
  if (!is_up()) return;
  if (is_paused_) {
    waiting_.push_back(std::move(action));
  } else {
    action();
  }
}

void SimNode::InProcessAfter(Time delay, std::function<void()> action) {
  scheduler_->After(delay, [this, life = life_, action = std::move(action)]() mutable {
    if (life == life_) InProcess(std::move(action));
  });
}

// ---- Turns

void SimNode::ScheduleTurn() {
  if (is_turn_scheduled_) return;
  is_turn_scheduled_ = true;
  Time delay = static_cast<Time>(random_.Between(1, 40)) * kMicros;
  if (is_slow_) delay += static_cast<Time>(random_.Between(1, 30)) * kMillis;
  InProcessAfter(delay, [this] { RunTurn(); });
}

void SimNode::RunTurn() {
  is_turn_scheduled_ = false;
  node_->OnTime(clock_.Now(), WallTime(scheduler_->now() / kMillis + wall_offset_ms_));
  node::NodeActions actions = node_->TakeActions();
  if (actions.fatal.has_value()) {
    if (snapshot_read_failed_) {  // of the state, at the start
      Exit(actions.fatal->message);
      return;
    }
    if (absl::StrContains(actions.fatal->message, "was removed from cluster")) {
      Trace(actions.fatal->message);
      EndProcess(storage::MemFileSystem::Unsynced::kKept);
      is_removed_ = true;
      options_.on_removed(*this);
      return;
    }
    LOCKD_CHECK(is_wiped_, "node ", options_.node_id, " gives up: ", actions.fatal->message);
    Trace(absl::StrCat("gives up: ", actions.fatal->message));
    EndProcess(storage::MemFileSystem::Unsynced::kKept);
    Lose("a wiped disk");
    return;
  }
  if (actions.has_stopped) InProcessAfter(5 * kMillis, [this] { Leave(); });
  CarryOut(std::move(actions));
  options_.after_turn(*this);
}

void SimNode::CarryOut(node::NodeActions actions) {
  for (const node::NodeNote& note : actions.notes) Trace(note.text);
  for (node::PeerOutput& output : actions.peers) {
    const LinkId link(output.link.value());
    network_->Send(link, options_.host, std::move(output.bytes));
    if (output.close) Drop(link);
  }
  if (node_->snapshots_received() != snapshots_received_) {
    snapshots_received_ = node_->snapshots_received();
    if (!is_wiped_) options_.on_restored(options_.node_id, node_->raft().log().base());
  }
  const bool disk_was_idle = disk_jobs_.empty();
  for (node::DiskJob& job : actions.disk) {
    if (const auto* write = std::get_if<storage::LogWrite>(&job); write != nullptr && !is_wiped_) {
      options_.on_write_begins(options_.node_id, *write);
    }
    disk_jobs_.push_back(std::move(job));
  }
  if (disk_was_idle) StartNextDiskJob();
  const bool file_thread_was_idle = snapshot_jobs_.empty();
  for (storage::SnapshotJob& job : actions.snapshot_jobs) snapshot_jobs_.push_back(std::move(job));
  if (file_thread_was_idle) StartSnapshotSlice();
  for (node::ClientOutput& output : actions.clients) {
    const LinkId link(output.connection.value());
    network_->Send(link, options_.host, std::move(output.bytes));
    if (output.close) Drop(link);
  }
  DialMembers();
  ArmTimer(actions.next_wakeup);
}

void SimNode::ArmTimer(LocalTime wakeup) {
  const Time at = clock_.WhenReached(wakeup);
  if (at >= timer_at_) return;
  timer_at_ = at;
  scheduler_->At(at, [this, life = life_, at] {
    if (life != life_ || timer_at_ != at) return;  // crashed, or moved to an earlier time
    timer_at_ = SimClock::kNever;
    InProcess([this] { ScheduleTurn(); });
  });
}

// ---- Connections

void SimNode::DialMembers() {
  for (const state::Member& member : node_->peers()) {
    if (dials_.contains(member.node_id)) continue;
    const LinkId link = network_->Dial(options_.host, options_.host_of(member.peer_address), true);
    dials_.emplace(member.node_id, link);
    Connection& connection = connections_[link];
    connection.is_peer = true;
    connection.is_dialled = true;
    connection.dialled_peer = member.node_id;
  }
}

void SimNode::OnDialed(LinkId link) {
  InProcess([this, link] {
    const auto found = connections_.find(link);
    if (found == connections_.end()) return;
    node_->OnPeerDialed(found->second.dialled_peer, node::PeerLinkId(link.value()));
    ScheduleTurn();
  });
}

void SimNode::OnDialFailed(LinkId link, bool refused) {
  InProcess([this, link, refused] {
    const auto found = connections_.find(link);
    if (found == connections_.end()) return;
    if (refused) {
      node_->OnPeerRefused(found->second.dialled_peer);
      ScheduleTurn();
    }
    Drop(link);
  });
}

void SimNode::OnAccepted(LinkId link, bool is_peer_port) {
  InProcess([this, link, is_peer_port] {
    Connection& connection = connections_[link];
    connection.is_peer = is_peer_port;
    if (is_peer_port) {
      node_->OnPeerAccepted(node::PeerLinkId(link.value()));
    } else {
      node_->OnClientConnected(node::ConnectionId(link.value()));
    }
    ScheduleTurn();
  });
}

void SimNode::OnBytes(LinkId link, std::string bytes) {
  InProcess([this, link, bytes = std::move(bytes)] {
    const auto found = connections_.find(link);
    if (found == connections_.end()) return;
    found->second.decoder.Feed(bytes);
    DeliverFrames(link);
    ScheduleTurn();
  });
}

void SimNode::DeliverFrames(LinkId link) {
  Connection& connection = connections_.at(link);
  const node::PeerLinkId peer_link(link.value());
  const node::ConnectionId client(link.value());
  while (true) {
    connection.decoder.set_frame_bytes_max(connection.is_peer ? node_->PeerFrameBytesMax(peer_link)
                                                              : node_->ClientFrameBytesMax(client));
    FrameView frame;
    const FrameDecoder::Result result = connection.decoder.Next(&frame);
    if (result == FrameDecoder::Result::kNeedMore) {
      if (connection.decoder.buffered_bytes() == 0) return;
      if (connection.is_peer) {
        node_->OnPeerPartial(peer_link);
      } else {
        node_->OnClientPartial(client);
      }
      return;
    }
    if (result != FrameDecoder::Result::kFrame) {
      const absl::Status error = connection.decoder.status();
      if (connection.is_peer) {
        node_->OnPeerGarbage(peer_link, error);
      } else {
        node_->OnClientGarbage(client, error);
      }
      return;
    }
    if (connection.is_peer) {
      const std::string broken =
          CheckVersion(options_.node_id, peer_features_, frame.header.opcode);
      LOCKD_CHECK(broken.empty(), broken);
      node_->OnPeerFrame(peer_link, frame);
    } else {
      node_->OnClientFrame(client, frame);
    }
  }
}

void SimNode::OnLinkClosed(LinkId link) {
  InProcess([this, link] {
    const auto found = connections_.find(link);
    if (found == connections_.end()) return;
    const bool is_peer = found->second.is_peer;
    Drop(link);
    if (is_peer) {
      node_->OnPeerClosed(node::PeerLinkId(link.value()));
    } else {
      node_->OnClientClosed(node::ConnectionId(link.value()));
    }
    ScheduleTurn();
  });
}

void SimNode::Drop(LinkId link) {
  network_->Close(link, options_.host);
  const auto found = connections_.find(link);
  if (found == connections_.end()) return;
  const bool is_dialled = found->second.is_dialled;
  const NodeId peer = found->second.dialled_peer;
  connections_.erase(found);
  if (!is_dialled) return;
  InProcessAfter(kRedialPause, [this, peer] {
    dials_.erase(peer);
    ScheduleTurn();  // dials again
  });
}

// ---- Disk

Time SimNode::DiskLatency() {
  Time latency = static_cast<Time>(random_.Between(80, 400)) * kMicros;
  if (random_.Chance(1, 200)) latency += static_cast<Time>(random_.Between(1, 20)) * kMillis;
  if (disk_is_slow_) latency += static_cast<Time>(random_.Between(50, 1'000)) * kMillis;
  return latency;
}

void SimNode::StartNextDiskJob() {
  if (disk_jobs_.empty()) return;
  // The disk goes on while the process is paused; only the completion waits.
  scheduler_->After(DiskLatency() + std::exchange(disk_stall_, 0),
                    [this, life = life_, job = ++disk_jobs_begun_] {
                      if (life == life_ && job == disk_jobs_begun_) FinishDiskJob();
                    });
}

void SimNode::FinishDiskJob() {
  node::DiskJob job = std::move(disk_jobs_.front());
  disk_jobs_.pop_front();
  if (auto* write = std::get_if<storage::LogWrite>(&job)) {
    if (crashes_in_write_) {
      CrashIn(*write);
      return;
    }
    shadow_.OnWriteStarted(*write);
    const absl::Status status = store_->Write(*write);
    if (!status.ok()) {
      const std::string why(status.message());
      LOCKD_CHECK(IsExplained(why), "write failed: ", why);
      Exit(why);
      return;
    }
    shadow_.OnWriteDone(*write);
    if (!is_wiped_) options_.on_durable(options_.node_id, *write);
    InProcess([this, id = write->id] {
      node_->OnWriteDone({id});
      ScheduleTurn();
    });
  } else {
    const auto& read = std::get<storage::LogRead>(job);
    absl::StatusOr<std::vector<raft::Entry>> entries = store_->Read(read);
    if (!entries.ok()) {
      const std::string why(entries.status().message());
      LOCKD_CHECK(IsExplained(why), "read failed: ", why);
      Exit(why);
      return;
    }
    InProcess([this, done = storage::LogReadDone{read.id, *std::move(entries)}]() mutable {
      node_->OnReadDone(std::move(done));
      ScheduleTurn();
    });
  }
  StartFileJobs();
  StartNextDiskJob();
}

void SimNode::StartFileJobs() {
  while (std::optional<storage::FileJob> job = store_->TakeFileJob()) {
    scheduler_->After(DiskLatency(), [this, life = life_, job = *std::move(job)]() mutable {
      if (life != life_) return;
      absl::StatusOr<bool> done = false;
      while (done.ok() && !*done) done = storage::LogStore::RunFileJobSlice(disk_.get(), &job);
      store_->FileJobDone(job, done.status());
      StartFileJobs();
    });
  }
}

}  // namespace lockd::sim
