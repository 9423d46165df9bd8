#include "tests/sim/client_checks.h"

#include <algorithm>

#include "protocol/base/check.h"
#include "tests/support/history/check_history.h"

namespace lockd::sim {
namespace {

// What the client was told of the lock, not of its own affairs: an acquire that it gave up may
// have been granted, or may yet be.
history::AcquireOutcome OutcomeOf(client::AcquireStatus status) {
  switch (status) {
    case client::AcquireStatus::kGranted:
      return history::AcquireOutcome::kGranted;
    case client::AcquireStatus::kBusy:
    case client::AcquireStatus::kLimit:
    case client::AcquireStatus::kInvalid:
      return history::AcquireOutcome::kNotGranted;
    case client::AcquireStatus::kTimedOut:
    case client::AcquireStatus::kCancelled:
    case client::AcquireStatus::kUnavailable:
    case client::AcquireStatus::kSessionLost:
      return history::AcquireOutcome::kUnknown;
  }
  LOCKD_UNREACHABLE("acquire status");
}

history::ReleaseOutcome OutcomeOf(client::ReleaseStatus status) {
  switch (status) {
    case client::ReleaseStatus::kReleased:
      return history::ReleaseOutcome::kReleased;
    default:
      return history::ReleaseOutcome::kUnknown;
  }
}

}  // namespace

void ClientChecks::OnAcquireCalled(SimClient& client, const std::string& lock,
                                   client::OperationId operation) {
  acquires_[{client.host(), operation}] =
      recorder_.OnInvokeAcquire(lock, client.host().value(), scheduler_->now());
}

void ClientChecks::OnAcquireEnded(SimClient& client, const std::string&,
                                  client::OperationId operation, client::AcquireStatus status,
                                  FencingToken token) {
  hash_ = hash_ * 0x9e3779b97f4a7c15u + token.value();
  const auto found = acquires_.find({client.host(), operation});
  LOCKD_CHECK(found != acquires_.end(), "an acquire that nobody called has ended");
  recorder_.OnAcquireDone(found->second, scheduler_->now(), OutcomeOf(status), token);
  acquires_.erase(found);
}

// The library may tell the server at once to take the lock back.
void ClientChecks::OnHoldLost(SimClient&, const std::string& lock, FencingToken token) {
  recorder_.OnHoldEnded(lock, token, scheduler_->now());
}

void ClientChecks::OnReleaseCalled(SimClient& client, const std::string& lock, FencingToken token) {
  releases_[token] =
      recorder_.OnInvokeRelease(lock, client.host().value(), token, scheduler_->now());
}

void ClientChecks::OnReleaseEnded(SimClient&, const std::string&, FencingToken token,
                                  client::ReleaseStatus status) {
  const auto found = releases_.find(token);
  LOCKD_CHECK(found != releases_.end(), "a release that nobody called has ended");
  recorder_.OnReleaseDone(found->second, scheduler_->now(), OutcomeOf(status));
  releases_.erase(found);
}

void ClientChecks::OnHoldEnded(const std::string& lock, FencingToken token) {
  recorder_.OnHoldEnded(lock, token, scheduler_->now());
  if (eras_.IsOfOlderEra(token)) CheckBelievedNoMore(lock, token);
}

// Nobody in this cluster renews it: it is freed when its time is over, which its owner counts too.
void ClientChecks::CheckBelievedNoMore(const std::string& lock, FencingToken token) const {
  for (const auto& client : *clients_) {
    const std::vector<FencingToken> believed = client->BelievedHolds(lock);
    LOCKD_CHECK(std::find(believed.begin(), believed.end(), token) == believed.end(),
                "NeverEarly: ", lock, " was freed of token ", token, ", in which client ",
                client->host(), " still believes");
  }
}

void ClientChecks::OnRestored(FencingToken last, const Holders& at_end, const Holders& at_begin) {
  eras_.Begins(last, at_end, at_begin);
  // What the backup does not know is over.
  for (const auto& [lock, token] : at_end) {
    const auto kept = at_begin.find(lock);
    const bool goes_on = kept != at_begin.end() && kept->second == token;
    if (!token.is_zero() && !goes_on) recorder_.OnHoldEnded(lock, token, scheduler_->now());
  }
}

void ClientChecks::OnOwnerRead(const std::string& lock, Time asked_at, size_t era,
                               FencingToken owner) {
  constexpr uint64_t kReader = 0;
  ++reads_;
  if (eras_.SaysNothing(era, owner)) return;
  const history::OperationId read =
      recorder_.OnInvokeObservation(lock, kReader, history::ObservationKind::kOwner, asked_at);
  recorder_.OnObservationDone(read, scheduler_->now(), owner);
}

void ClientChecks::CheckHistories() {
  const std::string broken = history::CheckHistories(recorder_.histories());
  LOCKD_CHECK(broken.empty(), "Histories: ", broken);
}

void ClientChecks::OnHoldBelieved(SimClient& owner, const std::string& lock, FencingToken token) {
  for (const auto& client : *clients_) {
    for (const FencingToken other : client->BelievedHolds(lock)) {
      LOCKD_CHECK(other == token || eras_.MayMeet(token, other), "Exclusion: client ", owner.host(),
                  " has ", lock, " under token ", token, " and client ", client->host(),
                  " believes that it has it too, under ", other);
    }
  }
}

void ClientChecks::OnLease(SessionId session, Time sent_at, int64_t ttl_ms) {
  const std::string broken =
      sessions_.Credited(session, SessionLedger::Lease::kTtl, sent_at, ttl_ms);
  LOCKD_CHECK(broken.empty(), broken);
}

void ClientChecks::OnSessionGivenUp(SessionId session) {
  if (!session.is_zero()) sessions_.GivenUp(session);
}

void ClientChecks::OnSessionExpired(SessionId session) {
  const std::string broken = sessions_.Ended(session, scheduler_->now());
  LOCKD_CHECK(broken.empty(), broken);
  for (const auto& client : *clients_) {
    LOCKD_CHECK(client->session_id() != session || !client->BelievesInSession(),
                "NeverEarly: session ", session, " of client ", client->host(),
                " was ended while the client still counts on it");
  }
}

bool ClientChecks::Admit(const std::string& lock, Resource& resource, FencingToken token,
                         bool is_believed) {
  const bool admitted = resource.gate.Admit(token);
  const bool may_be_refused = !is_believed || eras_.MayMeet(token, resource.largest_seen);
  LOCKD_CHECK(admitted || may_be_refused, "FencedWork: a valid holder's access under token ", token,
              " to ", lock, " was refused; the resource has seen ", resource.largest_seen);
  LOCKD_CHECK(!admitted || token >= resource.largest_seen, "NoStaleWrite: token ", token, " to ",
              lock, " was accepted after ", resource.largest_seen);
  if (admitted) {
    resource.largest_seen = token;
  } else {
    ++stale_writes_refused_;
  }
  return admitted;
}

std::optional<uint64_t> ClientChecks::Read(const std::string& lock, FencingToken token,
                                           bool is_believed) {
  Resource& resource = resources_[lock];
  if (!Admit(lock, resource, token, is_believed)) return std::nullopt;
  return resource.value;
}

bool ClientChecks::Write(const std::string& lock, FencingToken token, uint64_t seen,
                         bool is_believed) {
  Resource& resource = resources_[lock];
  if (!Admit(lock, resource, token, is_believed)) return false;
  LOCKD_CHECK(resource.value == seen, "NoLostUpdate: token ", token, " writes to ", lock,
              " over value ", resource.value, " having read ", seen);
  ++resource.value;
  ++works_;
  return true;
}

}  // namespace lockd::sim
