// StorageExecutor: carries out a node's disk jobs on two threads of its own.
//
//   loop ──Submit──► WAL thread: LogStore::Write, LogStore::Read, in order ──completions──► loop
//    │                   │  ▲                                                                ▲
//    │            FileJob│  │done                                                            │
//    │                   ▼  │                                                                │
//    └─Submit──────► file thread: zero-fills, recycles and removes segments; snapshots ──────┘
//
// The file thread works in slices. The log's files come first, between any two slices of a
// snapshot: a log that has to wait for its next segment holds up commits. When nothing else is to
// be done it destroys what the node has discarded.
//
// The threads exchange owned values through queues; nothing else is shared. Completions reach the
// loop through asio::post, all that became due together in one. The first failed write or sync is
// handed to `on_failed` on the WAL thread, and nothing completes after it: the process must end (a
// retried fsync would lie, catalogue S-01).
//
// Threading: Submit and Stop loop only; callbacks run on the loop, on_failed on the WAL thread.
#ifndef LOCKD_SERVER_NET_STORAGE_EXECUTOR_H_
#define LOCKD_SERVER_NET_STORAGE_EXECUTOR_H_

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/log_job.h"
#include "consensus/storage/log_store.h"
#include "consensus/storage/snapshot_job.h"
#include "consensus/storage/snapshot_store.h"
#include "protocol/base/mutex.h"
#include "server/node/types.h"

namespace lockd::net {

class StorageExecutor {
 public:
  struct Callbacks {
    std::function<void(storage::LogWriteDone)> on_write_done;
    std::function<void(storage::LogReadDone)> on_read_done;
    std::function<void(const storage::SnapshotJobDone&)> on_snapshot_job_done;
    std::function<void(const absl::Status&)> on_failed;
  };

  // `file_system` and `io` must outlive the executor.
  StorageExecutor(boost::asio::io_context* io, storage::FileSystem* file_system,
                  std::unique_ptr<storage::LogStore> store,
                  std::unique_ptr<storage::SnapshotStore> snapshots, Callbacks callbacks);
  // Stops and joins.
  ~StorageExecutor();
  StorageExecutor(const StorageExecutor&) = delete;
  StorageExecutor& operator=(const StorageExecutor&) = delete;

  void Submit(storage::LogWrite write);
  void Submit(storage::LogRead read);
  void Submit(storage::SnapshotJob job);
  void Destroy(node::Discard state);
  // Finishes the job under way, drops the others (nobody was promised them), and joins both
  // threads. Nothing completes afterwards.
  void Stop();

 private:
  struct FileJobDone {
    storage::FileJob job;
    absl::Status status;
  };
  using WalJob = std::variant<storage::LogWrite, storage::LogRead, FileJobDone>;
  using Completion =
      std::variant<storage::LogWriteDone, storage::LogReadDone, storage::SnapshotJobDone>;

  void WalThread();
  // False: the log failed.
  bool Carry(WalJob& job);
  void FileThread();
  void RunFileJob(storage::FileJob job);
  void RunSnapshotSlice(const storage::SnapshotJob& job);
  void Push(WalJob job);
  void Complete(Completion completion);
  void DeliverCompletions();

  // Constant after construction.
  boost::asio::io_context* const io_;
  storage::FileSystem* const file_system_;
  const Callbacks callbacks_;

  // WAL thread only.
  std::unique_ptr<storage::LogStore> store_;

  // File thread only.
  std::unique_ptr<storage::SnapshotStore> snapshots_;

  Mutex mutex_;
  CondVar wal_wake_;
  CondVar file_wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<WalJob> wal_queue_
      ABSL_GUARDED_BY(mutex_);  // bounded by the node: one write, few reads
  std::deque<storage::FileJob> file_queue_
      ABSL_GUARDED_BY(mutex_);  // bounded by LogStore::TakeFileJob
  std::deque<storage::SnapshotJob> snapshot_queue_
      ABSL_GUARDED_BY(mutex_);  // bounded by the node: a few at once
  std::deque<node::Discard> discards_ ABSL_GUARDED_BY(mutex_);
  std::vector<Completion> completions_ ABSL_GUARDED_BY(mutex_);
  // Expires with the executor, so that a posted delivery that comes too late does nothing. Loop
  // only.
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);

  std::thread wal_thread_;
  std::thread file_thread_;
};

}  // namespace lockd::net

#endif  // LOCKD_SERVER_NET_STORAGE_EXECUTOR_H_
