// What the tests of snapshots share: contents of any size, and short ways to make, finish and read
// a snapshot beside a log.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_CONSENSUS_STORAGE_SNAPSHOT_FIXTURE_H_
#define LOCKD_TESTS_CONSENSUS_STORAGE_SNAPSHOT_FIXTURE_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "consensus/storage/snapshot_format.h"
#include "consensus/storage/snapshot_job.h"
#include "consensus/storage/snapshot_store.h"
#include "consensus/storage/start.h"
#include "protocol/base/crc32c.h"
#include "tests/consensus/storage/log_fixture.h"

namespace lockd::storage {

inline constexpr char kSnapshots[] = "/data/snapshots";

// Other bytes for each `salt`.
inline std::string MakeContent(size_t bytes, uint64_t salt) {
  Random random(salt * 1'000'003 + bytes);
  std::string content(bytes, '\0');
  for (char& byte : content) byte = static_cast<char>(random.Below(256));
  return content;
}

inline raft::SnapshotId IdOfContent(const LogBase& base, absl::string_view content) {
  return {.base = base, .bytes = content.size(), .checksum = Crc32c(content)};
}

inline StorageOptions SmallStorage(const LogStoreOptions& log = SmallOptions()) {
  return {.log = log, .snapshot_directory = kSnapshots};
}

inline std::vector<std::string> NamesIn(FileSystem* file_system, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = file_system->List(directory);
  return names.ok() ? *std::move(names) : std::vector<std::string>();
}

// All slices of a job.
inline SnapshotJobDone RunJob(SnapshotStore* store, const SnapshotJob& job) {
  std::optional<SnapshotJobDone> done;
  while (!done) done = store->RunSlice(job);
  EXPECT_EQ(done->id, IdOf(job));
  return *std::move(done);
}

class SnapshotTest : public LogTest {
 protected:
  // -- verbs --
  absl::Status TryStart() {
    storage_ = OpenedStorage();
    opened_ = OpenedLog();
    absl::StatusOr<OpenedStorage> storage = OpenStorage(&disk_, SmallStorage(options_));
    if (!storage.ok()) return storage.status();
    storage_ = *std::move(storage);
    opened_ = std::move(storage_.log);  // where the verbs of LogTest look for it
    return absl::OkStatus();
  }
  void Start() {
    absl::Status status = TryStart();
    ASSERT_TRUE(status.ok()) << status;
  }
  SnapshotJobDone Run(const SnapshotJob& job) { return RunJob(storage_.snapshots.get(), job); }
  // A draft with this content, in pieces.
  absl::Status WriteDraft(uint64_t draft, const LogBase& base, const std::string& content,
                          size_t piece = 10'000) {
    for (size_t at = 0; at == 0 || at < content.size(); at += piece) {
      const SnapshotJobDone done = Run(SnapshotWrite{.id = ++job_id_,
                                                     .draft = draft,
                                                     .base = base,
                                                     .offset = at,
                                                     .bytes = content.substr(at, piece)});
      if (!done.status.ok()) return done.status;
    }
    return absl::OkStatus();
  }
  SnapshotJobDone Finish(uint64_t draft, const raft::SnapshotId& id) {
    return Run(SnapshotFinish{.id = ++job_id_, .draft = draft, .snapshot = id});
  }
  absl::Status Abandon(uint64_t draft) {
    return Run(SnapshotAbandon{.id = ++job_id_, .draft = draft}).status;
  }
  // The whole way to a snapshot of this entry; its content depends on `salt`.
  SnapshotJobDone TryTake(uint64_t index, uint64_t term, size_t bytes = 1'000, uint64_t salt = 0) {
    const std::string content = MakeContent(bytes, index + salt);
    const LogBase base = MakeBase(index, term);
    const absl::Status written = WriteDraft(++draft_, base, content);
    if (!written.ok()) return {.id = job_id_, .status = written};
    return Finish(draft_, IdOfContent(base, content));
  }
  raft::SnapshotId Take(uint64_t index, uint64_t term, size_t bytes = 1'000) {
    const SnapshotJobDone done = TryTake(index, term, bytes);
    EXPECT_TRUE(done.status.ok()) << done.status;
    return IdOfContent(MakeBase(index, term), MakeContent(bytes, index));
  }
  SnapshotJobDone Read(const raft::SnapshotId& id, uint64_t offset, size_t bytes_max) {
    return Run(
        SnapshotRead{.id = ++job_id_, .snapshot = id, .offset = offset, .bytes_max = bytes_max});
  }
  // The content, read in pieces of at most this size.
  std::string ReadAll(const raft::SnapshotId& id, size_t bytes_max = 100'000) {
    std::string content;
    while (true) {
      const SnapshotJobDone done = Read(id, content.size(), bytes_max);
      EXPECT_TRUE(done.status.ok()) << done.status;
      if (!done.status.ok() || done.bytes.empty()) return content;
      content += done.bytes;
    }
  }
  [[nodiscard]] static std::string SnapshotPath(uint64_t index, uint64_t term) {
    return JoinPath(kSnapshots,
                    SnapshotName({.index = raft::Index(index), .term = raft::Term(term)}));
  }
  // Indexes of the files that have a snapshot's name.
  [[nodiscard]] std::vector<uint64_t> Files() {
    std::vector<uint64_t> indexes;
    for (const std::string& name : NamesIn(&disk_, kSnapshots)) {
      if (const auto place = ParseSnapshotName(name)) indexes.push_back(place->index.value());
    }
    return indexes;
  }
  [[nodiscard]] size_t Drafts() {
    const std::vector<std::string> names = NamesIn(&disk_, kSnapshots);
    return static_cast<size_t>(
        std::count_if(names.begin(), names.end(),
                      [](const std::string& name) { return ParseDraftName(name).has_value(); }));
  }
  [[nodiscard]] static std::vector<uint64_t> IndexesOf(const std::vector<raft::SnapshotId>& ids) {
    std::vector<uint64_t> indexes;
    for (const raft::SnapshotId& id : ids) indexes.push_back(id.base.index.value());
    return indexes;
  }
  void CutPower(MemFileSystem::Unsynced unsynced = MemFileSystem::Unsynced::kLost) {
    storage_ = OpenedStorage();
    LogTest::CutPower(unsynced);
  }

  using Indexes = std::vector<uint64_t>;

  OpenedStorage storage_;  // but for its log
  uint64_t job_id_ = 0;
  uint64_t draft_ = 100;
};

}  // namespace lockd::storage

#endif  // LOCKD_TESTS_CONSENSUS_STORAGE_SNAPSHOT_FIXTURE_H_
