#include "server/net/disk_watch.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

namespace lockd::net {
namespace {

constexpr std::chrono::milliseconds kInterval{500};

}  // namespace

DiskWatch::DiskWatch(boost::asio::io_context* io, storage::FileSystem* file_system,
                     std::string directory, OnMeasured on_measured)
    : io_(io),
      file_system_(file_system),
      directory_(std::move(directory)),
      on_measured_(std::move(on_measured)) {
  thread_ = std::thread([this] { Run(); });
}

DiskWatch::~DiskWatch() {
  Stop();
}

void DiskWatch::Stop() {
  *is_alive_ = false;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void DiskWatch::Run() {
  bool has_failed = false;
  while (true) {
    absl::StatusOr<uint64_t> free_bytes = file_system_->FreeBytes(directory_);
    const bool is_told = free_bytes.ok() || !has_failed;
    has_failed = !free_bytes.ok();
    if (is_told) {
      boost::asio::post(*io_, [this, is_alive = is_alive_, free_bytes = std::move(free_bytes)] {
        if (*is_alive) on_measured_(free_bytes);
      });
    }
    const auto next = std::chrono::steady_clock::now() + kInterval;
    MutexLock lock(&mutex_);
    while (!stopping_ && std::chrono::steady_clock::now() < next) wake_.WaitUntil(&mutex_, next);
    if (stopping_) return;
  }
}

}  // namespace lockd::net
