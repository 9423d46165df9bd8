// FenceGate: the check by which a resource refuses a holder that has been superseded.
//
// A lock cannot stop a holder that was paused while its lock went to another: only the resource
// can, by looking at the token that comes with every write. Put one gate in front of the resource,
// and pass it the token and mode of each request:
//
//   exclusive   admitted when its token is not below any token seen
//   shared      admitted when its token is above the last exclusive one seen
//   any         refused below the largest fence floor seen (the smallest token that was still live
//               when some grant was made; optional: 0 when the request does not carry it)
//
// Admitted requests are remembered, refused ones change nothing. The gate forgets when its process
// ends: a resource that survives its process keeps largest_token(), last_exclusive() and floor()
// with its data, in the same transaction, and passes them to the constructor.
//
// Header-only; needs nothing but the standard library and protocol/base/ids.h.
//
// Threading: pure value; one thread at a time. The check and the write that it admits belong
// together under the resource's own lock.
#ifndef LOCKD_CLIENT_FENCE_GATE_H_
#define LOCKD_CLIENT_FENCE_GATE_H_

#include <algorithm>
#include <cstdint>

#include "protocol/base/ids.h"

namespace lockd {

enum class FenceMode : uint8_t { kExclusive, kShared };

class FenceGate {
 public:
  FenceGate() = default;
  FenceGate(FencingToken largest_token, FencingToken last_exclusive, FencingToken floor)
      : largest_token_(largest_token), last_exclusive_(last_exclusive), floor_(floor) {}

  // Whether the request may go on. `fence_floor` is that of the grant.
  [[nodiscard]] bool Admit(FencingToken token, FenceMode mode = FenceMode::kExclusive,
                           FencingToken fence_floor = FencingToken(0)) {
    if (token.is_zero() || token < std::max(floor_, fence_floor)) return false;
    if (mode == FenceMode::kExclusive) {
      if (token < largest_token_) return false;
      last_exclusive_ = token;
    } else if (token <= last_exclusive_) {
      return false;
    }
    largest_token_ = std::max(largest_token_, token);
    floor_ = std::max(floor_, fence_floor);
    return true;
  }

  [[nodiscard]] FencingToken largest_token() const { return largest_token_; }
  [[nodiscard]] FencingToken last_exclusive() const { return last_exclusive_; }
  [[nodiscard]] FencingToken floor() const { return floor_; }

 private:
  FencingToken largest_token_;
  FencingToken last_exclusive_;
  FencingToken floor_;
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_FENCE_GATE_H_
