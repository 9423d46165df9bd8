#include "server/net/peer_transport.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "protocol/base/text.h"

namespace lockd::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using node::PeerLinkId;

PeerTransport::Dial::Dial(asio::io_context* io, state::Member peer)
    : member(std::move(peer)), resolver(*io), socket(*io), timer(*io) {}

PeerTransport::PeerTransport(asio::io_context* io, const PeerLimits& limits, uint64_t seed,
                             node::Node* node, std::vector<char>* read_buffer,
                             std::function<void()> on_input)
    : io_(io),
      limits_(limits),
      node_(node),
      read_buffer_(read_buffer),
      on_input_(std::move(on_input)),
      random_(seed) {}

PeerTransport::~PeerTransport() {
  CloseAll();
}

void PeerTransport::FollowMembers() {
  if (node_->peers() == followed_) return;
  followed_ = node_->peers();
  std::map<NodeId, DialPtr> wanted;
  for (const state::Member& member : followed_) {
    const auto found = dials_.find(member.node_id);
    if (found != dials_.end() && found->second->member.peer_address == member.peer_address) {
      wanted.emplace(member.node_id, found->second);
      dials_.erase(found);
      continue;
    }
    auto dial = std::make_shared<Dial>(io_, member);
    wanted.emplace(member.node_id, dial);
    BeginDial(dial);
  }
  for (auto& [peer, dial] : dials_) StopDial(*dial);
  dials_ = std::move(wanted);
}

void PeerTransport::StopDial(Dial& dial) {
  dial.is_stopped = true;
  dial.resolver.cancel();
  dial.timer.cancel();
  error_code ignored;
  dial.socket.close(ignored);
}

// ---- Dialling
// ---------------------------------------------------------------------------------------------------------------

void PeerTransport::BeginDial(const DialPtr& dial) {
  const absl::StatusOr<HostPort> address = ParseHostPort(dial->member.peer_address);
  if (!address.ok()) return;  // configuration and apply let no such address in
  dial->tried_at = std::chrono::steady_clock::now();
  dial->resolver.async_resolve(
      address->host, std::to_string(address->port),
      [this, dial](error_code error, const tcp::resolver::results_type& results) {
        if (dial->is_stopped) return;
        if (error || results.empty()) {
          Rest(dial);
        } else {
          Connect(dial, results.begin()->endpoint());
        }
      });
}

void PeerTransport::Connect(const DialPtr& dial, const tcp::endpoint& endpoint) {
  dial->socket = tcp::socket(*io_);
  dial->timer.expires_after(std::chrono::milliseconds(limits_.dial_timeout_ms));
  dial->timer.async_wait([dial](error_code error) {
    error_code ignored;
    if (!error) dial->socket.close(ignored);  // ends the connect below with an error
  });
  dial->socket.async_connect(endpoint, [this, dial](error_code error) {
    dial->timer.cancel();
    if (dial->is_stopped) return;
    if (error == asio::error::connection_refused) {
      node_->OnPeerRefused(dial->member.node_id);
      on_input_();
    }
    if (error || !dial->socket.is_open()) {
      Rest(dial);
    } else {
      Connected(dial);
    }
  });
}

void PeerTransport::Connected(const DialPtr& dial) {
  const uint64_t link = next_link_++;
  dial->link = link;
  dial->up_since = std::chrono::steady_clock::now();
  auto connection = std::make_shared<FrameConnection>(
      std::move(dial->socket), link, limits_.output_bytes_max, read_buffer_, this, open_sockets_);
  links_.emplace(link, connection);
  dialled_links_.emplace(link, dial->member.node_id);
  node_->OnPeerDialed(dial->member.node_id, PeerLinkId(link));
  connection->Start();
  on_input_();
}

void PeerTransport::Rest(const DialPtr& dial) {
  dial->rest_ms = std::clamp(dial->rest_ms * 2, limits_.redial_ms_min, limits_.redial_ms_max);
  const auto jittered = static_cast<int64_t>(random_.Between(
      static_cast<uint64_t>(dial->rest_ms / 2), static_cast<uint64_t>(dial->rest_ms)));
  dial->timer.expires_after(std::chrono::milliseconds(jittered));
  dial->is_resting = true;
  dial->timer.async_wait([this, dial](error_code error) {
    // Cancelled: or it had run out already, and the next try has begun.
    if (error || dial->is_stopped || !std::exchange(dial->is_resting, false)) return;
    BeginDial(dial);
  });
}

