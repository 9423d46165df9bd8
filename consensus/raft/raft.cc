#include "consensus/raft/raft.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::raft {
namespace {

// Only the leader of its term sends these.
bool IsFromLeader(const MessageBody& body) {
  return std::holds_alternative<AppendRequest>(body) || std::holds_alternative<Heartbeat>(body) ||
         std::holds_alternative<SnapshotChunk>(body) || std::holds_alternative<TimeoutNow>(body);
}

}  // namespace

Raft::Raft(const Options& options, RecoveredLog recovered)
    : core_(options, std::move(recovered)), role_(Follower(core_, NodeId{0})) {}

// -- inputs --

void Raft::Step(Message message) {
  if (message.to != id() || message.from == id() || !IsWellFormed(message)) return;
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    OnVoteRequest(message.from, message.term, *request);
  } else if (FollowTermRules(message)) {
    Dispatch(message.from, std::move(message.body));
  }
}

void Raft::Tick(uint64_t count) {
  core_.Advance(count);
  if (auto* follower = std::get_if<Follower>(&role_)) {
    Become(follower->OnTick(core_));
  } else if (auto* candidate = std::get_if<Candidate>(&role_)) {
    Become(candidate->OnTick(core_));
  } else {
    Become(std::get<Leader>(role_).OnTick(core_));
  }
}

ProposeOutcome Raft::Propose(ClusterTime time, std::string payload, Index* index) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return ProposeOutcome::kNotLeader;
  // Thesis 3.10: the target could never be told that it has everything.
  if (leader->transfer().has_value()) return ProposeOutcome::kTransferring;
  if (!leader->Propose(core_, time, std::move(payload))) {
    return ProposeOutcome::kTooManyUncommitted;
  }
  if (index != nullptr) *index = last_index();
  return ProposeOutcome::kAccepted;
}

ChangeOutcome Raft::ProposeConfiguration(const ConfigurationChange& change, Index* index) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return ChangeOutcome::kNotLeader;
  // The target is a voter of the configuration in force, and to have the whole log.
  if (leader->transfer().has_value()) return ChangeOutcome::kTransferring;
  // Only then it is known whether the newest configuration is committed.
  if (!has_committed_in_term()) return ChangeOutcome::kTooEarly;
  if (!is_configuration_committed()) return ChangeOutcome::kChangeUnderWay;
  if (!IsOneStep(configuration(), change.configuration)) return ChangeOutcome::kNotOneStep;
  if (!leader->ProposeConfiguration(core_, change)) return ChangeOutcome::kTooManyUncommitted;
  if (index != nullptr) *index = last_index();
  return ChangeOutcome::kAccepted;
}

void Raft::RequestRead(uint64_t context) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->RequestRead(context);
  } else {
    core_.Release({context, false, Index{0}});
  }
}

void Raft::WriteCompleted(uint64_t id) {
  core_.EndWrites(id);
  if (auto* candidate = std::get_if<Candidate>(&role_)) {
    Become(candidate->OnDurable(core_));
  } else if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->OnDurable(core_);
    LeaveIfRemoved();
  }
}

void Raft::ReadCompleted(uint64_t id, std::vector<Entry> entries) {
  LOCKD_CHECK(!entries.empty(), "read ", id, " came back empty");
  for (size_t i = 1; i < entries.size(); ++i) {
    LOCKD_CHECK(entries[i].index == entries[i - 1].index + 1, "gap in read ", id);
  }
  if (core_.ApplyReadCompleted(id, entries)) return;
  // For a follower, if this member still leads in the term in which it asked; else of no use.
  if (auto* leader = std::get_if<Leader>(&role_)) leader->OnReadCompleted(core_, id, entries);
}

void Raft::Campaign() {
  if (is_leader() || !core_.MayCampaign()) return;
  Become(Transition::kPreVote);
}

void Raft::SuspectLeader() {
  if (auto* follower = std::get_if<Follower>(&role_)) follower->SuspectLeader(core_);
}

