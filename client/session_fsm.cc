// Time, life and link of the session machine. Frames that come in: session_replies.cc. Acquires,
// holds and the requests that carry them: session_operations.cc.
#include "client/session_fsm.h"

#include <algorithm>

#include "client/request_encoder.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"
#include "protocol/lock.pb.h"

namespace lockd::client {
namespace {

constexpr int64_t kPingMsMin = 1'000;

LocalTime AddMs(LocalTime time, int64_t ms) {
  return time + ms * kNanosPerMilli;
}

}  // namespace

SessionFsm::SessionFsm(SessionConfig config, std::string nonce, uint64_t seed, LocalTime now,
                       const UsedNumbers& used)
    : config_(std::move(config)),
      nonce_(std::move(nonce)),
      random_(seed),
      lease_(config_.ttl_ms, config_.grace_ms),
      next_transmission_(used.transmission + 1),
      finder_(config_.endpoints, config_.backoff_ms_min, config_.backoff_ms_max, random_.Next()),
      decoder_(kHelloFrameBytesMax),
      dial_at_(now),
      last_control_id_(used.control_id),
      window_(used.sequence),
      encoder_(std::make_unique<RequestEncoder>()) {
  LOCKD_CHECK(nonce_.size() == kNonceBytes, "a nonce of ", nonce_.size(), " bytes");
  LOCKD_CHECK(config_.ttl_ms > 0 && config_.operation_timeout_ms > 0, "a session without time");
  open_deadline_ = AddMs(now, config_.operation_timeout_ms);
}

SessionFsm::~SessionFsm() = default;

// ---- Time and life

void SessionFsm::OnTime(LocalTime now) {
  Advance(now);
}

void SessionFsm::OnLost(LocalTime now) {
  Advance(now);
  if (life_ == Life::kLive) Lose(Life::kLost, "no answer from the cluster before the deadline");
}

// First of all the deadline: nothing that is considered after it can bring the session back.
void SessionFsm::Advance(LocalTime now) {
  if (is_over()) return;
  if (life_ == Life::kOpening) {
    if (now >= open_deadline_) {
      Lose(Life::kOpenFailed, last_refusal_.empty() ? "no leader answered in time" : last_refusal_);
    }
  } else if (now >= lease_.deadline()) {
    if (life_ == Life::kClosing) {
      FinishClose(false);
    } else {
      LOCKD_REACH(kClientLossByOwnDeadline);
      Lose(Life::kLost, "no answer from the cluster before the deadline");
    }
  } else if (now >= close_deadline_) {
    FinishClose(false);
  }
  if (is_over()) return;
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Operation* operation = Find(timers_.begin()->second);
    LOCKD_CHECK(operation != nullptr, "a timer of no operation");
    SetTimer(*operation, kNeverLocal);
    OnOperationTimer(*operation);
  }
  CheckLink(now);
}

void SessionFsm::Lose(Life life, absl::string_view message) {
  const Life before = life_;
  life_ = life;
  end_message_ = std::string(message);
  if (before == Life::kOpening) {
    const OpenStatus status = open_refused_ ? OpenStatus::kRefused : OpenStatus::kUnavailable;
    actions_.opened = OpenDone{.status = status, .message = end_message_};
  }
  if (before == Life::kClosing) actions_.closed = CloseDone{.acknowledged = false};
  actions_.session_lost = life == Life::kLost;
  EndAllOperations();
  DropLink();
}

void SessionFsm::Close(LocalTime now) {
  Advance(now);
  if (is_over() || life_ == Life::kClosing) return;
  const bool was_opening = life_ == Life::kOpening;
  life_ = Life::kClosing;
  EndAllOperations();
  if (was_opening) {
    // Nothing is held. If the open has taken effect without our knowing, the TTL ends the session.
    actions_.opened =
        OpenDone{.status = OpenStatus::kUnavailable, .message = "closed while opening"};
    FinishClose(false);
    return;
  }
  close_deadline_ = AddMs(now, config_.operation_timeout_ms);
  if (is_attached()) SendClose(now);
}

void SessionFsm::FinishClose(bool acknowledged) {
  life_ = Life::kClosed;
  end_message_ = "closed";
  actions_.closed = CloseDone{.acknowledged = acknowledged};
  DropLink();
}

