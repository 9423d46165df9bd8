// The token-order checker: decides a history of one lock in O(n log n), however long it is.
//
// Tokens increase, so they tell the order of the holds; what remains is one sweep that lets every
// hold begin and end as early as the history allows:
//
//   start(k) = max(invocation of acquire k, end(k - 1))            must be <= every answer that
//                                                                  proves hold k had begun
//   end(k)   = max(start(k), earliest lawful end of k, invocation of its last observation)
//
// The earliest choice is always the best one for all later holds. One refinement keeps it exact:
// an answer "nobody holds it" (or "stale") whose whole interval lies strictly within
// (start(k), end(k)) forces hold k to start only at that answer's invocation. Its end stays: it was
// bounded by something later than the answer. A start that is forced beyond the acquire's return is
// a violation.
//
// The result is empty, or the first broken rule and what broke it, "HoldsDoNotOverlap: token 7
// ...":
//
//   (1) TokensDistinct           no two acquires are granted one token, and none the token zero
//   (2) TokensFollowTime         a grant that returned before another was invoked has a smaller
//   token (3) HoldsDoNotOverlap        each hold can start within its acquire, after the one before
//   it (4) ReleaseFollowsGrant      what is released was granted first, and only once
//       StaleMeansNotHeld        a release is refused only while the token does not hold the lock
//   (5) ObservationsWithinHolds  "who owns the lock" is answered with a hold of that moment
//   (6) RenewalsWithinHolds      no renewal is confirmed after the hold must have ended
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_HISTORY_TOKEN_ORDER_H_
#define LOCKD_TESTS_SUPPORT_HISTORY_TOKEN_ORDER_H_

#include <string>
#include <vector>

#include "tests/support/history/history.h"

namespace lockd::history {

[[nodiscard]] std::string CheckTokenOrder(const History& history);

// Rule (2) over the grants of all locks: there is one counter of tokens.
[[nodiscard]] std::string CheckTokensFollowTime(const std::vector<History>& histories);

}  // namespace lockd::history

#endif  // LOCKD_TESTS_SUPPORT_HISTORY_TOKEN_ORDER_H_
