#include "server/net/node_runner.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"

namespace lockd::net {
namespace {

namespace asio = boost::asio;

// CPU time of the calling thread.
int64_t ThreadCpuNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

uint64_t ProcessCpuUs() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) {
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000 + static_cast<uint64_t>(t.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

uint64_t ResidentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long total_pages = 0;
  unsigned long resident_pages = 0;
  const int fields = std::fscanf(file, "%lu %lu", &total_pages, &resident_pages);
  std::fclose(file);
  return fields == 2 ? resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace

LocalTime NodeRunner::Now() {
  return LocalTime(std::chrono::duration_cast<std::chrono::nanoseconds>(
                       std::chrono::steady_clock::now().time_since_epoch())
                       .count());
}

WallTime NodeRunner::WallNow() {
  return WallTime(std::chrono::duration_cast<std::chrono::milliseconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count());
}

NodeRunner::NodeRunner(asio::io_context* io, RunnerOptions options, Callbacks callbacks)
    : io_(io),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      client_listener_(io),
      peer_listener_(io),
      timer_(*io),
      stop_timer_(*io),
      read_buffer_(kReadBufferBytes) {}

NodeRunner::~NodeRunner() {
  if (disk_watch_) disk_watch_->Stop();
  if (executor_) executor_->Stop();
}

absl::Status NodeRunner::Listen() {
  const absl::Status status = client_listener_.Open(options_.client_listen);
  return status.ok() ? peer_listener_.Open(options_.peer_listen) : status;
}

void NodeRunner::Start(std::unique_ptr<node::Node> node, storage::FileSystem* file_system,
                       std::unique_ptr<storage::LogStore> store,
                       std::unique_ptr<storage::SnapshotStore> snapshots) {
  node_ = std::move(node);
  executor_ = std::make_unique<StorageExecutor>(
      io_, file_system, std::move(store), std::move(snapshots),
      StorageExecutor::Callbacks{
          .on_write_done =
              [this](storage::LogWriteDone done) {
                node_->OnWriteDone(done);
                ScheduleTurn();
              },
          .on_read_done =
              [this](storage::LogReadDone done) {
                node_->OnReadDone(std::move(done));
                ScheduleTurn();
              },
          .on_snapshot_job_done =
              [this](const storage::SnapshotJobDone& done) {
                node_->OnSnapshotJobDone(done);
                ScheduleTurn();
              },
          .on_failed =
              [this](const absl::Status& status) {
                callbacks_.on_fatal({.exit_status = storage::ExitStatusOf(status),
                                     .message = std::string(status.message())});
              },
      });
  disk_watch_ = std::make_unique<DiskWatch>(
      io_, file_system, options_.data_directory,
      [this](const absl::StatusOr<uint64_t>& free_bytes) { OnDiskMeasured(free_bytes); });
  const auto on_input = [this] { ScheduleTurn(); };
  clients_ = std::make_unique<ClientConnections>(options_.client_limits, node_.get(), &read_buffer_,
                                                 on_input);
  peers_ = std::make_unique<PeerTransport>(io_, options_.peer_limits, options_.seed, node_.get(),
                                           &read_buffer_, on_input);
  client_listener_.Start(
      [this](asio::ip::tcp::socket socket) { clients_->Accept(std::move(socket)); });
  peer_listener_.Start([this](asio::ip::tcp::socket socket) { peers_->Accept(std::move(socket)); });
  ScheduleTurn();
}

void NodeRunner::Stop(std::function<void()> done) {
  on_stopped_ = std::move(done);
  // Peers may still dial: the next leader needs this node's vote.
  client_listener_.Close();
  node_->OnStop();
  ScheduleTurn();
  stop_timer_.expires_after(std::chrono::milliseconds(options_.stop_ms_max));
  stop_timer_.async_wait([this](boost::system::error_code error) {
    if (!error) Linger();
  });
}

void NodeRunner::Linger() {
  if (std::exchange(is_lingering_, true)) return;
  stop_timer_.expires_after(std::chrono::milliseconds(kStopLingerMs));
  stop_timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    peer_listener_.Close();
    disk_watch_->Stop();
    executor_->Stop();
    clients_->CloseAll();
    peers_->CloseAll();
    on_stopped_();
  });
}

// ---- Turns
// ------------------------------------------------------------------------------------------------------------------

void NodeRunner::ScheduleTurn() {
  if (is_turn_scheduled_) return;
  is_turn_scheduled_ = true;
  turn_began_ = Now();
  turn_began_cpu_ns_ = ThreadCpuNs();
  if (turn_began_ - rim_status_at_ > kStatusAgeMs * kNanosPerMilli) RefreshRimStatus();
  // Behind everything that is ready now.
  asio::post(*io_, [this] { RunTurn(); });
}

void NodeRunner::RunTurn() {
  is_turn_scheduled_ = false;
  node_->OnTime(Now(), WallNow());
  CarryOut(node_->TakeActions());
  MeasureTurn();
}

void NodeRunner::CarryOut(node::NodeActions actions) {
  for (const node::NodeNote& note : actions.notes) callbacks_.on_note(note);
  if (actions.fatal) {
    // One that is just being finished would escape being set aside.
    if (actions.fatal->last_right) executor_->Stop();
    callbacks_.on_fatal(*actions.fatal);
  }
  for (node::PeerOutput& output : actions.peers) peers_->Carry(std::move(output));
  for (node::DiskJob& job : actions.disk) {
    std::visit([this](auto& each) { executor_->Submit(std::move(each)); }, job);
  }
  for (storage::SnapshotJob& job : actions.snapshot_jobs) executor_->Submit(std::move(job));
  for (node::Discard& state : actions.discards) executor_->Destroy(std::move(state));
  for (node::ClientOutput& output : actions.clients) clients_->Carry(std::move(output));
  peers_->FollowMembers();
  if (actions.has_stopped && on_stopped_) Linger();
  ArmTimer(actions.next_wakeup);
}

void NodeRunner::ArmTimer(LocalTime wakeup) {
  // A timer that is due earlier stays: its turn finds out that nothing is due. Moving it at each
  // turn would cost more.
  if (wakeup >= timer_at_) return;
  timer_at_ = wakeup;
  timer_.expires_at(std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(
          std::chrono::nanoseconds(wakeup.value()))));
  timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;  // moved to an earlier time
    timer_at_ = kNeverLocal;
    ScheduleTurn();
  });
}

void NodeRunner::MeasureTurn() {
  const auto longest = [](uint64_t& maximum, int64_t ns) {
    maximum = std::max(maximum, static_cast<uint64_t>(ns) / 1'000);
  };
  longest(rim_status_.longest_turn_wall_us, Now() - turn_began_);
  longest(rim_status_.longest_turn_cpu_us, ThreadCpuNs() - turn_began_cpu_ns_);
}

void NodeRunner::RefreshRimStatus() {
  rim_status_at_ = turn_began_;
  rim_status_.rss_bytes = ResidentBytes();
  rim_status_.process_cpu_us = ProcessCpuUs();
  node_->set_rim_status(rim_status_);
}

void NodeRunner::OnDiskMeasured(const absl::StatusOr<uint64_t>& free_bytes) {
  if (!free_bytes.ok()) {
    callbacks_.on_note({true, absl::StrCat("the free space of the disk is not known: ",
                                           std::string(free_bytes.status().message()))});
    return;
  }
  node_->OnFreeBytes(*free_bytes);
  ScheduleTurn();
}

}  // namespace lockd::net
