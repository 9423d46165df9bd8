#include "server/node/group_commit.h"

#include <utility>

#include "server/state/command.h"

namespace lockd::node {

bool GroupCommit::Admits(Admission admission, size_t bytes, size_t uncommitted_bytes) const {
  if (admission == Admission::kAlways) return true;
  const size_t factor = admission == Admission::kNewWork ? 1 : 2;
  return pending_bytes_ + bytes <= factor * pending_bytes_max_ &&
         uncommitted_bytes + pending_bytes_ + bytes <= factor * uncommitted_bytes_max_;
}

void GroupCommit::Add(state::Command command, size_t bytes, Waiter waiter, size_t clean_up_bytes) {
  pending_.push_back({std::move(command), bytes, std::move(waiter), clean_up_bytes});
  pending_bytes_ += bytes;
}

GroupCommit::Draft GroupCommit::Take(KeepAliveCollector& keep_alives, WallTime wall_time) {
  Draft draft;
  state::BatchBuilder builder;
  if (!keep_alives.empty()) {
    KeepAliveCollector::Taken taken = keep_alives.Take(batch_bytes_max_);
    builder.Add(std::move(taken.command));
    draft.waiters.emplace_back(std::move(taken.waiters));
  }
  size_t clean_up_bytes = 0;
  while (!pending_.empty()) {
    Pending& front = pending_.front();
    const size_t more = front.bytes + front.clean_up_bytes;
    if (builder.count() > 0 && builder.bytes() + clean_up_bytes + more > batch_bytes_max_) break;
    clean_up_bytes += front.clean_up_bytes;
    builder.Add(front.command);
    draft.waiters.push_back(std::move(front.waiter));
    pending_bytes_ -= front.bytes;
    pending_.pop_front();
  }
  draft.payload = builder.Take(wall_time);
  return draft;
}

std::vector<Waiter> GroupCommit::TakeAllWaiters() {
  std::vector<Waiter> waiters;
  waiters.reserve(pending_.size());
  for (Pending& pending : pending_) waiters.push_back(std::move(pending.waiter));
  pending_.clear();
  pending_bytes_ = 0;
  return waiters;
}

}  // namespace lockd::node
