// PerfectLock: draws the histories that a correct lock service could have left behind, and breaks
// them.
//
// The service is one variable that changes at one instant; around it, requests and answers take
// their time, answers are lost, processes die, releases arrive long after their clients gave up,
// and holds expire. What is drawn is lawful by construction. A mutation then changes one thing, as
// a bug would; some leave a lawful history behind by luck.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_HISTORY_PERFECT_LOCK_H_
#define LOCKD_TESTS_SUPPORT_HISTORY_PERFECT_LOCK_H_

#include <vector>

#include "protocol/base/random.h"
#include "tests/support/history/history.h"

namespace lockd::history {

struct PerfectLockOptions {
  int clients = 4;
  int steps = 60;  // each begins, carries out or answers one operation
};

[[nodiscard]] History DrawLawfulHistory(const PerfectLockOptions& options, Random& random);

struct Mutation {
  const char* name;
  // False: the history offers nothing to change in this way.
  bool (*apply)(History& history, Random& random);
  // How many of a hundred mutated histories the checkers must find, at least.
  int found_percent_min;
  // Whether the windows of a long history show it.
  bool is_local;
};

[[nodiscard]] const std::vector<Mutation>& Mutations();

}  // namespace lockd::history

#endif  // LOCKD_TESTS_SUPPORT_HISTORY_PERFECT_LOCK_H_
