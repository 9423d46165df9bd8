// SnapshotStore: the snapshot files of one node.
//
//   snap-<index>-<term>   whole, durable, read back; the two newest are kept
//   draft-<number>        in the making; removed at the next start
//
// Made by OpenStorage (start.h), then given to the file thread:
//
//   for each SnapshotJob in order:
//     std::optional<SnapshotJobDone> done;
//     while (!(done = snapshots->RunSlice(job))) { other work of this thread }
//     hand *done back to the loop
//
// A slice reads or writes at most 256 KiB (and headers), and syncs at most once. Only a
// SnapshotFinish has more than one: it writes the rest, syncs, drops the cache, reads all of the
// draft back, gives it its name, syncs the directory, and then reads back what it is going to count
// on before it removes anything older:
//
//   newest ──► oldest     verified   damaged   verified │ whatever   whatever
//                          counted     stays    counted │ removed    removed
//
// So a snapshot that has rotted since it was written is never one of the two that older ones go
// for, and never in what the log is compacted by.
//
// Nothing of it is shared with the LogStore, which runs on another thread.
//
// Threading: file thread only.
#ifndef LOCKD_CONSENSUS_STORAGE_SNAPSHOT_STORE_H_
#define LOCKD_CONSENSUS_STORAGE_SNAPSHOT_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "consensus/raft/types.h"
#include "consensus/storage/data_directory.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/snapshot_format.h"
#include "consensus/storage/snapshot_job.h"
#include "consensus/storage/snapshot_reader.h"
#include "consensus/storage/snapshot_survey.h"
#include "consensus/storage/snapshot_writer.h"

namespace lockd::storage {

struct SnapshotStoreOptions {
  std::string directory;  // exists
  Identity owner;         // goes into the head of each file
  // A random number, drawn anew for each process; file numbers count up from it.
  uint64_t file_number_draw = 0;
};

class SnapshotStore {
 public:
  // `findings`: all that is there. `file_system` must outlive the store.
  SnapshotStore(FileSystem* file_system, const SnapshotStoreOptions& options,
                const std::vector<SnapshotFinding>& findings);
  SnapshotStore(const SnapshotStore&) = delete;
  SnapshotStore& operator=(const SnapshotStore&) = delete;

  // One slice of the job; nullopt: not done, call again with the same job before any other.
  std::optional<SnapshotJobDone> RunSlice(const SnapshotJob& job);

  // Those that verified when they were last read in full, ascending.
  [[nodiscard]] std::vector<raft::SnapshotId> kept() const;

 private:
  struct Draft {
    std::unique_ptr<SnapshotWriter> writer;  // null: the file could not be made
    absl::Status failed;                     // then: why
  };
  // A SnapshotFinish between two of its slices.
  struct Finish {
    enum class Phase : uint8_t { kWrite, kReadBack, kName, kCount, kRemove };
    explicit Finish(uint64_t id) : job_id(id) {}

    uint64_t job_id;
    Phase phase = Phase::kWrite;
    // What is being read in full: kReadBack, kCount.
    std::unique_ptr<File> file;
    std::optional<SnapshotVerifier> verifier;
    // kCount: the next file to look at is the newest one below here; nullopt: the newest of all.
    std::optional<SnapshotPlace> below;
    int counted = 0;
  };

  absl::Status Write(const SnapshotWrite& job);
  absl::Status BeginDraft(const SnapshotWrite& job);
  absl::Status Abandon(uint64_t draft);
  absl::StatusOr<std::string> Read(const SnapshotRead& job);
  absl::Status OpenToRead(const raft::SnapshotId& snapshot);

  // Each: true when the job is done.
  absl::StatusOr<bool> FinishSlice(const SnapshotFinish& job);
  absl::Status WriteRest(const SnapshotFinish& job);
  absl::Status ReadBackSlice(const SnapshotFinish& job);
  absl::Status Name(const SnapshotFinish& job);
  bool CountSlice(const SnapshotFinish& job);
  bool RemoveSlice();
  absl::Status BeginCount(const SnapshotPlace& place);
  void EndCount(const SnapshotPlace& place, bool is_whole);
  void Forget(const SnapshotPlace& place);

  [[nodiscard]] std::string PathOf(const SnapshotPlace& place) const;
  [[nodiscard]] std::string DraftPath(uint64_t draft) const;

  FileSystem* const file_system_;
  const SnapshotStoreOptions options_;
  uint64_t files_made_ = 0;
  // By place; nullopt: there is a file, but it did not verify, or is perhaps not durable.
  std::map<SnapshotPlace, std::optional<raft::SnapshotId>> files_;
  std::map<uint64_t, Draft> drafts_;
  std::optional<Finish> finish_;

  // Kept open from one SnapshotRead to the next.
  std::unique_ptr<File> read_file_;
  std::optional<SnapshotReader> reader_;
  raft::SnapshotId read_id_;
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_SNAPSHOT_STORE_H_
