#include "tests/sim/mutants/hunt.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "protocol/base/check.h"
#include "tests/sim/mutants/active.h"
#include "tests/sim/simulation.h"

namespace lockd::mutants {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

Hunt::Hunt(uint64_t mutant, uint64_t first_seed, uint64_t last_seed, double cpu_s_max)
    : mutant_(mutant), last_seed_(last_seed), cpu_s_max_(cpu_s_max), seed_(first_seed) {
  StartChild();
}

Hunt::~Hunt() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  close(fd_);
}

void Hunt::StartChild() {
  said_.clear();
  int fds[2];
  LOCKD_CHECK(pipe(fds) == 0, "no pipe: errno ", errno);
  pid_ = fork();
  LOCKD_CHECK(pid_ >= 0, "no process: errno ", errno);
  if (pid_ == 0) {
    close(fds[0]);
    RunChild(fds[1]);
  }
  close(fds[1]);
  fd_ = fds[0];
}

void Hunt::RunChild(int output) const {
  dup2(output, STDERR_FILENO);  // a broken invariant is reported there
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const auto cpu_s = static_cast<rlim_t>(std::ceil(std::max(cpu_s_max_ - cpu_s_, 1.0)));
  const rlimit cpu{cpu_s, cpu_s + 1};
  setrlimit(RLIMIT_CPU, &cpu);
  active = mutant_;
  const sim::SimReport report = sim::RunSimulation({.seed = seed_, .trace = nullptr});
  _exit(report.events > 0 ? 0 : 1);
}

void Hunt::OnReadable() {
  char bytes[4096];
  const ssize_t got = read(fd_, bytes, sizeof(bytes));
  if (got < 0 && errno == EINTR) return;
  if (got > 0) {
    said_.append(bytes, static_cast<size_t>(got));
  } else {
    JudgeChild();
  }
}

void Hunt::JudgeChild() {
  close(fd_);
  int status = 0;
  rusage usage{};
  while (wait4(pid_, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  cpu_s_ += Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL)) {
    state_ = State::kOutOfTime;
  } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    state_ = State::kFound;
    said_ = std::string(absl::StripSuffix(said_, "\n"));
    if (said_.empty()) said_ = absl::StrCat("died by signal ", WTERMSIG(status));
  } else if (seed_ == last_seed_) {
    state_ = State::kSurvived;
  } else if (cpu_s_ >= cpu_s_max_) {
    state_ = State::kOutOfTime;
  } else {
    ++seed_;
    StartChild();
  }
}

}  // namespace lockd::mutants
