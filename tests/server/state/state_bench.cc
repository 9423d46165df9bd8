// What apply costs and what a held lock weighs. Not a test: it asserts nothing and carries no
// label.
//
//   build/release/bin/state_bench                        all
//   build/release/bin/state_bench --benchmark_filter=Memory
//
// BM_AcquireRelease/N: one acquire and one release of a lock that was free, per iteration, with N
// other locks held; batches of 64 commands as a busy leader would log them.
// BM_Memory/N: N locks with 24-byte names; counters: RSS growth per lock and the slowest entry of
// 64 acquires while growing (what a rehash would show up in).
// BM_Snapshot/N/E: a snapshot of N locks in pieces of 64 KiB, E entries of 64 releases and acquires
// between two of them, and loading it in pieces of 64 KiB.

#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "benchmark/benchmark.h"
#include "protocol/base/check.h"
#include "server/state/command.h"
#include "server/state/lock_database.h"
#include "server/state/snapshot_loader.h"
#include "server/state/snapshot_writer.h"

namespace lockd::state {
namespace {

constexpr uint32_t kBatch = 64;
constexpr uint64_t kSessions = 1'000;

uint64_t RssBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  LOCKD_CHECK(file != nullptr, "no /proc/self/statm");
  unsigned long long pages = 0;
  unsigned long long resident = 0;
  LOCKD_CHECK(std::fscanf(file, "%llu %llu", &pages, &resident) == 2, "cannot read statm");
  std::fclose(file);
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// CPU time of this thread: on a machine shared with others, wall time would measure them.
int64_t CpuNanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::string NameOf(uint64_t number) {
  return absl::StrFormat("bench/resource/%09d", number);  // 24 bytes
}

// A cluster of many sessions that hold locks; each session's sequences go up one by one.
class Population {
 public:
  Population() : sequences_(kSessions) {
    Settings settings;
    settings.session_ttl_ms_max = 1'000'000'000;
    Apply({SetSettings{settings}});
    for (uint64_t i = 0; i < kSessions; ++i) {
      const ApplyResult result =
          Apply({OpenSession{absl::StrFormat("%016d", i), 1'000'000'000, 0, "bench"}});
      ids_.push_back(std::get<SessionResult>(result.results.at(0).value).session);
    }
  }

  ApplyResult Apply(const std::vector<Command>& commands) {
    BatchBuilder builder;
    for (const Command& command : commands) builder.Add(command);
    return db_.Apply(ClusterTime(0), builder.Take(WallTime(0)));
  }

  Mutation Head(uint64_t session) {
    const uint64_t sequence = ++sequences_[session];
    return Mutation{
        ids_[session], ConnectionEpoch(1), Sequence(sequence), Sequence(sequence - 1), {}};
  }
  Acquire AcquireCommand(uint64_t number, int64_t max_hold_ms = 0) {
    return Acquire{Head(number % kSessions), NameOf(number), LockMode::kExclusive, 0, max_hold_ms};
  }

  // Acquires locks [from, to); returns what each entry took, in ns.
  std::vector<int64_t> Fill(uint64_t from, uint64_t to, int64_t max_hold_ms = 0) {
    std::vector<int64_t> took;
    BatchBuilder builder;
    for (uint64_t number = from; number < to; ++number) {
      builder.Add(AcquireCommand(number, max_hold_ms));
      if (builder.count() < kBatch && number + 1 < to) continue;
      const std::string payload = builder.Take(WallTime(0));
      const int64_t start = CpuNanos();
      benchmark::DoNotOptimize(db_.Apply(ClusterTime(0), payload));
      took.push_back(CpuNanos() - start);
    }
    return took;
  }

  LockDatabase& db() { return db_; }

 private:
  LockDatabase db_;
  std::vector<SessionId> ids_;
  std::vector<uint64_t> sequences_;
};

void BM_AcquireRelease(benchmark::State& state) {
  Population population;
  const auto held = static_cast<uint64_t>(state.range(0));
  population.Fill(0, held);
  uint64_t number = held;
  int64_t apply_ns = 0;
  const auto timed = [&](const std::string& payload) {
    const int64_t start = CpuNanos();
    ApplyResult result = population.db().Apply(ClusterTime(0), payload);
    apply_ns += CpuNanos() - start;
    return result;
  };
  for (auto _ : state) {
    BatchBuilder acquires;
    for (uint32_t i = 0; i < kBatch; ++i) acquires.Add(population.AcquireCommand(number + i));
    const ApplyResult granted = timed(acquires.Take(WallTime(0)));
    BatchBuilder releases;
    for (uint32_t i = 0; i < kBatch; ++i) {
      const auto& outcome = std::get<AcquireResult>(granted.results[i].value);
      releases.Add(Release{population.Head((number + i) % kSessions), NameOf(number + i),
                           outcome.grant.token});
    }
    timed(releases.Take(WallTime(0)));
    number += kBatch;
  }
  LOCKD_CHECK(population.db().lock_count() == held, "locks left behind");
  state.counters["apply_ns_per_command"] =
      static_cast<double>(apply_ns) / static_cast<double>(state.iterations() * kBatch * 2);
}
BENCHMARK(BM_AcquireRelease)->Arg(0)->Arg(1'000'000)->Arg(4'000'000);

// An entry that releases locks drawn from those that are held, and acquires each again; what it
// took to apply. Names and records are cold in the caches.
int64_t ReleaseAcquireHeld(Population& population, uint64_t held, uint64_t* number) {
  BatchBuilder batch;
  for (uint32_t i = 0; i < kBatch; ++i) {
    *number = (*number + 611'953) % held;  // a large prime: far apart
    const FencingToken token = population.db().GetLock(NameOf(*number)).token;
    batch.Add(Release{population.Head(*number % kSessions), NameOf(*number), token});
    batch.Add(population.AcquireCommand(*number));
  }
  const std::string payload = batch.Take(WallTime(0));
  const int64_t start = CpuNanos();
  benchmark::DoNotOptimize(population.db().Apply(ClusterTime(0), payload));
  return CpuNanos() - start;
}

void BM_ReleaseAcquireHeld(benchmark::State& state) {
  Population population;
  const auto held = static_cast<uint64_t>(state.range(0));
  population.Fill(0, held);
  int64_t apply_ns = 0;
  uint64_t number = 0;
  for (auto _ : state) apply_ns += ReleaseAcquireHeld(population, held, &number);
  state.counters["apply_ns_per_command"] =
      static_cast<double>(apply_ns) / static_cast<double>(state.iterations() * kBatch * 2);
}
BENCHMARK(BM_ReleaseAcquireHeld)->Arg(1'000'000);

void BM_Memory(benchmark::State& state) {
  const auto locks = static_cast<uint64_t>(state.range(0));
  const int64_t max_hold_ms = state.range(1);
  for (auto _ : state) {
    malloc_trim(0);
    auto population = std::make_unique<Population>();
    const uint64_t before = RssBytes();
    population->Fill(0, locks, max_hold_ms);
    const uint64_t after = RssBytes();
    state.counters["bytes_per_lock"] =
        static_cast<double>(after - before) / static_cast<double>(locks);
  }
}
// Just above and just below the sizes at which the name index grows (7/8 of 1,024 shards of a power
// of two), with and without a maximum hold.
BENCHMARK(BM_Memory)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->Args({1'000'000, 0})
    ->Args({1'800'000, 0})
    ->Args({1'900'000, 0})
    ->Args({4'000'000, 0})
    ->Args({1'900'000, 600'000});

void BM_GrowthStall(benchmark::State& state) {
  const auto locks = static_cast<uint64_t>(state.range(0));
  for (auto _ : state) {
    std::vector<int64_t> best = Population().Fill(0, locks);
    for (int run = 1; run < 3; ++run) {
      const std::vector<int64_t> took = Population().Fill(0, locks);
      for (size_t i = 0; i < best.size(); ++i) best[i] = std::min(best[i], took[i]);
    }
    state.counters["slowest_entry_us"] =
        static_cast<double>(*std::max_element(best.begin(), best.end())) / 1e3;
  }
}
BENCHMARK(BM_GrowthStall)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->Arg(1'000'000)
    ->Arg(4'000'000);

// Time in all and of the longest, in ms.
class Stopwatch {
 public:
  template <typename Work>
  auto Time(Work work) {
    const int64_t start = CpuNanos();
    auto result = work();
    Note(CpuNanos() - start);
    return result;
  }
  void Note(int64_t took_ns) {
    sum_ += took_ns;
    longest_ = std::max(longest_, took_ns);
  }
  [[nodiscard]] double sum_ms() const { return static_cast<double>(sum_) / 1e6; }
  [[nodiscard]] double longest_ms() const { return static_cast<double>(longest_) / 1e6; }

 private:
  int64_t sum_ = 0;
  int64_t longest_ = 0;
};

void BM_Snapshot(benchmark::State& state) {
  constexpr size_t kPieceBytes = 64 * 1024;
  const auto locks = static_cast<uint64_t>(state.range(0));
  for (auto _ : state) {
    Population population;
    population.Fill(0, locks);
    LockDatabase& db = population.db();
    const Digest digest = db.digest();

    Stopwatch begin;
    begin.Time([&] {
      db.BeginSnapshot();
      return 0;
    });
    Stopwatch pieces;
    Stopwatch applies;
    std::vector<std::string> content;
    uint64_t bytes = 0;
    uint64_t number = 0;
    uint64_t entries = 0;
    uint64_t images_max = 0;
    for (bool is_last = false; !is_last;) {
      std::string& piece = content.emplace_back();
      is_last = pieces.Time([&] { return db.NextSnapshotPiece(kPieceBytes, &piece); });
      bytes += piece.size();
      for (int64_t i = 0; i < state.range(1) && !is_last; ++i, ++entries) {
        applies.Note(ReleaseAcquireHeld(population, locks, &number));
        images_max = std::max<uint64_t>(images_max, db.snapshot()->image_count());
      }
    }

    Stopwatch adds;
    SnapshotLoader loader;
    for (const std::string& piece : content) {
      const absl::Status added = adds.Time([&] { return loader.Add(piece); });
      LOCKD_CHECK(added.ok(), added.message());
    }
    Stopwatch finish;
    const auto loaded = finish.Time([&] { return loader.Finish(); });
    LOCKD_CHECK(loaded.ok() && (*loaded)->digest() == digest, "loaded something else");

    state.counters["bytes_per_lock"] = static_cast<double>(bytes) / static_cast<double>(locks);
    state.counters["begin_ms"] = begin.longest_ms();
    state.counters["pieces"] = static_cast<double>(content.size());
    state.counters["piece_longest_ms"] = pieces.longest_ms();
    state.counters["pieces_ms"] = pieces.sum_ms();
    state.counters["entry_longest_ms"] = applies.longest_ms();
    if (entries > 0) state.counters["entry_ms"] = applies.sum_ms() / static_cast<double>(entries);
    state.counters["images_max"] = static_cast<double>(images_max);
    state.counters["add_longest_ms"] = adds.longest_ms();
    state.counters["load_ms"] = adds.sum_ms() + finish.sum_ms();
    state.counters["finish_ms"] = finish.longest_ms();
  }
}
BENCHMARK(BM_Snapshot)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->Args({1'000'000, 0})
    ->Args({1'000'000, 10});

}  // namespace
}  // namespace lockd::state

BENCHMARK_MAIN();
