#include "tests/consensus/raft/group.h"

#include <algorithm>

#include "consensus/raft/describe.h"
#include "consensus/raft/invariants.h"
#include "protocol/base/check.h"

namespace lockd::raft {

void TestDisk::CompleteOldest() {
  WriteRequest write = std::move(under_way.front());
  under_way.pop_front();
  if (write.hard_state.has_value()) hard_state = *write.hard_state;
  for (Entry& entry : write.entries) {
    const auto place = static_cast<size_t>(entry.index - base_index) - 1;
    LOCKD_CHECK(place <= entries.size(), "gap on disk at ", entry.index);
    LOCKD_CHECK(place == entries.size() || entry.index > hard_state.commit,
                "committed entry overwritten at ", entry.index);
    entries.resize(place);
    entries.push_back(std::move(entry));
  }
}

std::vector<Entry> TestDisk::Read(const ReadRequest& read) const {
  std::vector<Entry> found;
  size_t bytes = 0;
  for (Index index = read.first; index <= read.last; ++index) {
    const Entry& entry = entries.at(static_cast<size_t>(index - base_index) - 1);
    bytes += entry.size_bytes();
    if (!found.empty() && bytes > read.bytes_max) break;
    found.push_back(entry);
  }
  return found;
}

RecoveredLog TestDisk::Recover(size_t tail_entries) const {
  RecoveredLog recovered{hard_state, base_index, base_term, base_time, base_index + entries.size(),
                         {}};
  const size_t needed =
      static_cast<size_t>(recovered.last_index - std::max(hard_state.commit, base_index)) + 1;
  const size_t count = std::min(entries.size(), std::max(needed, tail_entries));
  recovered.tail.assign(entries.end() - static_cast<ptrdiff_t>(count), entries.end());
  return recovered;
}

Group::Group(uint64_t members, const Tweak& tweak) {
  Configuration configuration;
  for (uint64_t id = 1; id <= members; ++id) configuration.voters.push_back(NodeId{id});
  for (uint64_t id = 1; id <= members; ++id) {
    auto node = std::make_unique<Node>();
    node->options.id = NodeId{id};
    node->options.configuration = configuration;
    node->options.seed = id;
    if (tweak) tweak(node->options);
    nodes_[id] = std::move(node);
    Restart(id);
  }
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
  Check(id);
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
}

void Group::Restart(uint64_t id, size_t tail_entries) {
  Node& node = *nodes_.at(id);
  node.disk.under_way.clear();
  node.applied.clear();
  node.raft = std::make_unique<Raft>(node.options, node.disk.Recover(tail_entries));
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
  for (Message& message : messages) wire.push_back(std::move(message));
}

}  // namespace lockd::raft