SessionState SessionFsm::state(LocalTime now) const {
  switch (life_) {
    case Life::kOpening:
      return SessionState::kOpening;
    case Life::kLive:
      if (now >= lease_.deadline()) return SessionState::kLost;
      return now >= lease_.jeopardy() ? SessionState::kJeopardy : SessionState::kHealthy;
    case Life::kClosing:
      return SessionState::kClosing;
    case Life::kClosed:
      return SessionState::kClosed;
    case Life::kLost:
      return SessionState::kLost;
    case Life::kOpenFailed:
      return SessionState::kOpenFailed;
  }
  LOCKD_UNREACHABLE("life");
}

SessionActions SessionFsm::TakeActions(LocalTime now) {
  Advance(now);
  Pump(now);
  actions_.send_link = link_;
  actions_.next_wakeup = NextWakeup();
  return std::exchange(actions_, {});
}

LocalTime SessionFsm::NextWakeup() const {
  if (is_over()) return kNeverLocal;
  LocalTime next = life_ == Life::kOpening ? open_deadline_ : lease_.deadline();
  next = std::min(next, close_deadline_);
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  switch (link_state_) {
    case LinkState::kNone:
      return std::min(next, dial_at_);
    case LinkState::kDialing:
    case LinkState::kGreeting:
    case LinkState::kOpening:
      return std::min(next, connect_deadline_);
    case LinkState::kAttached:
      next = std::min({next, keep_alive_at_, ping_at_, SilentAt()});
      if (acquires_wait_) next = std::min(next, acquires_from_);
      if (others_wait_) next = std::min(next, others_from_);
      return next;
  }
  LOCKD_UNREACHABLE("link state");
}

// ---- The link

void SessionFsm::OnConnected(LocalTime now, LinkId link) {
  Advance(now);
  if (link != link_ || link_state_ != LinkState::kDialing) return;
  link_state_ = LinkState::kGreeting;
  heard_at_ = now;
  encoder_->Hello(actions_.send, config_.client_name, cluster_id_);
}

void SessionFsm::OnDisconnected(LocalTime now, LinkId link) {
  Advance(now);
  if (link != link_ || link_state_ == LinkState::kNone) return;
  link_is_closed_ = true;
  Retry(now);
}

void SessionFsm::OnBytes(LocalTime now, LinkId link, absl::string_view bytes) {
  Advance(now);
  if (link != link_ || link_state_ == LinkState::kNone || link_state_ == LinkState::kDialing)
    return;
  decoder_.Feed(bytes);
  FrameView frame;
  while (link_state_ != LinkState::kNone) {
    const FrameDecoder::Result result = decoder_.Next(&frame);
    if (result == FrameDecoder::Result::kNeedMore) return;
    // Whole frames count, not bytes: behind a damaged length field nothing is ever heard again.
    heard_at_ = now;
    if (result == FrameDecoder::Result::kError || !OnFrame(now, frame)) {
      Retry(now);
      return;
    }
  }
}

// What is due on the link, and whether it is still worth keeping.
void SessionFsm::CheckLink(LocalTime now) {
  switch (link_state_) {
    case LinkState::kNone:
      if (now >= dial_at_) StartDial(now);
      return;
    case LinkState::kDialing:
    case LinkState::kGreeting:
    case LinkState::kOpening:
      if (now >= connect_deadline_) Retry(now);
      return;
    case LinkState::kAttached:
      if (now >= SilentAt()) {
        LOCKD_REACH(kClientGivesUpSilentNode);
        Retry(now);
        return;
      }
      if (now >= keep_alive_at_) SendKeepAlive(now);
      if (now >= ping_at_) SendPing(now);
      return;
  }
}

void SessionFsm::StartDial(LocalTime now) {
  ++link_;
  link_state_ = LinkState::kDialing;
  link_is_closed_ = false;
  server_address_ = finder_.Next();
  decoder_ = FrameDecoder(kHelloFrameBytesMax);
  // A session with a short TTL has to try several nodes within it.
  connect_deadline_ =
      AddMs(now, std::min(config_.connect_timeout_ms, std::max<int64_t>(config_.ttl_ms / 3, 300)));
  actions_.dial = Dial{.link = link_, .address = server_address_};
}

void SessionFsm::DropLink() {
  if (link_state_ == LinkState::kNone) return;
  link_state_ = LinkState::kNone;
  dial_at_ = kNeverLocal;
  if (actions_.dial.has_value()) {
    actions_.dial.reset();  // dialled in this very turn: nobody knows of it yet
  } else if (!link_is_closed_) {
    actions_.close.push_back(link_);
  }
  actions_.send.clear();
  controls_.clear();
  window_.LinkLost();
  server_address_.clear();
  acquires_wait_ = false;
  others_wait_ = false;
  decoder_ = FrameDecoder(kHelloFrameBytesMax);
}

