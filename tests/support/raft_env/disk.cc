#include "tests/support/raft_env/disk.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "protocol/base/check.h"

namespace lockd::raft_env {

const raft::Entry* Disk::At(raft::Index index) const {
  if (index <= base.index || index > last_index()) return nullptr;
  return &entries[index - base.index - 1];
}

bool Disk::Holds(const raft::LogBase& entry) const {
  if (entry.index <= base.index) return true;
  const raft::Entry* held = At(entry.index);
  return held != nullptr && held->term == entry.term;
}

void Disk::Rebase(const raft::LogBase& to) {
  if (to.index <= base.index) return;
  const bool keeps = Holds(to);
  const auto covered = static_cast<std::ptrdiff_t>(to.index - base.index);
  entries.erase(entries.begin(), keeps ? entries.begin() + covered : entries.end());
  base = to;
}

void Disk::Start() {
  if (!snapshot || Holds(*snapshot)) return;
  Rebase(*snapshot);
  if (hard_state.term < snapshot->term) {
    hard_state.term = snapshot->term;
    hard_state.voted_for = NodeId(0);
  }
}

void Disk::Write(const raft::WriteRequest& write) {
  if (write.hard_state) hard_state = *write.hard_state;
  if (write.base) Rebase(*write.base);
  if (write.entries.empty()) return;
  const raft::Index first = write.entries.front().index;
  LOCKD_CHECK(first > base.index && first <= last_index() + 1, "write leaves a gap: first ", first,
              ", on disk ", base.index, "..", last_index());
  entries.resize(first - base.index - 1);
  entries.insert(entries.end(), write.entries.begin(), write.entries.end());
}

raft::RecoveredLog Disk::Recover(size_t tail_bytes_max) const {
  raft::RecoveredLog recovered;
  recovered.hard_state = hard_state;
  recovered.base_index = base.index;
  recovered.base_term = base.term;
  recovered.base_time = base.time;
  recovered.applied_index = std::max(base.index, snapshot ? snapshot->index : raft::Index(0));
  recovered.last_index = last_index();
  size_t bytes = 0;
  auto first = entries.end();
  while (first != entries.begin()) {
    bytes += (first - 1)->size_bytes();
    const bool needed = first == entries.end() || (first - 1)->index >= hard_state.commit;
    if (bytes > tail_bytes_max && !needed) break;
    --first;
  }
  recovered.tail.assign(first, entries.end());
  std::copy_if(
      entries.begin(), entries.end(), std::back_inserter(recovered.configurations),
      [](const raft::Entry& entry) { return entry.kind == raft::EntryKind::kConfiguration; });
  return recovered;
}

std::vector<raft::Entry> Disk::Read(const raft::ReadRequest& read) const {
  std::vector<raft::Entry> found;
  size_t bytes = 0;
  for (raft::Index index = read.first; index <= read.last; ++index) {
    const raft::Entry* entry = At(index);
    LOCKD_CHECK(entry != nullptr, "read of ", read.first, "..", read.last, ", on disk ",
                base.index + 1, "..", last_index());
    bytes += entry->size_bytes();
    if (bytes > read.bytes_max && !found.empty()) break;
    found.push_back(*entry);
  }
  return found;
}

raft::Entry ScriptedEntry(raft::Term term, raft::Index index) {
  return {.term = term,
          .index = index,
          .kind = raft::EntryKind::kCommand,
          .time = ClusterTime(0),
          .payload = absl::StrCat("x", index, ".", term)};
}

std::string DescribeWrite(const raft::WriteRequest& write) {
  std::string text = absl::StrCat("#", write.id);
  if (write.hard_state) {
    absl::StrAppend(&text, " t", write.hard_state->term, " vote=", write.hard_state->voted_for,
                    " commit=", write.hard_state->commit);
  }
  if (write.base) absl::StrAppend(&text, " base=(", write.base->term, ",", write.base->index, ")");
  if (write.entries.empty()) return text;
  absl::StrAppend(&text, " [",
                  absl::StrJoin(write.entries, " ",
                                [](std::string* out, const raft::Entry& entry) {
                                  absl::StrAppend(out, "(", entry.term, ",", entry.index, ")");
                                }),
                  "]");
  return text;
}

}  // namespace lockd::raft_env
