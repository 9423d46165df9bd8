#include "client/session.h"

#include "client/session_core.h"
#include "client/validity.h"

namespace lockd {

SessionId Session::id() const {
  return SessionId(owner_->core()->validity()->session_id.load(std::memory_order_relaxed));
}

SessionState Session::state() const {
  internal::SessionValidityState& validity = *owner_->core()->validity();
  const SessionState state = validity.state.load(std::memory_order_acquire);
  if (state != SessionState::kHealthy) return state;
  const LocalTime now = BootClock::Read();
  if (!validity.deadline.IsBefore(now)) return SessionState::kLost;
  const SessionValidity current = this->validity();
  const BootClock::time_point jeopardy =
      current.last_answer + (current.safe_until - current.last_answer) / 2;
  return BootClock::ToTimePoint(now) < jeopardy ? SessionState::kHealthy : SessionState::kJeopardy;
}

SessionValidity Session::validity() const {
  internal::SessionValidityState& validity = *owner_->core()->validity();
  SessionValidity current;
  current.last_answer =
      BootClock::ToTimePoint(LocalTime(validity.last_answer_ns.load(std::memory_order_relaxed)));
  if (validity.deadline.IsBefore(BootClock::Read())) {
    current.safe_until = BootClock::ToTimePoint(validity.deadline.Get());
  }
  return current;
}

std::stop_token Session::lost() const {
  internal::SessionValidityState& validity = *owner_->core()->validity();
  if (!validity.deadline.IsBefore(BootClock::Read())) validity.lost.request_stop();
  return validity.lost.get_token();
}

}  // namespace lockd
