// ScriptedHistory: a history of one lock written down by hand, one call an operation.
//
//   ScriptedHistory().Granted(1, 0, 10).Released(1, 20, 30).Granted(2, 5, 30)
//
// reads: token 1 was granted to an acquire of [0, 10], released in [20, 30], and token 2 granted to
// an acquire that was invoked at 5 and returned at 30.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_HISTORY_SCRIPTED_HISTORY_H_
#define LOCKD_TESTS_SUPPORT_HISTORY_SCRIPTED_HISTORY_H_

#include <cstdint>
#include <utility>

#include "tests/support/history/history.h"

namespace lockd::history {

class ScriptedHistory {
 public:
  ScriptedHistory() { history_.lock = "scripted"; }

  ScriptedHistory& Granted(uint64_t token, Time invoke, Time returned) {
    history_.acquires.push_back(
        {0, invoke, returned, AcquireOutcome::kGranted, FencingToken(token)});
    return *this;
  }
  ScriptedHistory& NotGranted(Time invoke, Time returned) {
    history_.acquires.push_back({0, invoke, returned, AcquireOutcome::kNotGranted, {}});
    return *this;
  }
  ScriptedHistory& UnknownAcquire(Time invoke) {
    history_.acquires.push_back({0, invoke, kNever, AcquireOutcome::kUnknown, {}});
    return *this;
  }
  ScriptedHistory& Released(uint64_t token, Time invoke, Time returned) {
    history_.releases.push_back(
        {0, FencingToken(token), invoke, returned, ReleaseOutcome::kReleased});
    return *this;
  }
  ScriptedHistory& Stale(uint64_t token, Time invoke, Time returned) {
    history_.releases.push_back({0, FencingToken(token), invoke, returned, ReleaseOutcome::kStale});
    return *this;
  }
  ScriptedHistory& UnknownRelease(uint64_t token, Time invoke) {
    history_.releases.push_back({0, FencingToken(token), invoke, kNever, ReleaseOutcome::kUnknown});
    return *this;
  }
  ScriptedHistory& MayEnd(uint64_t token, Time earliest) {
    history_.ends.push_back({FencingToken(token), earliest});
    return *this;
  }
  ScriptedHistory& Owner(uint64_t token, Time invoke, Time returned) {
    history_.observations.push_back(
        {0, invoke, returned, ObservationKind::kOwner, FencingToken(token)});
    return *this;
  }
  ScriptedHistory& Nobody(Time invoke, Time returned) { return Owner(0, invoke, returned); }
  ScriptedHistory& Renewed(uint64_t token, Time invoke, Time returned) {
    history_.observations.push_back(
        {0, invoke, returned, ObservationKind::kRenewal, FencingToken(token)});
    return *this;
  }

  operator const History&() const { return history_; }  // NOLINT: on purpose

 private:
  History history_;
};

}  // namespace lockd::history

#endif  // LOCKD_TESTS_SUPPORT_HISTORY_SCRIPTED_HISTORY_H_
