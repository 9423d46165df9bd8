// VoteLedger: what each node ever promised to candidates, kept where no crash of a node can reach.
//
//   OneVotePerTerm              (I-6) a node votes for one candidate in a term, also across
//   crashes:
//                               what it told anybody binds its next life
//   TermNeverBack               (I-5) within one life the term only grows
//   TermNeverBackAcrossRestart  (I-5) a term that was durable is there after a restart
//   VoteSurvivesRestart         (I-6) so is the vote that was durable in it
//   ElectedByMajority           (I-1) a leader's votes of its term came from a majority of the
//                               configuration in its log, of both halves of a joint one
//
// A vote that was neither durable nor sent when the power went promised nothing: a node may give
// another one. A vote binds once its reply has left; a candidate's own, once its requests have.
//
// Each function returns "Name: details" of what it found broken, or nothing.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_VOTE_LEDGER_H_
#define LOCKD_TESTS_SIM_CHECKS_VOTE_LEDGER_H_

#include <map>
#include <string>
#include <vector>

#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::sim {

class VoteLedger {
 public:
  // Term and vote of a node in memory, after each of its turns.
  [[nodiscard]] std::string AfterTurn(NodeId node, raft::Term term, NodeId voted_for);
  // Each message that leaves a node; only votes and requests of votes matter.
  [[nodiscard]] std::string Sent(const raft::Message& message);
  // A write with this hard state was completed.
  void BecameDurable(NodeId node, const raft::HardState& hard_state);
  // A node starts, with this hard state from its disk.
  [[nodiscard]] std::string Restarted(NodeId node, const raft::HardState& recovered);
  // After each turn of a node that leads, with the configuration in force there. In the first of
  // them that is still the one with which it was elected.
  [[nodiscard]] std::string Leads(NodeId node, raft::Term term,
                                  const raft::Configuration& configuration);

 private:
  struct Shadow {
    raft::Term term;  // in memory, in this life
    NodeId vote;
    raft::Term durable_term;
    NodeId durable_vote;
    std::map<raft::Term, NodeId> promised;  // for ever
  };

  [[nodiscard]] bool VotedFor(NodeId voter, raft::Term term, NodeId candidate) const;

  std::map<NodeId, Shadow> shadows_;
  std::map<raft::Term, NodeId> elected_;  // whose majority was seen already
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_VOTE_LEDGER_H_
