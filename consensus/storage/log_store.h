// LogStore: the durable log of one node: entries, hard state, and whose log it is.
//
// Format, recovery table and rationale: consensus/README.md. Order of use:
//
//   directory = DataDirectory::Open(...)      // the lock, first
//   opened = LogStore::Open(&file_system, {...})        // recovers
//   Raft raft(options, opened.log);
//   WAL thread, for each job in order:
//     LogStore::Write(write)    durable when it returns OK; an error is final: the process must end
//                               (ExitStatusOf gives 15), nothing that was waiting may be answered
//     LogStore::Read(read)
//     then: while (auto job = store.TakeFileJob()) hand it to the file thread
//   file thread, for each job:  repeat RunFileJobSlice(&file_system, &job) until it returns true or
//                               an error; hand the job and the status back to the WAL thread, which
//                               calls FileJobDone(job, status)
//
// In the steady state a Write is one File::Write and one File::Sync into blocks that have been
// written before, into one buffer that is built once. Every segment_bytes it also begins the next
// segment, which a file job has zero-filled meanwhile; when that job is late, Write does its work
// itself (correct, slow).
//
// Threading: WAL only, except RunFileJobSlice (file thread; needs no LogStore).
#ifndef LOCKD_CONSENSUS_STORAGE_LOG_STORE_H_
#define LOCKD_CONSENSUS_STORAGE_LOG_STORE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "consensus/raft/types.h"
#include "consensus/storage/data_directory.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/log_index.h"
#include "consensus/storage/log_job.h"
#include "consensus/storage/recovery.h"
#include "consensus/storage/wal_format.h"
#include "consensus/storage/wal_writer.h"

namespace lockd::storage {

struct LogStoreOptions {
  std::string directory;  // of the segments (DataDirectory::wal_path()); made if missing
  // What the log must belong to; a new log is given to them.
  NodeId node_id;
  std::string cluster_name;
  // A random number other than zero; becomes the directory's incarnation if the log is new.
  Incarnation incarnation_draw;
  // Size of a segment file; a multiple of 512, at least 4,096. A new log fills two of them with
  // zeros, the second one in the background.
  uint64_t segment_bytes = 64 * 1024 * 1024;
  // How much of the newest entries RecoveredLog::tail holds (sum of Entry::size_bytes); all above
  // the recovered commit index are held whatever this says (see RecoveredLog::tail).
  size_t tail_bytes_max = 64 * 1024 * 1024;
  // Where a new log begins: after what a snapshot holds; default: with entry 1.
  LogBase new_log_base = {};
};

// Work that takes long and must not hold up writes. An owned value; see RunFileJobSlice.
struct FileJob {
  enum class Kind : uint8_t {
    kPrepare,  // make a zero-filled file and give it the name of a segment
    kRecycle,  // rename a segment that is no longer needed
    kRemove,   // unlink a segment that is no longer needed
  };
  Kind kind = Kind::kPrepare;
  std::string directory = {};
  uint64_t life = 0;           // kPrepare, kRecycle: of the segment that the file is for
  uint64_t old_life = 0;       // kRecycle, kRemove: of the segment that is no longer needed
  uint64_t segment_bytes = 0;  // kPrepare
  uint64_t done_bytes = 0;     // kPrepare: zero-filled so far
  // kPrepare: each slice is synced, so that the device never has a long queue before a log write.
  // Not when a write waits for the file itself: then one sync at the end is faster.
  bool in_background = true;
  std::string head = {};  // kPrepare: in place before the name is; for a log's first segment
};

class LogStore;
struct OpenedLog {
  std::unique_ptr<LogStore> store;
  raft::RecoveredLog log;
  Identity identity;
  bool created = false;  // the directory held no log
  // A write that was under way at the crash was cut off (it had not been acknowledged).
  bool tail_was_torn = false;
  std::vector<std::string> notes;  // what recovery did that an operator may want to read
};

class LogStore {
 public:
  // Recovers the log in options.directory, or makes a new one. Failures: kWrongOwner (exit status
  // 11), kUnusable (12), kDamaged (14), kWriteFailed (15). `file_system` must outlive the store.
  static absl::StatusOr<OpenedLog> Open(FileSystem* file_system, const LogStoreOptions& options);
  ~LogStore() = default;
  LogStore(const LogStore&) = delete;
  LogStore& operator=(const LogStore&) = delete;

