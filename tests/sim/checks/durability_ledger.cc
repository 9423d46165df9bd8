#include "tests/sim/checks/durability_ledger.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "tests/sim/checks/majority.h"

namespace lockd::sim {
namespace {

bool HoldsTerm(const std::vector<raft::Term>& terms, raft::Index index, raft::Term term) {
  return !index.is_zero() && index.value() <= terms.size() && terms[index.value() - 1] == term;
}

}  // namespace

DurabilityLedger::DurabilityLedger(std::vector<NodeId> voters, const raft::LogBase& base)
    : DurabilityLedger(std::move(voters)) {
  for (const NodeId voter : configurations_.front().voters) {
    Disk& disk = disks_[voter];
    disk.hard_state = {base.term, NodeId{0}, base.index};
    disk.image.BeginAfter(base.index, base.term);
    disk.planned = disk.image;
  }
}

bool DurabilityLedger::Log::Holds(raft::Index index, raft::Term term) const {
  return HoldsTerm(terms, index, term);
}

void DurabilityLedger::Log::BeginAfter(raft::Index index, raft::Term term) {
  if (index <= base) return;
  if (!Holds(index, term)) {
    terms.assign(index.value(), raft::Term{0});
    terms.back() = term;
  }
  base = index;
}

void DurabilityLedger::Log::Apply(const Write& write) {
  if (write.base.has_value()) BeginAfter(write.base->index, write.base->term);
  if (write.first.is_zero()) return;
  terms.resize(write.first.value() - 1);
  terms.insert(terms.end(), write.terms.begin(), write.terms.end());
}

const DurabilityLedger::Disk& DurabilityLedger::Of(NodeId node) const {
  static const Disk kBlank;
  const auto found = disks_.find(node);
  return found == disks_.end() ? kBlank : found->second;
}

raft::Index DurabilityLedger::durable_index(NodeId node) const {
  return raft::Index(Of(node).image.terms.size());
}

// ---- Writes

std::string DurabilityLedger::WriteBegins(NodeId node,
                                          const std::optional<raft::HardState>& hard_state,
                                          const std::vector<raft::Entry>& entries,
                                          const std::optional<raft::LogBase>& base) {
  Disk& disk = disks_[node];
  Write write{hard_state, base, raft::Index{0}, {}};
  if (base.has_value()) {
    if (base->index < disk.planned.base) {
      return absl::StrCat("BaseNeverBack: node ", node, " writes base ", base->index, " after ",
                          disk.planned.base);
    }
    if (base->index > std::max(disk.covered, disk.restored)) {
      return absl::StrCat("BaseIsCovered: node ", node, " forgets up to ", base->index,
                          ", two snapshots cover ", disk.covered, ", the leader's covers ",
                          disk.restored);
    }
    disk.planned.BeginAfter(base->index, base->term);
  }
  if (!entries.empty()) {
    const uint64_t last = disk.planned.terms.size();
    write.first = entries.front().index;
    if (write.first <= disk.planned.base || write.first.value() > last + 1) {
      return absl::StrCat("WritesContiguous: node ", node, " writes from ", write.first, " behind ",
                          last, ", base ", disk.planned.base);
    }
    write.terms.reserve(entries.size());
    for (const raft::Entry& entry : entries) write.terms.push_back(entry.term);
  }
  disk.planned.Apply(write);
  disk.under_way.push_back(std::move(write));
  return "";
}

void DurabilityLedger::WriteCompleted(NodeId node) {
  Disk& disk = disks_[node];
  LOCKD_CHECK(!disk.under_way.empty(), "node ", node, " completes a write that never began");
  const Write write = std::move(disk.under_way.front());
  disk.under_way.pop_front();
  if (write.hard_state.has_value()) disk.hard_state = *write.hard_state;
  disk.image.Apply(write);
}

void DurabilityLedger::SnapshotsKept(NodeId node, const std::vector<raft::SnapshotId>& kept) {
  if (kept.size() < 2) return;
  raft::Index& covered = disks_[node].covered;
  covered = std::max(covered, kept[kept.size() - 2].base.index);
}

void DurabilityLedger::Restored(NodeId node, const raft::LogBase& base) {
  raft::Index& restored = disks_[node].restored;
  restored = std::max(restored, base.index);
}

// ---- Recovery

bool DurabilityLedger::WasWritten(const Disk& disk, const raft::Entry& entry) {
  if (disk.image.Holds(entry.index, entry.term)) return true;
  return std::any_of(disk.under_way.begin(), disk.under_way.end(), [&entry](const Write& write) {
    return !write.first.is_zero() && entry.index >= write.first &&
           HoldsTerm(write.terms, entry.index - (write.first.value() - 1), entry.term);
  });
}

// What a write under way replaces may be cut already; the rest stands.
uint64_t DurabilityLedger::SurelySurvives(const Disk& disk) {
  uint64_t survives = disk.image.terms.size();
  for (const Write& write : disk.under_way) {
    if (!write.first.is_zero()) survives = std::min(survives, write.first.value() - 1);
    if (write.base.has_value() && write.base->index > disk.image.base &&
        !disk.image.Holds(write.base->index, write.base->term)) {
      survives = std::min(survives, write.base->index.value());
    }
  }
  return survives;
}

// By a snapshot of an entry that is not in the log, at the start.
bool DurabilityLedger::IsReplaced(const Disk& disk, const raft::RecoveredLog& log) {
  return log.tail.empty() && log.last_index == log.base_index && log.base_index > disk.image.base &&
         !disk.image.Holds(log.base_index, log.base_term);
}

std::string DurabilityLedger::CheckRecovered(NodeId node, const Disk& disk,
                                             const raft::RecoveredLog& log) {
  if (log.base_index < disk.image.base) {
    return absl::StrCat("BaseNeverBack: node ", node, " recovers base ", log.base_index, ", had ",
                        disk.image.base, " on disk");
  }
  const uint64_t survives = SurelySurvives(disk);
  if (log.last_index.value() < survives && !IsReplaced(disk, log)) {
    return absl::StrCat("DurableSurvives: node ", node, " recovers entries to ", log.last_index,
                        ", had them to ", survives, " on disk");
  }
  for (const raft::Entry& entry : log.tail) {
    if (entry.index.value() <= survives && !disk.image.Holds(entry.index, entry.term)) {
      return absl::StrCat("DurableSurvives: node ", node, " recovers another entry at ",
                          entry.index, ", of term ", entry.term);
    }
    if (!WasWritten(disk, entry)) {
      return absl::StrCat("RecoveredWasWritten: node ", node, " recovers an entry of term ",
                          entry.term, " at ", entry.index, " that it never wrote");
    }
  }
  return "";
}

std::string DurabilityLedger::Recovered(NodeId node, const raft::RecoveredLog& log) {
  Disk& disk = disks_[node];
  std::string broken = CheckRecovered(node, disk, log);
  // From here on what was recovered is what there is. The tail says it itself. Below it stands what
  // leads to the tail's first entry: the image as it was, or as the writes under way made it.
  if (!log.tail.empty() && !disk.image.Holds(log.tail.front().index, log.tail.front().term)) {
    disk.image = disk.planned;
  }
  disk.image.BeginAfter(log.base_index, log.base_term);
  disk.image.terms.resize(log.last_index.value());
  for (const raft::Entry& entry : log.tail) {
    disk.image.terms[entry.index.value() - 1] = entry.term;
  }
  disk.planned = disk.image;
  disk.hard_state = log.hard_state;
  disk.under_way.clear();
  return broken;
}

// ---- Promises

std::string DurabilityLedger::Sent(const raft::Message& message) const {
  const Disk& disk = Of(message.from);
  const auto has_vote = [&](raft::Term term, NodeId candidate) {
    return disk.hard_state.term == term && disk.hard_state.voted_for == candidate;
  };
  const auto on_disk = [&disk] {
    return absl::StrCat(", with term ", disk.hard_state.term, " and vote ",
                        disk.hard_state.voted_for, " on disk");
  };
  if (const auto* reply = std::get_if<raft::VoteReply>(&message.body)) {
    if (reply->pre_vote || !reply->granted || has_vote(reply->campaign_term, message.to)) return "";
    return absl::StrCat("VoteReplyAfterSync: node ", message.from, " votes for ", message.to,
                        " in term ", reply->campaign_term, on_disk());
  }
  if (const auto* request = std::get_if<raft::VoteRequest>(&message.body)) {
    if (request->pre_vote || has_vote(request->campaign_term, message.from)) return "";
    return absl::StrCat("CampaignAfterSync: node ", message.from, " campaigns in term ",
                        request->campaign_term, on_disk());
  }
  if (const auto* ack = std::get_if<raft::AppendReply>(&message.body)) {
    if (!ack->accepted || (ack->match_index.value() <= disk.image.terms.size() &&
                           disk.hard_state.term >= message.term)) {
      return "";
    }
    return absl::StrCat("AppendAckAfterSync: node ", message.from, " acknowledges ",
                        ack->match_index, " in term ", message.term, ", with entries to ",
                        disk.image.terms.size(), on_disk());
  }
  if (const auto* reply = std::get_if<raft::SnapshotChunkReply>(&message.body)) {
    if (!reply->installed || reply->snapshot.base.index.value() <= disk.image.terms.size()) {
      return "";
    }
    return absl::StrCat("InstalledAfterSync: node ", message.from,
                        " has installed the snapshot of ", reply->snapshot.base.index,
                        ", its log on disk reaches ", disk.image.terms.size());
  }
  return "";
}

std::string DurabilityLedger::Committed(raft::Index index, raft::Term term) const {
  const auto has_it = [&](NodeId node) {
    const Log& image = Of(node).image;
    return index <= image.base || image.Holds(index, term);
  };
  std::string quorums;
  for (const raft::Configuration& configuration : configurations_) {
    if (IsMajority(configuration, has_it)) return "";
    absl::StrAppend(&quorums, " ", Describe(configuration));
  }
  std::string holders;
  for (const auto& [node, disk] : disks_) {
    if (has_it(node)) absl::StrAppend(&holders, " ", node);
  }
  return absl::StrCat("AckedOnMajorityDisks: entry ", index, " of term ", term,
                      " is committed and durable at", holders, ", of", quorums);
}

}  // namespace lockd::sim
