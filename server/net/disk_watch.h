// DiskWatch: measures the free space of the data directory's disk, every half second.
//
// On a thread of its own: on some file systems the call waits for the device, which must hold up
// neither the loop nor the log.
//
// Threading: constructor, Stop and callback loop only.
#ifndef LOCKD_SERVER_NET_DISK_WATCH_H_
#define LOCKD_SERVER_NET_DISK_WATCH_H_

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "consensus/storage/file_system.h"
#include "protocol/base/mutex.h"

namespace lockd::net {

class DiskWatch {
 public:
  using OnMeasured = std::function<void(const absl::StatusOr<uint64_t>& free_bytes)>;

  // `io` and `file_system` must outlive the watch. Each measurement is told; of errors only the
  // first one after a success.
  DiskWatch(boost::asio::io_context* io, storage::FileSystem* file_system, std::string directory,
            OnMeasured on_measured);
  // Stops.
  ~DiskWatch();
  DiskWatch(const DiskWatch&) = delete;
  DiskWatch& operator=(const DiskWatch&) = delete;

  // Joins the thread; nothing is told afterwards.
  void Stop();

 private:
  void Run();

  // Constant after construction.
  boost::asio::io_context* const io_;
  storage::FileSystem* const file_system_;
  const std::string directory_;
  const OnMeasured on_measured_;

  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Expires with the watch, so that what was posted before and comes too late does nothing. Loop
  // only.
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);

  std::thread thread_;
};

}  // namespace lockd::net

#endif  // LOCKD_SERVER_NET_DISK_WATCH_H_
