#include "tests/server/node/node_env.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/snapshot_survey.h"
#include "consensus/storage/wal_format.h"

namespace lockd::node {
namespace {

constexpr WallTime kWallStart{1'700'000'000'000};
constexpr int64_t kRedialNs = 100 * kNanosPerMilli;
constexpr char kLogDirectory[] = "/wal";
constexpr char kSnapshotDirectory[] = "/snapshots";
// The smallest, so that a few dozen writes go through several segments.
constexpr uint64_t kLogSegmentBytes = storage::kSegmentBytesMin;

Fatal FatalOf(const absl::Status& status) {
  return {.exit_status = storage::ExitStatusOf(status), .message = std::string(status.message())};
}

std::vector<Received> Decode(FrameDecoder& decoder) {
  std::vector<Received> frames;
  FrameView frame;
  FrameDecoder::Result result;
  while ((result = decoder.Next(&frame)) == FrameDecoder::Result::kFrame) {
    frames.push_back({frame.header, std::string(frame.payload)});
  }
  EXPECT_EQ(result, FrameDecoder::Result::kNeedMore) << decoder.status();
  return frames;
}

}  // namespace

NodeEnv::NodeEnv(int count, Tweak tweak) : tweak_(std::move(tweak)) {
  std::vector<state::Member> members;
  for (int id = 1; id <= count; ++id) {
    members.push_back({.node_id = NodeId{static_cast<uint64_t>(id)},
                       .peer_address = absl::StrCat("peer-", id, ":1"),
                       .client_address = absl::StrCat("client-", id, ":1"),
                       .incarnation = {}});
  }
  for (int id = 1; id <= count; ++id) {
    NodeOptions& options = AddMachine(id).options;
    options.bootstrap_members = members;
    if (tweak_) tweak_(options);
  }
}

NodeEnv::Machine& NodeEnv::AddMachine(int id) {
  Machine& machine = machines_[id];
  NodeOptions& options = machine.options;
  options.node_id = NodeId{static_cast<uint64_t>(id)};
  options.cluster_name = "test";
  options.client_address = absl::StrCat("client-", id, ":1");
  options.peer_address = absl::StrCat("peer-", id, ":1");
  options.incarnation = Incarnation{++last_incarnation_};
  options.cluster_id_draw = ClusterId{7'000 + static_cast<uint64_t>(id)};
  options.version = "test";
  options.seed = static_cast<uint64_t>(id);
  return machine;
}

void NodeEnv::AddJoiner(int id, int contact) {
  ASSERT_FALSE(machines_.contains(id));
  NodeOptions& options = AddMachine(id).options;
  if (tweak_) tweak_(options);
  options.joins = true;
  options.contact_address = machines_.at(contact).options.peer_address;
}

int NodeEnv::MachineAt(const std::string& peer_address) const {
  for (const auto& [id, machine] : machines_) {
    if (machine.options.peer_address == peer_address) return id;
  }
  return 0;
}

storage::StorageOptions NodeEnv::StorageOptionsOf(int id) const {
  const NodeOptions& options = machines_.at(id).options;
  return {.log = {.directory = kLogDirectory,
                  .node_id = options.node_id,
                  .cluster_name = options.cluster_name,
                  .incarnation_draw = options.incarnation,
                  .segment_bytes = kLogSegmentBytes},
          .snapshot_directory = kSnapshotDirectory};
}

std::optional<NodeEnv::Recovered> NodeEnv::Recover(int id) {
  Machine& machine = machines_.at(id);
  Recovered recovered;
  if (machine.disk == nullptr) {
    recovered.log.hard_state = machine.hard_state;
    recovered.log.last_index = raft::Index{machine.log.size()};
    recovered.log.tail = machine.log;
    for (const raft::Entry& entry : machine.log) {
      if (entry.kind == raft::EntryKind::kConfiguration) {
        recovered.log.configurations.push_back(entry);
      }
    }
    return recovered;
  }
  absl::StatusOr<storage::OpenedStorage> opened =
      storage::OpenStorage(machine.disk, StorageOptionsOf(id));
  if (!opened.ok()) {
    machine.fatal = FatalOf(opened.status());
    return std::nullopt;
  }
  machine.store = std::move(opened->log.store);
  machine.snapshots = std::move(opened->snapshots);
  machine.options.incarnation = opened->log.identity.incarnation;
  machine.options.cluster_id = opened->log.identity.cluster_id;
  recovered.log = std::move(opened->log.log);
  recovered.snapshots = {.to_load = opened->snapshot, .kept = std::move(opened->kept)};
  return recovered;
}

void NodeEnv::Start(int id) {
  Machine& machine = machines_.at(id);
  ASSERT_EQ(machine.node, nullptr);
  machine.fatal.reset();
  machine.has_stopped = false;
  std::optional<Recovered> recovered = Recover(id);
  if (!recovered) return;
  machine.node = std::make_unique<Node>(machine.options, std::move(recovered->log), now_,
                                        std::move(recovered->snapshots));
  machine.has_news = true;
}

void NodeEnv::StartAll() {
  for (const auto& [id, machine] : machines_) Start(id);
}

void NodeEnv::Crash(int id) {
  Machine& machine = machines_.at(id);
  machine.node.reset();
  machine.store.reset();
  machine.snapshots.reset();
  machine.disk_jobs.clear();
  machine.snapshot_jobs.clear();
  machine.clients.clear();
  for (const auto& [other, machine_of_other] : machines_) BreakLinks(id, other);
  machine.links.clear();
  machine.wakeup = kNeverLocal;
}

void NodeEnv::Stop(int id) {
  machines_.at(id).node->OnStop();
  machines_.at(id).has_news = true;
}

void NodeEnv::Wipe(int id) {
  Machine& machine = machines_.at(id);
  ASSERT_EQ(machine.node, nullptr);
  machine.hard_state = {};
  machine.log.clear();
  machine.options.cluster_id = ClusterId{0};
  machine.options.incarnation = Incarnation{++last_incarnation_};
}

void NodeEnv::BreakLinks(int a, int b) {
  for (const auto& [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
    Machine& machine = machines_.at(from);
    machine.dialed.erase(to);
    std::erase_if(machine.links, [&, to_id = to](const auto& link) {
      if (link.second.other != to_id) return false;
      if (machine.node) machine.node->OnPeerClosed(link.first);
      machine.has_news = true;
      return true;
    });
  }
}

void NodeEnv::Cut(int a, int b) {
  cut_.insert({std::min(a, b), std::max(a, b)});
  BreakLinks(a, b);
}

void NodeEnv::Heal(int a, int b) {
  cut_.erase({std::min(a, b), std::max(a, b)});
}

void NodeEnv::Isolate(int id) {
  for (const auto& [other, machine] : machines_) {
    if (other != id) Cut(id, other);
  }
}

void NodeEnv::Rejoin(int id) {
  for (const auto& [other, machine] : machines_) {
    if (other != id) Heal(id, other);
  }
}

void NodeEnv::DialMissing() {
  for (auto& [from, machine] : machines_) {
    if (!machine.node) continue;
    for (const state::Member& peer : machine.node->peers()) {
      const int to = MachineAt(peer.peer_address);
      if (machine.dialed.contains(to) || !machines_.contains(to) || !IsUp(to) ||
          cut_.contains({std::min(from, to), std::max(from, to)}) || machine.redial_at[to] > now_) {
        continue;
      }
      machine.dialed.insert(to);
      const PeerLinkId near{++last_link_};
      const PeerLinkId far{++last_link_};
      machine.links[near].other = to;
      machine.links[near].other_link = far;
      machines_.at(to).links[far].other = from;
      machines_.at(to).links[far].other_link = near;
      machines_.at(to).node->OnPeerAccepted(far);
      machine.node->OnPeerDialed(peer.node_id, near);
      machine.has_news = true;
      machines_.at(to).has_news = true;
    }
  }
}

void NodeEnv::ReleaseDisk(int id) {
  machines_.at(id).disk_is_held = false;
}

absl::Status NodeEnv::Write(int id, const storage::LogWrite& write) {
  Machine& machine = machines_.at(id);
  if (machine.store != nullptr) {
    if (on_log_write) on_log_write(id, write, false);
    if (absl::Status status = machine.store->Write(write); !status.ok()) return status;
    if (on_log_write) on_log_write(id, write, true);
    while (std::optional<storage::FileJob> job = machine.store->TakeFileJob()) {
      absl::StatusOr<bool> done = false;
      while (done.ok() && !*done) done = storage::LogStore::RunFileJobSlice(machine.disk, &*job);
      machine.store->FileJobDone(*job, done.status());
    }
    return absl::OkStatus();
  }
  EXPECT_FALSE(write.base.has_value()) << "snapshots need a disk";
  if (write.hard_state) machine.hard_state = *write.hard_state;
  if (write.cluster_id) machine.options.cluster_id = *write.cluster_id;
  if (!write.entries.empty()) {
    machine.log.resize(write.entries.front().index.value() - 1);
    machine.log.insert(machine.log.end(), write.entries.begin(), write.entries.end());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<raft::Entry>> NodeEnv::Read(const Machine& machine,
                                                       const storage::LogRead& read) const {
  if (machine.store != nullptr) return machine.store->Read(read);
  std::vector<raft::Entry> entries;
  size_t bytes = 0;
  for (uint64_t i = read.first.value(); i <= read.last.value(); ++i) {
    const raft::Entry& entry = machine.log.at(i - 1);
    bytes += entry.size_bytes();
    if (!entries.empty() && bytes > read.bytes_max) break;
    entries.push_back(entry);
  }
  return entries;
}

void NodeEnv::CompleteDisk(int id) {
  Machine& machine = machines_.at(id);
  const auto die = [&](const absl::Status& status) {
    machine.fatal = FatalOf(status);
    Crash(id);
  };
  while (const std::optional<DiskJob> job = TakeDiskJob(machine)) {
    machine.has_news = true;
    if (const auto* write = std::get_if<storage::LogWrite>(&*job)) {
      if (absl::Status status = Write(id, *write); !status.ok()) return die(status);
      machine.node->OnWriteDone({write->id});
      continue;
    }
    const auto& read = std::get<storage::LogRead>(*job);
    absl::StatusOr<std::vector<raft::Entry>> entries = Read(machine, read);
    if (!entries.ok()) return die(entries.status());
    machine.node->OnReadDone({.id = read.id, .entries = *std::move(entries)});
  }
  CompleteSnapshotJobs(id);
}

std::optional<DiskJob> NodeEnv::TakeDiskJob(Machine& machine) {
  const auto job =
      std::find_if(machine.disk_jobs.begin(), machine.disk_jobs.end(), [&](const DiskJob& each) {
        return !machine.disk_is_held || std::holds_alternative<storage::LogRead>(each);
      });
  if (job == machine.disk_jobs.end()) return std::nullopt;
  DiskJob taken = std::move(*job);
  machine.disk_jobs.erase(job);
  return taken;
}

void NodeEnv::CompleteSnapshotJobs(int id) {
  Machine& machine = machines_.at(id);
  while (!machine.snapshot_jobs.empty() && machine.snapshot_jobs_allowed != 0) {
    if (machine.snapshot_jobs_allowed) --*machine.snapshot_jobs_allowed;
    const storage::SnapshotJob job = std::move(machine.snapshot_jobs.front());
    machine.snapshot_jobs.pop_front();
    std::optional<storage::SnapshotJobDone> done;
    if (on_snapshot_job) {
      if (absl::Status status = on_snapshot_job(id, job); !status.ok()) {
        done = {.id = storage::IdOf(job), .status = std::move(status)};
      }
    }
    while (!done) done = machine.snapshots->RunSlice(job);
    machine.node->OnSnapshotJobDone(*done);
    machine.has_news = true;
  }
}

void NodeEnv::Turn(int id) {
  Machine& machine = machines_.at(id);
  machine.has_news = false;
  ++machine.turns;
  machine.node->OnTime(now_, kWallStart + now_.value() / kNanosPerMilli + machine.wall_offset_ms);
  NodeActions actions = machine.node->TakeActions();
  if (after_turn) after_turn(id);
  if (on_actions) on_actions(id, actions);
  Carry(id, std::move(actions));
}

void NodeEnv::Carry(int id, NodeActions actions) {
  Machine& machine = machines_.at(id);
  machine.wakeup = actions.next_wakeup;
  for (NodeNote& note : actions.notes) machine.notes.push_back(std::move(note));
  if (actions.fatal) machine.fatal = actions.fatal;
  machine.has_stopped = actions.has_stopped;
  for (const ClientOutput& output : actions.clients) {
    const auto client = machine.clients.find(output.connection);
    if (client == machine.clients.end() || client->second.closed) continue;
    client->second.to_client.Feed(output.bytes);
    for (Received& frame : Decode(client->second.to_client)) {
      client->second.received.push_back(std::move(frame));
    }
    client->second.closed |= output.close;
  }
  for (const PeerOutput& output : actions.peers) {
    const auto link = machine.links.find(output.link);
    if (link == machine.links.end()) continue;
    LinkEnd& end = link->second;
    if (end.other == 0) {
      end.to_stranger.Feed(output.bytes);
      for (Received& frame : Decode(end.to_stranger)) end.received.push_back(std::move(frame));
      end.closed |= output.close;
      continue;
    }
    deliveries_.push_back({end.other, end.other_link, output.bytes});
    if (output.close) {
      // The bytes come first, then the end of the stream.
      deliveries_.push_back({end.other, end.other_link, ""});
      machine.dialed.erase(end.other);
      machine.redial_at[end.other] = now_ + kRedialNs;
      machine.links.erase(link);
    }
  }
  for (DiskJob& job : actions.disk) {
    if (std::holds_alternative<storage::LogWrite>(job)) {
      ++machine.writes_started;
    }
    machine.disk_jobs.push_back(std::move(job));
  }
  for (storage::SnapshotJob& job : actions.snapshot_jobs) {
    ASSERT_NE(machine.snapshots, nullptr) << "snapshots need a disk";
    machine.snapshot_jobs.push_back(std::move(job));
  }
  if (!machine.fatal) return;
  Crash(id);
  if (machine.fatal->last_right && machine.disk != nullptr) {
    EXPECT_TRUE(
        storage::SetAsideSnapshots(machine.disk, kSnapshotDirectory, *machine.fatal->last_right)
            .ok());
  }
}

void NodeEnv::FeedPeer(int id, PeerLinkId id_of_link, const std::string& bytes) {
  Machine& machine = machines_.at(id);
  const auto place = machine.links.find(id_of_link);
  if (place == machine.links.end() || !machine.node) return;
  machine.has_news = true;
  if (bytes.empty()) {
    machine.node->OnPeerClosed(id_of_link);
    machine.dialed.erase(place->second.other);
    machine.redial_at[place->second.other] = now_ + kRedialNs;
    machine.links.erase(place);
    return;
  }
  FrameDecoder& decoder = place->second.to_node;
  decoder.Feed(bytes);
  for (;;) {
    decoder.set_frame_bytes_max(machine.node->PeerFrameBytesMax(id_of_link));
    FrameView frame;
    const FrameDecoder::Result result = decoder.Next(&frame);
    if (result == FrameDecoder::Result::kNeedMore) {
      if (decoder.buffered_bytes() > 0) machine.node->OnPeerPartial(id_of_link);
      return;
    }
    if (result == FrameDecoder::Result::kError) {
      machine.node->OnPeerGarbage(id_of_link, decoder.status());
      return;
    }
    machine.node->OnPeerFrame(id_of_link, frame);
  }
}

void NodeEnv::Settle() {
  for (int rounds = 0;; ++rounds) {
    ASSERT_LT(rounds, 100'000) << "the nodes do not come to rest";
    DialMissing();
    bool did_something = false;
    for (auto& [id, machine] : machines_) {
      if (!machine.node) continue;
      CompleteDisk(id);
      if (!machine.node || (!machine.has_news && machine.wakeup > now_)) continue;
      did_something = true;
      Turn(id);
    }
    std::deque<Delivery> deliveries = std::move(deliveries_);
    deliveries_.clear();
    for (const Delivery& delivery : deliveries) {
      FeedPeer(delivery.to, delivery.link, delivery.bytes);
      did_something = true;
    }
    if (!did_something) return;
  }
}

void NodeEnv::RunFor(int64_t ms) {
  EXPECT_FALSE(RunUntil([] { return false; }, ms));
}

bool NodeEnv::RunUntil(const std::function<bool()>& condition, int64_t ms_max) {
  const LocalTime end = now_ + ms_max * kNanosPerMilli;
  for (;;) {
    Settle();
    if (testing::Test::HasFatalFailure()) return false;
    if (condition()) return true;
    if (now_ >= end) return false;
    LocalTime next = end;
    for (const auto& [id, machine] : machines_) {
      if (machine.node) next = std::min(next, machine.wakeup);
    }
    now_ = std::max(next, now_);
  }
}

void NodeEnv::Jump(int64_t ms) {
  now_ += ms * kNanosPerMilli;
  Settle();
}

int NodeEnv::leader() const {
  for (const auto& [id, machine] : machines_) {
    if (machine.node && machine.node->is_serving()) return id;
  }
  return 0;
}

int NodeEnv::AwaitLeader() {
  EXPECT_TRUE(RunUntil([this] { return leader() != 0; })) << "no leader";
  return leader();
}

bool NodeEnv::Noted(int id, const std::string& part) const {
  const auto& notes = machines_.at(id).notes;
  return std::any_of(notes.begin(), notes.end(), [&](const NodeNote& note) {
    return note.text.find(part) != std::string::npos;
  });
}

void NodeEnv::ExpectSameState() {
  raft::Index furthest;
  for (const auto& [id, machine] : machines_) {
    if (machine.node) furthest = std::max(furthest, machine.node->raft().applied_index());
  }
  std::optional<state::Digest> digest;
  int counted = 0;
  for (const auto& [id, machine] : machines_) {
    if (!machine.node || machine.node->raft().applied_index() != furthest) continue;
    machine.node->database().CheckInvariants();
    const state::Digest own = machine.node->database().digest();
    EXPECT_EQ(own, digest.value_or(own)) << "node " << id << " at " << furthest.value();
    digest = own;
    ++counted;
  }
  EXPECT_GT(counted, 0);
}

ConnectionId NodeEnv::Connect(int id) {
  Machine& machine = machines_.at(id);
  const ConnectionId connection{++last_connection_};
  machine.clients[connection];
  machine.node->OnClientConnected(connection);
  machine.has_news = true;
  return connection;
}

void NodeEnv::SendBytes(int id, ConnectionId connection, const std::string& bytes) {
  Machine& machine = machines_.at(id);
  const auto place = machine.clients.find(connection);
  if (place == machine.clients.end() || place->second.closed) return;
  ClientSide& client = place->second;
  machine.has_news = true;
  client.to_node.Feed(bytes);
  for (;;) {
    client.to_node.set_frame_bytes_max(machine.node->ClientFrameBytesMax(connection));
    FrameView frame;
    const FrameDecoder::Result result = client.to_node.Next(&frame);
    if (result == FrameDecoder::Result::kFrame) {
      machine.node->OnClientFrame(connection, frame);
      continue;
    }
    if (result == FrameDecoder::Result::kError && !std::exchange(client.garbage, true)) {
      machine.node->OnClientGarbage(connection, client.to_node.status());
    }
    if (!client.garbage && client.to_node.buffered_bytes() > 0) {
      machine.node->OnClientPartial(connection);
    }
    return;
  }
}

void NodeEnv::Disconnect(int id, ConnectionId connection) {
  Machine& machine = machines_.at(id);
  if (machine.clients.erase(connection) == 0 || !machine.node) return;
  machine.node->OnClientClosed(connection);
  machine.has_news = true;
}

std::vector<Received> NodeEnv::TakeReceived(int id, ConnectionId connection) {
  Machine& machine = machines_.at(id);
  const auto place = machine.clients.find(connection);
  if (place == machine.clients.end()) return {};
  return std::exchange(place->second.received, {});
}

bool NodeEnv::WasClosed(int id, ConnectionId connection) const {
  const Machine& machine = machines_.at(id);
  const auto place = machine.clients.find(connection);
  return place == machine.clients.end() || place->second.closed;
}

PeerLinkId NodeEnv::AcceptStranger(int id) {
  const PeerLinkId link{++last_link_};
  Machine& machine = machines_.at(id);
  machine.links[link];
  machine.node->OnPeerAccepted(link);
  machine.has_news = true;
  return link;
}

void NodeEnv::SendPeerBytes(int id, PeerLinkId link, const std::string& bytes) {
  if (!PeerWasClosed(id, link)) FeedPeer(id, link, bytes);
}

std::vector<Received> NodeEnv::TakePeerReceived(int id, PeerLinkId link) {
  return std::exchange(machines_.at(id).links.at(link).received, {});
}

bool NodeEnv::PeerWasClosed(int id, PeerLinkId link) const {
  return machines_.at(id).links.at(link).closed;
}

}  // namespace lockd::node
