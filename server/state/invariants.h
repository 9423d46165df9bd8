// What must hold of the lock database between any two log entries, each rule by name, recomputed
// from the records.
//
// Structure; what comes later relies on it:
//   BetweenCommands        no command is under way, nothing freed waits to be handed on
//   DeadlinesInOrder       the queue of deadlines is a heap whose entries know their places
//   SessionIndexAgrees     every session is found by its id, and no other id is
//   NonceIndexAgrees       a live session is found by its nonce, an ended one is not
//   NameIndexAgrees        every lock is found by its name, and no other name is
//   QueueLinked            queues are chains that agree both ways, as long as they say
//   WaiterInOneQueue       each waiter stands in exactly one queue
//   QueueInOrder           first come, first served: positions ascend along a queue
// Locks and sessions:
//   FreeLockHasNoQueue     a lock that nobody holds has no record, hence nobody who waits for it
//   OneExclusiveOwner      a lock has one hold, of a mode that excludes all others
//   OwnerKnowsHold         a hold's session exists and lists it, and the other way round
//   WaiterKnowsAcquire     a waiter's session exists and lists it, and the other way round
//   OwnerSessionAlive      the session of a hold is alive, or its clean-up is due, or put off: the
//                          lock-delay after a refounding
//   WaiterSessionAlive     so is that of a waiter
//   AcquireHasOneState     an acquire that waits has no outcome yet
//   SettledIsBare          a session that is settled has ended, has no acquires and remembers
//                          something
//   GrantNotInTheFuture    no hold began after the time of the last entry
//   LeaseBounded           no session outlives the TTL, grace or memory that it has from now
// Numbers:
//   TokensUnique           tokens, queue positions and session ids are draws of one counter, all
//                          different
//   TokensBelowCounter     none of them is above the counter, or zero
//   RepliesAboveX          remembered replies ascend, above what the client has acknowledged
//   RepliesBounded         they lie within the window, so their number is bounded
//   OutcomesFinal          kept outcomes are final
//   CountersExact          counters are what they count
//   DeadlinesArmed         each lease, wait and maximum hold is armed once, for its own time, and
//                          nothing else is
//   NoDeadlineInThePast    what was due is cleaned up, unless the entry's budget was used up
//   MembersInOrder         the cluster's members ascend
//   MembersBounded         there are not too many
//   MembersHaveVoters      somebody can be elected: each half of the members' roles has a voter
//   NodeIdsBelowLast       no member has an id above the last one that was given
//   DigestExact            the running digest is that of the records
//
// The walks are linear; on small states they take microseconds, and the simulator makes them after
// every entry.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_INVARIANTS_H_
#define LOCKD_SERVER_STATE_INVARIANTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/state/lock_database.h"

namespace lockd::state {

// "Name: details" of the first broken rule; empty when all hold.
[[nodiscard]] std::string FirstBrokenInvariant(const LockDatabase& database);
// The names above, in the order in which they are checked.
[[nodiscard]] std::vector<absl::string_view> InvariantNames();

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_INVARIANTS_H_
