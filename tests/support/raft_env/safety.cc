#include "tests/support/raft_env/safety.h"

#include <algorithm>
#include <cstddef>
#include <variant>

#include "absl/strings/str_cat.h"
#include "consensus/raft/invariants.h"

namespace lockd::raft_env {

template <typename... Parts>
void Safety::Violated(const Parts&... parts) {
  if (!violation_) violation_ = absl::StrCat("broken safety rule: ", parts...);
}

void Safety::Observe(NodeId id, const Member& member) {
  if (!member.up()) return;
  if (const std::string broken = raft::FirstBrokenInvariant(*member.raft); !broken.empty()) {
    Violated("node ", id, ": ", broken);
  }
  commit_max_ = std::max(commit_max_, member.raft->commit_index());
  if (member.raft->role() != raft::Role::kLeader) return;
  const raft::Term term = member.raft->term();
  const auto [leader, is_first] = leaders_.try_emplace(term, id);
  if (leader->second != id) {
    Violated("two leaders in term ", term, ": ", leader->second, " and ", id);
  }
  if (member.disk.hard_state.term != term || member.disk.hard_state.voted_for != id) {
    Violated(id, " leads in term ", term, ", but its disk knows term ", member.disk.hard_state.term,
             " and a vote for ", member.disk.hard_state.voted_for);
  }
}

void Safety::WriteStarted(NodeId id, const Member& member, const raft::WriteRequest& write) {
  for (const raft::Entry& entry : write.entries) {
    const auto [known, is_new] = entries_.try_emplace({entry.index, entry.term}, entry);
    if (!is_new && known->second != entry) {
      Violated("entry ", entry.index, " of term ", entry.term, " has two contents, one at ", id);
    }
  }
  if (write.entries.empty()) return;
  const raft::Index first = write.entries.front().index;
  for (const raft::Entry& cut : member.Log()) {
    const auto committed = committed_.find(cut.index);
    if (cut.index < first || committed == committed_.end() || committed->second != cut) continue;
    const size_t offset = cut.index - first;
    if (offset >= write.entries.size() || write.entries[offset] != cut) {
      Violated(id, " cuts the committed entry ", cut.index, " of term ", cut.term);
    }
  }
}

void Safety::WriteDone(NodeId id, const raft::WriteRequest& write) {
  if (!write.hard_state || write.hard_state->voted_for.is_zero()) return;
  const raft::HardState& state = *write.hard_state;
  const auto [vote, is_new] = votes_.try_emplace({id, state.term}, state.voted_for);
  if (vote->second != state.voted_for) {
    Violated(id, " votes twice in term ", state.term, ": for ", vote->second, " and for ",
             state.voted_for);
  }
}

void Safety::Preloaded(const raft::Entry& entry) {
  entries_.try_emplace({entry.index, entry.term}, entry);
}

void Safety::Injected(const raft::Message& message) {
  const auto* append = std::get_if<raft::AppendRequest>(&message.body);
  if (append == nullptr) return;
  carried_.insert({message.from, message.to, message.term, append->prev_index,
                   append->prev_index + append->entries.size()});
}

void Safety::Sent(const Member& sender, const raft::Message& message) {
  if (const auto* append = std::get_if<raft::AppendRequest>(&message.body)) {
    raft::Index expected = append->prev_index;
    for (const raft::Entry& entry : append->entries) {
      if (entry.index != ++expected) {
        Violated(message.from, " sends an append with a gap before ", entry.index);
      }
    }
    carried_.insert({message.from, message.to, message.term, append->prev_index,
                     append->prev_index + append->entries.size()});
  } else if (const auto* vote = std::get_if<raft::VoteReply>(&message.body)) {
    CheckVoteReply(sender, message, *vote);
  } else if (const auto* reply = std::get_if<raft::AppendReply>(&message.body)) {
    CheckAppendReply(sender, message, *reply);
  }
}

void Safety::CheckVoteReply(const Member& sender, const raft::Message& message,
                            const raft::VoteReply& reply) {
  if (reply.pre_vote || !reply.granted) return;
  const raft::HardState& durable = sender.disk.hard_state;
  if (durable.term != reply.campaign_term || durable.voted_for != message.to) {
    Violated(message.from, " grants ", message.to, " its vote in term ", reply.campaign_term,
             ", but its disk knows term ", durable.term, " and a vote for ", durable.voted_for);
  }
}

void Safety::CheckAppendReply(const Member& sender, const raft::Message& message,
                              const raft::AppendReply& reply) {
  if (!reply.accepted) return;
  if (carried_.count(
          {message.to, message.from, message.term, reply.prev_index, reply.match_index}) == 0) {
    Violated(message.from, " acknowledges ", reply.prev_index + 1, "..", reply.match_index,
             " in term ", message.term, ", which ", message.to, " never sent it in one message");
  }
  if (sender.disk.last_index() < reply.match_index || sender.disk.hard_state.term < message.term) {
    Violated(message.from, " acknowledges ", reply.match_index, " in term ", message.term,
             ", but its disk ends at ", sender.disk.last_index(), " and knows term ",
             sender.disk.hard_state.term);
  }
}

void Safety::Committed(NodeId id, const Member& member, const raft::Entry& entry,
                       const Members& all) {
  const raft::Index expected = member.applied + member.to_apply.size() + 1;
  if (entry.index != expected) {
    Violated(id, " is to apply ", entry.index, " where ", expected, " is next");
  }
  const auto [first, is_new] = committed_.try_emplace(entry.index, entry);
  if (!is_new && first->second != entry) {
    Violated(id, " is to apply an entry ", entry.index, " of term ", entry.term,
             " where another member has one of term ", first->second.term);
  }
  size_t holders = 0;
  for (const NodeId voter : member.options.configuration.voters) {
    const auto found = all.find(voter);
    if (found == all.end()) continue;
    const raft::Entry* held = found->second.disk.At(entry.index);
    if (entry.index <= found->second.disk.base_index || (held != nullptr && *held == entry)) {
      ++holders;
    }
  }
  if (2 * holders <= member.options.configuration.voters.size()) {
    Violated(id, " takes ", entry.index, " of term ", entry.term, " for committed, but only ",
             holders, " of ", member.options.configuration.voters.size(), " disks hold it");
  }
}

void Safety::ReadAsked(NodeId id, uint64_t context) {
  reads_[{id, context}] = commit_max_;
}

void Safety::ReadAnswered(NodeId id, const raft::ReleasedRead& read) {
  const auto asked = reads_.find({id, read.context});
  if (asked == reads_.end()) {
    Violated(id, " answers read ", read.context, ", which nobody waits for");
    return;
  }
  if (read.confirmed && read.index < asked->second) {
    Violated(id, " answers read ", read.context, " at ", read.index, ", but ", asked->second,
             " was committed when it was asked for");
  }
  reads_.erase(asked);
}

}  // namespace lockd::raft_env