void PeerTransport::DialAtOnce(NodeId peer) {
  const auto found = dials_.find(peer);
  if (found == dials_.end() || !found->second->is_resting) return;
  // Two nodes that keep dropping each other's links would otherwise never rest.
  const auto since = std::chrono::steady_clock::now() - found->second->tried_at;
  if (since < std::chrono::milliseconds(limits_.redial_ms_min)) return;
  found->second->is_resting = false;
  found->second->timer.cancel();
  BeginDial(found->second);
}

// ---- Links
// ------------------------------------------------------------------------------------------------------------------

void PeerTransport::Accept(tcp::socket socket) {
  // Else the socket is closed by its destructor; a peer dials again after a rest.
  if (accepted_links() >= limits_.accepted_links_max && !DropOldestStranger()) return;
  const uint64_t link = next_link_++;
  auto connection = std::make_shared<FrameConnection>(
      std::move(socket), link, limits_.output_bytes_max, read_buffer_, this, open_sockets_);
  links_.emplace(link, connection);
  node_->OnPeerAccepted(PeerLinkId(link));
  connection->Start();
  on_input_();
}

bool PeerTransport::DropOldestStranger() {
  std::optional<uint64_t> oldest;
  for (const auto& [link, connection] : links_) {
    const bool is_stranger =
        !dialled_links_.contains(link) && !node_->PeerIsGreeted(PeerLinkId(link));
    if (is_stranger && link < oldest.value_or(UINT64_MAX)) oldest = link;
  }
  if (!oldest) return false;
  links_.at(*oldest)->Close();
  Forget(*oldest);
  node_->OnPeerClosed(PeerLinkId(*oldest));
  return true;
}

void PeerTransport::Carry(node::PeerOutput output) {
  const auto found = links_.find(output.link.value());
  if (found == links_.end()) return;  // went away in this very turn
  const std::shared_ptr<FrameConnection> connection = found->second;
  const bool sent = output.bytes.empty() || connection->Send(std::move(output.bytes));
  if (output.close) {
    const size_t lingering = *open_sockets_ - links_.size();
    if (lingering < limits_.accepted_links_max) {
      connection->CloseWhenSent();
    } else {
      connection->Close();
    }
    Forget(output.link.value());
  } else if (!sent) {
    Forget(output.link.value());
    node_->OnPeerClosed(output.link);
    on_input_();
  }
}

void PeerTransport::Forget(uint64_t link) {
  links_.erase(link);
  const auto dialled = dialled_links_.find(link);
  if (dialled == dialled_links_.end()) return;
  const auto found = dials_.find(dialled->second);
  dialled_links_.erase(dialled);
  if (found == dials_.end() || found->second->link != link) return;
  found->second->link.reset();
  // A link that lasted was a real one: dial again at once, and a refusal then says that the process
  // is gone. One that ends as soon as it is there waits longer and longer.
  const auto lasted = std::chrono::steady_clock::now() - found->second->up_since;
  if (lasted >= std::chrono::milliseconds(limits_.redial_ms_max)) found->second->rest_ms = 0;
  if (lasted >= std::chrono::milliseconds(limits_.redial_ms_min)) {
    BeginDial(found->second);
  } else {
    Rest(found->second);
  }
}

void PeerTransport::CloseAll() {
  for (auto& [peer, dial] : dials_) StopDial(*dial);
  dials_.clear();
  for (auto& [link, connection] : links_) connection->Close();
  links_.clear();
  dialled_links_.clear();
}

void PeerTransport::OnConnectionFrame(FrameConnection& connection, const FrameView& frame) {
  const PeerLinkId link(connection.id());
  const bool was_greeted = node_->PeerIsGreeted(link);
  node_->OnPeerFrame(link, frame);
  if (!was_greeted && node_->PeerIsGreeted(link)) DialAtOnce(node_->PeerOf(link));
  on_input_();
}

void PeerTransport::OnConnectionPartial(FrameConnection& connection) {
  node_->OnPeerPartial(PeerLinkId(connection.id()));
  on_input_();
}

void PeerTransport::OnConnectionGarbage(FrameConnection& connection, const absl::Status& error) {
  node_->OnPeerGarbage(PeerLinkId(connection.id()), error);
  on_input_();
}

void PeerTransport::OnConnectionClosed(FrameConnection& connection) {
  const uint64_t link = connection.id();
  const bool is_members = node_->PeerIsGreeted(PeerLinkId(link));
  const NodeId peer = node_->PeerOf(PeerLinkId(link));
  Forget(link);
  node_->OnPeerClosed(PeerLinkId(link));
  if (is_members) DialAtOnce(peer);
  on_input_();
}

size_t PeerTransport::FrameBytesMax(FrameConnection& connection) {
  return node_->PeerFrameBytesMax(PeerLinkId(connection.id()));
}

}  // namespace lockd::net
