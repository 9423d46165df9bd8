// History: what clients saw of one lock, as plain values, and the model that it is judged by.
//
// All times are absolute simulated nanoseconds of one clock. An operation takes effect at one
// moment between its invocation and its return, both included; two operations exclude each other in
// time only when one returned *before* the other was invoked, so equal times mean "either order".
//
// The model is a fenced mutex: it is free, or held under a token, and it knows the largest token
// that it ever gave.
//
//   operation, as recorded        lawful when           afterwards
//   acquire, granted token t      free, t > all before  held under t
//   acquire, not granted          always                unchanged
//   acquire, unknown              never happened, or granted a token that no other acquire reports
//   release of t, released        held under t          free
//   release of t, stale           not held under t      unchanged
//   release of t, unknown         may end the hold of t at any time from its invocation on
//   hold t may end from time e    may end the hold of t at any time from e on
//   observation of t              held under t          unchanged
//   observation "nobody"          free                  unchanged
//
// An unknown operation has no return: it may take effect long after its client gave up. A hold that
// an unknown acquire got may end at any time, because nobody recorded what happened to it. What a
// refusal ("busy", "timed out") says about the lock is left out on purpose: lock-delay, queues and
// limits refuse while the lock is free.
//
// Both checkers (token_order.h, wgl.h) decide exactly this model, by different means; a history on
// which they differ shows a bug in one of them.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_HISTORY_HISTORY_H_
#define LOCKD_TESTS_SUPPORT_HISTORY_HISTORY_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "protocol/base/ids.h"

namespace lockd::history {

using Time = int64_t;
inline constexpr Time kNever = std::numeric_limits<Time>::max();

enum class AcquireOutcome : uint8_t { kUnknown, kGranted, kNotGranted };
enum class ReleaseOutcome : uint8_t { kUnknown, kReleased, kStale };
// Who was asked: the lock for its owner, or the holder's own token for its validity.
enum class ObservationKind : uint8_t { kOwner, kRenewal };

struct Acquire {
  uint64_t client = 0;  // for people
  Time invoke = 0;
  // kNever with kGranted: the client never heard of it, but someone else knows that it happened.
  Time returned = kNever;
  AcquireOutcome outcome = AcquireOutcome::kUnknown;
  FencingToken token{};  // of kGranted
};

struct Release {
  uint64_t client = 0;
  FencingToken token;
  Time invoke = 0;
  Time returned = kNever;
  ReleaseOutcome outcome = ReleaseOutcome::kUnknown;
};

// Without a return it says nothing.
struct Observation {
  uint64_t client = 0;
  Time invoke = 0;
  Time returned = kNever;
  ObservationKind kind = ObservationKind::kOwner;
  FencingToken token{};  // zero: nobody held the lock
};

// From then on the hold may end without a release: expiry, maximum hold, the session's end.
struct HoldEnd {
  FencingToken token;
  Time earliest = 0;
};

struct History {
  std::string lock;
  std::vector<Acquire> acquires;
  std::vector<Release> releases;
  std::vector<Observation> observations;
  std::vector<HoldEnd> ends;
};

// The tokens that a release or an observation proves to have been granted, although no acquire
// reports them: some unknown acquire must have got each. Sorted.
[[nodiscard]] std::vector<FencingToken> UnreportedTokens(const History& history);

// One operation a line, in order of invocation.
[[nodiscard]] std::string Describe(const History& history);

}  // namespace lockd::history

#endif  // LOCKD_TESTS_SUPPORT_HISTORY_HISTORY_H_
