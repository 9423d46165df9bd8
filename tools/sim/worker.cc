#include "tools/sim/worker.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <type_traits>

#include "protocol/base/check.h"
#include "tests/sim/failing_seed.h"

namespace lockd::sim {
namespace {

// A report travels as it is: parent and child are the same program.
static_assert(std::is_trivially_copyable_v<SimReport>);

bool ReadAll(int fd, void* to, size_t count) {
  auto* bytes = static_cast<char*>(to);
  while (count > 0) {
    const ssize_t got = read(fd, bytes, count);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    count -= static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

Worker::Worker(uint64_t next, uint64_t stride, uint64_t last)
    : current_(next), stride_(stride), last_(last) {
  int fds[2];
  LOCKD_CHECK(pipe(fds) == 0, "no pipe: errno ", errno);
  pid_ = fork();
  LOCKD_CHECK(pid_ >= 0, "no process: errno ", errno);
  if (pid_ == 0) {
    close(fds[0]);
    Run(fds[1], stride, last);
    _exit(0);
  }
  close(fds[1]);
  fd_ = fds[0];
}

Worker::~Worker() {
  close(fd_);
  waitpid(pid_, nullptr, 0);
}

void Worker::Run(int fd, uint64_t stride, uint64_t last) {
  for (uint64_t seed = current_; seed <= last; seed += stride) {
    const FailingSeed named(seed);
    const SimReport report = RunSimulation({.seed = seed});
    // A pipe takes a write of this size whole.
    if (write(fd, &report, sizeof(report)) != static_cast<ssize_t>(sizeof(report))) _exit(1);
  }
}

Worker::Progress Worker::Read() {
  Progress progress;
  progress.seed = current_;
  SimReport report;
  if (ReadAll(fd_, &report, sizeof(report))) {
    progress.report = report;
    current_ += stride_;
  } else {
    progress.ended = true;
    progress.failed = current_ <= last_;
  }
  return progress;
}

}  // namespace lockd::sim
