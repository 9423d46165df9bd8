#include "client/session_core.h"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::internal {

namespace asio = boost::asio;

using client::OperationId;
using client::SessionActions;

namespace {

// Rounds of completions and what they ask for, before the loop gets a chance to read again.
constexpr int kFlushRoundsMax = 16;

int64_t WaitMs(std::chrono::milliseconds wait) {
  if (wait == kWaitWithoutLimit) return client::kWaitForever;
  return wait.count() < 0 ? client::kWaitForever - 1 : wait.count();  // refused by the machine
}

}  // namespace

SessionCore::SessionCore(asio::io_context& context, client::SessionConfig config, std::string nonce,
                         uint64_t seed, std::weak_ptr<void> anchor)
    : context_(context),
      anchor_(std::move(anchor)),
      fsm_(std::move(config), std::move(nonce), seed, BootClock::Read()),
      validity_(std::make_shared<SessionValidityState>()),
      timer_(context) {}

SessionCore::~SessionCore() {
  validity_->deadline.Lose();
  if (connection_ != nullptr) connection_->Close();
}

// ---- Callers

void SessionCore::Open(OpenCompletion done) {
  open_done_ = std::move(done);
  ScheduleFlush();
}

void SessionCore::Acquire(std::string name, const AcquireOptions& options,
                          std::shared_ptr<Cancellation> cancellation,
                          Completion<AcquireResult> done) {
  const LocalTime now = BootClock::Read();
  const OperationId operation =
      fsm_.Acquire(now, name, WaitMs(options.wait), options.max_hold.count());
  acquires_[operation] = {std::move(done), std::move(name)};
  if (cancellation != nullptr) {
    cancellation->operation = operation;
    if (cancellation->requested) fsm_.Cancel(now, operation);
  }
  ScheduleFlush();
}

void SessionCore::Cancel(Cancellation& cancellation) {
  cancellation.requested = true;
  if (cancellation.operation.is_zero()) return;
  fsm_.Cancel(BootClock::Read(), cancellation.operation);
  ScheduleFlush();
}

void SessionCore::Release(OperationId hold, Completion<ReleaseStatus> done) {
  holds_.erase(hold);
  const bool is_releasing = fsm_.Release(BootClock::Read(), hold);
  ScheduleFlush();
  if (!done) return;
  if (is_releasing) {
    releases_[hold] = std::move(done);
    return;
  }
  // Lost before. Completes from the loop like everything else.
  asio::post(context_, [self = shared_from_this(), done = std::move(done)]() mutable {
    const bool is_over = self->validity_->deadline.Get() == LocalTime(0);
    done(is_over ? ReleaseStatus::kSessionLost : ReleaseStatus::kNotHeld);
  });
}

void SessionCore::Close(Completion<absl::Status> done) {
  if (done) close_done_.push_back(std::move(done));
  const LocalTime now = BootClock::Read();
  fsm_.Close(now);
  const SessionState state = fsm_.state(now);
  if (state != SessionState::kClosing && !close_done_.empty()) {
    // It was over before. Completes from the loop like everything else.
    asio::post(context_, [self = shared_from_this()] { self->CompleteClose(true); });
  }
  ScheduleFlush();
}

// ---- The connection

void SessionCore::OnConnected(client::Connection&) {
  fsm_.OnConnected(BootClock::Read(), link_);
  Flush();
}

void SessionCore::OnBytes(client::Connection&, absl::string_view bytes) {
  fsm_.OnBytes(BootClock::Read(), link_, bytes);
  Flush();
}

void SessionCore::OnClosed(client::Connection&) {
  connection_ = nullptr;
  fsm_.OnDisconnected(BootClock::Read(), link_);
  Flush();
}

// ---- The loop over actions

void SessionCore::ScheduleFlush() {
  if (is_flushing_) {
    flush_again_ = true;
  } else if (!flush_scheduled_) {
    flush_scheduled_ = true;
    asio::post(context_, [self = shared_from_this()] {
      self->flush_scheduled_ = false;
      self->Flush();
    });
  }
}

