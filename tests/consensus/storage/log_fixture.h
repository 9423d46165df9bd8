// What the tests of the log share: a model of the log that is plain vectors, and short ways to make
// entries and writes.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_CONSENSUS_STORAGE_LOG_FIXTURE_H_
#define LOCKD_TESTS_CONSENSUS_STORAGE_LOG_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "consensus/storage/failure.h"
#include "consensus/storage/log_store.h"
#include "consensus/storage/wal_format.h"
#include "tests/support/mem_file_system.h"

namespace lockd::storage {

inline constexpr char kWal[] = "/data/wal";

// Room for a head, six batches of one sector with their copies, and a seal.
inline constexpr uint64_t kSmallSegmentBytes = kHeadBytes + 6 * 2 * kSectorBytes + kSealBytes;

inline LogStoreOptions SmallOptions() {
  return {.directory = kWal,
          .node_id = NodeId(2),
          .cluster_name = "orders",
          .incarnation_draw = Incarnation(0x1122334455667788),
          .segment_bytes = kSmallSegmentBytes};
}

inline raft::Entry MakeEntry(uint64_t index, uint64_t term, size_t payload_bytes = 10) {
  std::string payload(payload_bytes, static_cast<char>('a' + (index + term) % 26));
  return {.term = raft::Term(term),
          .index = raft::Index(index),
          .kind = payload_bytes == 0 ? raft::EntryKind::kNoop : raft::EntryKind::kCommand,
          .time = ClusterTime(static_cast<int64_t>(index) * 10),
          .payload = std::move(payload)};
}

// To the log its payload is bytes, as that of any other entry.
inline raft::Entry MakeConfiguration(uint64_t index, uint64_t term, size_t payload_bytes = 10) {
  raft::Entry entry = MakeEntry(index, term, payload_bytes);
  entry.kind = raft::EntryKind::kConfiguration;
  return entry;
}

inline raft::HardState MakeHardState(uint64_t term, uint64_t voted_for, uint64_t commit) {
  return {.term = raft::Term(term), .voted_for = NodeId(voted_for), .commit = raft::Index(commit)};
}

inline LogBase MakeBase(uint64_t index, uint64_t term) {
  return {.index = raft::Index(index),
          .term = raft::Term(term),
          .time = ClusterTime(static_cast<int64_t>(index) * 10)};
}

// What a log must hold, kept as simply as can be.
struct LogModel {
  raft::HardState hard_state;
  ClusterId cluster_id;
  LogBase base;
  std::vector<raft::Entry> entries;  // above the base

  friend bool operator==(const LogModel&, const LogModel&) = default;

  [[nodiscard]] uint64_t last() const { return base.index.value() + entries.size(); }

  void Apply(const LogWrite& write) {
    if (write.base) ApplyBase(*write.base);
    if (write.hard_state) hard_state = *write.hard_state;
    if (write.cluster_id) cluster_id = *write.cluster_id;
    for (const raft::Entry& entry : write.entries) {
      entries.resize(entry.index - base.index - 1);
      entries.push_back(entry);
    }
  }
  void ApplyBase(const LogBase& new_base) {
    if (new_base.index <= base.index) return;
    const uint64_t dropped = new_base.index - base.index;
    const bool holds = dropped <= entries.size() && entries[dropped - 1].term == new_base.term;
    if (holds) {
      entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(dropped));
    } else {
      entries.clear();
    }
    base = new_base;
  }
  [[nodiscard]] std::vector<raft::Entry> Configurations() const {
    std::vector<raft::Entry> found;
    for (const raft::Entry& entry : entries) {
      if (entry.kind == raft::EntryKind::kConfiguration) found.push_back(entry);
    }
    return found;
  }
  // All of an open log, by its own account and by reading every entry back from disk.
  static LogModel Of(OpenedLog* opened) {
    LogModel model;
    model.hard_state = opened->log.hard_state;
    model.cluster_id = opened->identity.cluster_id;
    model.base = {.index = opened->log.base_index,
                  .term = opened->log.base_term,
                  .time = opened->log.base_time};
    if (opened->log.last_index > opened->log.base_index) {
      auto read = opened->store->Read({.id = 1,
                                       .first = opened->log.base_index + 1,
                                       .last = opened->log.last_index,
                                       .bytes_max = ~size_t{0}});
      EXPECT_TRUE(read.ok()) << read.status();
      if (read.ok()) model.entries = *std::move(read);
    }
    EXPECT_EQ(opened->log.configurations, model.Configurations());
    return model;
  }
};

