// Both checkers on the same history. Their disagreement is a violation of its own,
// "CheckersDisagree", because one of them must be wrong.
//
// A short history is given to both as it is. A long one is judged as a whole by the token-order
// checker; the other one sees it in windows, each the projection onto a few holds that were granted
// one after another: their acquires, all that speaks of their tokens, and each "nobody holds it"
// that was answered soon after one of them. A projection loses nothing lawful (leaving out a whole
// hold, or an answer, only makes the rest easier to explain), so that a lawful history has only
// lawful windows, wherever it is cut. There is no need for moments at which nothing is in flight,
// which a lock with waiters does not have. Successive windows share half of their holds, so that
// every two holds that follow each other meet in one of them. On each window the two must agree.
//
// What windows cannot show, but the whole can: two far grants with one token, and tokens that only
// an unknown acquire can have got.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_HISTORY_CHECK_HISTORY_H_
#define LOCKD_TESTS_SUPPORT_HISTORY_CHECK_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/history/history.h"

namespace lockd::history {

struct CheckCounts {
  uint64_t second_opinions = 0;  // whole histories and windows that both checkers judged
  uint64_t too_long = 0;         // on which the second one had no opinion
};

// Empty, or "Rule: details", followed by the operations of the history or window when it is short.
// `counts`, if given, is added to.
[[nodiscard]] std::string CheckHistory(const History& history, CheckCounts* counts = nullptr);

// Every lock, then the order of the tokens across locks. The first violation.
[[nodiscard]] std::string CheckHistories(const std::vector<History>& histories,
                                         CheckCounts* counts = nullptr);

// The windows of a long history, as above.
[[nodiscard]] std::vector<History> WindowsOf(const History& history);

}  // namespace lockd::history

#endif  // LOCKD_TESTS_SUPPORT_HISTORY_CHECK_HISTORY_H_
