// sim: runs simulated clusters from seeds, many in parallel, or replays one with a trace.
#include <malloc.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/sim/failing_seed.h"
#include "tests/sim/simulation.h"
#include "tools/sim/worker.h"

namespace lockd::sim {
namespace {

constexpr double kNanosPerHour = 3.6e12;

struct Totals {
  uint64_t seeds = 0;
  uint64_t violations = 0;
  double simulated_hours = 0;
  uint64_t events = 0;
  uint64_t grants = 0;
  FaultCounts faults{};
  std::vector<uint64_t> failed_seeds;

  void Add(const SimReport& report) {
    ++seeds;
    simulated_hours += static_cast<double>(report.simulated) / kNanosPerHour;
    events += report.events;
    grants += report.grants;
    for (size_t i = 0; i < kFaultCount; ++i) faults[i] += report.faults[i];
  }
  [[nodiscard]] uint64_t fault_count() const {
    uint64_t sum = 0;
    for (const uint64_t count : faults) sum += count;
    return sum;
  }
};

double ChildCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// A line on a terminal that is written over, or one line every ten seconds elsewhere.
class ProgressLine {
 public:
  void Show(const Totals& totals) {
    const auto now = std::chrono::steady_clock::now();
    const bool on_terminal = isatty(STDERR_FILENO) != 0;
    if (now - shown_ < std::chrono::milliseconds(on_terminal ? 500 : 10'000)) return;
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - began_).count();
    std::fprintf(
        stderr, "%s%lu seeds, %.2f simulated hours, %lu faults, %.0f events/s, %lu violations%s",
        on_terminal ? "\r" : "", totals.seeds, totals.simulated_hours, totals.fault_count(),
        static_cast<double>(totals.events) / seconds, totals.violations, on_terminal ? "" : "\n");
  }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = began_;
};

Totals RunSeeds(uint64_t first, uint64_t last, uint64_t jobs,
                std::chrono::duration<double> time_limit) {
  Totals totals;
  ProgressLine progress_line;
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Worker>> workers;
  for (uint64_t i = 0; i < jobs && first + i <= last; ++i) {
    workers.push_back(std::make_unique<Worker>(first + i, jobs, last));
  }
  while (!workers.empty() && std::chrono::steady_clock::now() - began < time_limit) {
    std::vector<pollfd> polled;
    for (const auto& worker : workers) polled.push_back({worker->fd(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), 500) <= 0) continue;
    for (size_t i = polled.size(); i-- > 0;) {
      if (polled[i].revents == 0) continue;
      const Worker::Progress progress = workers[i]->Read();
      if (progress.report) totals.Add(*progress.report);
      if (!progress.ended) continue;
      workers.erase(workers.begin() + static_cast<std::ptrdiff_t>(i));
      if (!progress.failed) continue;
      ++totals.violations;
      ++totals.seeds;
      totals.failed_seeds.push_back(progress.seed);
      if (progress.seed + jobs <= last) {
        workers.push_back(std::make_unique<Worker>(progress.seed + jobs, jobs, last));
      }
    }
    progress_line.Show(totals);
  }
  if (isatty(STDERR_FILENO) != 0) std::fputc('\n', stderr);
  return totals;
}

void Print(const Totals& totals, bool json) {
  const double cpu_s = ChildCpuSeconds();
  if (!json) {
    std::printf("%lu seeds, %lu violations, %.2f simulated hours, %lu grants, %.0f s of CPU\n",
                totals.seeds, totals.violations, totals.simulated_hours, totals.grants, cpu_s);
    for (size_t i = 0; i < kFaultCount; ++i) {
      std::printf("  %-18s %lu\n", std::string(FaultName(static_cast<Fault>(i))).c_str(),
                  totals.faults[i]);
    }
    for (const uint64_t seed : totals.failed_seeds)
      std::printf("failed: sim --replay %lu --trace\n", seed);
    return;
  }
  nlohmann::json out;
  out["seeds"] = totals.seeds;
  out["violations"] = totals.violations;
  out["failed_seeds"] = totals.failed_seeds;
  out["simulated_hours"] = totals.simulated_hours;
  out["cpu_s"] = cpu_s;
  out["faults"] = nlohmann::json::object();
  out["marks"] = nlohmann::json::object();
  for (size_t i = 0; i < kFaultCount; ++i) {
    out["faults"][std::string(FaultName(static_cast<Fault>(i)))] = totals.faults[i];
  }
  std::cout << out.dump() << '\n';
}

int Replay(uint64_t seed, bool trace) {
  const FailingSeed named(seed);
  SimOptions options{.seed = seed, .trace = nullptr};
  if (trace) {
    std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);  // nothing is lost when an invariant breaks
    options.trace = [](const std::string& line) { std::puts(line.c_str()); };
  }
  const SimReport report = RunSimulation(options);
  std::printf(
      "seed %lu: hash %016lx, %.1f s simulated, %lu events, %lu entries committed, %lu acquires, "
      "%lu grants, "
      "%lu holds lost\n",
      seed, report.hash, static_cast<double>(report.simulated) / static_cast<double>(kSeconds),
      report.events, report.committed, report.acquires, report.grants, report.losses);
  return 0;
}

// "A..B" or "A".
bool ParseSeeds(const std::string& text, uint64_t* first, uint64_t* last) {
  const std::vector<std::string> parts = absl::StrSplit(text, "..");
  if (parts.size() > 2 || !absl::SimpleAtoi(parts[0], first)) return false;
  *last = *first;
  if (parts.size() == 2 && !absl::SimpleAtoi(parts[1], last)) return false;
  return *first <= *last && *last < UINT64_MAX / 2;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "sim: whole lockd clusters in simulated time, with faults, from seeds.\n\n"
      "Each seed is one run: nodes, clients, faults and their rates are drawn from it. Invariants "
      "are checked throughout; at the end "
      "everything is healed and progress is demanded.\n"
      "Exit status: 0 no violation, 1 a violation, 2 usage",
      "sim");
  app.set_version_flag("--version", "sim 0.1.0");
  std::string seeds;
  uint64_t jobs = std::max(1u, std::thread::hardware_concurrency());
  uint64_t replay = 0;
  double hours = 0;
  bool trace = false;
  bool json = false;
  auto* seeds_option =
      app.add_option("--seeds", seeds, "run the seeds A..B (both included)")->type_name("A..B");
  app.add_option("--jobs", jobs, "processes at a time (1..256; default: one for each core)")
      ->check(CLI::Range(1, 256));
  auto* replay_option = app.add_option("--replay", replay, "run this one seed in this process")
                            ->excludes(seeds_option);
  auto* hours_option =
      app.add_option("--hours", hours, "run seeds from 1 on for this many hours of real time")
          ->check(CLI::Range(0.001, 10'000.0))
          ->excludes(seeds_option)
          ->excludes(replay_option);
  app.add_flag("--trace", trace, "with --replay: print all that happens")->needs(replay_option);
  app.add_flag("--json", json, "one JSON object instead of text");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::Error& error) {
    std::cerr << "sim: " << error.what() << " (sim --help tells more)\n";
    return 2;
  }
  // Simulated disks come and go: memory is kept, not given back to the kernel and cleared again.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  if (replay_option->count() > 0) return Replay(replay, trace);
  uint64_t first = 1;
  uint64_t last = UINT64_MAX / 4;
  std::chrono::duration<double> limit(1e9);
  if (hours_option->count() > 0) {
    limit = std::chrono::duration<double>(hours * 3600);
  } else if (!ParseSeeds(seeds.empty() ? "1..100" : seeds, &first, &last)) {
    std::cerr << "sim: --seeds: \"" << seeds << "\" is not A..B with A <= B, such as 1..500\n";
    return 2;
  }
  const Totals totals = RunSeeds(first, last, jobs, limit);
  Print(totals, json);
  return totals.violations == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lockd::sim

int main(int argc, char** argv) {
  return lockd::sim::Main(argc, argv);
}
