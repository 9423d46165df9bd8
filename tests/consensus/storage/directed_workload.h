// A workload that takes a log through all that can happen to it: it appends, cuts a conflicting
// suffix, rolls over segments, writes more than a segment holds, compacts, recycles and installs a
// base; every third entry is a configuration. For tests that cut the power in it.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_CONSENSUS_STORAGE_DIRECTED_WORKLOAD_H_
#define LOCKD_TESTS_CONSENSUS_STORAGE_DIRECTED_WORKLOAD_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tests/consensus/storage/log_fixture.h"

namespace lockd::storage {

// Writes in order; between them all background work is done.
inline std::vector<LogWrite> DirectedWorkload() {
  std::vector<LogWrite> writes;
  const auto append = [&writes](uint64_t first, uint64_t last, uint64_t term, size_t bytes) {
    LogWrite write;
    for (uint64_t i = first; i <= last; ++i) write.entries.push_back(MakeEntry(i, term, bytes));
    writes.push_back(std::move(write));
  };
  writes.push_back({.hard_state = MakeHardState(1, 2, 0)});
  append(1, 3, 1, 100);
  writes.push_back({.hard_state = MakeHardState(1, 2, 2),
                    .entries = {MakeEntry(4, 1, 900)},
                    .cluster_id = ClusterId(42)});
  append(5, 8, 1, 300);  // three sectors; rolls over
  append(9, 9, 1, 0);
  // A conflicting suffix, in the next term and with a vote.
  writes.push_back({.hard_state = MakeHardState(2, 3, 4),
                    .entries = {MakeEntry(6, 2, 40), MakeEntry(7, 2, 40)}});
  for (uint64_t i = 8; i <= 13; ++i) append(i, i, 2, 200);
  append(14, 15, 2, 2500);  // larger than a segment
  append(16, 16, 2, 10);
  writes.push_back({.hard_state = MakeHardState(2, 3, 15), .base = MakeBase(14, 2)});
  for (uint64_t i = 17; i <= 30; ++i) append(i, i, 2, 300);  // into recycled files
  writes.push_back({.base = MakeBase(29, 2)});
  // A snapshot beyond the log, and the log goes on behind it.
  writes.push_back({.hard_state = MakeHardState(5, 0, 100),
                    .entries = {MakeEntry(101, 5, 20)},
                    .base = MakeBase(100, 5)});
  for (uint64_t i = 102; i <= 112; ++i) append(i, i, 5, 200);
  for (LogWrite& write : writes) {
    for (raft::Entry& entry : write.entries) {
      if (entry.index.value() % 3 == 0) entry.kind = raft::EntryKind::kConfiguration;
    }
  }
  return writes;
}

// An empty disk with a place for the log's directory.
inline std::unique_ptr<MemFileSystem> NewDisk() {
  auto disk = std::make_unique<MemFileSystem>();
  EXPECT_TRUE(disk->CreateDirectory("/data").ok());
  EXPECT_TRUE(disk->SyncDirectory("/").ok());
  return disk;
}

}  // namespace lockd::storage

#endif  // LOCKD_TESTS_CONSENSUS_STORAGE_DIRECTED_WORKLOAD_H_
