#include "consensus/raft/leader.h"

#include <algorithm>
#include <utility>

#include "consensus/raft/quorum.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::raft {
namespace {

// Of a constant vector or not.
template <typename Followers>
auto FindIn(Followers& followers, NodeId id) -> decltype(followers.data()) {
  const auto found = std::find_if(followers.begin(), followers.end(),
                                  [id](const Progress& follower) { return follower.id() == id; });
  return found == followers.end() ? nullptr : &*found;
}

}  // namespace

Leader::Leader(Core& core)
    : noop_index_(core.log().last_index() + 1),
      heartbeat_at_(core.now() + core.options().heartbeat_ticks) {
  RaftLog& log = core.log();
  TrackMembers(core);
  log.Append({core.term(), noop_index_, EntryKind::kNoop, log.last_time(), {}});
  uncommitted_bytes_ = log.BytesOf(log.commit_index() + 1, log.last_index());
}

bool Leader::Propose(Core& core, ClusterTime time, std::string payload) {
  return Append(core, EntryKind::kCommand, time, std::move(payload));
}

bool Leader::Append(Core& core, EntryKind kind, ClusterTime time, std::string payload) {
  RaftLog& log = core.log();
  Entry entry{core.term(), log.last_index() + 1, kind, time, std::move(payload)};
  const size_t bytes = entry.size_bytes();
  if (uncommitted_bytes_ > 0 && uncommitted_bytes_ + bytes > core.options().uncommitted_bytes_max) {
    return false;
  }
  log.Append(std::move(entry));
  uncommitted_bytes_ += bytes;
  return true;
}

// -- members --

bool Leader::ProposeConfiguration(Core& core, const ConfigurationChange& change) {
  if (!Append(core, EntryKind::kConfiguration, core.log().last_time(), Encode(change))) {
    return false;
  }
  TrackMembers(core);
  // Of those that are left, enough may have answered already.
  ConfirmReads(core);
  return true;
}

void Leader::TrackMembers(const Core& core) {
  std::vector<Progress> before = std::exchange(followers_, {});
  for (const NodeId member : MembersOf(core.configuration())) {
    if (member == core.id()) continue;
    if (Progress* known = FindIn(before, member)) {
      followers_.push_back(std::move(*known));
    } else {
      followers_.emplace_back(member, core.log().last_index(), core.now());
    }
  }
}

const Progress* Leader::Find(NodeId id) const {
  return FindIn(followers_, id);
}
Progress* Leader::Find(NodeId id) {
  return FindIn(followers_, id);
}

// -- handing over --

TransferOutcome Leader::TransferLeadership(const Core& core, NodeId to) {
  if (to == core.id()) return TransferOutcome::kIsLeader;
  if (to.is_zero() && transfer_.has_value()) return TransferOutcome::kStarted;
  if (to.is_zero()) {
    const uint64_t silence = std::min(core.options().election_ticks_min, core.now().value());
    to = BestTarget(followers_, core.configuration(), Tick{core.now().value() - silence});
    if (to.is_zero()) return TransferOutcome::kNobody;
  }
  if (!IsMember(core.configuration(), to)) return TransferOutcome::kNoSuchMember;
  if (!IsVoter(core.configuration(), to)) return TransferOutcome::kNotVoter;
  if (transfer_.has_value()) {
    return transfer_->to() == to ? TransferOutcome::kStarted : TransferOutcome::kBusy;
  }
  transfer_.emplace(to, core.now() + core.options().election_ticks_min);
  return TransferOutcome::kStarted;
}

// -- replication --

