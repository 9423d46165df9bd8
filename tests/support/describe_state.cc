#include "tests/support/describe_state.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "protocol/base/text.h"
#include "server/state/members.h"

namespace lockd::state {
namespace {

using absl::StrAppend;
using absl::StrCat;

const char* Name(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      return "ok";
    case Refusal::kSessionEnded:
      return "session-ended";
    case Refusal::kStaleEpoch:
      return "stale-epoch";
    case Refusal::kBadSequence:
      return "bad-sequence";
    case Refusal::kWrongSecret:
      return "wrong-secret";
    case Refusal::kLimit:
      return "limit";
    case Refusal::kInvalid:
      return "invalid";
  }
  return "?";
}

const char* Name(AcquireOutcomeKind kind) {
  switch (kind) {
    case AcquireOutcomeKind::kQueued:
      return "queued";
    case AcquireOutcomeKind::kGranted:
      return "granted";
    case AcquireOutcomeKind::kBusy:
      return "busy";
    case AcquireOutcomeKind::kTimedOut:
      return "timed-out";
    case AcquireOutcomeKind::kCancelled:
      return "cancelled";
    case AcquireOutcomeKind::kLimit:
      return "limit";
  }
  return "?";
}

const char* Name(CancelOutcome outcome) {
  switch (outcome) {
    case CancelOutcome::kCancelled:
      return "cancelled";
    case CancelOutcome::kTooLate:
      return "too-late";
    case CancelOutcome::kEnded:
      return "ended";
  }
  return "?";
}

const char* Name(SessionEndReason reason) {
  switch (reason) {
    case SessionEndReason::kClosed:
      return "closed";
    case SessionEndReason::kExpired:
      return "expired";
    case SessionEndReason::kDisconnected:
      return "disconnected";
    case SessionEndReason::kRefounded:
      return "refounded";
  }
  return "?";
}

template <typename T>
std::string List(const std::vector<T>& numbers) {
  return StrCat("[",
                absl::StrJoin(numbers, ",",
                              [](std::string* out, T number) { StrAppend(out, number.value()); }),
                "]");
}

std::string Text(const Mutation& m) {
  std::string text = StrCat("s", m.session.value(), "/", m.epoch.value(), " #", m.sequence.value(),
                            " through ", m.acknowledged_through.value());
  if (!m.acknowledged_acquires.empty()) StrAppend(&text, " acks ", List(m.acknowledged_acquires));
  return text;
}

std::string Text(const AcquireResult& result) {
  const Grant& grant = result.grant;
  std::string text = Name(result.kind);
  if (result.limit != LimitKind::kNone) StrAppend(&text, " ", LimitName(result.limit));
  if (result.waiters_before != 0) StrAppend(&text, " behind ", result.waiters_before);
  if (!(grant == Grant{})) {
    StrAppend(&text, " token ", grant.token.value(), " mode ", static_cast<int>(grant.mode),
              " floor ", grant.fence_floor.value(), " at ", grant.granted_at.value(), " until ",
              grant.hold_deadline.value());
  }
  return text;
}

std::string Text(const OpenSession& c) {
  return StrCat("open nonce ", EscapeName(c.nonce), " ttl ", c.ttl_ms, " grace ", c.grace_ms,
                " owner ", EscapeName(c.owner_id));
}
std::string Text(const AttachSession& c) {
  return StrCat("attach s", c.session.value(), " nonce ", EscapeName(c.nonce));
}
std::string Text(const KeepAlives& c) {
  std::string text = "keep-alive";
  for (const KeepAlives::One& one : c.sessions) {
    StrAppend(&text, " s", one.session.value(), "/", one.epoch.value());
    if (!one.acknowledged_acquires.empty()) {
      StrAppend(&text, " acks ", List(one.acknowledged_acquires));
    }
  }
  return text;
}
std::string Text(const CloseSession& c) {
  return StrCat("close s", c.session.value(), "/", c.epoch.value());
}
std::string Text(const Disconnect& c) {
  return StrCat("disconnect s", c.session.value(), "/", c.epoch.value());
}
std::string Text(const Acquire& c) {
  return StrCat("acquire ", Text(c.mutation), ": ", EscapeName(c.name), " wait ", c.wait_ms,
                " max-hold ", c.max_hold_ms, " mode ", static_cast<int>(c.mode));
}
std::string Text(const Release& c) {
  return StrCat("release ", Text(c.mutation), ": ", EscapeName(c.name), " token ", c.token.value());
}
std::string Text(const Cancel& c) {
  return StrCat("cancel ", Text(c.mutation), ": #", c.acquire.value());
}
std::string Text(const Reconcile& c) {
  return StrCat("reconcile ", Text(c.mutation), ": (", c.after.value(), "..", c.watermark.value(),
                "] but ", List(c.live_acquires));
}
std::string Text(const Bootstrap& c) {
  std::string text = StrCat("bootstrap cluster ", c.cluster_id.value(), " level ", c.feature_level,
                            " ", Describe(c.settings));
  for (const Member& member : c.members) StrAppend(&text, ", ", Describe(member));
  return text;
}
std::string Text(const Refound& c) {
  return StrCat("refound, numbers from ", c.numbers_from, ": ", Text(c.bootstrap));
}
std::string Text(const RegisterMember& c) {
  return StrCat("register ", Describe(c.member));
}
std::string Text(const SetSettings& c) {
  return StrCat("settings ", Describe(c.settings));
}
std::string Text(const SetFeatureLevel& c) {
  return StrCat("feature-level ", c.feature_level);
}
std::string Text(const ChangeMembers& c) {
  std::string text = StrCat("change members: voters ", List(c.voters), " outgoing ",
                            List(c.outgoing), " learners ", List(c.learners));
  for (const Member& member : c.added) StrAppend(&text, ", add ", Describe(member));
  return text;
}

std::string Text(const Done&) {
  return "done";
}
std::string Text(const SessionResult& r) {
  std::string text = StrCat("session s", r.session.value(), "/", r.epoch.value());
  if (r.found) StrAppend(&text, " found");
  for (const auto& [acquire, outcome] : r.outcomes) {
    StrAppend(&text, ", #", acquire.value(), " ", Text(outcome));
  }
  return text;
}
std::string Text(const KeepAliveResults& r) {
  std::string text = "kept alive:";
  for (const Refusal refusal : r.sessions) StrAppend(&text, " ", Name(refusal));
  return text;
}
std::string Text(const ReleaseResult& r) {
  return r.outcome == ReleaseOutcome::kReleased ? "released" : "stale";
}
std::string Text(const CancelResult& r) {
  return StrCat("cancel ", Name(r.outcome), ": ", Text(r.acquire));
}
std::string Text(const ReconcileResult& r) {
  return StrCat("reconciled: cancelled ", r.cancelled, " released ", r.released);
}

std::string Text(const AcquireDone& e) {
  return StrCat("s", e.session.value(), " #", e.acquire.value(), " ", Text(e.result));
}
std::string Text(const SessionEnded& e) {
  return StrCat("s", e.session.value(), " ", Name(e.reason));
}
std::string Text(const HoldExpired& e) {
  return StrCat("s", e.session.value(), " hold ", e.token.value(), " reached its maximum");
}

}  // namespace

