#include "client/lockable.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace lockd {

Lockable::Lockable(BlockingSession session, std::string name)
    : session_(std::move(session)), name_(std::move(name)) {}

void Lockable::lock() {
  AcquireResult result = session_.Acquire(name_);
  if (!result.granted()) {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                            std::string(result.ToStatus().ToString()));
  }
  lock_ = std::move(result.lock);
}

bool Lockable::try_lock() {
  return TryFor(kTry);
}

bool Lockable::TryFor(std::chrono::milliseconds wait) {
  AcquireResult result = session_.Acquire(name_, {.wait = std::max(wait, kTry)});
  if (!result.granted()) return false;
  lock_ = std::move(result.lock);
  return true;
}

void Lockable::unlock() {
  session_.Release(std::move(lock_));
}

}  // namespace lockd
