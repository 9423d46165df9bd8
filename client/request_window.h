// RequestWindow: the mutating requests of a session that have a sequence and no answer yet.
//
//            acknowledged_through                next - 1
//   ... answered ─────┤ ? ✓ ? ? ✓ ✓ ? ... ? ├───── not used yet
//                       └── at most 1,024 ──┘
//
// A ring: a sequence's place is its remainder by the window size. Everything at or below
// acknowledged_through has been answered; the server forgets those replies and refuses sequences
// more than the window above it, so that none such is ever handed out. `?` are resent after each
// attach, in order.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_REQUEST_WINDOW_H_
#define LOCKD_CLIENT_REQUEST_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/time.h"

namespace lockd::client {

inline constexpr uint64_t kSequenceWindow = 1024;

enum class RequestKind : uint8_t { kAcquire, kRelease, kCancel, kReconcile };

struct Request {
  Sequence sequence;  // zero: a free place
  RequestKind kind = RequestKind::kAcquire;
  bool in_flight = false;  // on the current link
  uint64_t subject = 0;    // the operation, or for a reconcile its place in the batch
  LocalTime sent_at{};     // last time
};

class RequestWindow {
 public:
  // `used`: sequences up to here count as answered already.
  explicit RequestWindow(Sequence used = Sequence(0))
      : places_(kSequenceWindow),
        next_(used + 1),
        acknowledged_through_(used),
        send_from_(used + 1) {}

  // Sequences that can still be handed out.
  [[nodiscard]] uint64_t room() const {
    return acknowledged_through_.value() + kSequenceWindow + 1 - next_.value();
  }
  [[nodiscard]] Sequence acknowledged_through() const { return acknowledged_through_; }
  [[nodiscard]] Sequence last() const { return next_ - 1; }
  [[nodiscard]] size_t in_flight() const { return in_flight_; }
  [[nodiscard]] size_t unanswered() const { return unanswered_; }

  // The next sequence, not in flight yet. There is room.
  Request& Add(RequestKind kind, uint64_t subject);
  // The unanswered request of this sequence, or null.
  [[nodiscard]] Request* Find(Sequence sequence);
  // The unanswered request with this request id on the wire, or null.
  [[nodiscard]] Request* FindByRequestId(uint32_t request_id);
  // Unique among the unanswered ones, never zero, below 2^31.
  [[nodiscard]] static uint32_t RequestId(Sequence sequence) {
    return static_cast<uint32_t>(sequence.value() & (kRequestIdBit - 1)) | kRequestIdBit;
  }
  // Set in the request id of every mutation, and of nothing else.
  static constexpr uint32_t kRequestIdBit = 0x40000000u;

  void SetInFlight(Request& request, bool in_flight);
  // The place is free afterwards.
  void Answered(Request& request);
  // The link is gone: nothing is in flight; all are to be sent again.
  void LinkLost();

  // The unanswered request with the smallest sequence, or null.
  [[nodiscard]] const Request* Oldest() const;

  // Calls `send` for each request that is not in flight, in order of sequence. It returns whether
  // the request is in flight now; those that are not are offered again next time.
  template <typename Send>
  void ForEachToSend(Send send) {
    bool all_before_sent = true;
    for (Sequence sequence = send_from_; sequence < next_; ++sequence) {
      Request* request = Find(sequence);
      if (request != nullptr && !request->in_flight && !send(*request)) all_before_sent = false;
      if (all_before_sent) send_from_ = sequence + 1;
    }
  }

 private:
  std::vector<Request> places_;
  Sequence next_;
  Sequence acknowledged_through_;
  Sequence send_from_;  // no unanswered request below it is out of flight
  size_t in_flight_ = 0;
  size_t unanswered_ = 0;
};

}  // namespace lockd::client

#endif  // LOCKD_CLIENT_REQUEST_WINDOW_H_
