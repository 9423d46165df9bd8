#include "client/lease.h"

#include <algorithm>

namespace lockd::client {
namespace {

// Keeps hostile numbers from overflowing; no honest difference comes near it (30 years).
constexpr int64_t kSpanMsMax = 1'000'000'000'000;

int64_t ClampedSpanMs(ClusterTime from, ClusterTime to) {
  // Both are checked to be within [0, 2^62) where they come in, so that the difference is exact.
  return std::clamp<int64_t>(to - from, -kSpanMsMax, kSpanMsMax);
}

LocalTime Plus(LocalTime time, int64_t ms) {
  return time + ms * kNanosPerMilli;
}

}  // namespace

void Lease::CreditRenewal(LocalTime sent_at, ClusterTime cluster_time) {
  renewed_at_ = std::max(renewed_at_, sent_at);
  references_[reference_count_ % kReferences] = {sent_at, cluster_time};
  ++reference_count_;
}

void Lease::CreditPing(LocalTime sent_at) {
  pinged_at_ = std::max(pinged_at_, sent_at);
}

LocalTime Lease::deadline() const {
  if (reference_count_ == 0) return LocalTime(0);
  const LocalTime by_ttl = Plus(renewed_at_, ttl_ms_);
  return grace_ms_ == 0 ? by_ttl : std::min(by_ttl, Plus(pinged_at_, grace_ms_));
}

LocalTime Lease::last_answer() const {
  return std::max(renewed_at_, pinged_at_);
}

LocalTime Lease::jeopardy() const {
  const LocalTime from = last_answer();
  return from + std::max<int64_t>(deadline() - from, 0) / 2;
}

// The server frees the hold when cluster time reaches granted_at + H + margin(H). Cluster time at a
// moment at which this client sent something is at most the stamp of its answer. So each (send time
// s, stamp T) gives a bound: counting from s, cluster time has still to go from T to granted_at +
// H.
//
//   T >= granted_at   what is left is at most H, and margin(H) covers the drift over it
//   T <  granted_at   the way from T to granted_at is not covered by the margin: it is counted
//                     shorter by the same ratio that the margin is made with
//
// The acquire itself is one more such pair, with T = granted_at: it was sent before it was granted.
// Each bound is safe, so that the latest of them is.
LocalTime Lease::HoldDeadline(LocalTime first_sent_at, ClusterTime granted_at,
                              ClusterTime hold_deadline) const {
  const int64_t hold_ms = std::max<int64_t>(ClampedSpanMs(granted_at, hold_deadline), 0);
  LocalTime latest = Plus(first_sent_at, hold_ms);
  for (size_t i = 0; i < std::min(reference_count_, kReferences); ++i) {
    const Reference& reference = references_[i];
    const int64_t before_ms = ClampedSpanMs(reference.cluster_time, granted_at);
    const int64_t counted_ms =
        before_ms > 0 ? before_ms * (kDriftDivisor - 1) / (kDriftDivisor + 1) : before_ms;
    latest = std::max(latest, Plus(reference.sent_at, counted_ms + hold_ms));
  }
  return latest;
}

}  // namespace lockd::client
