#include "tests/support/raft_env/safety.h"

#include <algorithm>
#include <cstddef>
#include <variant>

#include "absl/strings/str_cat.h"
#include "consensus/raft/invariants.h"
#include "consensus/raft/membership.h"
#include "consensus/raft/quorum.h"

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
  Disk after = member.Seen();
  after.Write(write);
  for (const raft::Entry& cut : member.Log()) {
    const auto committed = committed_.find(cut.index);
    if (cut.index <= after.base.index || committed == committed_.end() ||
        committed->second != cut) {
      continue;
    }
    const raft::Entry* kept = after.At(cut.index);
    if (kept == nullptr || *kept != cut) {
      Violated(id, " cuts the committed entry ", cut.index, " of term ", cut.term);
    }
  }
}

void Safety::Covered(NodeId id, const raft::LogBase& base) {
  const auto committed = committed_.find(base.index);
  if (committed != committed_.end() && committed->second.term != base.term) {
    Violated(id, " has a snapshot of entry ", base.index, " of term ", base.term,
             ", where one of term ", committed->second.term, " is committed");
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
  } else if (const auto* chunk = std::get_if<raft::SnapshotChunkReply>(&message.body)) {
    if (chunk->installed && !sender.disk.Holds(chunk->snapshot.base)) {
      Violated(message.from, " says that its snapshot of ", chunk->snapshot.base.index,
               " is installed, but its disk has ", sender.disk.base.index, " and entries up to ",
               sender.disk.last_index());
    }
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
  CheckHeldByQuorum(id, member, entry, all);
}

// Of the configuration that was in force when the entry was appended, or of one that its leader had
// appended by the time it was committed.
void Safety::CheckHeldByQuorum(NodeId id, const Member& member, const raft::Entry& entry,
                               const Members& all) {
  const auto holds = [&](NodeId node) -> std::optional<bool> {
    const auto found = all.find(node);
    if (found == all.end()) return false;
    const Disk& disk = found->second.disk;
    const raft::Entry* held = disk.At(entry.index);
    return entry.index <= disk.base.index ||
           (disk.snapshot && entry.index <= disk.snapshot->index) ||
           (held != nullptr && *held == entry);
  };
  const raft::ConfigurationLog configurations =
      member.up() ? member.raft->configurations()
                  : raft::ConfigurationLog(member.options.configuration);
  for (const raft::ConfigurationLog::Placed& placed : configurations.all()) {
    if (placed.index < configurations.At(entry.index).index) continue;
    // One that joined later: those who committed it were looked at.
    if (placed.change.configuration.voters.empty()) return;
    if (raft::TallyVotes(placed.change.configuration, holds) == raft::VoteResult::kWon) return;
  }
  const raft::Configuration& newest = configurations.newest();
  size_t voters = 0;
  size_t holders = 0;
  for (const NodeId node : raft::MembersOf(newest)) {
    if (!raft::IsVoter(newest, node)) continue;
    ++voters;
    if (holds(node) == true) ++holders;
  }
  Violated(id, " takes ", entry.index, " of term ", entry.term, " for committed, but only ",
           holders, " of ", voters, " disks hold it");
}

raft::Configuration Safety::ConfigurationAt(raft::Index index,
                                            const raft::Configuration& first) const {
  for (auto entry = committed_.upper_bound(index); entry != committed_.begin();) {
    --entry;
    if (entry->second.kind != raft::EntryKind::kConfiguration) continue;
    return raft::DecodeConfigurationChange(entry->second.payload)->configuration;
  }
  return first;
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