TransferOutcome Raft::TransferLeadership(NodeId to) {
  auto* leader = std::get_if<Leader>(&role_);
  return leader == nullptr ? TransferOutcome::kNotLeader : leader->TransferLeadership(core_, to);
}

void Raft::Applied(Index index) {
  core_.Applied(index);
}

// -- snapshots --

void Raft::Compact(const LogBase& base) {
  const RaftLog& log = core_.log();
  if (base.index <= log.base_index() || base.index > log.durable_index()) return;
  core_.CompactTo(base);
  if (auto* leader = std::get_if<Leader>(&role_)) leader->OnCompacted(core_);
}

std::vector<NodeId> Raft::SnapshotTargets() const {
  const auto* leader = std::get_if<Leader>(&role_);
  return leader == nullptr ? std::vector<NodeId>{} : leader->SnapshotTargets();
}

void Raft::SendSnapshotChunk(NodeId to, SnapshotChunk chunk) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->SendSnapshotChunk(core_, to, std::move(chunk));
  }
}

void Raft::ReplySnapshotChunk(NodeId to, SnapshotChunkReply reply) {
  if (const auto* follower = std::get_if<Follower>(&role_)) {
    follower->ReplySnapshotChunk(core_, to, std::move(reply));
  }
}

bool Raft::RestoreSnapshot(const LogBase& base, Configuration configuration) {
  if (base.index <= commit_index() || !std::holds_alternative<Follower>(role_)) return false;
  core_.Restore(base, std::move(configuration));
  return true;
}

// -- outputs --

bool Raft::HasReady(TakeWrite take_write) const {
  if (core_.HasOutput() || core_.HasCommitted()) return true;
  if (take_write == TakeWrite::kYes && core_.HasPendingWrite()) return true;
  const auto* leader = std::get_if<Leader>(&role_);
  return leader != nullptr && leader->HasOutput(core_);
}

Ready Raft::TakeReady(TakeWrite take_write) {
  Ready ready;
  if (auto* leader = std::get_if<Leader>(&role_)) leader->MakeOutput(core_);
  if (take_write == TakeWrite::kYes && core_.HasPendingWrite()) ready.write = core_.BeginWrite();
  ready.committed = core_.TakeCommitted();
  core_.TakeOutput(ready);
  return ready;
}

// -- state --

Role Raft::role() const {
  if (std::holds_alternative<Leader>(role_)) return Role::kLeader;
  if (const auto* candidate = std::get_if<Candidate>(&role_)) {
    return candidate->pre_vote() ? Role::kPreCandidate : Role::kCandidate;
  }
  return Role::kFollower;
}

NodeId Raft::leader_id() const {
  if (std::holds_alternative<Leader>(role_)) return id();
  const auto* follower = std::get_if<Follower>(&role_);
  return follower == nullptr ? NodeId{0} : follower->leader_id();
}

NodeId Raft::transfer_target() const {
  const auto* leader = std::get_if<Leader>(&role_);
  return leader == nullptr || !leader->transfer().has_value() ? NodeId{0}
                                                              : leader->transfer()->to();
}

bool Raft::has_committed_in_term() const {
  const auto* leader = std::get_if<Leader>(&role_);
  return leader != nullptr && leader->HasCommittedInTerm(core_);
}

size_t Raft::uncommitted_bytes() const {
  const auto* leader = std::get_if<Leader>(&role_);
  return leader == nullptr ? 0 : leader->uncommitted_bytes();
}

Index Raft::MatchIndexOf(NodeId member) const {
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return Index{0};
  if (member == id()) return durable_index();
  const Progress* progress = leader->Find(member);
  return progress == nullptr ? Index{0} : progress->match_index();
}

bool Raft::HasHeardOf(NodeId member) const {
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return false;
  if (member == id()) return true;
  const Progress* progress = leader->Find(member);
  return progress != nullptr && progress->has_been_heard() &&
         core_.now() - progress->heard_at() < core_.options().election_ticks_min;
}

