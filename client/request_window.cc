#include "client/request_window.h"

#include "protocol/base/check.h"

namespace lockd::client {

Request& RequestWindow::Add(RequestKind kind, uint64_t subject) {
  LOCKD_CHECK(room() > 0, "sequence ", next_, " above the window");
  Request& request = places_[next_.value() % kSequenceWindow];
  request = Request{.sequence = next_, .kind = kind, .subject = subject};
  ++next_;
  ++unanswered_;
  return request;
}

Request* RequestWindow::Find(Sequence sequence) {
  if (sequence <= acknowledged_through_ || sequence >= next_) return nullptr;
  Request& request = places_[sequence.value() % kSequenceWindow];
  return request.sequence == sequence ? &request : nullptr;
}

Request* RequestWindow::FindByRequestId(uint32_t request_id) {
  // The id has the low bits of the sequence, and the window is far smaller than what they span.
  Request& request = places_[request_id % kSequenceWindow];
  const bool found = !request.sequence.is_zero() && RequestId(request.sequence) == request_id;
  return found ? &request : nullptr;
}

void RequestWindow::SetInFlight(Request& request, bool in_flight) {
  if (request.in_flight == in_flight) return;
  request.in_flight = in_flight;
  in_flight_ += in_flight ? 1 : size_t(-1);
  if (!in_flight && request.sequence < send_from_) send_from_ = request.sequence;
}

void RequestWindow::Answered(Request& request) {
  if (request.in_flight) --in_flight_;
  --unanswered_;
  request = Request{};
  while (acknowledged_through_ + 1 < next_ && Find(acknowledged_through_ + 1) == nullptr) {
    ++acknowledged_through_;
  }
  if (send_from_ <= acknowledged_through_) send_from_ = acknowledged_through_ + 1;
}

void RequestWindow::LinkLost() {
  for (Request& request : places_) request.in_flight = false;
  in_flight_ = 0;
  send_from_ = acknowledged_through_ + 1;
}

const Request* RequestWindow::Oldest() const {
  return const_cast<RequestWindow*>(this)->Find(acknowledged_through_ + 1);
}

}  // namespace lockd::client
