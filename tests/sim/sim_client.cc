#include "tests/sim/sim_client.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

namespace lockd::sim {
namespace {

constexpr size_t kTasks = 3;
constexpr size_t kSentBytesKept = 64 * 1024;

const char* StatusName(client::AcquireStatus status) {
  switch (status) {
    case client::AcquireStatus::kGranted:
      return "granted";
    case client::AcquireStatus::kBusy:
      return "busy";
    case client::AcquireStatus::kTimedOut:
      return "timed out";
    case client::AcquireStatus::kCancelled:
      return "cancelled";
    case client::AcquireStatus::kUnavailable:
      return "unavailable";
    case client::AcquireStatus::kSessionLost:
      return "session lost";
    case client::AcquireStatus::kLimit:
      return "limit";
    case client::AcquireStatus::kInvalid:
      return "invalid";
  }
  return "unknown";
}

}  // namespace

SimClient::SimClient(Scheduler* scheduler, SimNetwork* network, FaultBook* faults, Options options)
    : scheduler_(scheduler),
      network_(network),
      faults_(faults),
      options_(std::move(options)),
      random_(options_.seed),
      clock_(scheduler, &random_, faults->Strikes(Fault::kClockOffset),
             faults->Strikes(Fault::kClockDrift) ? options_.swarm.clock_rate_ppm_max : 0) {
  network_->AddHost(options_.host, this);
}

void SimClient::Trace(const std::string& text) const {
  if (options_.trace) options_.trace(absl::StrCat("client ", options_.host, " ", text));
}

// ---- Life

void SimClient::Start() {
  ++life_;
  network_->SetUp(options_.host, true);
  OpenSession();
}

void SimClient::OpenSession() {
  client::SessionConfig config;
  config.endpoints = options_.endpoints;
  config.client_name = "sim";
  config.owner_id = absl::StrCat("client-", options_.host);
  config.ttl_ms = options_.swarm.ttl_ms;
  config.grace_ms = random_.Chance(1, 2) ? options_.swarm.grace_ms : 0;
  std::string nonce;
  AppendLittle(nonce, random_.Next());
  AppendLittle(nonce, random_.Next());
  ++session_;
  timer_at_ = SimClock::kNever;
  lease_deadline_ = LocalTime(0);
  is_closing_ = false;
  links_.clear();
  fsm_links_.clear();
  fsm_ = std::make_unique<client::SessionFsm>(std::move(config), std::move(nonce), random_.Next(),
                                              clock_.Now(), options_.used_numbers);
  Trace(absl::StrCat("opens session number ", session_));
  tasks_.assign(kTasks, Task{});
  for (size_t task = 0; task < kTasks; ++task) Think(task);
  ScheduleTurn();
}

void SimClient::Crash() {
  if (!is_up()) return;
  Trace("crashes");
  options_.listener->OnSessionGivenUp(fsm_->session_id());
  fsm_.reset();
  links_.clear();
  fsm_links_.clear();
  tasks_.clear();
  waiting_.clear();
  is_paused_ = false;
  is_turn_scheduled_ = false;
  timer_at_ = SimClock::kNever;
  ++life_;
  network_->SetUp(options_.host, false);
}

void SimClient::Pause() {
  if (is_up()) is_paused_ = true;
}

void SimClient::Resume() {
  is_paused_ = false;
  std::deque<std::function<void()>> waiting;
  waiting.swap(waiting_);
  for (std::function<void()>& action : waiting) action();
}

void SimClient::Finish() {
  is_finishing_ = true;
  if (is_up()) MaybeClose();
}

void SimClient::InProcess(std::function<void()> action) {
  if (!is_up()) return;
  if (is_paused_) {
    waiting_.push_back(std::move(action));
  } else {
    action();
  }
}

void SimClient::InProcessAfter(Time delay, std::function<void()> action) {
  scheduler_->After(delay, [this, life = life_, action = std::move(action)]() mutable {
    if (life == life_) InProcess(std::move(action));
  });
}

// ---- What checks ask

SessionId SimClient::session_id() const {
  return is_up() ? fsm_->session_id() : SessionId(0);
}

std::vector<FencingToken> SimClient::BelievedHolds(const std::string& lock) const {
  std::vector<FencingToken> believed;
  if (!is_up()) return believed;
  for (const Task& task : tasks_) {
    if (task.lock == lock && !task.token.is_zero() && fsm_->IsHeld(task.operation, clock_.Now())) {
      believed.push_back(task.token);
    }
  }
  return believed;
}

bool SimClient::IsHolding() const {
  if (!is_up()) return false;
  for (const Task& task : tasks_) {
    if (!task.token.is_zero() && fsm_->IsHeld(task.operation, clock_.Now())) return true;
  }
  return false;
}

std::string SimClient::server_address() const {
  return is_up() ? fsm_->server_address() : "";
}

bool SimClient::BelievesInSession() const {
  if (!is_up()) return false;
  const client::SessionState state = fsm_->state(clock_.Now());
  return state == client::SessionState::kHealthy || state == client::SessionState::kJeopardy;
}

std::string SimClient::Describe() const {
  if (!is_up()) return absl::StrCat("client ", options_.host, " is down");
  return absl::StrCat("client ", options_.host, " session ", fsm_->session_id(), " state ",
                      static_cast<int>(fsm_->state(clock_.Now())), " holds ", fsm_->hold_count(),
                      " idle ", fsm_->IsIdle(), " at ", fsm_->server_address(), " ",
                      fsm_->end_message());
}

// ---- Turns

void SimClient::ScheduleTurn() {
  if (is_turn_scheduled_) return;
  is_turn_scheduled_ = true;
  InProcessAfter(static_cast<Time>(random_.Between(1, 20)) * kMicros, [this] { RunTurn(); });
}

void SimClient::RunTurn() {
  is_turn_scheduled_ = false;
  fsm_->OnTime(clock_.Now());
  client::SessionActions actions = fsm_->TakeActions(clock_.Now());
  NoteLease();
  CarryOut(std::move(actions));
}

void SimClient::NoteLease() {
  const LocalTime deadline = fsm_->lease().deadline();
  if (deadline == lease_deadline_ || fsm_->session_id().is_zero()) return;
  lease_deadline_ = deadline;
  const int64_t ttl_ms = options_.swarm.ttl_ms;
  options_.listener->OnLease(fsm_->session_id(),
                             clock_.TrueTimeOf(deadline - ttl_ms * kNanosPerMilli), ttl_ms);
}

void SimClient::CarryOut(client::SessionActions actions) {
  for (const client::LinkId link : actions.close) {
    const auto found = links_.find(link);
    if (found == links_.end()) continue;
    network_->Close(found->second, options_.host);
    fsm_links_.erase(found->second);
    links_.erase(found);
  }
  if (actions.dial) {
    const LinkId link =
        network_->Dial(options_.host, options_.host_of(actions.dial->address), false);
    links_.emplace(actions.dial->link, link);
    fsm_links_.emplace(link, actions.dial->link);
    sent_.clear();
  }
  if (!actions.send.empty()) {
    const auto found = links_.find(actions.send_link);
    if (found != links_.end()) {
      if (sent_.size() < kSentBytesKept) sent_ += actions.send;
      if (faults_->Strikes(Fault::kClientSendsTwice)) {
        network_->Send(found->second, options_.host, actions.send);
      }
      network_->Send(found->second, options_.host, std::move(actions.send));
    }
  }
  for (const client::AcquireDone& done : actions.acquires) OnAcquired(done);
  for (const client::ReleaseDone& done : actions.releases) {
    size_t number = 0;
    Task* const task = TaskOf(done.hold, &number);
    if (task == nullptr) continue;
    options_.listener->OnReleaseEnded(*this, task->lock, task->last_token, done.status);
    EndTask(number);
  }
  for (const client::HoldLost& lost : actions.lost) {
    ++counts_.losses;
    size_t number = 0;
    Task* const task = TaskOf(lost.hold, &number);
    if (task == nullptr) continue;
    options_.listener->OnHoldLost(*this, task->lock, task->last_token);
    EndTask(number);
  }
  ArmTimer(actions.next_wakeup);
  const bool open_failed = actions.opened && actions.opened->status != client::OpenStatus::kOpened;
  if (actions.session_lost || actions.closed || open_failed) OnSessionEnded();
}

void SimClient::ArmTimer(LocalTime wakeup) {
  const Time at = clock_.WhenReached(wakeup);
  if (at >= timer_at_) return;
  timer_at_ = at;
  scheduler_->At(at, [this, life = life_, at] {
    if (life != life_ || timer_at_ != at) return;
    timer_at_ = SimClock::kNever;
    InProcess([this] { ScheduleTurn(); });
  });
}

// ---- The program

void SimClient::Think(size_t task) {
  const Time pause =
      static_cast<Time>(random_.Between(1, static_cast<uint64_t>(2 * options_.swarm.think_mean)));
  InProcessAfter(pause, [this, task, session = session_] {
    if (session == session_ && !tasks_[task].is_busy) BeginAcquire(task);
  });
}

void SimClient::BeginAcquire(size_t number) {
  if (is_finishing_ || is_closing_) {
    MaybeClose();
    return;
  }
  Task& task = tasks_[number];
  task.lock = absl::StrCat("lock-", random_.Below(options_.swarm.locks));
  int64_t wait_ms = client::kWaitForever;
  if (random_.Chance(1, 4)) wait_ms = 0;
  if (random_.Chance(1, 3)) wait_ms = static_cast<int64_t>(random_.Between(1, 2'000));
  const int64_t max_hold_ms =
      random_.Chance(1, 6) ? static_cast<int64_t>(random_.Between(20, 1'000)) : 0;
  if (options_.omitted_operations.Contains((*options_.operations)++)) {
    EndTask(number);
    return;
  }
  ++counts_.acquires;
  task.is_busy = true;
  task.operation = fsm_->Acquire(clock_.Now(), task.lock, wait_ms, max_hold_ms);
  Trace(absl::StrCat("acquires ", task.lock, " as ", task.operation, " wait ", wait_ms));
  options_.listener->OnAcquireCalled(*this, task.lock, task.operation);
  MaybeCancel(task.operation);
  ScheduleTurn();
}

void SimClient::MaybeCancel(client::OperationId operation) {
  Time when = 0;
  if (faults_->Strikes(Fault::kCancelMeetsGrant)) {
    when = static_cast<Time>(random_.Between(100, 3'000)) * kMicros;  // about a round trip
  } else if (random_.Chance(1, 10)) {
    when = static_cast<Time>(random_.Between(1, 300)) * kMillis;  // changes its mind
  } else {
    return;
  }
  InProcessAfter(when, [this, session = session_, operation] {
    if (session != session_) return;
    fsm_->Cancel(clock_.Now(), operation);
    ScheduleTurn();
  });
}

void SimClient::OnAcquired(const client::AcquireDone& done) {
  size_t number = 0;
  Task* const task = TaskOf(done.operation, &number);
  LOCKD_CHECK(task != nullptr, "an acquire of nobody completed");
  Trace(absl::StrCat("acquire ", done.operation, " of ", task->lock, ": ", StatusName(done.status),
                     " token ", done.token));
  options_.listener->OnAcquireEnded(*this, task->lock, done.operation, done.status, done.token);
  if (done.status != client::AcquireStatus::kGranted) {
    if (done.status == client::AcquireStatus::kTimedOut) ++counts_.timeouts;
    if (done.status == client::AcquireStatus::kUnavailable) ++counts_.unavailable;
    LOCKD_CHECK(done.status != client::AcquireStatus::kInvalid, done.message);
    EndTask(number);
    return;
  }
  ++counts_.grants;
  task->token = task->last_token = done.token;
  if (fsm_->IsHeld(task->operation, clock_.Now())) {
    options_.listener->OnHoldBelieved(*this, task->lock, task->token);
  }
  Work(number);
}

void SimClient::Work(size_t number) {
  const Time pause =
      static_cast<Time>(random_.Between(1, static_cast<uint64_t>(options_.swarm.hold_mean)));
  InProcessAfter(pause, [this, number, session = session_, operation = tasks_[number].operation] {
    if (session != session_ || tasks_[number].operation != operation || !tasks_[number].is_busy)
      return;
    Task& task = tasks_[number];
    if (fsm_->IsHeld(task.operation, clock_.Now())) {
      options_.listener->OnHoldBelieved(*this, task.lock, task.token);
      ReadOrWrite(task);
    }
    if (random_.Chance(1, 2)) {
      Work(number);
      return;
    }
    MaybeWriteLate(task);
    Trace(absl::StrCat("releases ", task.lock, " token ", task.token));
    task.token = FencingToken(0);
    if (fsm_->Release(clock_.Now(), task.operation)) {
      ++counts_.releases;
      options_.listener->OnReleaseCalled(*this, task.lock, task.last_token);
    } else {
      // It was over already, and the machine found out just now.
      options_.listener->OnHoldLost(*this, task.lock, task.last_token);
      EndTask(number);
    }
    ScheduleTurn();
  });
}

void SimClient::ReadOrWrite(Task& task) {
  if (!task.seen.has_value()) {
    task.seen = options_.listener->Read(task.lock, task.token, true);
  } else if (options_.listener->Write(task.lock, task.token, *task.seen, true)) {
    ++*task.seen;
  }
}

// The write left while the hold was good and arrives when it may be long gone: only the fence is
// in its way.
void SimClient::MaybeWriteLate(const Task& task) {
  if (!task.seen.has_value() || !random_.Chance(1, 8)) return;
  const Time when = static_cast<Time>(random_.Between(1, 3'000)) * kMillis;
  scheduler_->After(when, [listener = options_.listener, lock = task.lock, token = task.token,
                           seen = *task.seen] { listener->Write(lock, token, seen, false); });
}

void SimClient::EndTask(size_t number) {
  Task& task = tasks_[number];
  task = Task{};
  if (is_finishing_) {
    MaybeClose();
  } else {
    Think(number);
  }
}

void SimClient::OnSessionEnded() {
  Trace(absl::StrCat("session over: ", fsm_->end_message()));
  // What the machine sends is never wrong, whatever is lost, late or repeated on the way.
  LOCKD_CHECK(!absl::StartsWith(fsm_->end_message(), "the server refuses a request"),
              "RequestsAreLawful: client ", options_.host, ": ", fsm_->end_message());
  options_.listener->OnSessionGivenUp(fsm_->session_id());
  if (is_finishing_) {
    is_finished_ = true;
    return;
  }
  for (const auto& [fsm_link, link] : links_) network_->Close(link, options_.host);
  OpenSession();
}

void SimClient::MaybeClose() {
  if (is_closing_ || is_finished_) return;
  for (const Task& task : tasks_) {
    if (task.is_busy) return;
  }
  if (!fsm_->IsIdle()) {
    InProcessAfter(20 * kMillis, [this] { MaybeClose(); });
    return;
  }
  is_closing_ = true;
  fsm_->Close(clock_.Now());
  ScheduleTurn();
}

SimClient::Task* SimClient::TaskOf(client::OperationId operation, size_t* number) {
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i].is_busy && tasks_[i].operation == operation) {
      *number = i;
      return &tasks_[i];
    }
  }
  return nullptr;
}

// ---- Connections

void SimClient::OnDialed(LinkId link) {
  InProcess([this, link] {
    const auto found = fsm_links_.find(link);
    if (found == fsm_links_.end()) return;
    fsm_->OnConnected(clock_.Now(), found->second);
    ScheduleTurn();
  });
}

void SimClient::OnDialFailed(LinkId link, bool) {
  OnLinkClosed(link);
}

void SimClient::OnAccepted(LinkId, bool) {
  LOCKD_UNREACHABLE("nobody dials a client");
}

void SimClient::OnBytes(LinkId link, std::string bytes) {
  InProcess([this, link, bytes = std::move(bytes)] {
    const auto found = fsm_links_.find(link);
    if (found == fsm_links_.end()) return;
    fsm_->OnBytes(clock_.Now(), found->second, bytes);
    ScheduleTurn();
  });
}

void SimClient::OnLinkClosed(LinkId link) {
  InProcess([this, link] {
    const auto found = fsm_links_.find(link);
    if (found == fsm_links_.end()) return;
    const client::LinkId fsm_link = found->second;
    fsm_links_.erase(found);
    links_.erase(fsm_link);
    fsm_->OnDisconnected(clock_.Now(), fsm_link);
    ScheduleTurn();
  });
}

}  // namespace lockd::sim