void SessionFsm::Retry(LocalTime now, int64_t at_least_ms) {
  DropLink();
  if (is_over()) return;
  dial_at_ = now + std::max(finder_.OnFailureNs(), at_least_ms * kNanosPerMilli);
}

void SessionFsm::Redirect(LocalTime now, absl::string_view address) {
  if (finder_.OnHint(address)) {
    DropLink();
    dial_at_ = now;
  } else {
    Retry(now);
  }
}

uint32_t SessionFsm::NewControl(LocalTime now, Opcode opcode, uint64_t transmission) {
  // Never zero, and never a mutation's id, which has bit 30 set.
  last_control_id_ = last_control_id_ % 0x3fffffffu + 1;
  controls_.push_back({.opcode = opcode,
                       .request_id = last_control_id_,
                       .transmission = transmission,
                       .sent_at = now});
  ExpectAnswer(now);
  return last_control_id_;
}

void SessionFsm::SendOpenOrAttach(LocalTime now) {
  link_state_ = LinkState::kOpening;
  if (session_id_.is_zero()) {
    const uint32_t request_id = NewControl(now, Opcode::kOpenSession, 0);
    encoder_->Open(actions_.send, request_id, config_, nonce_);
  } else {
    const uint32_t request_id = NewControl(now, Opcode::kAttachSession, 0);
    encoder_->Attach(actions_.send, request_id, session_id_, nonce_);
  }
}

void SessionFsm::Attached(LocalTime now, LocalTime sent_at, ConnectionEpoch epoch) {
  link_state_ = LinkState::kAttached;
  epoch_ = epoch;
  finder_.OnAttached();
  last_refusal_.clear();
  acquires_from_ = others_from_ = LocalTime(0);
  ScheduleKeepAlive(sent_at);
  ping_at_ = config_.grace_ms > 0 ? AddMs(sent_at, PingMs()) : kNeverLocal;
  if (life_ == Life::kClosing) SendClose(now);
}

// Every third of the TTL, a little earlier by chance: sessions that were opened together drift
// apart.
void SessionFsm::ScheduleKeepAlive(LocalTime sent_at) {
  const int64_t third_ns = config_.ttl_ms * kNanosPerMilli / 3;
  const int64_t jitter_ns =
      static_cast<int64_t>(random_.Below(static_cast<uint64_t>(third_ns / 10 + 1)));
  keep_alive_at_ = sent_at + (third_ns - jitter_ns);
}

int64_t SessionFsm::PingMs() const {
  return std::max(config_.grace_ms / 3, kPingMsMin);
}

void SessionFsm::SendKeepAlive(LocalTime now) {
  const uint64_t transmission = next_transmission_++;
  const uint32_t request_id = NewControl(now, Opcode::kKeepAlive, transmission);
  encoder_->KeepAlive(actions_.send, request_id, session_id_, transmission, &acknowledgements_);
  ScheduleKeepAlive(now);
}

void SessionFsm::SendPing(LocalTime now) {
  const uint64_t transmission = next_transmission_++;
  const uint32_t request_id = NewControl(now, Opcode::kPing, transmission);
  encoder_->Ping(actions_.send, request_id, session_id_, epoch_, transmission);
  ping_at_ = AddMs(now, PingMs());
}

void SessionFsm::SendClose(LocalTime now) {
  const uint32_t request_id = NewControl(now, Opcode::kCloseSession, 0);
  encoder_->Close(actions_.send, request_id, session_id_);
}

// A node that stops to talk is given up early enough to find another one before the deadline. What
// arrives proves that the node lives, not that it serves: a single request is waited for three
// times as long at most.
int64_t SessionFsm::SilenceNs() const {
  return std::clamp<int64_t>(config_.ttl_ms / 4, 100, 2'000) * kNanosPerMilli;
}

void SessionFsm::ExpectAnswer(LocalTime now) {
  if (controls_.size() + window_.in_flight() <= 1) expecting_since_ = now;
}

LocalTime SessionFsm::SilentAt() const {
  if (controls_.empty() && window_.in_flight() == 0) return kNeverLocal;
  LocalTime at = std::max(heard_at_, expecting_since_) + SilenceNs();
  if (!controls_.empty()) at = std::min(at, controls_.front().sent_at + 3 * SilenceNs());
  const Request* oldest = window_.Oldest();
  if (oldest != nullptr && oldest->in_flight) {
    at = std::min(at, oldest->sent_at + 3 * SilenceNs());
  }
  return at;
}

}  // namespace lockd::client