std::string Describe(const Command& command) {
  return std::visit([](const auto& c) { return Text(c); }, command);
}

std::string Describe(const CommandResult& result) {
  std::string text = Name(result.refusal);
  if (*result.limit != '\0') StrAppend(&text, " (", result.limit, ")");
  return StrCat(text, " ", std::visit([](const auto& value) { return Text(value); }, result.value));
}

std::string Describe(const Event& event) {
  return std::visit([](const auto& e) { return Text(e); }, event);
}

std::string Describe(const LockView& lock) {
  return StrCat(EscapeName(lock.name), lock.held ? " held" : " free", " by s", lock.session.value(),
                " ", EscapeName(lock.owner_id), " token ", lock.token.value(), " since ",
                lock.granted_wall.value(), " until ", lock.expiration_wall.value(), " waiters ",
                lock.waiters);
}

std::string Describe(const SessionView& s) {
  return StrCat("s", s.session.value(), "/", s.epoch.value(), " ", EscapeName(s.owner_id), " ttl ",
                s.ttl_ms, " grace ", s.grace_ms, " remaining ", s.remaining_ms, " holds ", s.holds,
                " waiters ", s.waiters);
}

std::string Describe(const Settings& s) {
  return StrCat("ttl ", s.session_ttl_ms_min, "..", s.session_ttl_ms_max, " grace ", s.grace_ms_min,
                " sessions ", s.sessions_max, " locks ", s.locks_max, " waiters ", s.waiters_max,
                " locks/s ", s.locks_per_session_max, " waiters/s ", s.waiters_per_session_max,
                " cleanup ", s.cleanup_holds_max);
}

std::string Describe(const Member& m) {
  return StrCat("member ", m.node_id.value(), " ", m.peer_address, " ", m.client_address, " ",
                m.incarnation.value(), " ", RoleName(m.role));
}

}  // namespace lockd::state
