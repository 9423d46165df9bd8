#include "server/node/keep_alive_collector.h"
#include "protocol/base/reach.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace lockd::node {
namespace {

// What one keep-alive takes up in the log, generously.
size_t BytesOf(const state::KeepAlives::One& one) {
  return 32 + 8 * one.acknowledged_acquires.size();
}

}  // namespace

bool KeepAliveCollector::Add(state::KeepAlives::One keep_alive, KeepAliveRef waiter) {
  const auto [place, is_new] = places_.try_emplace(keep_alive.session, slots_.size());
  if (is_new) {
    slots_.push_back({std::move(keep_alive), {waiter}});
    return true;
  }
  Slot& slot = slots_[place->second];
  std::vector<Sequence>& acknowledged = slot.keep_alive.acknowledged_acquires;
  if (acknowledged.size() + keep_alive.acknowledged_acquires.size() >
      state::kAcknowledgedAcquiresMax) {
    return false;
  }
  acknowledged.insert(acknowledged.end(), keep_alive.acknowledged_acquires.begin(),
                      keep_alive.acknowledged_acquires.end());
  // A session is bound to one connection at a time: the newest one is the one that counts, and a
  // keep-alive of an older epoch would be refused.
  slot.keep_alive.epoch = std::max(slot.keep_alive.epoch, keep_alive.epoch);
  LOCKD_REACH(kKeepAlivesOfOneSessionMerged);
  slot.waiters.push_back(waiter);
  return true;
}

void KeepAliveCollector::OnTime(LocalTime now) {
  if (!slots_.empty() && due_at_ == kNeverLocal) due_at_ = now + window_ns_;
}

KeepAliveCollector::Taken KeepAliveCollector::Take(size_t bytes_max) {
  Taken taken;
  size_t count = 0;
  for (size_t bytes = 0; count < slots_.size() && (count == 0 || bytes < bytes_max); ++count) {
    Slot& slot = slots_[count];
    bytes += BytesOf(slot.keep_alive);
    taken.command.sessions.push_back(std::move(slot.keep_alive));
    taken.waiters.push_back(std::move(slot.waiters));
  }
  slots_.erase(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(count));
  places_.clear();
  for (size_t i = 0; i < slots_.size(); ++i) places_.emplace(slots_[i].keep_alive.session, i);
  if (slots_.empty()) due_at_ = kNeverLocal;
  return taken;
}

KeepAliveRefs KeepAliveCollector::TakeAllWaiters() {
  KeepAliveRefs waiters;
  for (Slot& slot : slots_) waiters.push_back(std::move(slot.waiters));
  slots_.clear();
  places_.clear();
  due_at_ = kNeverLocal;
  return waiters;
}

}  // namespace lockd::node
