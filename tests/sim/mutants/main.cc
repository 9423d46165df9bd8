// sim_mutants: historic bugs, put back one at a time into what the simulator runs. A simulator that
// does not find them proves nothing when it finds nothing.
#include <poll.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/sim/mutants/hunt.h"
#include "tests/sim/mutants/table.h"

namespace lockd::mutants {
namespace {

// The hard limit of one mutation; recorded ranges are chosen to need at most half of it.
constexpr double kCpuSecondsMax = 60;
// The control: seeds that the product as it is must pass.
constexpr uint64_t kControlSeeds = 20;

struct Task {
  uint64_t id = 0;  // Mutant::id; zero: the control
  std::string name;
  uint64_t first_seed = 1;
  uint64_t last_seed = kControlSeeds;
};

struct Result {
  Task task;
  Hunt::State state = Hunt::State::kRunning;
  uint64_t seed = 0;
  std::string said;
  double cpu_s = 0;

  [[nodiscard]] bool is_right() const {
    return state == (task.id == 0 ? Hunt::State::kSurvived : Hunt::State::kFound);
  }
};

std::vector<Task> AllTasks() {
  std::vector<Task> tasks = {{.name = "none"}};
  for (const Mutant& mutant : AllMutants()) {
    tasks.push_back({mutant.id, mutant.name, mutant.first_seed, mutant.last_seed});
  }
  return tasks;
}

// "broken invariant at PLACE: CONDITION: MESSAGE", without its first words.
std::string Invariant(const Result& result) {
  const std::string line = std::vector<std::string>(absl::StrSplit(result.said, '\n')).front();
  return std::string(absl::StripPrefix(line, "broken invariant at "));
}

std::string Describe(const Result& result) {
  switch (result.state) {
    case Hunt::State::kFound:
      return absl::StrCat("found at seed ", result.seed, " by ", Invariant(result));
    case Hunt::State::kSurvived:
      return absl::StrCat("passed seeds ", result.task.first_seed, "..", result.task.last_seed);
    case Hunt::State::kOutOfTime:
      return absl::StrCat("survived: out of time at seed ", result.seed);
    case Hunt::State::kRunning:
      break;
  }
  return "runs";
}

void PrintRow(const Result& result) {
  const std::string text = Describe(result).substr(0, 200);
  std::printf("%-4s %-36s %6.1f s  %s\n", result.is_right() ? "ok" : "BAD",
              result.task.name.c_str(), result.cpu_s, text.c_str());
  std::fflush(stdout);
}

// Runs them all, `jobs` at a time, and prints each as it ends.
std::vector<Result> RunAll(const std::vector<Task>& tasks, size_t jobs) {
  struct Running {
    Task task;
    std::unique_ptr<Hunt> hunt;
  };
  std::vector<Result> results;
  std::vector<Running> running;
  size_t next = 0;
  while (next < tasks.size() || !running.empty()) {
    for (; running.size() < jobs && next < tasks.size(); ++next) {
      const Task& task = tasks[next];
      running.push_back(
          {task, std::make_unique<Hunt>(task.id, task.first_seed, task.last_seed, kCpuSecondsMax)});
    }
    std::vector<pollfd> polled;
    for (const Running& one : running) polled.push_back({one.hunt->fd(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), -1) <= 0) continue;
    for (size_t i = polled.size(); i-- > 0;) {
      if (polled[i].revents == 0) continue;
      Hunt& hunt = *running[i].hunt;
      hunt.OnReadable();
      if (hunt.state() == Hunt::State::kRunning) continue;
      results.push_back({running[i].task, hunt.state(), hunt.seed(), hunt.said(), hunt.cpu_s()});
      PrintRow(results.back());
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return results;
}

int RunEverything(size_t jobs) {
  const std::vector<Result> results = RunAll(AllTasks(), jobs);
  std::vector<double> times;
  size_t bad = 0;
  for (const Result& result : results) {
    if (!result.is_right()) ++bad;
    if (result.state == Hunt::State::kFound && result.task.id != 0) {
      times.push_back(result.cpu_s);
    }
  }
  std::sort(times.begin(), times.end());
  std::printf("%zu of %zu mutations found, median %.1f s of CPU, longest %.1f s\n", times.size(),
              AllMutants().size(), times.empty() ? 0 : times[times.size() / 2],
              times.empty() ? 0 : times.back());
  return bad == 0 ? 0 : 1;
}

int RunOne(Task task) {
  const Result result = RunAll({std::move(task)}, 1).front();
  if (result.state == Hunt::State::kFound) std::printf("%s\n", result.said.c_str());
  return result.is_right() ? 0 : 1;
}

// "A..B" or "A".
bool ParseSeeds(const std::string& text, Task* task) {
  const std::vector<std::string> parts = absl::StrSplit(text, "..");
  if (parts.size() > 2 || !absl::SimpleAtoi(parts.front(), &task->first_seed) ||
      !absl::SimpleAtoi(parts.back(), &task->last_seed)) {
    return false;
  }
  return task->first_seed <= task->last_seed;
}

int UsageError(const std::string& what) {
  std::cerr << "sim_mutants: " << what << " (sim_mutants --help tells more)\n";
  return 2;
}

int List() {
  for (const Mutant& mutant : AllMutants()) {
    std::printf("%-36s %s\n", mutant.name.c_str(), mutant.title.c_str());
  }
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "sim_mutants: runs the simulator on historic bugs that are put back into lockd, one at a "
      "time.\n\n"
      "Exit status: 0 every mutation was found (and the control `none` was not broken), 1 one "
      "survived or took more than 60 s of CPU, 2 usage",
      "sim_mutants");
  bool list = false;
  bool all = false;
  std::string name;
  std::string seeds;
  size_t jobs = std::max(1u, std::thread::hardware_concurrency());
  app.add_flag("--list", list, "names and stories of all mutations");
  app.add_option("--mutation", name, "hunt this one (`none`: the product as it is)");
  app.add_option("--seeds", seeds, "these seeds instead of the recorded ones")
      ->type_name("A..B")
      ->needs("--mutation");
  app.add_flag("--all", all, "hunt each in its recorded seeds, and run the control");
  app.add_option("--jobs", jobs, "processes at a time (1..256; default: one for each core)")
      ->check(CLI::Range(1, 256));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::Error& error) {
    return UsageError(error.what());
  }
  if (list + all + !name.empty() != 1) return UsageError("one of --list, --mutation, --all");
  if (list) return List();
  if (all) return RunEverything(jobs);
  for (Task& task : AllTasks()) {
    if (task.name != name) continue;
    if (!seeds.empty() && !ParseSeeds(seeds, &task)) {
      return UsageError("--seeds: not A..B with A <= B, such as 1..40: " + seeds);
    }
    return RunOne(task);
  }
  return UsageError("no mutation is called " + name);
}

}  // namespace
}  // namespace lockd::mutants

int main(int argc, char** argv) {
  return lockd::mutants::Main(argc, argv);
}
