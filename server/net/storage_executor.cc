#include "server/net/storage_executor.h"

#include <boost/asio/post.hpp>

namespace lockd::net {

StorageExecutor::StorageExecutor(boost::asio::io_context* io, storage::FileSystem* file_system,
                                 std::unique_ptr<storage::LogStore> store, Callbacks callbacks)
    : io_(io),
      file_system_(file_system),
      callbacks_(std::move(callbacks)),
      store_(std::move(store)) {
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
    std::optional<storage::FileJob> job;
    {
      MutexLock lock(&mutex_);
      while (file_queue_.empty() && !stopping_) file_wake_.Wait(&mutex_);
      if (stopping_) return;
      job = std::move(file_queue_.front());
      file_queue_.pop_front();
    }
    absl::StatusOr<bool> done = false;
    while (done.ok() && !*done) {
      {
        MutexLock lock(&mutex_);
        if (stopping_) return;  // a half-made file is made anew at the next start
      }
      done = storage::LogStore::RunFileJobSlice(file_system_, &*job);
    }
    Push(FileJobDone{*std::move(job), done.status()});
  }
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
    } else {
      callbacks_.on_read_done(std::get<storage::LogReadDone>(std::move(completion)));
    }
  }
}

}  // namespace lockd::net