void SessionCore::Flush() {
  if (is_flushing_) {
    flush_again_ = true;
    return;
  }
  const std::shared_ptr<SessionCore> keep_alive = shared_from_this();
  is_flushing_ = true;
  LocalTime next_wakeup = kNeverLocal;
  int rounds = 0;
  do {
    flush_again_ = false;
    SessionActions actions = fsm_.TakeActions(BootClock::Read());
    next_wakeup = actions.next_wakeup;
    CarryOut(actions);
    CloseIfUnowned();
  } while (flush_again_ && ++rounds < kFlushRoundsMax);
  is_flushing_ = false;
  if (std::exchange(flush_again_, false)) ScheduleFlush();
  if (connection_ != nullptr) connection_->Send(std::move(to_send_));
  to_send_.clear();
  ArmTimer(next_wakeup);
}

void SessionCore::CarryOut(SessionActions& actions) {
  for (const client::LinkId link : actions.close) {
    if (link != link_ || connection_ == nullptr) continue;
    connection_->Close();
    connection_ = nullptr;
  }
  if (!actions.close.empty()) to_send_.clear();
  if (actions.dial.has_value()) {
    link_ = actions.dial->link;
    to_send_.clear();
    connection_ = std::make_shared<client::Connection>(context_, this);
    connection_->Dial(actions.dial->address);
  }
  if (to_send_.empty()) {
    to_send_ = std::move(actions.send);
  } else {
    to_send_ += actions.send;
  }

  // What the handles show comes before anybody is told: who is told looks at them.
  Publish(actions);
  if (actions.opened.has_value()) CompleteOpen(*actions.opened);
  for (client::AcquireDone& acquired : actions.acquires) CompleteAcquire(acquired);
  for (const client::ReleaseDone& released : actions.releases) {
    auto found = releases_.extract(released.hold);
    if (!found.empty()) found.mapped()(released.status);
  }
  for (const client::HoldLost& lost : actions.lost) {
    auto found = holds_.extract(lost.hold);
    const std::shared_ptr<HoldState> hold = found.empty() ? nullptr : found.mapped().lock();
    if (hold == nullptr) continue;
    hold->hold_deadline.Lose();
    hold->lost.request_stop();
  }
  if (actions.session_lost) validity_->lost.request_stop();
  if (actions.closed.has_value()) CompleteClose(actions.closed->acknowledged);
}

void SessionCore::Publish(const SessionActions& actions) {
  const SessionState state = fsm_.state(BootClock::Read());
  validity_->session_id.store(fsm_.session_id().value(), std::memory_order_relaxed);
  switch (state) {
    case SessionState::kOpening:
      return;
    case SessionState::kHealthy:
    case SessionState::kJeopardy:
      validity_->last_answer_ns.store(fsm_.lease().last_answer().value(),
                                      std::memory_order_relaxed);
      if (actions.opened.has_value()) {
        validity_->deadline.Open(fsm_.lease().deadline());
      } else if (!validity_->deadline.Renew(fsm_.lease().deadline())) {
        fsm_.OnLost(BootClock::Read());
        flush_again_ = true;
      }
      validity_->state.store(SessionState::kHealthy, std::memory_order_release);
      return;
    case SessionState::kClosing:
    case SessionState::kClosed:
    case SessionState::kLost:
    case SessionState::kOpenFailed:
      validity_->deadline.Lose();
      validity_->state.store(state, std::memory_order_release);
      return;
  }
}

void SessionCore::CompleteOpen(client::OpenDone& opened) {
  if (!open_done_) return;
  OpenCompletion done = std::exchange(open_done_, nullptr);
  switch (opened.status) {
    case client::OpenStatus::kOpened:
      done(Session(Owner()));
      return;
    case client::OpenStatus::kUnavailable:
      done(absl::UnavailableError(absl::StrCat("no session: ", opened.message)));
      return;
    case client::OpenStatus::kRefused:
      done(absl::InvalidArgumentError(absl::StrCat("the session is refused: ", opened.message)));
      return;
  }
}

