#include "tests/sim/checks/vote_ledger.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "tests/sim/checks/majority.h"

namespace lockd::sim {

std::string VoteLedger::AfterTurn(NodeId node, raft::Term term, NodeId voted_for) {
  Shadow& shadow = shadows_[node];
  if (term < shadow.term) {
    return absl::StrCat("TermNeverBack: node ", node, " is in term ", term, " after ", shadow.term);
  }
  const bool is_same_term = term == shadow.term;
  NodeId before = is_same_term ? shadow.vote : NodeId{0};
  if (!is_same_term || before.is_zero()) {
    // Only a new term or a new vote can contradict what an earlier life promised.
    const auto promised = shadow.promised.find(term);
    if (promised != shadow.promised.end() && !voted_for.is_zero()) before = promised->second;
  }
  shadow.term = term;
  shadow.vote = voted_for;
  if (before.is_zero() || before == voted_for) return "";
  return absl::StrCat("OneVotePerTerm: node ", node, " votes for ", voted_for, " in term ", term,
                      " after ", before);
}

std::string VoteLedger::Sent(const raft::Message& message) {
  NodeId candidate;
  raft::Term term;
  if (const auto* reply = std::get_if<raft::VoteReply>(&message.body)) {
    if (reply->pre_vote || !reply->granted) return "";
    candidate = message.to;
    term = reply->campaign_term;
  } else if (const auto* request = std::get_if<raft::VoteRequest>(&message.body)) {
    if (request->pre_vote) return "";
    candidate = message.from;
    term = request->campaign_term;
  } else {
    return "";
  }
  const NodeId promised =
      shadows_[message.from].promised.try_emplace(term, candidate).first->second;
  if (promised == candidate) return "";
  return absl::StrCat("OneVotePerTerm: node ", message.from, " gives ", candidate,
                      " its vote of term ", term, ", which ", promised, " has");
}

void VoteLedger::BecameDurable(NodeId node, const raft::HardState& hard_state) {
  Shadow& shadow = shadows_[node];
  shadow.durable_term = hard_state.term;
  shadow.durable_vote = hard_state.voted_for;
}

std::string VoteLedger::Restarted(NodeId node, const raft::HardState& recovered) {
  Shadow& shadow = shadows_[node];
  const raft::Term term = shadow.durable_term;
  const NodeId vote = shadow.durable_vote;
  shadow.term = shadow.durable_term = recovered.term;
  shadow.vote = shadow.durable_vote = recovered.voted_for;
  if (recovered.term < term) {
    return absl::StrCat("TermNeverBackAcrossRestart: node ", node, " starts in term ",
                        recovered.term, ", had ", term, " on disk");
  }
  if (recovered.term == term && !vote.is_zero() && recovered.voted_for != vote) {
    return absl::StrCat("VoteSurvivesRestart: node ", node, " starts with a vote for ",
                        recovered.voted_for, " in term ", term, ", had ", vote, " on disk");
  }
  return "";
}

bool VoteLedger::VotedFor(NodeId voter, raft::Term term, NodeId candidate) const {
  const auto found = shadows_.find(voter);
  if (found == shadows_.end()) return false;
  const Shadow& shadow = found->second;
  const auto promised = shadow.promised.find(term);
  if (promised != shadow.promised.end()) return promised->second == candidate;
  // The only voter of a group asks nobody: its own vote counts when durable.
  return voter == candidate && shadow.durable_term == term && shadow.durable_vote == candidate;
}

std::string VoteLedger::Leads(NodeId node, raft::Term term,
                              const raft::Configuration& configuration) {
  const auto seen = elected_.find(term);
  if (seen != elected_.end() && seen->second == node) return "";
  const auto voted = [&](NodeId voter) { return VotedFor(voter, term, node); };
  if (!IsMajority(configuration, voted)) {
    std::string voters;
    for (const auto& [voter, shadow] : shadows_) {
      if (voted(voter)) absl::StrAppend(&voters, " ", voter);
    }
    return absl::StrCat("ElectedByMajority: node ", node, " leads in term ", term,
                        " with the votes of", voters, ", of ", Describe(configuration));
  }
  elected_.emplace(term, node);
  return "";
}

}  // namespace lockd::sim
