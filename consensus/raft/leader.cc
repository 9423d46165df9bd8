#include "consensus/raft/leader.h"

#include <algorithm>
#include <utility>

#include "consensus/raft/quorum.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::raft {

Leader::Leader(Core& core)
    : noop_index_(core.log().last_index() + 1),
      heartbeat_at_(core.now() + core.options().heartbeat_ticks) {
  RaftLog& log = core.log();
  for (const NodeId member : MembersOf(core.configuration())) {
    if (member != core.id()) followers_.emplace_back(member, log.last_index(), core.now());
  }
  log.Append({core.term(), noop_index_, EntryKind::kNoop, log.last_time(), {}});
  uncommitted_bytes_ = log.BytesOf(log.commit_index() + 1, log.last_index());
}

bool Leader::Propose(Core& core, ClusterTime time, std::string payload) {
  RaftLog& log = core.log();
  Entry entry{core.term(), log.last_index() + 1, EntryKind::kCommand, time, std::move(payload)};
  const size_t bytes = entry.size_bytes();
  if (uncommitted_bytes_ > 0 && uncommitted_bytes_ + bytes > core.options().uncommitted_bytes_max) {
    return false;
  }
  log.Append(std::move(entry));
  uncommitted_bytes_ += bytes;
  return true;
}

// -- replication --

bool Leader::HasOutput(const Core& core) const {
  if (reads_.has_waiting() && HasCommittedInTerm(core)) return true;
  const RaftLog& log = core.log();
  return std::any_of(followers_.begin(), followers_.end(), [&](const Progress& follower) {
    return follower.next_index() > log.base_index() &&
           follower.CanSend(log.last_index(), core.options());
  });
}

void Leader::MakeOutput(Core& core) {
  if (reads_.has_waiting() && HasCommittedInTerm(core)) {
    // before an entry of this term is committed, the commit index may be behind what earlier
    // leaders committed; reads wait until then.
    BroadcastHeartbeat(core, /*of_timer=*/false);
    reads_.StartRound(round_, core.log().commit_index());
    ConfirmReads(core);
  }
  for (Progress& follower : followers_) {
    while (follower.CanSend(core.log().last_index(), core.options())) {
      if (!SendAppend(core, follower)) break;
    }
  }
}

bool Leader::SendAppend(Core& core, Progress& progress) {
  const RaftLog& log = core.log();
  const Index next = progress.next_index();
  const Index prev = next - 1;
  // Compacted: only a snapshot can help this follower; until then it gets heartbeats.
  if (prev < log.base_index()) return false;
  std::optional<Term> prev_term = progress.prev_term();
  if (!prev_term.has_value()) prev_term = log.TermAt(prev);
  const bool is_beyond_end = next > log.last_index();
  if (!prev_term.has_value() || (!is_beyond_end && !log.InMemory(next))) {
    // From disk: from the entry before when its term is not known, so that the same read tells it.
    const Index first = prev_term.has_value() ? next : prev;
    const Index last = std::max(first, log.tail_first_index() - 1);
    LOCKD_REACH(kFollowerReadFromDisk);
    progress.ReadStarted(core.StartRead(first, last), first);
    return false;
  }
  std::vector<Entry> entries;
  if (!is_beyond_end) entries = log.Copy(next, log.last_index(), core.options().append_bytes_max);
  SendEntries(core, progress, *prev_term, std::move(entries));
  return true;
}

void Leader::SendEntries(Core& core, Progress& progress, Term prev_term,
                         std::vector<Entry> entries) {
  const Index prev = progress.next_index() - 1;
  Index last = prev;
  Term last_term = prev_term;
  size_t bytes = 0;
  for (const Entry& entry : entries) {
    LOCKD_CHECK(entry.index == last + 1, "gap in an append: ", entry.index, " after ", last);
    last = entry.index;
    last_term = entry.term;
    bytes += entry.size_bytes();
  }
  core.Send(progress.id(),
            AppendRequest{prev, prev_term, core.log().commit_index(), round_, std::move(entries)});
  progress.Sent(last, last_term, bytes);
}

void Leader::SendEmptyAppend(Core& core, const Progress& progress) {
  const Index prev = progress.next_index() - 1;
  std::optional<Term> prev_term = progress.prev_term();
  if (!prev_term.has_value()) prev_term = core.log().TermAt(prev);
  LOCKD_CHECK(prev_term.has_value(), "the term of entry ", prev, " was known when it was sent");
  core.Send(progress.id(), AppendRequest{prev, *prev_term, core.log().commit_index(), round_, {}});
}