void SessionCore::CompleteAcquire(client::AcquireDone& acquired) {
  auto found = acquires_.extract(acquired.operation);
  if (found.empty()) return;
  PendingAcquire pending = std::move(found.mapped());
  AcquireResult result;
  result.status = acquired.status;
  result.message = std::move(acquired.message);
  result.retry_after = std::chrono::milliseconds(acquired.retry_after_ms);
  if (acquired.status == AcquireStatus::kGranted) {
    auto hold =
        std::make_shared<HoldState>(Owner(), validity_, acquired.operation, std::move(pending.name),
                                    acquired.token, acquired.fence_floor, acquired.hold_deadline);
    holds_[acquired.operation] = hold;
    result.lock = DistributedLock(std::move(hold));
  }
  pending.done(std::move(result));
}

void SessionCore::CompleteClose(bool acknowledged) {
  std::vector<Completion<absl::Status>> waiting = std::exchange(close_done_, {});
  for (Completion<absl::Status>& done : waiting) {
    done(acknowledged ? absl::OkStatus()
                      : absl::DeadlineExceededError(
                            "no answer to the close of the session; it ends by its TTL"));
  }
}

// The handles may all have gone while something was pending; what it comes to gets a new owner.
std::shared_ptr<SessionOwner> SessionCore::Owner() {
  std::shared_ptr<SessionOwner> owner = owner_.lock();
  if (owner == nullptr) {
    owner = std::make_shared<SessionOwner>(shared_from_this());
    owner_ = owner;
  }
  return owner;
}

void SessionCore::CloseIfUnowned() {
  if (open_done_ || !owner_.expired() || !acquires_.empty() || !releases_.empty()) return;
  const LocalTime now = BootClock::Read();
  const SessionState state = fsm_.state(now);
  if (state != SessionState::kHealthy && state != SessionState::kJeopardy) return;
  fsm_.Close(now);
  flush_again_ = true;
}

// A wait that is longer than needed is left alone: waking up too early costs less than setting the
// timer at every turn.
void SessionCore::ArmTimer(LocalTime at) {
  if (at == kNeverLocal) {
    armed_for_ = kNeverLocal;
    timer_.cancel();
    return;
  }
  if (armed_for_ <= at) return;
  armed_for_ = at;
  timer_.expires_at(BootClock::ToTimePoint(at));
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error) return;  // set anew, or not needed any more
    self->armed_for_ = kNeverLocal;
    self->fsm_.OnTime(BootClock::Read());
    self->Flush();
  });
}

// ---- Handles

SessionOwner::~SessionOwner() {
  asio::post(core_->context(), [core = core_] { core->OnUnowned(); });
}

asio::io_context& ContextOf(const SessionOwner& session) {
  return session.core()->context();
}

asio::io_context& ContextOf(const HoldState& hold) {
  return ContextOf(*hold.session);
}

void AcquireLock(std::shared_ptr<SessionOwner> session, std::string name, AcquireOptions options,
                 asio::cancellation_slot slot, Completion<AcquireResult> done) {
  const std::shared_ptr<SessionCore> core = session->core();
  std::shared_ptr<SessionCore::Cancellation> cancellation;
  if (slot.is_connected()) {
    cancellation = std::make_shared<SessionCore::Cancellation>();
    slot.assign([weak = std::weak_ptr<SessionCore>(core), cancellation](asio::cancellation_type) {
      const std::shared_ptr<SessionCore> target = weak.lock();
      if (target == nullptr) return;
      asio::dispatch(target->context(), [target, cancellation] { target->Cancel(*cancellation); });
    });
  }
  asio::dispatch(
      core->context(), [core, name = std::move(name), options,
                        cancellation = std::move(cancellation), done = std::move(done)]() mutable {
        core->Acquire(std::move(name), options, std::move(cancellation), std::move(done));
      });
}

void ReleaseHold(std::shared_ptr<HoldState> hold, Completion<ReleaseStatus> done) {
  hold->hold_deadline.Lose();
  const std::shared_ptr<SessionCore> core = hold->session->core();
  asio::dispatch(core->context(),
                 [core, operation = hold->operation, done = std::move(done)]() mutable {
                   core->Release(operation, std::move(done));
                 });
}

void CloseSession(SessionOwner& session, Completion<absl::Status> done) {
  asio::dispatch(
      session.core()->context(),
      [core = session.core(), done = std::move(done)]() mutable { core->Close(std::move(done)); });
}

}  // namespace lockd::internal
