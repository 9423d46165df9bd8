// What the operations of a session come to. Expected outcomes are values, not errors.
//
// "Unknown" is not among them: what a lost connection leaves open, the session settles by itself.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_OUTCOMES_H_
#define LOCKD_CLIENT_OUTCOMES_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace lockd {

enum class AcquireStatus : uint8_t {
  kGranted,
  kBusy,         // a try, and another hold has the lock
  kTimedOut,     // the wait is over; nothing is held
  kCancelled,    // by the caller; nothing is held
  kUnavailable,  // no leader answered in time; the session sees to it that nothing stays held
  kSessionLost,  // the session is lost or closed
  kLimit,        // a limit named in the message is reached; try again later
  kInvalid,      // can never succeed; the message says why
};

enum class ReleaseStatus : uint8_t {
  kReleased,
  kNotHeld,      // the hold had ended before: released, lost, or its maximum hold time was over
  kUnavailable,  // no answer in time; the session goes on until the server has released it
  kSessionLost,  // the session is lost or closed, and the hold with it
};

enum class SessionState : uint8_t {
  kOpening,
  kHealthy,
  kJeopardy,  // half of the time between the last answer and the deadline has gone
  kClosing,
  kClosed,
  kLost,        // the deadline has passed, or the server said that the session is over
  kOpenFailed,  // it never opened
};

// "granted", "busy", "timed out", ...: for logs.
[[nodiscard]] absl::string_view ToString(AcquireStatus status);
[[nodiscard]] absl::string_view ToString(ReleaseStatus status);
[[nodiscard]] absl::string_view ToString(SessionState state);

}  // namespace lockd

#endif  // LOCKD_CLIENT_OUTCOMES_H_
