#include "server/net/storage_executor.h"

#include <boost/asio/post.hpp>

namespace lockd::net {

StorageExecutor::StorageExecutor(boost::asio::io_context* io, storage::FileSystem* file_system,
                                 std::unique_ptr<storage::LogStore> store,
                                 std::unique_ptr<storage::SnapshotStore> snapshots,
                                 Callbacks callbacks)
    : io_(io),
      file_system_(file_system),
      callbacks_(std::move(callbacks)),
      store_(std::move(store)),
      snapshots_(std::move(snapshots)) {
  wal_thread_ = std::thread([this] { WalThread(); });
  file_thread_ = std::thread([this] { FileThread(); });
}

StorageExecutor::~StorageExecutor() {
  Stop();
}

void StorageExecutor::Submit(storage::LogWrite write) {
  Push(std::move(write));
}

void StorageExecutor::Submit(storage::LogRead read) {
  Push(std::move(read));
}

void StorageExecutor::Submit(storage::SnapshotJob job) {
  MutexLock lock(&mutex_);
  snapshot_queue_.push_back(std::move(job));
  file_wake_.NotifyOne();
}

void StorageExecutor::Destroy(node::Discard state) {
  MutexLock lock(&mutex_);
  discards_.push_back(std::move(state));
  file_wake_.NotifyOne();
}

void StorageExecutor::Stop() {
  *is_alive_ = false;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    wal_wake_.NotifyAll();
    file_wake_.NotifyAll();
  }
  if (wal_thread_.joinable()) wal_thread_.join();
  if (file_thread_.joinable()) file_thread_.join();
}

void StorageExecutor::Push(WalJob job) {
  MutexLock lock(&mutex_);
  wal_queue_.push_back(std::move(job));
  wal_wake_.NotifyOne();
}

void StorageExecutor::WalThread() {
  while (true) {
    std::optional<WalJob> job;
    {
      MutexLock lock(&mutex_);
      while (wal_queue_.empty() && !stopping_) wal_wake_.Wait(&mutex_);
      if (stopping_) return;
      job = std::move(wal_queue_.front());
      wal_queue_.pop_front();
    }
    if (!Carry(*job)) return;
    while (std::optional<storage::FileJob> file_job = store_->TakeFileJob()) {
      MutexLock lock(&mutex_);
      file_queue_.push_back(*std::move(file_job));
      file_wake_.NotifyOne();
    }
  }
}

bool StorageExecutor::Carry(WalJob& job) {
  if (auto* write = std::get_if<storage::LogWrite>(&job)) {
    const absl::Status status = store_->Write(*write);
    if (!status.ok()) {
      callbacks_.on_failed(status);
      return false;
    }
    Complete(storage::LogWriteDone{write->id});
  } else if (auto* read = std::get_if<storage::LogRead>(&job)) {
    absl::StatusOr<std::vector<raft::Entry>> entries = store_->Read(*read);
    if (!entries.ok()) {
      callbacks_.on_failed(entries.status());
      return false;
    }
    Complete(storage::LogReadDone{read->id, *std::move(entries)});
  } else {
    const auto& done = std::get<FileJobDone>(job);
    store_->FileJobDone(done.job, done.status);
  }
  return true;
}

void StorageExecutor::FileThread() {
  while (true) {
    std::optional<storage::FileJob> file_job;
    const storage::SnapshotJob* snapshot_job = nullptr;
    std::optional<node::Discard> discard;
    {
      MutexLock lock(&mutex_);
      while (file_queue_.empty() && snapshot_queue_.empty() && discards_.empty() && !stopping_) {
        file_wake_.Wait(&mutex_);
      }
      if (stopping_) return;
      if (!file_queue_.empty()) {
        file_job = std::move(file_queue_.front());
        file_queue_.pop_front();
      } else if (!snapshot_queue_.empty()) {
        // Stays there until it is done; what is pushed behind it does not move it.
        snapshot_job = &snapshot_queue_.front();
      } else {
        discard = std::move(discards_.front());
        discards_.pop_front();
      }
    }
    if (file_job) RunFileJob(*std::move(file_job));
    if (snapshot_job != nullptr) RunSnapshotSlice(*snapshot_job);
  }
}

void StorageExecutor::RunSnapshotSlice(const storage::SnapshotJob& job) {
  std::optional<storage::SnapshotJobDone> done = snapshots_->RunSlice(job);
  if (!done) return;
  {
    MutexLock lock(&mutex_);
    snapshot_queue_.pop_front();
  }
  Complete(*std::move(done));
}

void StorageExecutor::RunFileJob(storage::FileJob job) {
  absl::StatusOr<bool> done = false;
  while (done.ok() && !*done) {
    {
      MutexLock lock(&mutex_);
      if (stopping_) return;  // a half-made file is made anew at the next start
    }
    done = storage::LogStore::RunFileJobSlice(file_system_, &job);
  }
  Push(FileJobDone{std::move(job), done.status()});
}

void StorageExecutor::Complete(Completion completion) {
  {
    MutexLock lock(&mutex_);
    completions_.push_back(std::move(completion));
    if (completions_.size() > 1) return;  // a delivery is on its way
  }
  boost::asio::post(*io_, [this, is_alive = is_alive_] {
    if (*is_alive) DeliverCompletions();
  });
}

void StorageExecutor::DeliverCompletions() {
  std::vector<Completion> completions;
  {
    MutexLock lock(&mutex_);
    completions.swap(completions_);
  }
  for (Completion& completion : completions) {
    if (auto* write = std::get_if<storage::LogWriteDone>(&completion)) {
      callbacks_.on_write_done(*write);
    } else if (auto* read = std::get_if<storage::LogReadDone>(&completion)) {
      callbacks_.on_read_done(std::move(*read));
    } else {
      callbacks_.on_snapshot_job_done(std::get<storage::SnapshotJobDone>(completion));
    }
  }
}

}  // namespace lockd::net