uint64_t Raft::TicksUntilDue() const {
  lockd::raft::Tick due;
  if (const auto* follower = std::get_if<Follower>(&role_)) {
    // Without a vote nothing is ever due; now and then is enough to keep time.
    if (!core_.MayCampaign()) return core_.options().heartbeat_ticks;
    due = follower->election_at();
  } else if (const auto* candidate = std::get_if<Candidate>(&role_)) {
    due = std::min(candidate->election_at(), candidate->ask_again_at());
  } else {
    due = std::get<Leader>(role_).due_at();
  }
  return due > core_.now() ? due - core_.now() : 1;
}

// -- votes --

void Raft::OnVoteRequest(NodeId from, Term from_term, const VoteRequest& request) {
  // Leader stickiness (thesis 4.2.3), before the term is looked at: a member that cannot hear the
  // leader must not depose it. A request of the leader itself says that it has stepped down, which
  // ends its lease at once, and so does one that the leader asked for (thesis 3.10). For
  // liveness only.
  if (!request.is_transfer && IsStickyAgainst(from, request)) return;
  if (!request.pre_vote && from_term > term()) BecomeFollower(from_term, NodeId{0});
  if (request.pre_vote) {
    // Changes nothing here, whatever the answer.
    const bool granted = request.campaign_term > term() &&
                         core_.log().IsNoNewerThan(request.last_index, request.last_term);
    core_.Send(from, VoteReply{true, request.campaign_term, granted});
    return;
  }
  GrantVote(from, request);
}

bool Raft::IsStickyAgainst(NodeId from, const VoteRequest& request) const {
  if (is_leader() && request.campaign_term > term()) return true;
  const auto* follower = std::get_if<Follower>(&role_);
  if (follower == nullptr || follower->leader_id() == from || !follower->HasLiveLeader(core_)) {
    return false;
  }
  if (request.pre_vote) LOCKD_REACH(kPreVoteRefusedByStickiness);
  return true;
}

void Raft::GrantVote(NodeId from, const VoteRequest& request) {
  const bool granted = request.campaign_term == term() &&
                       (core_.voted_for().is_zero() || core_.voted_for() == from) &&
                       core_.log().IsNoNewerThan(request.last_index, request.last_term);
  if (!granted) {
    if (request.campaign_term == term()) {
      const bool log_is_older = !core_.log().IsNoNewerThan(request.last_index, request.last_term);
      if (log_is_older) LOCKD_REACH(kVoteRefusedToOlderLog);
      if (!log_is_older) LOCKD_REACH(kVoteRefusedAlreadyGiven);
    }
    core_.Send(from, VoteReply{false, request.campaign_term, false});
    return;
  }
  core_.Vote(from);
  // A pre-candidate of this very term gives way; a follower gives the candidate time.
  if (auto* follower = std::get_if<Follower>(&role_)) {
    follower->PutOffElection(core_);
  } else {
    BecomeFollower(term(), NodeId{0});
  }
  core_.SendOnceDurable(from, VoteReply{false, request.campaign_term, true});
}

// -- terms and roles --

bool Raft::FollowTermRules(const Message& message) {
  const bool from_leader = IsFromLeader(message.body);
  if (message.term > term()) {
    if (is_leader()) LOCKD_REACH(kLeaderStepsDownOnHigherTerm);
    BecomeFollower(message.term, from_leader ? message.from : NodeId{0});
    return from_leader;  // a reply of a later term answers nothing that was asked in this one
  }
  if (message.term == term()) return true;
  // A voter of an earlier term may grant a pre-vote: it does not enter a term for it.
  const auto* vote = std::get_if<VoteReply>(&message.body);
  if (vote != nullptr && vote->pre_vote) return true;
  if (from_leader) AnswerStaleLeader(message);
  return false;
}

// A leader of an earlier term that still has its majority would never learn of the later term from
// members that merely ignore it, and this member, whose votes the others refuse while they hear
// that leader, would be lost for the group.
//
// The answer echoes no round: it is of the present term, and the number is one of an earlier term.
// Should the same member lead again, it would take the echo for that of a round of its own.
void Raft::AnswerStaleLeader(const Message& message) {
  if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
    LOCKD_REACH(kStaleAppendAnswered);
    AppendReply reply;
    reply.prev_index = append->prev_index;
    core_.Send(message.from, reply);
  } else if (!std::holds_alternative<TimeoutNow>(message.body)) {
    core_.Send(message.from, HeartbeatReply{});
  }
}

