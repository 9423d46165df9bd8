#include "client/distributed_lock.h"

#include <algorithm>

#include "client/validity.h"

namespace lockd {

bool DistributedLock::held() const {
  return hold_ != nullptr && hold_->IsHeld(BootClock::Read());
}

BootClock::time_point DistributedLock::safe_until() const {
  if (!held()) return BootClock::time_point();
  // Either may have been lost since; the earlier one, zero, says so.
  return BootClock::ToTimePoint(
      std::min(hold_->validity->deadline.Get(), hold_->hold_deadline.Get()));
}

std::stop_token DistributedLock::lost() const {
  if (hold_ == nullptr) {
    std::stop_source empty;
    empty.request_stop();
    return empty.get_token();
  }
  if (!held()) hold_->lost.request_stop();
  return hold_->lost.get_token();
}

FencingToken DistributedLock::token() const {
  return hold_ == nullptr ? FencingToken(0) : hold_->token;
}

FencingToken DistributedLock::fence_floor() const {
  return hold_ == nullptr ? FencingToken(0) : hold_->fence_floor;
}

const std::string& DistributedLock::name() const {
  static const std::string kNone;
  return hold_ == nullptr ? kNone : hold_->name;
}

void DistributedLock::Reset() noexcept {
  if (hold_ != nullptr) internal::ReleaseHold(std::exchange(hold_, nullptr), nullptr);
}

absl::Status AcquireResult::ToStatus() const {
  const absl::string_view text = message.empty() ? ToString(status) : absl::string_view(message);
  switch (status) {
    case AcquireStatus::kGranted:
      return absl::OkStatus();
    case AcquireStatus::kBusy:
      return absl::AlreadyExistsError(text);
    case AcquireStatus::kTimedOut:
      return absl::DeadlineExceededError(text);
    case AcquireStatus::kCancelled:
      return absl::CancelledError(text);
    case AcquireStatus::kUnavailable:
      return absl::UnavailableError(text);
    case AcquireStatus::kSessionLost:
      return absl::AbortedError(text);
    case AcquireStatus::kLimit:
      return absl::ResourceExhaustedError(text);
    case AcquireStatus::kInvalid:
      return absl::InvalidArgumentError(text);
  }
  return absl::InternalError("a status of no kind");
}

}  // namespace lockd
