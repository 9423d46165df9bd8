// sim: runs simulated clusters from seeds, many in parallel; replays one; shrinks a failing one.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "tests/sim/failing_seed.h"
#include "tests/sim/simulation.h"
#include "tools/sim/runner.h"
#include "tools/sim/seed_ledger.h"
#include "tools/sim/shrink.h"
#include "tools/sim/totals.h"

namespace lockd::sim {
namespace {

constexpr uint64_t kSeedsOfASoakBlock = 64;  // for each job, between two looks at the clock

struct Flags {
  std::string seeds = "1..100";
  uint64_t jobs = std::max(1u, std::thread::hardware_concurrency());
  uint64_t replay = 0;
  uint64_t shrink = 0;
  uint64_t tries = 400;
  double hours = 0;
  std::string ledger;
  std::string list;
  std::string omit_faults;
  std::string omit_operations;
  bool trace = false;
  bool json = false;
  bool coverage = false;
};

int Replay(const SimOptions& run, bool trace) {
  const FailingSeed named(run.seed);
  SimOptions options = run;
  if (trace) {
    std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);  // nothing is lost when an invariant breaks
    options.trace = [](const std::string& line) { std::puts(line.c_str()); };
  }
  const SimReport report = RunSimulation(options);
  std::printf(
      "seed %lu: hash %016lx, %.1f s simulated, %lu events, %lu entries committed, %lu acquires, "
      "%lu grants, %lu holds lost\n",
      run.seed, report.hash, static_cast<double>(report.simulated) / static_cast<double>(kSeconds),
      report.events, report.committed, report.acquires, report.grants, report.losses);
  return 0;
}

// Prints the trace of what is left; the process ends in it, at the invariant that breaks.
int ShrinkAndShow(uint64_t seed, uint64_t tries) {
  const Shrunk shrunk =
      Shrink(seed, tries, [](const SimOptions& options) { (void)RunSimulation(options); });
  if (shrunk.broken.empty()) {
    std::printf("seed %lu does not fail\n", seed);
    return 0;
  }
  const auto print = [](const char* when, const SimProgress& progress) {
    std::printf("%s: %lu occasions of faults, %lu acquires, fails at %.3f s\n", when,
                progress.fault_occasions, progress.operations,
                static_cast<double>(progress.simulated) / 1e9);
  };
  std::printf("seed %lu breaks %s\n", seed, shrunk.broken.c_str());
  print("whole ", shrunk.before);
  print("shrunk", shrunk.after);
  std::printf("again: sim --replay %lu --trace --omit-faults '%s' --omit-operations '%s'\n", seed,
              FormatOmissions(shrunk.options.omit_faults).c_str(),
              FormatOmissions(shrunk.options.omit_operations).c_str());
  std::fflush(stdout);
  (void)Replay(shrunk.options, true);
  return 1;
}

// "A..B" or "A".
bool ParseSeeds(const std::string& text, uint64_t* first, uint64_t* last) {
  const std::vector<std::string> parts = absl::StrSplit(text, "..");
  if (parts.size() > 2 || !absl::SimpleAtoi(parts[0], first)) return false;
  *last = *first;
  if (parts.size() == 2 && !absl::SimpleAtoi(parts[1], last)) return false;
  return *first <= *last && *last < UINT64_MAX / 2;
}

int Finish(const Totals& totals, const Flags& flags) {
  std::fputs((flags.json ? AsJson(totals) : AsText(totals)).c_str(), stdout);
  int status = totals.violations == 0 ? 0 : 1;
  if (flags.coverage) {
    for (const std::string& missed : totals.Missed()) {
      std::cerr << "sim: never seen in these runs: " << missed << '\n';
      status = 1;
    }
  }
  return status;
}

int ListSeeds(uint64_t first, uint64_t last, const std::string& kind) {
  const std::optional<Fault> fault = FaultNamed(kind);
  if (!fault) {
    std::cerr << "sim: --list: no kind of fault is called \"" << kind << "\"\n";
    return 2;
  }
  for (uint64_t seed = first; seed <= last; ++seed) {
    if (Swarm::Of(seed).has(*fault)) std::printf("%lu\n", seed);
  }
  return 0;
}

int RunRange(const Flags& flags) {
  uint64_t first = 0;
  uint64_t last = 0;
  if (!ParseSeeds(flags.seeds, &first, &last)) {
    std::cerr << "sim: --seeds: \"" << flags.seeds
              << "\" is not A..B with A <= B, such as 1..500\n";
    return 2;
  }
  if (!flags.list.empty()) return ListSeeds(first, last, flags.list);
  ProgressLine progress;
  const Totals totals = RunSeeds(first, last, flags.jobs, Totals(), &progress);
  progress.End();
  return Finish(totals, flags);
}

int Soak(const Flags& flags) {
  SeedLedger ledger(flags.ledger);
  if (const absl::Status opened = ledger.Open(); !opened.ok()) {
    std::cerr << "sim: --ledger: " << opened.message() << '\n';
    return 2;
  }
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(flags.hours * 3600);
  std::fprintf(stderr, "build %s: from seed %lu on\n", ledger.build().c_str(), ledger.next_seed());
  ProgressLine progress;
  Totals totals;
  while (std::chrono::steady_clock::now() < end) {
    const uint64_t first = ledger.next_seed();
    const uint64_t last = first + flags.jobs * kSeedsOfASoakBlock - 1;
    const Totals block = RunSeeds(first, last, flags.jobs, totals, &progress);
    totals.Add(block);
    if (const absl::Status added = ledger.Add(first, last, block); !added.ok()) {
      std::cerr << "sim: --ledger: " << added.message() << '\n';
      return 2;
    }
  }
  progress.End();
  return Finish(totals, flags);
}

int Main(int argc, char** argv) {
  CLI::App app(
      "sim: whole lockd clusters in simulated time, with faults, from seeds.\n\n"
      "Each seed is one run: nodes, clients, faults and their rates are drawn from it. Invariants "
      "are checked throughout; at the end a majority is healed and progress is demanded.\n"
      "Exit status: 0 no violation, 1 a violation (or, with --coverage, something never seen), 2 "
      "usage",
      "sim");
  app.set_version_flag("--version", "sim 0.1.0");
  Flags flags;
  auto* seeds = app.add_option("--seeds", flags.seeds, "run the seeds A..B (both included)")
                    ->type_name("A..B");
  app.add_option("--jobs", flags.jobs, "processes at a time (1..256; default: one for each core)")
      ->check(CLI::Range(1, 256));
  app.add_option("--list", flags.list,
                 "with --seeds: run none, print those that have this kind of fault")
      ->type_name("KIND")
      ->needs(seeds);
  // The parser takes -1 for 2^64 - 1.
  const CLI::Validator is_seed(
      [](const std::string& text) {
        return absl::StartsWith(text, "-") ? text + " is not a seed: 0 or more" : std::string();
      },
      "");
  auto* replay = app.add_option("--replay", flags.replay, "run this one seed in this process")
                     ->check(is_seed)
                     ->excludes(seeds);
  auto* shrink = app.add_option("--shrink", flags.shrink,
                                "find the least part of this failing seed that still fails in the "
                                "same way, and print its trace")
                     ->check(is_seed)
                     ->excludes(seeds)
                     ->excludes(replay);
  app.add_option("--tries", flags.tries, "with --shrink: runs at most (1..1000000)")
      ->check(CLI::Range(1, 1'000'000))
      ->needs(shrink);
  auto* hours = app.add_option("--hours", flags.hours,
                               "run seeds for this many hours of real time, from the first one on "
                               "that the ledger does not have")
                    ->check(CLI::Range(0.001, 10'000.0))
                    ->excludes(seeds)
                    ->excludes(replay)
                    ->excludes(shrink);
  flags.ledger = "sim-seeds.txt";
  app.add_option("--ledger", flags.ledger,
                 "with --hours: file of the seeds that each build has run (default "
                 "./sim-seeds.txt)")
      ->needs(hours);
  app.add_option("--omit-faults", flags.omit_faults,
                 "with --replay: leave out these occasions of faults, such as 3-10,17,20-")
      ->needs(replay);
  app.add_option("--omit-operations", flags.omit_operations,
                 "with --replay: leave out these acquires")
      ->needs(replay);
  app.add_flag("--trace", flags.trace, "with --replay: print all that happens")->needs(replay);
  app.add_flag("--coverage", flags.coverage,
               "fail when a kind of fault or a reach mark is never seen");
  app.add_flag("--json", flags.json, "one JSON object instead of text");
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
  mallopt(M_TOP_PAD, 64 << 20);
  if (replay->count() > 0) {
    SimOptions options{.seed = flags.replay};
    if (!ParseOmissions(flags.omit_faults, &options.omit_faults) ||
        !ParseOmissions(flags.omit_operations, &options.omit_operations)) {
      std::cerr << "sim: --omit-faults, --omit-operations: not ranges of numbers such as 3-10,17\n";
      return 2;
    }
    return Replay(options, flags.trace);
  }
  if (shrink->count() > 0) return ShrinkAndShow(flags.shrink, flags.tries);
  return hours->count() > 0 ? Soak(flags) : RunRange(flags);
}

}  // namespace
}  // namespace lockd::sim

int main(int argc, char** argv) {
  return lockd::sim::Main(argc, argv);
}
