#include "server/node/cluster_clock.h"

#include <algorithm>

#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::node {

void ClusterClock::Start(ClusterTime last_entry, LocalTime now) {
  base_ = last_entry;
  elapsed_ns_ = 0;
  turn_ = now;
  uncommitted_.clear();
}

void ClusterClock::Advance(LocalTime now) {
  const int64_t passed_ns = now - turn_;
  LOCKD_CHECK(passed_ns >= 0, "the monotonic clock went back by ", -passed_ns, " ns");
  if (passed_ns > turn_advance_ns_max_) LOCKD_REACH(kLongTurnCapped);
  int64_t counted_ns = std::min(passed_ns, turn_advance_ns_max_);
  if (!uncommitted_.empty()) {
    // Up to the moment at which the oldest entry grew too old, time counts.
    const int64_t until_suppressed_ns = (uncommitted_.front().since + suppress_ns_) - turn_;
    if (until_suppressed_ns < counted_ns) LOCKD_REACH(kSuppressedTimeAfterStall);
    counted_ns = std::min(counted_ns, std::max<int64_t>(until_suppressed_ns, 0));
  }
  turn_ = now;
  elapsed_ns_ += counted_ns;
  suppressed_ns_ += passed_ns - counted_ns;
}

void ClusterClock::EndTurn(raft::Index last_index, raft::Index commit_index) {
  while (!uncommitted_.empty() && uncommitted_.front().last_index <= commit_index) {
    uncommitted_.pop_front();
  }
  const raft::Index known = uncommitted_.empty() ? commit_index : uncommitted_.back().last_index;
  if (last_index > known) uncommitted_.push_back({last_index, turn_});
}

bool ClusterClock::is_suppressed() const {
  return !uncommitted_.empty() && turn_ - uncommitted_.front().since >= suppress_ns_;
}

}  // namespace lockd::node
