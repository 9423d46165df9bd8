#include "tools/lockctl/lock_command.h"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <csignal>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "client/session.h"
#include "protocol/base/text.h"
#include "tools/lockctl/boot_alarm.h"
#include "tools/lockctl/child.h"
#include "tools/lockctl/exit_status.h"
#include "tools/lockctl/stop_times.h"

namespace lockd::lockctl {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// One run, from the session to the exit status:
//
//   open session ─► acquire ─► start the command ─► watch ─► command ends ─► close session
//
// A signal before the command has started gives up; after it, it is passed on.
class LockRun {
 public:
  LockRun(const Arguments& arguments, const LockArguments& lock);

  int Run();

 private:
  void WaitForSignal();
  void OnSignal(int signal);
  void OnOpened(absl::StatusOr<Session> opened);
  void OnAcquired(AcquireResult result);
  void StartCommand();
  // What to do about the lock now, and when to look again.
  void Watch();
  void OnChildChanged();
  int ExitStatusOf(const Child::End& end);
  // Closes the session, which releases the lock, and leaves.
  void Finish(int exit_status);
  void Leave(int exit_status);

  [[nodiscard]] std::string ShownName() const { return EscapeName(lock_arguments_.name); }
  static void Complain(const std::string& message) { std::cerr << "lockctl: " << message << '\n'; }

  const Arguments& arguments_;
  const LockArguments& lock_arguments_;
  asio::io_context context_{1};
  Client client_;
  asio::signal_set signals_;
  asio::cancellation_signal cancel_acquire_;
  BootAlarm alarm_;

  Session session_;
  DistributedLock lock_;
  std::optional<Child> child_;
  int interrupted_by_ = 0;  // signal before the command was started
  bool is_finishing_ = false;
  bool was_stopped_ = false;  // the command got TERM or KILL because of the lock
  std::optional<BootClock::time_point> first_term_;
  int exit_status_ = kExitFailure;
};

ClientOptions MakeClientOptions(const Arguments& arguments) {
  ClientOptions options;
  options.endpoints = arguments.endpoints;
  options.client_name = "lockctl";
  return options;
}

LockRun::LockRun(const Arguments& arguments, const LockArguments& lock)
    : arguments_(arguments),
      lock_arguments_(lock),
      client_(context_, MakeClientOptions(arguments)),
      signals_(context_, SIGTERM, SIGINT, SIGCHLD),
      alarm_(context_, [this] { Watch(); }) {
  signals_.add(SIGHUP);
  signals_.add(SIGQUIT);
}

int LockRun::Run() {
  WaitForSignal();
  SessionOptions options;
  options.owner_id = lock_arguments_.owner;
  options.ttl = milliseconds(lock_arguments_.ttl_ms);
  options.grace = milliseconds(lock_arguments_.grace_ms);
  options.operation_timeout = milliseconds(arguments_.timeout_ms);
  client_.OpenSession(options, [this](absl::StatusOr<Session> opened) { OnOpened(opened); });
  context_.run();
  return exit_status_;
}

// ---- Before the command

void LockRun::OnOpened(absl::StatusOr<Session> opened) {
  if (!opened.ok()) {
    Complain(
        absl::StrCat("cannot lock ", ShownName(), ": ", std::string(opened.status().message())));
    Leave(kExitFailure);
    return;
  }
  session_ = *std::move(opened);
  AcquireOptions options;
  if (lock_arguments_.wait_ms.has_value()) options.wait = milliseconds(*lock_arguments_.wait_ms);
  options.max_hold = milliseconds(lock_arguments_.max_hold_ms);
  session_.Acquire(
      lock_arguments_.name, options,
      asio::bind_cancellation_slot(
          cancel_acquire_.slot(), [this](AcquireResult result) { OnAcquired(std::move(result)); }));
}

void LockRun::OnAcquired(AcquireResult result) {
  if (interrupted_by_ != 0) {
    Finish(kExitSignalBase + interrupted_by_);
    return;
  }
  switch (result.status) {
    case AcquireStatus::kGranted:
      lock_ = std::move(result.lock);
      StartCommand();
      return;
    case AcquireStatus::kBusy:
      Complain(absl::StrCat(ShownName(), " is held by another (lockctl get shows by whom)"));
      Finish(kExitNotAcquired);
      return;
    case AcquireStatus::kTimedOut:
      Complain(absl::StrCat(ShownName(), " was not acquired within ",
                            FormatDurationMs(lock_arguments_.wait_ms.value_or(0))));
      Finish(kExitNotAcquired);
      return;
    case AcquireStatus::kCancelled:
    case AcquireStatus::kUnavailable:
    case AcquireStatus::kSessionLost:
    case AcquireStatus::kLimit:
    case AcquireStatus::kInvalid:
      Complain(absl::StrCat("cannot lock ", ShownName(), ": ",
                            std::string(result.ToStatus().message())));
      Finish(kExitFailure);
      return;
  }
}

void LockRun::StartCommand() {
  if (arguments_.json) {
    const nlohmann::ordered_json granted = {{"lock_id", ShownName()},
                                            {"token", absl::StrCat(lock_.token())},
                                            {"session_id", absl::StrCat(session_.id())}};
    std::cerr << granted.dump() << '\n';
  }
  absl::StatusOr<Child> child =
      Child::Start(lock_arguments_.command, {{"LOCKD_LOCK", ShownName()},
                                             {"LOCKD_TOKEN", absl::StrCat(lock_.token())},
                                             {"LOCKD_SESSION", absl::StrCat(session_.id())}});
  if (!child.ok()) {
    Complain(std::string(child.status().message()));
    Finish(kExitFailure);
    return;
  }
  child_.emplace(*std::move(child));
  Watch();
}

// ---- While the command runs

// Answers only postpone what is due, so that nothing is missed by looking again only then.
void LockRun::Watch() {
  if (!child_.has_value()) return;
  const BootClock::time_point now = BootClock::now();
  const BootClock::time_point deadline = lock_.safe_until();  // long ago when it is lost
  StopTimes times = ComputeStopTimes(session_.validity().last_answer, deadline);
  if (now >= times.term && !was_stopped_) {
    was_stopped_ = true;
    if (!first_term_.has_value()) first_term_ = now;
    child_->Signal(SIGTERM);
  }
  if (first_term_.has_value() && lock_arguments_.kill_after_ms.has_value()) {
    times.kill = std::min(times.kill, *first_term_ + milliseconds(*lock_arguments_.kill_after_ms));
  }
  if (now >= times.kill) {
    child_->Signal(SIGKILL);  // its end is told by SIGCHLD
    return;
  }
  alarm_.Set(was_stopped_ ? times.kill : std::min(times.term, times.kill));
}

void LockRun::WaitForSignal() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    WaitForSignal();
    OnSignal(signal);
  });
}