  // Durable when OK. An error is final: every later call returns it too.
  absl::Status Write(const LogWrite& write);
  // Entries as LogRead says; the range must lie within the log (base, last]. kDamaged when the
  // bytes are not what was written.
  absl::StatusOr<std::vector<raft::Entry>> Read(const LogRead& read);

  // The next piece of background work, if any; at most one of kind kPrepare or kRecycle is out.
  std::optional<FileJob> TakeFileJob();
  // One slice of it (at most 256 KiB of writing and one sync); true: done. Any thread.
  static absl::StatusOr<bool> RunFileJobSlice(FileSystem* file_system, FileJob* job);
  // Hands a job back, done or failed. A failed one does no harm: a prepare or recycle is tried
  // again after a while, or by the Write that needs the segment.
  void FileJobDone(const FileJob& job, const absl::Status& status);

  [[nodiscard]] const LogIndex& index() const { return index_; }
  [[nodiscard]] const LogBase& base() const { return index_.base(); }
  [[nodiscard]] raft::Index last_index() const { return index_.last().index; }
  [[nodiscard]] const raft::HardState& hard_state() const { return hard_state_; }
  [[nodiscard]] const Identity& identity() const { return identity_; }
  [[nodiscard]] uint64_t bytes_on_disk() const;  // all segment files

  static constexpr size_t kSliceBytes = 256 * 1024;

 private:
  LogStore(FileSystem* file_system, const LogStoreOptions& options, const Identity& identity);

  static absl::StatusOr<OpenedLog> Create(FileSystem* file_system, const LogStoreOptions& options);
  static absl::StatusOr<OpenedLog> Resume(FileSystem* file_system, const LogStoreOptions& options,
                                          Recovery recovery);
  absl::StatusOr<raft::RecoveredLog> Recovered();

  void CheckContract(const LogWrite& write) const;
  void Encode(const LogWrite& write, bool forgets_all);
  void Remember(const LogWrite& write, bool forgets_all, uint64_t life, uint64_t offset);
  absl::Status Append();
  absl::Status Roll();
  absl::StatusOr<SegmentFile> TakeNextSegment(uint64_t bytes_needed);
  absl::Status Seal(File* file, WalPosition position, uint64_t next_life);
  void RetireOldSegments();
  absl::Status Poison(const absl::Status& cause);
  absl::Status ReadRun(const LogIndex::Found& run, const LogRead& read,
                       std::vector<raft::Entry>* entries, size_t* bytes, bool* full);
  absl::StatusOr<File*> FileToRead(uint64_t life);
  [[nodiscard]] std::string PathOf(uint64_t life) const;

  FileSystem* const file_system_;
  const LogStoreOptions options_;

  Identity identity_;
  raft::HardState hard_state_;
  LogIndex index_;
  absl::Status failed_;  // not OK: the first failed write, for ever

  WalWriter writer_;
  std::unique_ptr<File> file_;  // of the newest segment
  WalPosition position_;
  std::vector<SegmentFile> segments_;  // in use, ascending by life; the newest is last
  std::deque<SegmentFile> spares_;     // ready to be begun, ascending, all above the newest
  std::deque<SegmentFile> retired_;    // hold nothing that is needed: to be recycled or removed
  uint64_t life_max_ = 0;
  bool preparing_ = false;             // a kPrepare or kRecycle job is out
  uint64_t writes_until_prepare_ = 0;  // after a failed one

  std::unique_ptr<File> read_file_;  // an older segment, kept for the next Read
  uint64_t read_life_ = 0;
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_LOG_STORE_H_
