// DistributedLock: one hold of one lock, from its grant to its release.
//
//   lockd::AcquireResult result = co_await session.Acquire("resource1", {.wait = 5s},
//                                                          asio::use_awaitable);
//   if (!result.granted()) ...                        // result.status says why
//   storage.Write(data, result.lock.token());         // the resource checks the token:
//   fence_gate.h co_await result.lock.Release(asio::use_awaitable);
//
// A hold ends by Release, by the destructor (which hands the release to the session and returns at
// once), or by *loss*: its session's deadline passes, or its maximum hold time. held(),
// safe_until() and lost() compare the clock at every call: after the deadline they say "lost" with
// no network and no other thread needed, and never again anything else. The server grants the lock
// to nobody else before that deadline. Between a check and what is done next any time may pass;
// what must not happen twice is for the resource to check, by the token.
//
// The io_context of the Client must outlive all locks.
//
// Threading: token(), name(), held(), safe_until(), lost() any thread; a lock object itself is
// moved, released and destroyed by one thread at a time, any thread.
#ifndef LOCKD_CLIENT_DISTRIBUTED_LOCK_H_
#define LOCKD_CLIENT_DISTRIBUTED_LOCK_H_

#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "client/boot_clock.h"
#include "client/completion.h"
#include "client/outcomes.h"
#include "protocol/base/ids.h"

namespace lockd {

namespace internal {
struct HoldState;
boost::asio::io_context& ContextOf(const HoldState& hold);
// Hands the release to the session. `done` is null for "nobody waits".
void ReleaseHold(std::shared_ptr<HoldState> hold, Completion<ReleaseStatus> done);
}  // namespace internal

class DistributedLock {
 public:
  DistributedLock() = default;  // holds nothing
  explicit DistributedLock(std::shared_ptr<internal::HoldState> hold) : hold_(std::move(hold)) {}
  DistributedLock(DistributedLock&&) noexcept = default;
  DistributedLock& operator=(DistributedLock&& other) noexcept {
    if (this != &other) {
      Reset();
      hold_ = std::move(other.hold_);
    }
    return *this;
  }
  DistributedLock(const DistributedLock&) = delete;
  DistributedLock& operator=(const DistributedLock&) = delete;
  ~DistributedLock() { Reset(); }

  // Whether the hold is certain at this moment.
  [[nodiscard]] bool held() const;
  explicit operator bool() const { return held(); }
  // Until when it is certain, unless the session is renewed before; the clock's epoch when it is
  // lost.
  [[nodiscard]] BootClock::time_point safe_until() const;
  // Asked to stop when the hold is lost (not when it is released). The call itself looks at the
  // clock; a token kept from before is asked to stop by the session's thread, so that after a
  // pause of the process it may come a moment later than held().
  [[nodiscard]] std::stop_token lost() const;

  // The token of the grant; zero for an empty lock. Valid to send also after a loss: a resource
  // that checks it refuses what is too old.
  [[nodiscard]] FencingToken token() const;
  // The smallest live token of the lock when this one was granted.
  [[nodiscard]] FencingToken fence_floor() const;
  [[nodiscard]] const std::string& name() const;

  // Asynchronous: void(ReleaseStatus). held() is false from the call on, and the object is empty.
  template <typename CompletionToken>
  auto Release(CompletionToken&& token) {
    return boost::asio::async_initiate<CompletionToken, void(ReleaseStatus)>(
        [](auto handler, std::shared_ptr<internal::HoldState> hold) {
          if (hold == nullptr) {
            internal::PostResult(std::move(handler), ReleaseStatus::kNotHeld);
            return;
          }
          boost::asio::io_context& context = internal::ContextOf(*hold);
          internal::ReleaseHold(std::move(hold), internal::MakeCompletion<ReleaseStatus>(
                                                     std::move(handler), context));
        },
        token, std::exchange(hold_, nullptr));
  }
  // In the background.
  void Reset() noexcept;

 private:
  std::shared_ptr<internal::HoldState> hold_;
};

struct AcquireResult {
  AcquireStatus status = AcquireStatus::kUnavailable;
  DistributedLock lock;                      // kGranted
  std::string message;                       // for people; empty when granted
  std::chrono::milliseconds retry_after{0};  // kLimit

  [[nodiscard]] bool granted() const { return status == AcquireStatus::kGranted; }
  // Ok when granted, else the canonical error: AlreadyExists (busy), DeadlineExceeded (timed out),
  // Cancelled, Unavailable, Aborted (session lost), ResourceExhausted, InvalidArgument.
  [[nodiscard]] absl::Status ToStatus() const;
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_DISTRIBUTED_LOCK_H_
