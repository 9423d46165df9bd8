#include "tests/sim/checks/durability_ledger.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"

namespace lockd::sim {
namespace {

bool Holds(const std::vector<raft::Term>& terms, raft::Index index, raft::Term term) {
  return !index.is_zero() && index.value() <= terms.size() && terms[index.value() - 1] == term;
}

}  // namespace

const DurabilityLedger::Disk& DurabilityLedger::Of(NodeId node) const {
  static const Disk kBlank;
  const auto found = disks_.find(node);
  return found == disks_.end() ? kBlank : found->second;
}

raft::Index DurabilityLedger::durable_index(NodeId node) const {
  return raft::Index(Of(node).image.size());
}

// ---- Writes

std::string DurabilityLedger::WriteBegins(NodeId node,
                                          const std::optional<raft::HardState>& hard_state,
                                          const std::vector<raft::Entry>& entries) {
  Disk& disk = disks_[node];
  uint64_t last = disk.image.size();
  for (const Write& write : disk.under_way) {
    if (!write.first.is_zero()) last = write.first.value() - 1 + write.terms.size();
  }
  Write write{hard_state, raft::Index{0}, {}};
  if (!entries.empty()) {
    write.first = entries.front().index;
    if (write.first.is_zero() || write.first.value() > last + 1) {
      return absl::StrCat("WritesContiguous: node ", node, " writes from ", write.first, " behind ",
                          last);
    }
    write.terms.reserve(entries.size());
    for (const raft::Entry& entry : entries) write.terms.push_back(entry.term);
  }
  disk.under_way.push_back(std::move(write));
  return "";
}

void DurabilityLedger::Apply(const Write& write, Terms& terms) {
  if (write.first.is_zero()) return;
  terms.resize(write.first.value() - 1);
  terms.insert(terms.end(), write.terms.begin(), write.terms.end());
}

void DurabilityLedger::WriteCompleted(NodeId node) {
  Disk& disk = disks_[node];
  LOCKD_CHECK(!disk.under_way.empty(), "node ", node, " completes a write that never began");
  const Write write = std::move(disk.under_way.front());
  disk.under_way.pop_front();
  if (write.hard_state.has_value()) disk.hard_state = *write.hard_state;
  Apply(write, disk.image);
}

// ---- Recovery

bool DurabilityLedger::WasWritten(const Disk& disk, const raft::Entry& entry) {
  if (Holds(disk.image, entry.index, entry.term)) return true;
  return std::any_of(disk.under_way.begin(), disk.under_way.end(), [&entry](const Write& write) {
    return !write.first.is_zero() && entry.index >= write.first &&
           Holds(write.terms, entry.index - (write.first.value() - 1), entry.term);
  });
}

std::string DurabilityLedger::CheckRecovered(NodeId node, const Disk& disk,
                                             const raft::RecoveredLog& log) {
  // What a write under way replaces may be cut already; the rest stands.
  uint64_t survives = disk.image.size();
  for (const Write& write : disk.under_way) {
    if (!write.first.is_zero()) survives = std::min(survives, write.first.value() - 1);
  }
  if (log.last_index.value() < survives) {
    return absl::StrCat("DurableSurvives: node ", node, " recovers entries to ", log.last_index,
                        ", had them to ", survives, " on disk");
  }
  for (const raft::Entry& entry : log.tail) {
    if (entry.index.value() <= survives && !Holds(disk.image, entry.index, entry.term)) {
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
  if (!log.tail.empty() && !Holds(disk.image, log.tail.front().index, log.tail.front().term)) {
    for (const Write& write : disk.under_way) Apply(write, disk.image);
  }
  disk.image.resize(log.last_index.value());
  for (const raft::Entry& entry : log.tail) disk.image[entry.index.value() - 1] = entry.term;
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
    if (!ack->accepted ||
        (ack->match_index.value() <= disk.image.size() && disk.hard_state.term >= message.term)) {
      return "";
    }
    return absl::StrCat("AppendAckAfterSync: node ", message.from, " acknowledges ",
                        ack->match_index, " in term ", message.term, ", with entries to ",
                        disk.image.size(), on_disk());
  }
  return "";
}

std::string DurabilityLedger::Committed(raft::Index index, raft::Term term) const {
  const auto holders =
      static_cast<size_t>(std::count_if(voters_.begin(), voters_.end(), [&](NodeId node) {
        return Holds(Of(node).image, index, term);
      }));
  if (holders > voters_.size() / 2) return "";
  return absl::StrCat("AckedOnMajorityDisks: entry ", index, " of term ", term,
                      " is committed and durable at ", holders, " of ", voters_.size());
}

}  // namespace lockd::sim
