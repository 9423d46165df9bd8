// Session: what the cluster knows of this process, and what all its locks hang on.
//
//   const lockd::SessionOptions options{.ttl = 10s};
//   absl::StatusOr<lockd::Session> session =
//       co_await client.OpenSession(options, asio::use_awaitable);
//   lockd::AcquireResult result = co_await session->Acquire("resource1", {}, asio::use_awaitable);
//
// The session keeps itself alive, finds the leader, reconnects and repeats what was not answered;
// none of that shows. When it cannot reach the cluster it is first in jeopardy and then, at its
// deadline, lost, and all its locks with it. Loss is final: open another session.
//
// Two acquires of one lock by one session exclude each other: the unit of ownership is the hold.
//
// The session stays open while any copy of this handle or any lock of it lives; then it is closed
// in the background. Close() tells when that is done. The io_context of the Client must outlive
// both.
//
// With g++ 12 name the SessionOptions before the co_await, as above: it destroys an aggregate with
// strings twice when that is made inside the expression.
//
// Every asynchronous function takes any completion token of Asio and supports cancellation of any
// type: a cancelled acquire completes with kCancelled and leaves nothing held.
//
// Threading: any; completions run on the handler's executor, by default the Client's io_context,
// which is run by one thread.
#ifndef LOCKD_CLIENT_SESSION_H_
#define LOCKD_CLIENT_SESSION_H_

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "client/boot_clock.h"
#include "client/completion.h"
#include "client/distributed_lock.h"
#include "client/options.h"
#include "client/outcomes.h"
#include "protocol/base/ids.h"

namespace lockd {

namespace internal {
class SessionOwner;
boost::asio::io_context& ContextOf(const SessionOwner& session);
void AcquireLock(std::shared_ptr<SessionOwner> session, std::string name, AcquireOptions options,
                 boost::asio::cancellation_slot slot, Completion<AcquireResult> done);
void CloseSession(SessionOwner& session, Completion<absl::Status> done);
}  // namespace internal

// What a watchdog needs to act before the deadline.
struct SessionValidity {
  BootClock::time_point last_answer;  // send time of the newest answered keep-alive or ping
  BootClock::time_point safe_until;   // the deadline; the clock's epoch once lost
};

class Session {
 public:
  Session() = default;  // no session: only assignment and destruction are allowed
  explicit Session(std::shared_ptr<internal::SessionOwner> owner) : owner_(std::move(owner)) {}

  // void(AcquireResult). FIFO among the waiters of the lock.
  template <typename CompletionToken>
  auto Acquire(std::string name, AcquireOptions options, CompletionToken&& token) const {
    return boost::asio::async_initiate<CompletionToken, void(AcquireResult)>(
        [](auto handler, std::shared_ptr<internal::SessionOwner> owner, std::string lock_name,
           AcquireOptions acquire_options) {
          const auto slot = boost::asio::get_associated_cancellation_slot(handler);
          boost::asio::io_context& context = internal::ContextOf(*owner);
          internal::AcquireLock(
              std::move(owner), std::move(lock_name), acquire_options, slot,
              internal::MakeCompletion<AcquireResult>(std::move(handler), context));
        },
        token, owner_, std::move(name), options);
  }

  // void(absl::Status): ends the session and everything that it holds. DeadlineExceeded: no answer
  // in time; the locks are lost here, and free by the TTL at the latest.
  template <typename CompletionToken>
  auto Close(CompletionToken&& token) const {
    return boost::asio::async_initiate<CompletionToken, void(absl::Status)>(
        [](auto handler, std::shared_ptr<internal::SessionOwner> owner) {
          boost::asio::io_context& context = internal::ContextOf(*owner);
          internal::CloseSession(
              *owner, internal::MakeCompletion<absl::Status>(std::move(handler), context));
        },
        token, owner_);
  }

  [[nodiscard]] SessionId id() const;
  // Compares the clock at every call, like DistributedLock::held().
  [[nodiscard]] SessionState state() const;
  [[nodiscard]] SessionValidity validity() const;
  // Asked to stop when the session is lost.
  [[nodiscard]] std::stop_token lost() const;
  [[nodiscard]] explicit operator bool() const { return owner_ != nullptr; }

 private:
  std::shared_ptr<internal::SessionOwner> owner_;
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_SESSION_H_