inline void PrintTo(const LogModel& model, std::ostream* out) {
  *out << "{term " << model.hard_state.term.value() << " vote "
       << model.hard_state.voted_for.value() << " commit " << model.hard_state.commit.value()
       << " cluster " << model.cluster_id.value() << " base " << model.base.index.value() << "/"
       << model.base.term.value() << " entries";
  for (const raft::Entry& entry : model.entries) {
    *out << " " << entry.index.value() << "/" << entry.term.value();
  }
  *out << "}";
}

// Runs all background work that the store asks for, in place.
inline void RunFileJobs(FileSystem* file_system, LogStore* store) {
  while (std::optional<FileJob> job = store->TakeFileJob()) {
    absl::StatusOr<bool> done = false;
    while (done.ok() && !*done) done = LogStore::RunFileJobSlice(file_system, &*job);
    store->FileJobDone(*job, done.status());
  }
}

class LogTest : public testing::Test {
 protected:
  LogTest() {
    EXPECT_TRUE(disk_.CreateDirectory("/data").ok());
    EXPECT_TRUE(disk_.SyncDirectory("/").ok());
  }

  // -- verbs --
  absl::Status TryOpen() {
    opened_ = OpenedLog();
    absl::StatusOr<OpenedLog> opened = LogStore::Open(&disk_, options_);
    if (!opened.ok()) return opened.status();
    opened_ = *std::move(opened);
    return absl::OkStatus();
  }
  void Open() {
    absl::Status status = TryOpen();
    ASSERT_TRUE(status.ok()) << status;
  }
  absl::Status TryWrite(const LogWrite& write) { return opened_.store->Write(write); }
  void Write(const LogWrite& write) {
    absl::Status status = TryWrite(write);
    ASSERT_TRUE(status.ok()) << status;
    model_.Apply(write);
  }
  void SetState(uint64_t term, uint64_t voted_for, uint64_t commit) {
    Write({.hard_state = MakeHardState(term, voted_for, commit)});
  }
  // One write with these entries; each payload of `payload_bytes`.
  void Append(uint64_t first, uint64_t last, uint64_t term, size_t payload_bytes = 10) {
    LogWrite write;
    for (uint64_t i = first; i <= last; ++i) {
      write.entries.push_back(MakeEntry(i, term, payload_bytes));
    }
    if (term > model_.hard_state.term.value()) {
      write.hard_state = MakeHardState(term, 0, model_.hard_state.commit.value());
    }
    Write(write);
  }
  void Prepare() { RunFileJobs(&disk_, opened_.store.get()); }
  void CutPower(MemFileSystem::Unsynced unsynced = MemFileSystem::Unsynced::kLost) {
    opened_ = OpenedLog();
    disk_.Crash(unsynced, &random_);
  }
  // Opens again and expects what the writes so far add up to.
  void ReopenAndExpectAll() {
    Open();
    ASSERT_NE(opened_.store, nullptr);
    EXPECT_EQ(LogModel::Of(&opened_), model_);
  }
  [[nodiscard]] std::string Path(uint64_t life) const { return JoinPath(kWal, SegmentName(life)); }

  MemFileSystem disk_;
  Random random_{1};
  LogStoreOptions options_ = SmallOptions();
  OpenedLog opened_;
  LogModel model_;
};

}  // namespace lockd::storage

#endif  // LOCKD_TESTS_CONSENSUS_STORAGE_LOG_FIXTURE_H_