bool Leader::OnReadCompleted(Core& core, uint64_t id, std::vector<Entry>& entries) {
  const auto found =
      std::find_if(followers_.begin(), followers_.end(),
                   [id](const Progress& follower) { return follower.read_id() == id; });
  if (found == followers_.end()) return false;
  Progress& progress = *found;
  if (!progress.ReadFinished(entries.front().index)) return true;
  if (entries.front().index < progress.next_index()) {
    progress.set_prev_term(entries.front().term);
    entries.erase(entries.begin());
    if (entries.empty()) return true;  // the term is known now; MakeOutput goes on
  }
  std::optional<Term> prev_term = progress.prev_term();
  if (!prev_term.has_value()) prev_term = core.log().TermAt(progress.next_index() - 1);
  if (!prev_term.has_value()) return true;
  SendEntries(core, progress, *prev_term, std::move(entries));
  return true;
}

// -- answers --

Progress* Leader::Find(NodeId id) {
  const auto found = std::find_if(followers_.begin(), followers_.end(),
                                  [id](const Progress& follower) { return follower.id() == id; });
  return found == followers_.end() ? nullptr : &*found;
}

void Leader::OnAppendReply(Core& core, NodeId from, const AppendReply& reply) {
  Progress* progress = Find(from);
  if (progress == nullptr) return;
  progress->Heard(core.now());
  if (reply.round <= round_) progress->Confirmed(reply.round);
  if (!reply.accepted) {
    progress->Refused(reply.prev_index, reply.hint_index, reply.hint_term, core.log());
  } else {
    LOCKD_CHECK(reply.match_index <= core.log().last_index(), "node ", from, " acknowledges entry ",
                reply.match_index, " beyond the leader's last ", core.log().last_index());
    progress->Accepted(reply.match_index);
    MaybeCommit(core);
  }
  ConfirmReads(core);
}

void Leader::OnHeartbeatReply(Core& core, NodeId from, const HeartbeatReply& reply) {
  Progress* progress = Find(from);
  if (progress == nullptr || reply.round > round_) return;
  progress->Heard(core.now());
  progress->Confirmed(reply.round);
  if (progress->HeartbeatAnswered(reply.round) == Progress::Next::kAskWithEmptyAppend) {
    SendEmptyAppend(core, *progress);
  }
  ConfirmReads(core);
}

void Leader::MaybeCommit(Core& core) {
  RaftLog& log = core.log();
  const Index before = log.commit_index();
  const Index reached{ReachedByMajority(core.configuration(), [&](NodeId id) {
    return id == core.id() ? log.durable_index().value() : Find(id)->match_index().value();
  })};
  // Only entries of the own term are committed by counting (thesis 3.6.2, R-17); earlier ones ride
  // along.
  if (reached <= before) return;
  if (reached < noop_index_) {
    LOCKD_REACH(kCommitOfOlderTermWithheld);
    return;
  }
  // Subtracted before the commit: it may let entries leave memory.
  uncommitted_bytes_ -= log.BytesOf(before + 1, reached);
  log.CommitTo(reached);
}

void Leader::ConfirmReads(Core& core) {
  if (reads_.size() == 0) return;
  const uint64_t confirmed = ReachedByMajority(core.configuration(), [&](NodeId id) {
    return id == core.id() ? round_ : Find(id)->confirmed_round();
  });
  reads_.Confirm(confirmed, core.released_reads());
}

// -- time --

Transition Leader::OnTick(Core& core) {
  if (IsOutOfTouch(core)) {
    LOCKD_REACH(kCheckQuorumStepsDown);
    return Transition::kFollow;
  }
  if (IsDiskStalled(core)) {
    LOCKD_REACH(kDiskStallStepsDown);
    return Transition::kFollow;
  }
  if (core.now() >= heartbeat_at_) {
    heartbeat_at_ = core.now() + core.options().heartbeat_ticks;
    BroadcastHeartbeat(core, /*of_timer=*/true);
  }
  return Transition::kNone;
}

void Leader::BroadcastHeartbeat(Core& core, bool of_timer) {
  ++round_;
  const Index commit = core.log().commit_index();
  for (Progress& follower : followers_) {
    // Never above what this follower has: it would commit entries of its own that conflict.
    core.Send(follower.id(), Heartbeat{std::min(commit, follower.match_index()), round_});
    if (of_timer) follower.HeartbeatSent(round_);
  }
}

// Check-quorum (thesis 6.2): a leader cut off from a majority steps down, so that its clients look
// elsewhere and voters whose leader is gone are free at the same time as itself.
bool Leader::IsOutOfTouch(const Core& core) const {
  const Tick heard{ReachedByMajority(core.configuration(), [&](NodeId id) -> uint64_t {
    if (id == core.id()) return core.now().value();
    for (const Progress& follower : followers_) {
      if (follower.id() == id) return follower.heard_at().value();
    }
    return 0;
  })};
  return core.now() - heard >= core.options().election_ticks_min;
}

bool Leader::IsDiskStalled(const Core& core) const {
  const uint64_t limit = core.options().write_stall_ticks_max;
  const std::optional<Tick> began = core.log().oldest_write_began();
  return limit != 0 && began.has_value() && core.now() - *began > limit;
}

}  // namespace lockd::raft
