#include "tests/sim/client_checks.h"

#include "protocol/base/check.h"

namespace lockd::sim {

void ClientChecks::OnAcquireCalled(SimClient&, const std::string&, client::OperationId) {}

void ClientChecks::OnAcquireEnded(SimClient&, const std::string&, client::OperationId,
                                  client::AcquireStatus, FencingToken token) {
  hash_ = hash_ * 0x9e3779b97f4a7c15u + token.value();
}

void ClientChecks::OnReleaseCalled(SimClient&, const std::string&, FencingToken) {}

void ClientChecks::OnReleaseEnded(SimClient&, const std::string&, FencingToken,
                                  client::ReleaseStatus) {}

void ClientChecks::OnHoldBelieved(SimClient& owner, const std::string& lock, FencingToken token) {
  for (const auto& client : *clients_) {
    LOCKD_CHECK(!client->BelievesInHold(lock, token), "Exclusion: client ", owner.host(), " has ",
                lock, " under token ", token, " and client ", client->host(),
                " believes that it has it too");
  }
}

void ClientChecks::OnSessionExpired(SessionId session) {
  for (const auto& client : *clients_) {
    LOCKD_CHECK(client->session_id() != session || !client->BelievesInSession(),
                "NeverEarly: session ", session, " of client ", client->host(),
                " was ended while the client still counts on it");
  }
}

bool ClientChecks::Admit(const std::string& lock, Resource& resource, FencingToken token,
                         bool is_believed) {
  const bool admitted = resource.gate.Admit(token);
  LOCKD_CHECK(admitted || !is_believed, "FencedWork: a valid holder's access under token ", token,
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