bool Leader::HasOutput(const Core& core) const {
  if (IsTimeoutNowDue(core)) return true;
  if (reads_.has_waiting() && HasCommittedInTerm(core)) return true;
  const RaftLog& log = core.log();
  return std::any_of(followers_.begin(), followers_.end(), [&](const Progress& follower) {
    return follower.CanSend(log.last_index(), core.options());
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
    // What goes beyond comes with the next Ready.
    const size_t limit = follower.inflight_bytes() + core.options().send_bytes_max;
    while (follower.inflight_bytes() < limit &&
           follower.CanSend(core.log().last_index(), core.options())) {
      if (!SendAppend(core, follower)) break;
    }
  }
  if (IsTimeoutNowDue(core)) {
    LOCKD_REACH(kTransferTargetTold);
    core.Send(transfer_->to(), TimeoutNow{});
    transfer_->Told();
  }
}

bool Leader::SendAppend(Core& core, Progress& progress) {
  const RaftLog& log = core.log();
  const Index next = progress.next_index();
  const Index prev = next - 1;
  LOCKD_CHECK(prev >= log.base_index(), "node ", progress.id(), " needs the compacted entry ",
              next);
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

void Leader::OnAppendReply(Core& core, NodeId from, const AppendReply& reply) {
  Progress* progress = Find(from);
  if (progress == nullptr) return;
  progress->Heard(core.now());
  if (reply.round <= round_) progress->Confirmed(reply.round);
  if (!reply.accepted) {
    progress->Refused(reply.prev_index, reply.hint_index, reply.hint_term, core.log());
    progress->FollowBase(core.log().base_index());
  } else {
    LOCKD_CHECK(reply.match_index <= core.log().last_index(), "node ", from, " acknowledges entry ",
                reply.match_index, " beyond the leader's last ", core.log().last_index());
    progress->Accepted(reply.match_index);
    progress->FollowBase(core.log().base_index());
    MaybeCommit(core);
  }
  ConfirmReads(core);
}

// That a snapshot is installed acknowledges all entries up to its base, whoever sent it and when:
// they are committed, so this leader has the same ones (leader completeness, thesis 3.6.3), and the
// follower said so only when they were durable. As a late or doubled one says nothing untrue, it
// need not be told from a fresh one.
void Leader::OnSnapshotChunkReply(Core& core, NodeId from, const SnapshotChunkReply& reply) {
  Progress* progress = Find(from);
  if (progress == nullptr) return;
  progress->Heard(core.now());
  core.Hand(ReceivedChunkReply{from, reply});
  if (!reply.installed) return;
  const Index base = reply.snapshot.base.index;
  LOCKD_CHECK(base <= core.log().last_index(), "node ", from, " has a snapshot of entry ", base,
              " beyond the leader's last ", core.log().last_index());
  progress->Accepted(base);
  progress->FollowBase(core.log().base_index());
  MaybeCommit(core);
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

// -- snapshots --

std::vector<NodeId> Leader::SnapshotTargets() const {
  std::vector<NodeId> targets;
  for (const Progress& follower : followers_) {
    if (follower.state() == Progress::State::kSnapshot) targets.push_back(follower.id());
  }
  return targets;
}

void Leader::SendSnapshotChunk(Core& core, NodeId to, SnapshotChunk chunk) {
  const Progress* progress = Find(to);
  if (progress == nullptr || progress->state() != Progress::State::kSnapshot) return;
  core.Send(to, std::move(chunk));
}

void Leader::OnCompacted(const Core& core) {
  for (Progress& follower : followers_) follower.FollowBase(core.log().base_index());
}

// -- time --

Tick Leader::due_at() const {
  return transfer_.has_value() ? std::min(heartbeat_at_, transfer_->deadline()) : heartbeat_at_;
}

Transition Leader::OnTick(Core& core) {
  if (IsOutOfTouch(core)) {
    LOCKD_REACH(kCheckQuorumStepsDown);
    return Transition::kFollow;
  }
  if (IsDiskStalled(core)) {
    LOCKD_REACH(kDiskStallStepsDown);
    return Transition::kFollow;
  }
  if (transfer_.has_value() && core.now() >= transfer_->deadline()) {
    LOCKD_REACH(kTransferAborted);
    transfer_.reset();
  }
  if (core.now() >= heartbeat_at_) {
    heartbeat_at_ = core.now() + core.options().heartbeat_ticks;
    if (transfer_.has_value()) transfer_->TellAgain();
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
    return id == core.id() ? core.now().value() : Find(id)->heard_at().value();
  })};
  return core.now() - heard >= core.options().election_ticks_min;
}

bool Leader::IsDiskStalled(const Core& core) const {
  const uint64_t limit = core.options().write_stall_ticks_max;
  const std::optional<Tick> began = core.log().oldest_write_began();
  return limit != 0 && began.has_value() && core.now() - *began > limit;
}

}  // namespace lockd::raft
