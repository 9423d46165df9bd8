#include "client/outcomes.h"

namespace lockd {

absl::string_view ToString(AcquireStatus status) {
  switch (status) {
    case AcquireStatus::kGranted:
      return "granted";
    case AcquireStatus::kBusy:
      return "busy";
    case AcquireStatus::kTimedOut:
      return "timed out";
    case AcquireStatus::kCancelled:
      return "cancelled";
    case AcquireStatus::kUnavailable:
      return "unavailable";
    case AcquireStatus::kSessionLost:
      return "session lost";
    case AcquireStatus::kLimit:
      return "limit reached";
    case AcquireStatus::kInvalid:
      return "invalid";
  }
  return "?";
}

absl::string_view ToString(ReleaseStatus status) {
  switch (status) {
    case ReleaseStatus::kReleased:
      return "released";
    case ReleaseStatus::kNotHeld:
      return "not held";
    case ReleaseStatus::kUnavailable:
      return "unavailable";
    case ReleaseStatus::kSessionLost:
      return "session lost";
  }
  return "?";
}

absl::string_view ToString(SessionState state) {
  switch (state) {
    case SessionState::kOpening:
      return "opening";
    case SessionState::kHealthy:
      return "healthy";
    case SessionState::kJeopardy:
      return "in jeopardy";
    case SessionState::kClosing:
      return "closing";
    case SessionState::kClosed:
      return "closed";
    case SessionState::kLost:
      return "lost";
    case SessionState::kOpenFailed:
      return "open failed";
  }
  return "?";
}

}  // namespace lockd
