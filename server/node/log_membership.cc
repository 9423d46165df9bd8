#include "server/node/log_membership.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "protocol/base/check.h"
#include "server/state/command.h"

namespace lockd::node {

void LogMembership::Start(const raft::RecoveredLog& recovered) {
  next_ = recovered.base_index + 1;
  last_ = recovered.last_index;
  is_done_ = next_ > last_;
  if (!is_done_ && recovered.tail.front().index == next_) Look(recovered.tail);
}

void LogMembership::Look(const std::vector<raft::Entry>& entries) {
  for (const raft::Entry& entry : entries) {
    if (is_done_) return;
    LOCKD_CHECK(entry.index == next_, "entry ", entry.index, " instead of ", next_);
    ++next_;
    is_done_ = next_ > last_;
    if (entry.kind != raft::EntryKind::kCommand) continue;
    // Nothing is logged before the Bootstrap or Refound: the first command is it, or there is none.
    is_done_ = true;
    absl::StatusOr<state::Batch> batch = state::DecodeBatch(entry.payload);
    if (!batch.ok() || batch->commands.empty()) return;  // apply will end the process with a reason
    if (auto* bootstrap = std::get_if<state::Bootstrap>(&batch->commands.front())) {
      found_ = std::move(*bootstrap);
    } else if (auto* refound = std::get_if<state::Refound>(&batch->commands.front())) {
      found_ = std::move(refound->bootstrap);
    }
  }
}

storage::LogRead LogMembership::NextRead(uint64_t id) const {
  constexpr uint64_t kEntriesMax = 64;
  constexpr size_t kBytesMax = 1024 * 1024;
  return {.id = id,
          .first = next_,
          .last = std::min(last_, next_ + (kEntriesMax - 1)),
          .bytes_max = kBytesMax};
}

}  // namespace lockd::node
