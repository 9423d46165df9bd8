// What the loop of a session and any thread that asks share: until when the session and each of its
// holds may be believed in.
//
// Loss is final, also between threads: whoever sees a deadline pass first writes it down, and a
// renewal that comes in at the same moment finds that and gives up. So no thread can see "lost" and
// another one "held" after it.
//
// Threading: any (lock-free).
#ifndef LOCKD_CLIENT_VALIDITY_H_
#define LOCKD_CLIENT_VALIDITY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "client/outcomes.h"
#include "client/session_fsm.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"

namespace lockd::internal {

class SharedDeadline {
 public:
  explicit SharedDeadline(LocalTime deadline) : deadline_ns_(deadline.value()) {}

  // Whether `now` is before the deadline. If not, it is lost for good.
  bool IsBefore(LocalTime now) {
    int64_t deadline = deadline_ns_.load(std::memory_order_acquire);
    while (deadline != kLost) {
      if (now.value() < deadline) return true;
      if (deadline_ns_.compare_exchange_weak(deadline, kLost, std::memory_order_acq_rel)) break;
    }
    return false;
  }
  // The first deadline, before anybody asks.
  void Open(LocalTime deadline) { deadline_ns_.store(deadline.value(), std::memory_order_release); }
  // Moves the deadline, never back. False: it had been seen to be lost.
  bool Renew(LocalTime to) {
    int64_t deadline = deadline_ns_.load(std::memory_order_acquire);
    while (deadline != kLost) {
      if (to.value() <= deadline) return true;
      if (deadline_ns_.compare_exchange_weak(deadline, to.value(), std::memory_order_acq_rel)) {
        return true;
      }
    }
    return false;
  }
  void Lose() { deadline_ns_.store(kLost, std::memory_order_release); }
  // Zero when lost.
  [[nodiscard]] LocalTime Get() const {
    return LocalTime(deadline_ns_.load(std::memory_order_acquire));
  }

 private:
  static constexpr int64_t kLost = 0;
  std::atomic<int64_t> deadline_ns_;
};

struct SessionValidityState {
  // Until the session opens nothing asks, and nothing may be lost by asking.
  SharedDeadline deadline{kNeverLocal};
  std::atomic<int64_t> last_answer_ns{0};
  std::atomic<SessionState> state{SessionState::kOpening};
  std::atomic<uint64_t> session_id{0};
  std::stop_source lost;
};

class SessionOwner;

// One hold, shared by its DistributedLock and, weakly, by the session.
struct HoldState {
  HoldState(std::shared_ptr<SessionOwner> owner, std::shared_ptr<SessionValidityState> state,
            client::OperationId operation_id, std::string lock_name, FencingToken grant_token,
            FencingToken floor, LocalTime deadline)
      : session(std::move(owner)),
        validity(std::move(state)),
        operation(operation_id),
        name(std::move(lock_name)),
        token(grant_token),
        fence_floor(floor),
        hold_deadline(deadline) {}

  bool IsHeld(LocalTime now) {
    return validity->deadline.IsBefore(now) && hold_deadline.IsBefore(now);
  }

  const std::shared_ptr<SessionOwner> session;
  const std::shared_ptr<SessionValidityState> validity;
  const client::OperationId operation;
  const std::string name;
  const FencingToken token;
  const FencingToken fence_floor;
  SharedDeadline hold_deadline;  // of a maximum hold; lost as soon as the hold ends in any way
  std::stop_source lost;
};

}  // namespace lockd::internal

#endif  // LOCKD_CLIENT_VALIDITY_H_
