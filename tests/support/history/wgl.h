// The second opinion: a linearizability checker after Wing and Gong (1993), with the memo of Lowe
// (2017), for short histories of one lock.
//
// It searches for any order of the operations that time allows and the model (history.h) accepts:
// linearize one operation that no other unfinished one precedes, remember the pair (set of
// linearized operations, state of the model) so that no pair is tried twice, go back when stuck. Of
// tokens it knows only what the model says, "a grant's token is above all before it"; it never
// orders operations by them, so that it can be wrong only where the token-order checker is right,
// and the reverse.
//
// Exponential in how many operations are in flight at once: meant for up to forty operations.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_HISTORY_WGL_H_
#define LOCKD_TESTS_SUPPORT_HISTORY_WGL_H_

#include <cstddef>
#include <cstdint>

#include "tests/support/history/history.h"

namespace lockd::history {

enum class Linearizability : uint8_t {
  kLinearizable,
  kNot,
  kTooLong,  // too many operations, or too many pairs to remember: no opinion
};

struct WglLimits {
  size_t operations_max = 40;  // at most 64
  size_t pairs_max = 200'000;
};

// How many operations the checker has to place: those that change nothing are left out.
[[nodiscard]] size_t CountWglOperations(const History& history);

[[nodiscard]] Linearizability CheckWgl(const History& history, const WglLimits& limits = {});

}  // namespace lockd::history

#endif  // LOCKD_TESTS_SUPPORT_HISTORY_WGL_H_
