// The candidate's data and handlers, in both phases: the pre-vote that changes nothing
// (thesis 9.6), and the election proper in the next term.
//
// In the pre-vote phase term and vote are untouched. In the election the candidate's own
// vote counts, and its requests leave, only when term and vote are durable: a request claims a log,
// and a candidate that crashed, lost the unwritten end of that log and came back in the old term
// could otherwise count a vote that was given to the longer one.
//
// The votes of the newest configuration in its log decide, and its own is not among them when that
// one removes it (Core::MayCampaign).
//
// Replies count only with this phase and this campaign's term. Requests are repeated
// every heartbeat interval to those that have not answered: the vote may be lost, or a voter's
// lease on the old leader may have ended since.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_CANDIDATE_H_
#define LOCKD_CONSENSUS_RAFT_CANDIDATE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "consensus/raft/core.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::raft {

class Candidate {
 public:
  enum class Kind : uint8_t { kPreVote, kElection, kTransfer };

  // Pre-vote: `core.term()` is left alone, the campaign is for the next one. Otherwise: the facade
  // has entered the term and voted for this member. A transfer is an election that the leader asked
  // for.
  Candidate(Core& core, Kind kind);

  [[nodiscard]] bool pre_vote() const { return kind_ == Kind::kPreVote; }
  [[nodiscard]] bool is_transfer() const { return kind_ == Kind::kTransfer; }
  [[nodiscard]] Term campaign_term() const { return campaign_term_; }
  [[nodiscard]] Tick election_at() const { return election_at_; }
  [[nodiscard]] Tick ask_again_at() const { return ask_again_at_; }

  // The campaign begins: asks all voters; decides at once where this member's own vote does.
  [[nodiscard]] Transition Start(Core& core);
  [[nodiscard]] Transition OnTick(Core& core);
  [[nodiscard]] Transition OnVoteReply(const Core& core, NodeId from, const VoteReply& reply);
  // A write is durable: perhaps the own vote.
  [[nodiscard]] Transition OnDurable(const Core& core);

 private:
  friend struct RaftCorruptor;

  struct Vote {
    NodeId from;
    bool granted;
  };
  [[nodiscard]] std::optional<bool> VoteOf(NodeId id) const;
  [[nodiscard]] Transition Count(const Core& core) const;
  [[nodiscard]] VoteRequest Request(const Core& core) const;

  Kind kind_;
  Term campaign_term_;
  std::vector<Vote> votes_;  // the first answer of each voter
  Tick election_at_;         // starts over then
  Tick ask_again_at_;
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_CANDIDATE_H_
