#include "consensus/raft/candidate.h"

#include "consensus/raft/quorum.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::raft {

Candidate::Candidate(Core& core, Kind kind)
    : kind_(kind),
      campaign_term_(kind == Kind::kPreVote ? core.term() + 1 : core.term()),
      election_at_(core.DrawElectionTick()),
      ask_again_at_(core.now() + core.options().heartbeat_ticks) {
  LOCKD_CHECK(pre_vote() || core.voted_for() == core.id());
}

VoteRequest Candidate::Request(const Core& core) const {
  return {pre_vote(), campaign_term_, core.log().last_index(), core.log().last_term(),
          is_transfer()};
}

Transition Candidate::Start(Core& core) {
  for (const NodeId member : MembersOf(core.configuration())) {
    if (member == core.id() || !IsVoter(core.configuration(), member)) continue;
    if (pre_vote()) {
      core.Send(member, Request(core));
    } else {
      core.SendOnceDurable(member, Request(core));
    }
  }
  if (!pre_vote()) return Transition::kNone;  // the own vote counts in OnDurable
  votes_.push_back({core.id(), true});
  return Count(core);
}

Transition Candidate::OnTick(Core& core) {
  if (core.now() >= election_at_) {
    if (!pre_vote()) LOCKD_REACH(kElectionWithoutWinner);
    return Transition::kPreVote;
  }
  // The own vote is there once it, and with it the first requests, have left for good.
  if (core.now() >= ask_again_at_ && VoteOf(core.id()).has_value()) {
    ask_again_at_ = core.now() + core.options().heartbeat_ticks;
    for (const NodeId member : MembersOf(core.configuration())) {
      if (!IsVoter(core.configuration(), member) || VoteOf(member).has_value()) continue;
      core.Send(member, Request(core));
    }
  }
  return Transition::kNone;
}

Transition Candidate::OnVoteReply(const Core& core, NodeId from, const VoteReply& reply) {
  if (reply.pre_vote != pre_vote() || reply.campaign_term != campaign_term_) {
    return Transition::kNone;
  }
  if (VoteOf(from).has_value()) return Transition::kNone;
  votes_.push_back({from, reply.granted});
  return Count(core);
}

Transition Candidate::OnDurable(const Core& core) {
  if (pre_vote() || VoteOf(core.id()).has_value() || !core.IsVoteDurable()) {
    return Transition::kNone;
  }
  votes_.push_back({core.id(), true});
  return Count(core);
}

std::optional<bool> Candidate::VoteOf(NodeId id) const {
  for (const Vote& vote : votes_) {
    if (vote.from == id) return vote.granted;
  }
  return std::nullopt;
}

Transition Candidate::Count(const Core& core) const {
  switch (TallyVotes(core.configuration(), [this](NodeId id) { return VoteOf(id); })) {
    case VoteResult::kPending:
      return Transition::kNone;
    case VoteResult::kWon:
      return pre_vote() ? Transition::kCampaign : Transition::kLead;
    case VoteResult::kLost:
      return Transition::kFollow;
  }
  LOCKD_UNREACHABLE();
}

}  // namespace lockd::raft
