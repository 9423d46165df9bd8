// Lease: until when this client may believe in its session, by its own clock.
//
//   TTL deadline      send time of the newest transmission that was answered + TTL
//   grace deadline    send time of the newest answered ping (or attach) + grace, if the session has
//   a disconnect grace deadline          the earlier of the two
//
// The server counts the same durations from a moment after the send, and longer (ServerDurationMs),
// so that it never ends the session before this deadline. Send times are taken before the bytes
// leave, and a credit never moves a deadline back.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_LEASE_H_
#define LOCKD_CLIENT_LEASE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "protocol/base/time.h"

namespace lockd::client {

class Lease {
 public:
  Lease(int64_t ttl_ms, int64_t grace_ms) : ttl_ms_(ttl_ms), grace_ms_(grace_ms) {}

  // An open, attach or keep-alive that was sent at `sent_at` has been answered from apply at
  // `cluster_time`.
  void CreditRenewal(LocalTime sent_at, ClusterTime cluster_time);
  // A ping (or an attach) that was sent at `sent_at` has been answered on the connection of the
  // current epoch.
  void CreditPing(LocalTime sent_at);

  // Zero before the first credit.
  [[nodiscard]] LocalTime deadline() const;
  // Send time of the newest answered transmission of any kind.
  [[nodiscard]] LocalTime last_answer() const;
  // From here on the session is in jeopardy: half of the way from the last answer to the deadline.
  [[nodiscard]] LocalTime jeopardy() const;

  // When a hold with a maximum ends, as this client counts it: never after the server frees it.
  // `first_sent_at` is when its acquire was sent for the first time.
  [[nodiscard]] LocalTime HoldDeadline(LocalTime first_sent_at, ClusterTime granted_at,
                                       ClusterTime hold_deadline) const;

 private:
  struct Reference {
    LocalTime sent_at;
    ClusterTime cluster_time;
  };
  static constexpr size_t kReferences = 8;

  int64_t ttl_ms_;
  int64_t grace_ms_;
  LocalTime renewed_at_;
  LocalTime pinged_at_;
  // The newest answered renewals, a ring.
  std::array<Reference, kReferences> references_{};
  size_t reference_count_ = 0;
};

}  // namespace lockd::client

#endif  // LOCKD_CLIENT_LEASE_H_