void LockRun::OnSignal(int signal) {
  if (signal == SIGCHLD) {
    OnChildChanged();
  } else if (child_.has_value()) {
    child_->Signal(signal);
    if (signal == SIGTERM && !first_term_.has_value()) first_term_ = BootClock::now();
    Watch();
  } else if (is_finishing_) {
    Leave(exit_status_);  // no more waiting for the cluster
  } else if (interrupted_by_ != 0 || !session_) {
    Leave(kExitSignalBase + signal);  // again, or nothing was asked for yet
  } else {
    interrupted_by_ = signal;
    cancel_acquire_.emit(asio::cancellation_type::all);
  }
}

void LockRun::OnChildChanged() {
  if (!child_.has_value()) return;
  const bool is_in_danger = was_stopped_ || !lock_.held();
  const std::optional<Child::End> end = child_->Reap(is_in_danger);
  if (!end.has_value()) return;
  child_.reset();
  alarm_.Stop();
  Finish(ExitStatusOf(*end));
}

int LockRun::ExitStatusOf(const Child::End& end) {
  if (!lock_.held()) {
    Complain(absl::StrCat("lost ", ShownName(), " (token ", lock_.token(),
                          ") before the command had ended"));
    return kExitLockLost;
  }
  if (was_stopped_) {
    Complain(absl::StrCat(ShownName(), " (token ", lock_.token(),
                          ") was in danger of being lost: the command has been stopped"));
    return kExitLockLost;
  }
  if (end.exec_error != 0) {
    Complain(absl::StrCat("cannot run ", lock_arguments_.command.front(), ": ",
                          std::strerror(end.exec_error)));
  }
  return end.exit_status;
}

// ---- The end

void LockRun::Finish(int exit_status) {
  is_finishing_ = true;
  exit_status_ = exit_status;
  session_.Close([this](const absl::Status& closed) {
    if (!closed.ok()) {
      Complain(absl::StrCat("the cluster has not confirmed the release of ", ShownName(),
                            ": it is free after ", FormatDurationMs(lock_arguments_.ttl_ms),
                            " at the latest"));
    }
    Leave(exit_status_);
  });
}

void LockRun::Leave(int exit_status) {
  exit_status_ = exit_status;
  context_.stop();
}

}  // namespace

int RunLock(const Arguments& arguments, const LockArguments& lock) {
  LockRun run(arguments, lock);
  return run.Run();
}

}  // namespace lockd::lockctl
