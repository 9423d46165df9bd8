#include "tools/sim/runner.h"

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "tools/sim/worker.h"

namespace lockd::sim {
namespace {

double ChildCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

void ProgressLine::Show(const Totals& totals) {
  const auto now = std::chrono::steady_clock::now();
  const bool on_terminal = isatty(STDERR_FILENO) != 0;
  if (now - shown_ < std::chrono::milliseconds(on_terminal ? 500 : 10'000)) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - began_).count();
  std::fprintf(
      stderr, "%s%lu seeds, %.2f simulated hours, %lu faults, %.0f events/s, %lu violations%s",
      on_terminal ? "\r" : "", totals.seeds, totals.simulated_hours(), totals.fault_count(),
      static_cast<double>(totals.sum.events) / seconds, totals.violations, on_terminal ? "" : "\n");
}

void ProgressLine::End() {
  if (isatty(STDERR_FILENO) != 0) std::fputc('\n', stderr);
}

Totals RunSeeds(uint64_t first, uint64_t last, uint64_t jobs, const Totals& before,
                ProgressLine* progress) {
  Totals totals;
  const double cpu_before_s = ChildCpuSeconds();
  std::vector<std::unique_ptr<Worker>> workers;
  for (uint64_t i = 0; i < jobs && first + i <= last; ++i) {
    workers.push_back(std::make_unique<Worker>(first + i, jobs, last));
  }
  while (!workers.empty()) {
    std::vector<pollfd> polled;
    for (const auto& worker : workers) polled.push_back({worker->fd(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), 500) <= 0) continue;
    for (size_t i = polled.size(); i-- > 0;) {
      if (polled[i].revents == 0) continue;
      const Worker::Progress news = workers[i]->Read();
      if (news.report) {
        ++totals.seeds;
        totals.sum.Add(*news.report);
      }
      if (!news.ended) continue;
      workers.erase(workers.begin() + static_cast<std::ptrdiff_t>(i));
      if (!news.failed) continue;
      ++totals.violations;
      ++totals.seeds;
      totals.failed_seeds.push_back(news.seed);
      if (news.seed + jobs <= last) {
        workers.push_back(std::make_unique<Worker>(news.seed + jobs, jobs, last));
      }
    }
    Totals sum = before;
    sum.Add(totals);
    progress->Show(sum);
  }
  totals.cpu_s = ChildCpuSeconds() - cpu_before_s;
  return totals;
}

}  // namespace lockd::sim
