// Worker: a child process that runs simulations one after another and tells its parent of each.
//
// A process of its own, because a broken invariant ends the process: the parent notes the seed and
// starts another worker behind it.
//
// Threading: one thread.
#ifndef LOCKD_TOOLS_SIM_WORKER_H_
#define LOCKD_TOOLS_SIM_WORKER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "tests/sim/simulation.h"

namespace lockd::sim {

class Worker {
 public:
  // Runs seeds `next`, next + stride, ... up to `last`.
  Worker(uint64_t next, uint64_t stride, uint64_t last);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  [[nodiscard]] int fd() const { return fd_; }

  struct Progress {
    std::optional<SimReport> report;  // of one finished seed
    bool ended = false;               // all seeds done, or the process has died
    bool failed = false;              // it died in `seed`
    uint64_t seed = 0;
  };
  // Blocks until the worker has something to say.
  Progress Read();

 private:
  void Run(int fd, uint64_t stride, uint64_t last);

  pid_t pid_ = -1;
  int fd_ = -1;
  uint64_t current_;  // the seed that runs now
  uint64_t stride_;
  uint64_t last_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TOOLS_SIM_WORKER_H_
