#include "tests/consensus/raft/group.h"

#include <algorithm>
#include <iterator>

#include "consensus/raft/describe.h"
#include "consensus/raft/invariants.h"
#include "consensus/raft/membership.h"
#include "protocol/base/check.h"
#include "tests/consensus/raft/member.h"

namespace lockd::raft {

void TestDisk::CompleteOldest() {
  WriteRequest write = std::move(under_way.front());
  under_way.pop_front();
  if (write.hard_state.has_value()) hard_state = *write.hard_state;
  if (write.base.has_value()) Rebase(*write.base);
  for (Entry& entry : write.entries) {
    const auto place = static_cast<size_t>(entry.index - base.index) - 1;
    LOCKD_CHECK(place <= entries.size(), "gap on disk at ", entry.index);
    LOCKD_CHECK(place == entries.size() || entry.index > hard_state.commit,
                "committed entry overwritten at ", entry.index);
    entries.resize(place);
    entries.push_back(std::move(entry));
  }
}

bool TestDisk::Holds(const LogBase& entry) const {
  if (entry.index <= base.index) return true;
  const auto place = static_cast<size_t>(entry.index - base.index) - 1;
  return place < entries.size() && entries[place].term == entry.term;
}

void TestDisk::Rebase(const LogBase& to) {
  if (to.index <= base.index) return;
  const bool keeps = Holds(to);
  const auto covered = static_cast<ptrdiff_t>(to.index - base.index);
  entries.erase(entries.begin(), keeps ? entries.begin() + covered : entries.end());
  base = to;
}

void TestDisk::Start() {
  under_way.clear();
  if (Holds(snapshot)) return;
  Rebase(snapshot);
  if (hard_state.term < snapshot.term) hard_state = {snapshot.term, NodeId{0}, hard_state.commit};
}

std::vector<Entry> TestDisk::Read(const ReadRequest& read) const {
  std::vector<Entry> found;
  size_t bytes = 0;
  for (Index index = read.first; index <= read.last; ++index) {
    const Entry& entry = entries.at(static_cast<size_t>(index - base.index) - 1);
    bytes += entry.size_bytes();
    if (!found.empty() && bytes > read.bytes_max) break;
    found.push_back(entry);
  }
  return found;
}

RecoveredLog TestDisk::Recover(size_t tail_entries) const {
  RecoveredLog recovered{hard_state,
                         base.index,
                         base.term,
                         base.time,
                         base.index + entries.size(),
                         std::max(base.index, snapshot.index),
                         {},
                         {}};
  const size_t needed =
      static_cast<size_t>(recovered.last_index - std::max(hard_state.commit, base.index)) + 1;
  const size_t count = std::min(entries.size(), std::max(needed, tail_entries));
  recovered.tail.assign(entries.end() - static_cast<ptrdiff_t>(count), entries.end());
  std::copy_if(entries.begin(), entries.end(), std::back_inserter(recovered.configurations),
               [](const Entry& entry) { return entry.kind == EntryKind::kConfiguration; });
  return recovered;
}

Group::Group(uint64_t members, const Tweak& tweak) : tweak_(tweak) {
  for (uint64_t id = 1; id <= members; ++id) founders_.voters.push_back(NodeId{id});
  for (uint64_t id = 1; id <= members; ++id) AddNode(id, founders_);
}

void Group::AddNode(uint64_t id, Configuration configuration) {
  auto node = std::make_unique<Node>();
  node->options.id = NodeId{id};
  node->options.configuration = std::move(configuration);
  node->options.seed = id;
  if (tweak_) tweak_(node->options);
  node->founders = node->options.configuration;
  nodes_[id] = std::move(node);
  Restart(id);
}

void Group::Join(uint64_t id) {
  LOCKD_CHECK(!nodes_.contains(id));
  AddNode(id, {});
}

std::vector<std::string> Group::commands(uint64_t id) const {
  std::vector<std::string> payloads;
  for (const Entry& entry : applied(id)) {
    if (entry.kind == EntryKind::kCommand) payloads.push_back(entry.payload);
  }
  return payloads;
}

uint64_t Group::leader() const {
  uint64_t found = 0;
  Term term;
  for (const auto& [id, node] : nodes_) {
    if (node->raft && node->raft->is_leader() && node->raft->term() > term) {
      found = id;
      term = node->raft->term();
    }
  }
  return found;
}

void Group::Elect(uint64_t id) {
  (*this)[id].Campaign();
  Settle();
  LOCKD_CHECK((*this)[id].is_leader(), Describe((*this)[id]));
}

void Group::ElectOver(uint64_t id) {
  for (const auto& [other, node] : nodes_) {
    if (node->raft && node->raft->role() == Role::kFollower) node->raft->SuspectLeader();
  }
  Elect(id);
}

ChangeOutcome Group::ProposeConfiguration(uint64_t id, const Configuration& configuration) {
  const ChangeOutcome outcome = (*this)[id].ProposeConfiguration({configuration, {}});
  Check(id);
  return outcome;
}

void Group::Change(uint64_t id, const std::vector<uint64_t>& voters,
                   const std::vector<uint64_t>& learners) {
  const Configuration to = MakeConfiguration(voters, {}, learners);
  const auto step = [&](const Configuration& next) {
    const ChangeOutcome outcome = ProposeConfiguration(id, next);
    LOCKD_CHECK(outcome == ChangeOutcome::kAccepted, Describe(next),
                " was refused: ", static_cast<int>(outcome));
    Settle();
    LOCKD_CHECK((*this)[id].is_configuration_committed(), Describe((*this)[id]));
  };
  const Configuration from = (*this)[id].configuration();
  if (!IsOneStep(from, to)) step(EnterJoint(from, to));
  step(to);
}

Configuration Group::ConfigurationAt(Index index) const {
  for (size_t place = static_cast<size_t>(index.value()); place > 0; --place) {
    const Entry& entry = committed_.at(place - 1);
    if (entry.kind != EntryKind::kConfiguration) continue;
    return DecodeConfigurationChange(entry.payload)->configuration;
  }
  return founders_;
}

ProposeOutcome Group::Propose(uint64_t id, std::string payload, int64_t time_ms) {
  Raft& raft = (*this)[id];
  const ClusterTime time = std::max(ClusterTime{time_ms}, raft.last_time());
  const ProposeOutcome outcome = raft.Propose(time, std::move(payload));
  Check(id);
  return outcome;
}

void Group::Tick(uint64_t ticks) {
  for (uint64_t i = 0; i < ticks; ++i) {
    for (auto& [id, node] : nodes_) {
      if (node->raft) node->raft->Tick();
    }
    Settle();
  }
}

void Group::Settle() {
  bool moved = true;
  while (moved) {
    moved = false;
    for (auto& [id, node] : nodes_) {
      if (!node->raft) continue;
      Install(id);
      while (node->raft->HasReady()) {
        Collect(id);
        moved = true;
      }
      while (!node->disk_held && !node->disk.under_way.empty()) {
        CompleteWrite(id);
        moved = true;
      }
    }
    if (!wire.empty()) moved = true;
    DeliverAll();
  }
}

void Group::Collect(uint64_t id, TakeWrite take_write) {
  Node& node = *nodes_.at(id);
  Ready ready = node.raft->TakeReady(take_write);
  Send(std::move(ready.messages));
  if (ready.write.has_value()) node.disk.under_way.push_back(std::move(*ready.write));
  for (Entry& entry : ready.committed) {
    const auto place = static_cast<size_t>(entry.index.value()) - 1;
    if (place < committed_.size()) {
      LOCKD_CHECK(committed_[place] == entry, "node ", id, " applies ", Describe(entry),
                  ", another applied ", Describe(committed_[place]));
    } else {
      LOCKD_CHECK(place == committed_.size(), "gap in what is applied");
      committed_.push_back(entry);
    }
    node.applied.push_back(std::move(entry));
  }
  if (!ready.committed.empty()) node.raft->Applied(node.applied.back().index);
  for (const ReleasedRead& read : ready.released_reads) node.released.push_back(read);
  for (const ReadRequest& read : ready.reads) {
    node.raft->ReadCompleted(read.id, node.disk.Read(read));
  }
  for (const ReceivedChunk& received : ready.snapshot_chunks) {
    node.received = received.chunk.snapshot;
  }
  Check(id);
}

void Group::TakeSnapshot(uint64_t id) {
  Node& node = *nodes_.at(id);
  if (!node.applied.empty()) node.disk.snapshot = BaseAt(node.applied.back().index);
}

void Group::Compact(uint64_t id, uint64_t index) {
  LOCKD_CHECK(Index{index} <= nodes_.at(id)->disk.snapshot.index);
  (*this)[id].Compact(BaseAt(Index{index}));
  Check(id);
}

void Group::SendSnapshots(uint64_t id) {
  const SnapshotId snapshot{disk(id).snapshot, 1, 0};
  for (const NodeId target : (*this)[id].SnapshotTargets()) {
    (*this)[id].SendSnapshotChunk(target, SnapshotChunk{snapshot, 0, "s"});
  }
  Check(id);
}

void Group::Install(uint64_t id) {
  Node& node = *nodes_.at(id);
  if (!node.received.has_value()) return;
  const LogBase base = node.received->base;
  if (base.index > node.disk.snapshot.index) node.disk.snapshot = base;
  if (node.raft->RestoreSnapshot(base, ConfigurationAt(base.index))) Load(node, base.index);
  if (node.raft->commit_index() >= base.index) {
    node.raft->ReplySnapshotChunk(node.raft->leader_id(),
                                  SnapshotChunkReply{*node.received, 1, true});
  }
  node.received.reset();
  Check(id);
}

LogBase Group::BaseAt(Index index) const {
  const Entry& entry = committed_.at(static_cast<size_t>(index.value()) - 1);
  return {entry.index, entry.term, entry.time};
}

void Group::Load(Node& node, Index index) const {
  LOCKD_CHECK(index <= Index{committed_.size()}, "a snapshot of what nobody has applied: ", index);
  node.applied.assign(committed_.begin(),
                      committed_.begin() + static_cast<ptrdiff_t>(index.value()));
}

void Group::CompleteWrite(uint64_t id) {
  Node& node = *nodes_.at(id);
  LOCKD_CHECK(!node.disk.under_way.empty());
  const uint64_t write_id = node.disk.under_way.front().id;
  std::vector<Message> messages = std::move(node.disk.under_way.front().messages_once_durable);
  node.disk.CompleteOldest();
  Send(std::move(messages));
  node.raft->WriteCompleted(write_id);
  Check(id);
}

void Group::Deliver(Message message) {
  const uint64_t to = message.to.value();
  if (cut_.contains({message.from.value(), to}) || !nodes_.at(to)->raft) return;
  if (lose && lose(message)) return;
  nodes_.at(to)->raft->Step(std::move(message));
  Check(to);
}

void Group::DeliverAll() {
  std::deque<Message> now;
  now.swap(wire);
  for (Message& message : now) Deliver(std::move(message));
}

void Group::Cut(uint64_t from, uint64_t to) {
  cut_.insert({from, to});
  cut_.insert({to, from});
}

void Group::Isolate(uint64_t id) {
  for (const auto& [other, node] : nodes_) {
    if (other != id) Cut(id, other);
  }
}

void Group::Crash(uint64_t id) {
  nodes_.at(id)->raft.reset();
  nodes_.at(id)->disk.under_way.clear();
  nodes_.at(id)->received.reset();
}

void Group::Restart(uint64_t id, size_t tail_entries) {
  Node& node = *nodes_.at(id);
  node.disk.Start();
  node.options.configuration =
      node.disk.base.index.is_zero() ? node.founders : ConfigurationAt(node.disk.base.index);
  node.raft = std::make_unique<Raft>(node.options, node.disk.Recover(tail_entries));
  Load(node, node.raft->applied_index());
  Check(id);
}

void Group::Check(uint64_t id) {
  const Raft& raft = *nodes_.at(id)->raft;
  CheckInvariants(raft);
  if (!raft.is_leader()) return;
  const auto [known, is_new] = leader_of_term_.emplace(raft.term().value(), id);
  LOCKD_CHECK(is_new || known->second == id, "nodes ", known->second, " and ", id, " lead in term ",
              raft.term());
}

void Group::Send(std::vector<Message> messages) {
  for (Message& message : messages) {
    const auto* reply = std::get_if<SnapshotChunkReply>(&message.body);
    LOCKD_CHECK(reply == nullptr || !reply->installed ||
                    disk(message.from.value()).Holds(reply->snapshot.base),
                "not durable when it was said: ", Describe(message));
    wire.push_back(std::move(message));
  }
}

}  // namespace lockd::raft
