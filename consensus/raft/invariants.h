// The safety rules that hold for one member at all times, each by name, as checks of its state.
//
// The cheap ones are also asserted where the state changes (LOCKD_CHECK in the log, the progress,
// the facade). This is the whole list, for tests and the simulator after every step; it walks the
// in-memory log.
//
//   LogContiguous          entries in memory follow each other without a gap
//   TermsNeverDecrease     along the log, and none is above the current term
//   TimeNeverDecreases     along the log
//   MarksOrdered           base <= applied <= handed out <= commit <= last
//   DurableOrdered         durable <= written <= last
//   UncommittedInMemory    every entry from min(commit, durable) on is in memory
//   TailAccounted          the byte count of the tail is the sum over its entries
//   LeaderVotedForItself   a leader's vote of its term is its own, and durable
//   LeaderIsVoter          only voters campaign and lead
//   NoopInLog              a leader's first entry of its term is in its log
//   UncommittedAccounted   a leader's uncommitted bytes are the sum over the entries above commit
//   MatchBelowNext         match < next for every follower, next at most last + 1
//   InflightAccounted      window counters are what is in the window, and within their limits
//   MatchWithinLog         no follower is credited with more than the leader's log
//   CommitHasQuorum        what a leader committed in its term, a majority has durably
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_INVARIANTS_H_
#define LOCKD_CONSENSUS_RAFT_INVARIANTS_H_

#include <string>

#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"

namespace lockd::raft {

// "Name: details" of the first broken rule; empty when all hold.
[[nodiscard]] std::string FirstBrokenInvariant(const Raft& raft);
// Ends the process when a rule is broken.
void CheckInvariants(const Raft& raft);

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_INVARIANTS_H_
