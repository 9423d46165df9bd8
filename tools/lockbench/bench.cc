#include "tools/lockbench/bench.h"

#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/client.h"
#include "protocol/base/check.h"
#include "protocol/base/text.h"
#include "tools/cli/cluster_status.h"
#include "tools/lockbench/held_locks.h"
#include "tools/lockbench/load.h"
#include "tools/lockbench/report.h"
#include "tools/lockbench/server_cost.h"

namespace lockd::lockbench {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What the end may cost beyond the time asked for.
constexpr milliseconds kLookTimeout{5'000};
constexpr milliseconds kCloseTimeout{2'000};

uint64_t DrawSeed() {
  uint64_t seed = 0;
  LOCKD_CHECK(getrandom(&seed, sizeof(seed), 0) == sizeof(seed), "no randomness from the kernel");
  return seed;
}

double ProcessCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto to_seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return to_seconds(usage.ru_utime) + to_seconds(usage.ru_stime);
}

// Phases, each begun by the end of the one before, or by Ctrl-C:
//
//   Open ─► Hold ─► WarmUp ─► Measure ──(ticks)──► EndMeasurement ─► Close ─► report
//
// The load goes on until the second look at the nodes has been taken, so that it sees them at work.
class Bench {
 public:
  explicit Bench(const Arguments& arguments);

  int Run();

 private:
  enum class Phase : uint8_t {
    kOpening,
    kHolding,
    kWarmingUp,
    kMeasuring,
    kEnding,
    kClosing,
    kDone
  };

  void WaitForSignal();
  void OnSignal();
  // True: there is nothing more to do.
  bool Failed(const absl::Status& status);
  void OnOpened(const absl::Status& status);
  void ShowHeld();
  void OnHeld(const absl::Status& status);
  void BeginMeasurement();
  void Tick();
  void TakeSnapshots();
  void OnSnapshot(const absl::StatusOr<SnapshotRecord>& snapshot);
  void EndMeasurement();
  void Close();
  void Report();
  void ShowProgress(Clock::time_point now);
  // Steps of `timer_`; replaces the one before.
  void At(Clock::time_point time, void (Bench::*step)());

  const Arguments& arguments_;
  asio::io_context context_{1};
  Client client_;
  asio::signal_set signals_;
  asio::steady_timer timer_;
  HeldLocks held_;
  Load load_;

  Phase phase_ = Phase::kOpening;
  Clock::time_point measured_from_;
  Clock::time_point last_tick_;
  uint64_t cycles_at_last_tick_ = 0;
  double cpu_s_from_ = 0;
  ClusterLook before_;
  Measurement measurement_;
  Clock::time_point snapshots_from_;
  size_t snapshots_due_ = 0;
  bool has_taken_snapshots_ = false;
  const bool shows_on_terminal_ = isatty(STDERR_FILENO) == 1;
  int exit_status_ = cli::kExitUnavailable;
};

ClientOptions MakeClientOptions(const Arguments& arguments) {
  ClientOptions options;
  options.endpoints = arguments.endpoints;
  options.client_name = "lockbench";
  return options;
}

// Names of this run only, short enough for the string's own buffer.
std::string MakePrefix(uint64_t seed) {
  return absl::StrFormat("b%04x/", seed & 0xffff);
}

Bench::Bench(const Arguments& arguments)
    : arguments_(arguments),
      client_(context_, MakeClientOptions(arguments)),
      signals_(context_, SIGINT, SIGTERM),
      timer_(context_),
      held_(client_, arguments.held, MakePrefix(DrawSeed())),
      load_(context_, client_, arguments, MakePrefix(DrawSeed()), DrawSeed()) {}

int Bench::Run() {
  WaitForSignal();
  load_.Open([this](const absl::Status& status) { OnOpened(status); });
  context_.run();
  return exit_status_;
}

void Bench::At(Clock::time_point time, void (Bench::*step)()) {
  timer_.expires_at(time);
  timer_.async_wait([this, step](const boost::system::error_code& error) {
    if (!error) (this->*step)();
  });
}

// ---- Signals

void Bench::WaitForSignal() {
  signals_.async_wait([this](const boost::system::error_code& error, int) {
    if (error) return;
    WaitForSignal();
    OnSignal();
  });
}

void Bench::OnSignal() {
  switch (phase_) {
    case Phase::kOpening:
    case Phase::kHolding:
      std::cerr << "lockbench: interrupted before the load had begun\n";
      context_.stop();
      return;
    case Phase::kWarmingUp:
      BeginMeasurement();
      EndMeasurement();
      return;
    case Phase::kMeasuring:
      EndMeasurement();
      return;
    case Phase::kEnding:
    case Phase::kClosing:
      Report();  // again: no more waiting for the cluster
      return;
    case Phase::kDone:
      return;
  }
}

// ---- Phases

bool Bench::Failed(const absl::Status& status) {
  if (status.ok()) return false;
  std::cerr << "lockbench: " << EscapeName(status.message()) << " (endpoints "
            << absl::StrJoin(arguments_.endpoints, ",") << ")\n";
  context_.stop();
  return true;
}

void Bench::OnOpened(const absl::Status& status) {
  if (Failed(status)) return;
  phase_ = Phase::kHolding;
  At(Clock::now() + seconds(1), &Bench::ShowHeld);
  held_.Acquire([this](const absl::Status& held) { OnHeld(held); });
}

void Bench::ShowHeld() {
  if (phase_ != Phase::kHolding) return;
  std::cerr << absl::StrFormat("%s%d of %d locks are held", shows_on_terminal_ ? "\r" : "",
                               held_.acquired(), arguments_.held)
            << (shows_on_terminal_ ? "   " : "\n") << std::flush;
  At(Clock::now() + seconds(1), &Bench::ShowHeld);
}

void Bench::OnHeld(const absl::Status& status) {
  if (Failed(status)) return;
  phase_ = Phase::kWarmingUp;
  load_.Start();
  At(Clock::now() + milliseconds(arguments_.warmup_ms), &Bench::BeginMeasurement);
}

void Bench::BeginMeasurement() {
  if (phase_ != Phase::kWarmingUp) return;  // a signal was faster
  phase_ = Phase::kMeasuring;
  cli::CollectStatus(client_, {.stale = true, .timeout = kLookTimeout},
                     [this](std::vector<cli::NodeReport> nodes) {
                       before_ = {std::move(nodes), load_.cycles()};
                     });
  cpu_s_from_ = ProcessCpuSeconds();
  measured_from_ = Clock::now();
  last_tick_ = measured_from_;
  cycles_at_last_tick_ = load_.cycles();
  load_.Measure();
  At(measured_from_ + seconds(1), &Bench::Tick);
}

void Bench::Tick() {
  if (phase_ != Phase::kMeasuring) return;  // a signal was faster
  const Clock::time_point now = Clock::now();
  ShowProgress(now);
  const Clock::time_point end = measured_from_ + seconds(arguments_.seconds);
  if (arguments_.snapshot && !has_taken_snapshots_ && !before_.nodes.empty() &&
      now - measured_from_ >= seconds(arguments_.seconds) / 2) {
    TakeSnapshots();
  }
  if (now >= end && snapshots_due_ == 0) {
    EndMeasurement();
    return;
  }
  Clock::time_point next = last_tick_ + seconds(1);
  while (next <= now) next += seconds(1);
  last_tick_ = now;
  cycles_at_last_tick_ = load_.cycles();
  At(snapshots_due_ == 0 ? std::min(next, end) : next, &Bench::Tick);
}

void Bench::TakeSnapshots() {
  has_taken_snapshots_ = true;
  measurement_.snapshot.emplace();
  snapshots_from_ = Clock::now();
  load_.set_is_in_snapshot(true);
  snapshots_due_ = before_.nodes.size();
  for (const cli::NodeReport& node : before_.nodes) {
    client_.TakeSnapshot(
        node.address, {.stale = true},
        [this](const absl::StatusOr<SnapshotRecord>& snapshot) { OnSnapshot(snapshot); });
  }
}

void Bench::OnSnapshot(const absl::StatusOr<SnapshotRecord>& snapshot) {
  if (phase_ != Phase::kMeasuring || snapshots_due_ == 0) return;
  if (!snapshot.ok()) {
    std::cerr << "lockbench: no snapshot: " << EscapeName(snapshot.status().message()) << '\n';
    snapshots_due_ = 0;
    load_.set_is_in_snapshot(false);
    measurement_.snapshot.reset();
    return;
  }
  measurement_.snapshot->bytes = std::max(measurement_.snapshot->bytes, snapshot->bytes);
  if (--snapshots_due_ > 0) return;
  load_.set_is_in_snapshot(false);
  measurement_.snapshot->elapsed_s =
      std::chrono::duration<double>(Clock::now() - snapshots_from_).count();
}

void Bench::ShowProgress(Clock::time_point now) {
  const std::chrono::duration<double> since_tick = now - last_tick_;
  const std::chrono::duration<double> since_begin = now - measured_from_;
  const auto cycles = static_cast<double>(load_.cycles() - cycles_at_last_tick_);
  std::cerr << absl::StrFormat("%s%4.0f s of %d: %.0f cycles/s, %d errors",
                               shows_on_terminal_ ? "\r" : "", since_begin.count(),
                               arguments_.seconds, cycles / since_tick.count(), load_.errors())
            << (shows_on_terminal_ ? "   " : "\n") << std::flush;
}

void Bench::EndMeasurement() {
  phase_ = Phase::kEnding;
  timer_.cancel();
  load_.StopMeasuring();
  measurement_.elapsed_s = std::chrono::duration<double>(Clock::now() - measured_from_).count();
  measurement_.client_cpu_s = ProcessCpuSeconds() - cpu_s_from_;
  measurement_.errors = load_.errors();
  if (shows_on_terminal_) std::cerr << '\n';
  if (arguments_.snapshot && (!has_taken_snapshots_ || snapshots_due_ > 0)) {
    std::cerr << "lockbench: no snapshot: the measurement ended before the nodes had one\n";
    measurement_.snapshot.reset();
  }
  cli::CollectStatus(
      client_, {.stale = true, .timeout = kLookTimeout},
      [this](std::vector<cli::NodeReport> nodes) {
        measurement_.server = ComputeServerCost(before_, {std::move(nodes), load_.cycles()});
        Close();
      });
}

void Bench::Close() {
  phase_ = Phase::kClosing;
  At(Clock::now() + kCloseTimeout, &Bench::Report);
  load_.Stop([this] { held_.Close([this] { Report(); }); });
}

void Bench::Report() {
  if (phase_ == Phase::kDone) return;
  phase_ = Phase::kDone;
  context_.stop();
  measurement_.acquire = load_.usual().acquire.Summarize();
  measurement_.release = load_.usual().release.Summarize();
  if (measurement_.snapshot.has_value()) {
    measurement_.snapshot->acquire = load_.in_snapshot().acquire.Summarize();
    measurement_.snapshot->release = load_.in_snapshot().release.Summarize();
  }
  if (arguments_.json) {
    std::cout << ToJson(arguments_, measurement_).dump() << '\n';
  } else {
    std::cout << ToText(arguments_, measurement_);
  }
  if (measurement_.release.count > 0) {
    exit_status_ = cli::kExitOk;
  } else {
    std::cerr << "lockbench: not one cycle was completed (lockctl status shows the nodes)\n";
  }
}

}  // namespace

int RunBench(const Arguments& arguments) {
  Bench bench(arguments);
  return bench.Run();
}

}  // namespace lockd::lockbench
