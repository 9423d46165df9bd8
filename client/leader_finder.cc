#include "client/leader_finder.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"

namespace lockd::client {
namespace {

constexpr int kHintsInARowMax = 3;
constexpr size_t kHintBytesMax = 261;  // a host name of 255 bytes, a colon and a port

}  // namespace

LeaderFinder::LeaderFinder(std::vector<std::string> endpoints, int64_t backoff_ms_min,
                           int64_t backoff_ms_max, uint64_t seed)
    : endpoints_(std::move(endpoints)),
      backoff_ms_min_(backoff_ms_min),
      backoff_ms_max_(backoff_ms_max),
      random_(seed) {
  LOCKD_CHECK(!endpoints_.empty(), "a session without endpoints");
  LOCKD_CHECK(0 < backoff_ms_min_ && backoff_ms_min_ <= backoff_ms_max_, backoff_ms_min_, "..",
              backoff_ms_max_);
  next_ = static_cast<size_t>(random_.Below(endpoints_.size()));
}

std::string LeaderFinder::Next() {
  if (!hint_.empty()) {
    last_ = std::exchange(hint_, {});
    return last_;
  }
  // Not the one that has just failed, if there is another.
  if (endpoints_[next_] == last_) next_ = (next_ + 1) % endpoints_.size();
  last_ = endpoints_[next_];
  next_ = (next_ + 1) % endpoints_.size();
  return last_;
}

bool LeaderFinder::OnHint(absl::string_view address) {
  if (address.empty() || address.size() > kHintBytesMax) return false;
  if (hints_in_a_row_ >= kHintsInARowMax) return false;
  ++hints_in_a_row_;
  hint_ = std::string(address);
  return true;
}

int64_t LeaderFinder::OnFailureNs() {
  hints_in_a_row_ = 0;
  backoff_ms_ = backoff_ms_ == 0 ? backoff_ms_min_ : std::min(backoff_ms_ * 2, backoff_ms_max_);
  const int64_t full_ns = backoff_ms_ * kNanosPerMilli;
  return static_cast<int64_t>(
      random_.Between(static_cast<uint64_t>(full_ns / 2), static_cast<uint64_t>(full_ns)));
}

void LeaderFinder::OnAttached() {
  hints_in_a_row_ = 0;
  backoff_ms_ = 0;
}

}  // namespace lockd::client
