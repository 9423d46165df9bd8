#include "tests/sim/sim_node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"

namespace lockd::sim {
namespace {

constexpr char kWalDirectory[] = "/wal";
// Small, so that a run of seconds rolls and recycles segments.
constexpr uint64_t kSegmentBytes = 64 * 1024;
constexpr size_t kTailBytesMax = 64 * 1024;
constexpr Time kRedialPause = 50 * kMillis;

}  // namespace

SimNode::SimNode(Scheduler* scheduler, SimNetwork* network, FaultCounts* faults, Options options)
    : scheduler_(scheduler),
      network_(network),
      faults_(faults),
      options_(std::move(options)),
      random_(options_.seed),
      clock_(scheduler, &random_, options_.clock_rate_ppm_max) {
  network_->AddHost(options_.host, this);
}

void SimNode::Trace(const std::string& text) const {
  if (options_.trace) options_.trace(absl::StrCat("node ", options_.node_id, " ", text));
}

// ---- Life
// -------------------------------------------------------------------------------------------------------------------

void SimNode::Start() {
  LOCKD_CHECK(!is_up(), "started twice");
  ++life_;
  storage::LogStoreOptions options;
  options.directory = kWalDirectory;
  options.node_id = options_.node_id;
  options.cluster_name = "sim";
  options.incarnation_draw = Incarnation(random_.Next() >> 1 | 1);
  options.segment_bytes = kSegmentBytes;
  options.tail_bytes_max = kTailBytesMax;
  absl::StatusOr<storage::OpenedLog> opened = storage::LogStore::Open(&disk_, options);
  LOCKD_CHECK(opened.ok(), "node ", options_.node_id,
              " cannot open its log: ", std::string(opened.status().message()));
  store_ = std::move(opened->store);

  node::NodeOptions node_options;
  node_options.node_id = options_.node_id;
  node_options.cluster_name = "sim";
  node_options.client_address = absl::StrCat("node-", options_.node_id, ":7420");
  node_options.peer_address = absl::StrCat("node-", options_.node_id, ":7421");
  node_options.incarnation = opened->identity.incarnation;
  node_options.cluster_id = opened->identity.cluster_id;
  node_options.bootstrap_members = options_.members;
  node_options.cluster_id_draw = ClusterId(random_.Next() >> 1 | 1);
  node_options.seed = random_.Next();
  Trace(absl::StrCat("starts, life ", life_, ", log to ", opened->log.last_index));
  node_ =
      std::make_unique<node::Node>(std::move(node_options), std::move(opened->log), clock_.Now());
  network_->SetUp(options_.host, true);
  StartFileJobs();
  ScheduleTurn();
}

void SimNode::Crash(bool in_write, storage::MemFileSystem::Unsynced unsynced) {
  if (!is_up()) return;
  Trace(absl::StrCat("crashes", in_write ? " in a write" : ""));
  if (in_write && !disk_jobs_.empty()) {
    if (const auto* write = std::get_if<storage::LogWrite>(&disk_jobs_.front())) {
      ++(*faults_)[static_cast<size_t>(Fault::kCrashInWrite)];
      disk_.CutPowerAt(random_.Between(1, 3));
      (void)store_->Write(*write);  // fails somewhere, or is whole and was never acknowledged
    }
  }
  node_.reset();
  store_.reset();
  connections_.clear();
  dials_.clear();
  broken_.clear();
  disk_jobs_.clear();
  waiting_.clear();
  is_paused_ = false;
  is_turn_scheduled_ = false;
  timer_at_ = SimClock::kNever;
  ++life_;  // what is scheduled for the old life finds another one
  disk_.Crash(unsynced, &random_);
  network_->SetUp(options_.host, false);
}

void SimNode::Pause() {
  if (is_up()) is_paused_ = true;
}

void SimNode::Resume() {
  is_paused_ = false;
  std::deque<std::function<void()>> waiting;
  waiting.swap(waiting_);
  for (std::function<void()>& action : waiting) action();
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
// ------------------------------------------------------------------------------------------------------------------

void SimNode::ScheduleTurn() {
  if (is_turn_scheduled_) return;
  is_turn_scheduled_ = true;
  InProcessAfter(static_cast<Time>(random_.Between(1, 40)) * kMicros, [this] { RunTurn(); });
}

void SimNode::RunTurn() {
  is_turn_scheduled_ = false;
  node_->OnTime(clock_.Now(), WallTime(scheduler_->now() / kMillis));
  CarryOut(node_->TakeActions());
  options_.after_turn(*this);
}

void SimNode::CarryOut(node::NodeActions actions) {
  for (const node::NodeNote& note : actions.notes) Trace(note.text);
  LOCKD_CHECK(!actions.fatal, "node ", options_.node_id, " gives up: ", actions.fatal->message);
  for (node::PeerOutput& output : actions.peers) {
    const LinkId link(output.link.value());
    network_->Send(link, options_.host, std::move(output.bytes));
    if (output.close) Drop(link);
  }
  const bool disk_was_idle = disk_jobs_.empty();
  for (node::DiskJob& job : actions.disk) disk_jobs_.push_back(std::move(job));
  if (disk_was_idle) StartNextDiskJob();
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
// ------------------------------------------------------------------------------------------------------------

void SimNode::DialMembers() {
  for (const state::Member& member : node_->peers()) {
    if (dials_.contains(member.node_id)) continue;
    const LinkId link = network_->Dial(options_.host, options_.host_of(member.node_id), true);
    dials_.emplace(member.node_id, link);
    Connection& connection = connections_[link];
    connection.is_peer = true;
    connection.dialled_peer = member.node_id;
  }
}

void SimNode::OnDialed(LinkId link) {
  InProcess([this, link] {
    const auto found = connections_.find(link);
    if (found == connections_.end()) return;
    broken_.erase(found->second.dialled_peer);
    node_->OnPeerDialed(found->second.dialled_peer, node::PeerLinkId(link.value()));
    ScheduleTurn();
  });
}

void SimNode::OnDialFailed(LinkId link, bool refused) {
  InProcess([this, link, refused] {
    const auto found = connections_.find(link);
    if (found == connections_.end()) return;
    // As the rim does it: only the try right after a good link broke says anything.
    const NodeId peer = found->second.dialled_peer;
    if (broken_.erase(peer) > 0 && refused) {
      node_->OnPeerRefused(peer);
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
    if (result == FrameDecoder::Result::kNeedMore) return;
    LOCKD_CHECK(result == FrameDecoder::Result::kFrame, "our own frames do not decode: ",
                std::string(connection.decoder.status().message()));
    if (connection.is_peer) {
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
    if (!found->second.dialled_peer.is_zero()) broken_.insert(found->second.dialled_peer);
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
  const NodeId peer = found->second.dialled_peer;
  connections_.erase(found);
  if (peer.is_zero()) return;
  InProcessAfter(kRedialPause, [this, peer] {
    dials_.erase(peer);
    ScheduleTurn();  // dials again
  });
}

// ---- Disk
// -------------------------------------------------------------------------------------------------------------------

Time SimNode::DiskLatency() {
  Time latency = static_cast<Time>(random_.Between(80, 400)) * kMicros;
  if (random_.Chance(1, 200)) latency += static_cast<Time>(random_.Between(1, 20)) * kMillis;
  if (disk_is_slow_) latency += static_cast<Time>(random_.Between(50, 1'000)) * kMillis;
  return latency;
}

void SimNode::StartNextDiskJob() {
  if (disk_jobs_.empty()) return;
  // The disk goes on while the process is paused; only the completion waits.
  scheduler_->After(DiskLatency(), [this, life = life_] {
    if (life == life_) FinishDiskJob();
  });
}

void SimNode::FinishDiskJob() {
  const node::DiskJob job = std::move(disk_jobs_.front());
  disk_jobs_.pop_front();
  if (const auto* write = std::get_if<storage::LogWrite>(&job)) {
    const absl::Status status = store_->Write(*write);
    LOCKD_CHECK(status.ok(), "write failed: ", std::string(status.message()));
    InProcess([this, id = write->id] {
      node_->OnWriteDone({id});
      ScheduleTurn();
    });
  } else {
    const auto& read = std::get<storage::LogRead>(job);
    absl::StatusOr<std::vector<raft::Entry>> entries = store_->Read(read);
    LOCKD_CHECK(entries.ok(), "read failed: ", std::string(entries.status().message()));
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
      while (done.ok() && !*done) done = storage::LogStore::RunFileJobSlice(&disk_, &job);
      store_->FileJobDone(job, done.status());
      StartFileJobs();
    });
  }
}

}  // namespace lockd::sim