void Raft::Dispatch(NodeId from, MessageBody body) {
  if (auto* reply = std::get_if<VoteReply>(&body)) {
    if (auto* candidate = std::get_if<Candidate>(&role_)) {
      Become(candidate->OnVoteReply(core_, from, *reply));
    }
    return;
  }
  if (auto* leader = std::get_if<Leader>(&role_)) {
    if (auto* append_reply = std::get_if<AppendReply>(&body)) {
      leader->OnAppendReply(core_, from, *append_reply);
    } else if (auto* heartbeat_reply = std::get_if<HeartbeatReply>(&body)) {
      leader->OnHeartbeatReply(core_, from, *heartbeat_reply);
    } else if (auto* chunk_reply = std::get_if<SnapshotChunkReply>(&body)) {
      leader->OnSnapshotChunkReply(core_, from, *chunk_reply);
    } else {
      LOCKD_CHECK(false, "node ", from, " leads in term ", term(), ", and so does this one");
    }
    LeaveIfRemoved();
    return;
  }
  if (!IsFromLeader(body)) return;
  // Somebody else won this term. The vote stays: it belongs to the term.
  if (const auto* candidate = std::get_if<Candidate>(&role_)) {
    if (!candidate->pre_vote()) LOCKD_REACH(kCandidateFollowsLeaderOfItsTerm);
    BecomeFollower(term(), from);
  }
  auto& follower = std::get<Follower>(role_);
  if (auto* append = std::get_if<AppendRequest>(&body)) {
    follower.OnAppendRequest(core_, from, std::move(*append));
  } else if (const auto* heartbeat = std::get_if<Heartbeat>(&body)) {
    follower.OnHeartbeat(core_, from, *heartbeat);
  } else if (auto* chunk = std::get_if<SnapshotChunk>(&body)) {
    follower.OnSnapshotChunk(core_, from, std::move(*chunk));
  } else if (core_.MayCampaign()) {
    // TimeoutNow. No pre-vote: the leader waits for this election, and would refuse one.
    Become(Transition::kTakeOver);
  }
}

void Raft::BecomeFollower(Term new_term, NodeId leader) {
  if (auto* old = std::get_if<Leader>(&role_)) old->End(core_);
  if (new_term > term()) core_.EnterTerm(new_term);
  role_ = Follower(core_, leader);
}

// A leader counts and is counted by the newest configuration, also when that one removes it. It
// leads until it is committed, and no longer (thesis 4.2.2): from there on the members elect one of
// their own.
void Raft::LeaveIfRemoved() {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || core_.MayCampaign()) return;
  leader->AnnounceCommit(core_);
  Become(Transition::kFollow);
}

void Raft::Become(Transition transition) {
  // A transition may lead to the next one at once: the only voter wins with its own vote.
  while (transition != Transition::kNone) {
    switch (transition) {
      case Transition::kNone:
        break;
      case Transition::kFollow:
        BecomeFollower(term(), NodeId{0});
        transition = Transition::kNone;
        break;
      case Transition::kPreVote:
        role_ = Candidate(core_, Candidate::Kind::kPreVote);
        transition = std::get<Candidate>(role_).Start(core_);
        break;
      case Transition::kCampaign:
      case Transition::kTakeOver:
        core_.EnterTerm(term() + 1);
        core_.Vote(id());
        role_ = Candidate(core_, transition == Transition::kTakeOver ? Candidate::Kind::kTransfer
                                                                     : Candidate::Kind::kElection);
        transition = std::get<Candidate>(role_).Start(core_);
        break;
      case Transition::kLead:
        role_ = Leader(core_);
        transition = Transition::kNone;
        break;
    }
  }
}

}  // namespace lockd::raft
