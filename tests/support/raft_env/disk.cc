#include "tests/support/raft_env/disk.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "protocol/base/check.h"

namespace lockd::raft_env {

const raft::Entry* Disk::At(raft::Index index) const {
  if (index <= base_index || index > last_index()) return nullptr;
  return &entries[index - base_index - 1];
}

void Disk::Write(const raft::WriteRequest& write) {
  if (write.hard_state) hard_state = *write.hard_state;
  if (write.entries.empty()) return;
  const raft::Index first = write.entries.front().index;
  LOCKD_CHECK(first > base_index && first <= last_index() + 1, "write leaves a gap: first ", first,
              ", on disk ", base_index, "..", last_index());
  entries.resize(first - base_index - 1);
  entries.insert(entries.end(), write.entries.begin(), write.entries.end());
}

raft::RecoveredLog Disk::Recover(size_t tail_bytes_max) const {
  raft::RecoveredLog recovered;
  recovered.hard_state = hard_state;
  recovered.base_index = base_index;
  recovered.base_term = base_term;
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
  return recovered;
}

std::vector<raft::Entry> Disk::Read(const raft::ReadRequest& read) const {
  std::vector<raft::Entry> found;
  size_t bytes = 0;
  for (raft::Index index = read.first; index <= read.last; ++index) {
    const raft::Entry* entry = At(index);
    LOCKD_CHECK(entry != nullptr, "read of ", read.first, "..", read.last, ", on disk ",
                base_index + 1, "..", last_index());
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
