// The safety rules that hold for one member at all times, each by name, as checks of its state.
//
// The cheap ones are also asserted where the state changes (LOCKD_CHECK in the log, the progress,
// the facade). This is the whole list, for tests and the simulator after every step; it walks the
// in-memory log.
//
// The log:
//   LogContiguous          entries in memory follow each other without a gap
//   TermsNeverDecrease     along the log, and none is above the current term
//   TimeNeverDecreases     along the log
//   LastEntryExact         term and time of the last entry are what the log, or its base, says they
//                          are
//   MarksOrdered           base <= applied <= handed out <= commit <= last
//   DurableOrdered         base <= durable <= written <= last
//   BaseExact              the base that the next write tells the disk is the log's, and no term is
//                          known below it
//   UncommittedInMemory    every entry from min(commit, durable) on is in memory
//   TailAccounted          the byte count of the tail is the sum over its entries
//   ApplyContinues         what was read for applying follows what was handed out
// Promises:
//   WritesExact            writes under way vouch for what is written and not durable, in order
//   WritesOrdered          no write completes or carries a vote before it is handed out; the disk
//   is
//                          never told a later term or commit index than is known
//   PromisesWait           votes and acknowledgements not yet sent wait for a write, and are of
//   this
//                          term
// Terms, votes, members:
//   ConfigurationInForce   the configurations known above the base are exactly those of the entries
//                          in the log, valid and in order; so the last one is the one in force
//   CampaignOfItsTerm      a candidate has voted for itself in the term that it campaigns for; a
//                          pre-candidate asks for the next one
//   KnownLeaderIsOther     a follower's leader is another member
//   TimersWithinBounds     an election or heartbeat is due within its longest interval
// A leader:
//   LeaderVotedForItself   a leader's vote of its term is its own, and durable
//   LeaderIsVoter          who campaigns or leads has a vote in the newest configuration, or in one
//                          before it back to the newest that is committed
//   NoopInLog              a leader's first entry of its term is in its log, until it is compacted
//   UncommittedAccounted   a leader's uncommitted bytes are the sum over the entries above commit
//   FollowersAreTheOthers  a leader tracks all other members, in order
//   MatchWithinLog         no follower is credited with more than the leader's log
//   MatchBelowNext         match < next for every follower, next at most last + 1
//   InflightAccounted      window counters are what is in the window, and within their limits
//   SnapshotWhereCompacted a follower is to get a snapshot exactly where its next entry is
//                          compacted; then nothing is in flight to it
//   RoundsOrdered          no follower has answered a round that was not begun, nor in the future
//   CommitHasQuorum        what a leader committed in its term, a majority has durably: of the
//                          configuration in force, once that is committed itself
//   TransferToOtherVoter   a leader hands over to another voter
//   TransferTargetHasAll   a hand-over's target was told only with the whole log, which has not
//                          grown since
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_INVARIANTS_H_
#define LOCKD_CONSENSUS_RAFT_INVARIANTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"

namespace lockd::raft {

// "Name: details" of the first broken rule; empty when all hold. Walks over the log look at entries
// from `from` on only, and sums over the whole of it are left out unless `from` is zero: who checks
// after every step passes the lowest index that may have changed, and zero now and then.
[[nodiscard]] std::string FirstBrokenInvariant(const Raft& raft, Index from = Index{0});
// The names above, in the order in which they are checked.
[[nodiscard]] std::vector<absl::string_view> InvariantNames();
// Ends the process when a rule is broken.
void CheckInvariants(const Raft& raft);

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_INVARIANTS_H_
