#include "server/state/refounding.h"

#include <algorithm>
#include <vector>

#include "protocol/base/check.h"
#include "server/state/lock_database.h"

namespace lockd::state {
namespace {

constexpr int64_t k2024Ms = 1'704'067'200'000;  // 2024-01-01T00:00:00Z
constexpr int64_t kMinuteMs = 60'000;
constexpr int kMinuteBits = 37;
constexpr int kMillisecondBits = 21;
static_assert((kMinuteMs << kMillisecondBits) < (int64_t{1} << kMinuteBits));

}  // namespace

std::optional<uint64_t> NumbersFrom(uint64_t last, WallTime now) {
  const int64_t since_ms = now.value() - k2024Ms;
  if (since_ms < 0) return std::nullopt;
  const auto minute = static_cast<uint64_t>(since_ms / kMinuteMs);
  const auto rest_ms = static_cast<uint64_t>(since_ms % kMinuteMs);
  if (minute >= uint64_t{1} << (63 - kMinuteBits) || minute <= last >> kMinuteBits) {
    return std::nullopt;
  }
  return (minute << kMinuteBits) + (rest_ms << kMillisecondBits);
}

ClusterTime LockDatabase::PrepareRefounding() {
  LOCKD_CHECK(snapshot_ == nullptr && !is_applying(), "a state is refounded at a wrong moment");
  const Slab<Session>& slab = sessions_.slab();
  int64_t ttl_ms_max = 0;
  for (uint32_t slot = 0; slot < slab.end_id(); ++slot) {
    if (slab.IsLive(slot)) ttl_ms_max = std::max(ttl_ms_max, slab[slot].ttl_ms);
  }
  const ClusterTime delayed_until = LeaseFromNow(ttl_ms_max);
  for (uint32_t slot = 0; slot < slab.end_id(); ++slot) {
    if (slab.IsLive(slot)) EndForRefounding(slot, delayed_until);
  }
  cluster_id_ = ClusterId(0);
  members_.clear();
  last_node_id_ = NodeId(0);
  return delayed_until;
}

// An ended session frees its holds when its deadline comes: the lock-delay is nothing else.
void LockDatabase::EndForRefounding(uint32_t slot, ClusterTime delayed_until) {
  const Session& session = sessions_[slot];
  if (session.settled) return;
  std::vector<uint32_t> waiters;
  for (const auto& [acquire, ref] : session.acquires) {
    if (ref.is_waiting()) waiters.push_back(ref.record());
  }
  for (const uint32_t waiter : waiters) RemoveWaiter(waiter);
  if (session.ended) {
    sessions_.PutOffEnd(slot, delayed_until);  // it was being cleaned up
  } else {
    sessions_.End(slot, SessionEndReason::kRefounded, delayed_until, time_ + kEndedSessionKeptMs);
  }
  deadlines_.Move(session.deadline_handle, delayed_until);
  if (session.acquires.empty()) SettleEnd(slot);
}

CommandResult LockDatabase::Apply(const Refound& command) {
  const bool is_above = command.numbers_from > counter_;
  if (!is_above || command.bootstrap.feature_level < feature_level_) {
    CommandResult refused;
    refused.refusal = Refusal::kInvalid;
    return refused;
  }
  CommandResult founded = Apply(command.bootstrap);
  if (founded.refusal == Refusal::kNone) counter_ = command.numbers_from;
  return founded;
}

}  // namespace lockd::state
