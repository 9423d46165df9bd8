#include "server/node/client_connections.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/reach.h"
#include "protocol/opcode.h"

namespace lockd::node {
namespace {

bool BindsSession(Opcode opcode) {
  return opcode == Opcode::kOpenSession || opcode == Opcode::kAttachSession;
}

}  // namespace

void ClientConnections::OnConnected(ConnectionId id) {
  connections_.try_emplace(id);
  hello_deadlines_.push_back({id, std::nullopt});
  if (context_.is_stopping) Refuse(id, pb::ERROR_CODE_UNAVAILABLE, "this node is stopping");
}

bool ClientConnections::OnFrame(ConnectionId id, const FrameView& frame) {
  const auto place = connections_.find(id);
  if (place == connections_.end()) return false;
  frame_deadlines_.OnWhole(id);
  Connection& connection = place->second;
  const FrameHeader& header = frame.header;
  const bool is_hello = header.opcode == Opcode::kHello;
  if (!IsClientRequest(header.opcode)) {
    Refuse(id, pb::ERROR_CODE_PROTOCOL,
           absl::StrCat("opcode ", static_cast<int>(header.opcode),
                        " is no request of the client port"));
  } else if (header.flags != 0 || !header.group.is_zero()) {
    Refuse(id, pb::ERROR_CODE_PROTOCOL, "flags and group of a request must be 0");
  } else if (is_hello == connection.is_greeted) {
    Refuse(id, pb::ERROR_CODE_PROTOCOL,
           is_hello ? "a second hello" : "the first frame must be a hello");
  } else if (is_hello) {
    OnHello(id, connection, frame);
  } else if (header.request_id == 0) {
    Refuse(id, pb::ERROR_CODE_PROTOCOL, "request id 0 is for pushes");
  } else {
    return true;
  }
  return false;
}

void ClientConnections::OnHello(ConnectionId id, Connection& connection, const FrameView& frame) {
  pb::ClientHello hello;
  if (!hello.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size())) ||
      hello.magic() != kClientMagic) {
    Refuse(id, pb::ERROR_CODE_PROTOCOL, "this is lockd's client port, the other side is no client");
    return;
  }
  if (hello.version_min() > kProtocolVersionMax || hello.version_max() < kProtocolVersionMin) {
    Refuse(id, pb::ERROR_CODE_PROTOCOL,
           absl::StrCat("no common protocol version: the client speaks ", hello.version_min(), "..",
                        hello.version_max(), ", this node ", kProtocolVersionMin, "..",
                        kProtocolVersionMax));
    return;
  }
  const ClusterId cluster_id = context_.formation.cluster_id();
  if (hello.cluster_id() != 0 && !cluster_id.is_zero() &&
      ClusterId{hello.cluster_id()} != cluster_id) {
    Refuse(id, pb::ERROR_CODE_WRONG_CLUSTER,
           absl::StrCat("this node belongs to cluster ", cluster_id, ", the client wants ",
                        hello.cluster_id()));
    return;
  }
  connection.is_greeted = true;
  pb::ServerHello answer;
  answer.set_magic(kClientMagic);
  answer.set_version(std::min(hello.version_max(), kProtocolVersionMax));
  answer.set_cluster_id(cluster_id.value());
  answer.set_node_id(context_.options.node_id.value());
  answer.set_frame_bytes_max(kClientFrameBytesMax);
  answer.set_requests_in_flight_max(context_.options.requests_in_flight_max);
  FillLeaderHint(context_, answer.mutable_leader());
  context_.outbox.SendToClient(id,
                               {.opcode = Opcode::kHello,
                                .flags = kFlagReply,
                                .group = {},
                                .request_id = frame.header.request_id},
                               answer);
}

size_t ClientConnections::FrameBytesMax(ConnectionId id) const {
  const auto place = connections_.find(id);
  return place != connections_.end() && place->second.is_greeted ? kClientFrameBytesMax
                                                                 : kHelloFrameBytesMax;
}

void ClientConnections::Refuse(ConnectionId id, pb::ErrorCode code, absl::string_view message) {
  pb::Reason reason;
  reason.set_code(code);
  reason.set_message(std::string(message));
  Push(id, Opcode::kReason, reason);
  context_.outbox.CloseClient(id);
  Forget(id);
}

void ClientConnections::RefuseAll(pb::ErrorCode code, absl::string_view message) {
  while (!connections_.empty()) Refuse(connections_.begin()->first, code, message);
}

void ClientConnections::Forget(ConnectionId id) {
  const auto place = connections_.find(id);
  if (place == connections_.end()) return;
  for (const auto& [session, epoch] : place->second.sessions) {
    connection_of_.erase(session);
    orphans_.push_back({session, epoch});
  }
  frame_deadlines_.OnWhole(id);
  connections_.erase(place);
}

void ClientConnections::OnTime(LocalTime now) {
  const LocalTime fresh = now + context_.options.hello_timeout_ms * kNanosPerMilli;
  for (auto it = hello_deadlines_.rbegin(); it != hello_deadlines_.rend() && !it->at; ++it) {
    it->at = fresh;
  }
  while (!hello_deadlines_.empty()) {
    const HelloDeadline front = hello_deadlines_.front();
    const auto place = connections_.find(front.connection);
    const bool waits = place != connections_.end() && !place->second.is_greeted;
    if (waits && *front.at > now) break;
    hello_deadlines_.pop_front();
    if (waits) Refuse(front.connection, pb::ERROR_CODE_TIMEOUT, "no hello in time");
  }
  for (const ConnectionId id : frame_deadlines_.TakeLate(now)) {
    Refuse(id, pb::ERROR_CODE_TIMEOUT, "the rest of a frame did not come in time");
  }
}

LocalTime ClientConnections::NextDeadline() const {
  const LocalTime hello =
      hello_deadlines_.empty() ? kNeverLocal : hello_deadlines_.front().at.value_or(kNeverLocal);
  return std::min(hello, frame_deadlines_.Next());
}

bool ClientConnections::Begin(const RequestRef& request) {
  const auto place = connections_.find(request.connection);
  if (place == connections_.end()) return false;
  if (!request.is_counted) return true;
  if (place->second.in_flight >= context_.options.requests_in_flight_max) return false;
  ++place->second.in_flight;
  if (BindsSession(request.opcode)) ++place->second.binding;
  return true;
}

bool ClientConnections::End(const RequestRef& request) {
  const auto place = connections_.find(request.connection);
  if (place == connections_.end()) return false;
  if (request.is_counted) {
    --place->second.in_flight;
    if (BindsSession(request.opcode)) --place->second.binding;
  }
  return true;
}

void ClientConnections::Reply(const RequestRef& request,
                              const google::protobuf::MessageLite& reply) {
  if (!End(request)) return;
  context_.outbox.SendToClient(request.connection,
                               {.opcode = request.opcode,
                                .flags = kFlagReply,
                                .group = {},
                                .request_id = request.request_id},
                               reply);
}

void ClientConnections::ReplyError(const RequestRef& request, pb::ErrorCode code,
                                   absl::string_view message, uint32_t retry_after_ms) {
  if (!End(request)) return;
  pb::Error error;
  error.set_code(code);
  error.set_message(std::string(message));
  error.set_retry_after_ms(retry_after_ms);
  FillLeaderHint(context_, error.mutable_leader());
  FillStamp(context_, error.mutable_stamp());
  context_.outbox.SendToClient(request.connection,
                               {.opcode = request.opcode,
                                .flags = kFlagReply | kFlagError,
                                .group = {},
                                .request_id = request.request_id},
                               error);
}

void ClientConnections::ReplyNotServing(const RequestRef& request) {
  pb::LeaderHint hint;
  FillLeaderHint(context_, &hint);
  const uint32_t retry_after_ms = context_.options.retry_after_ms;
  if (context_.is_stopping) {
    ReplyError(request, pb::ERROR_CODE_UNAVAILABLE, "this node is stopping", retry_after_ms);
  } else if (context_.is_loading) {
    ReplyError(request, pb::ERROR_CODE_UNAVAILABLE, "this node is loading its state",
               retry_after_ms);
  } else if (context_.is_forming()) {
    ReplyError(request, pb::ERROR_CODE_UNAVAILABLE, "the cluster has not formed yet",
               retry_after_ms);
  } else if (hint.node_id() != 0) {
    ReplyError(request, pb::ERROR_CODE_NOT_LEADER, absl::StrCat("node ", hint.node_id(), " leads"));
  } else {
    // An election takes milliseconds; whoever asks in vain backs off by himself.
    const auto soon_ms =
        static_cast<uint32_t>(std::max<int64_t>(context_.options.heartbeat_ms / 5, 1));
    ReplyError(request, pb::ERROR_CODE_UNAVAILABLE,
               context_.raft->is_leader() ? "this node is about to lead" : "no leader is known",
               std::min(retry_after_ms, soon_ms));
  }
}

void ClientConnections::ReplyOutcomeUnknown(const RequestRef& request) {
  ReplyError(request, pb::ERROR_CODE_NOT_LEADER,
             "this node leads no more; whether the request took effect is unknown here");
}

void ClientConnections::Push(ConnectionId id, Opcode opcode,
                             const google::protobuf::MessageLite& message) {
  context_.outbox.SendToClient(id, {.opcode = opcode, .flags = 0, .group = {}, .request_id = 0},
                               message);
}

void ClientConnections::Bind(ConnectionId id, SessionBinding binding) {
  if (connection_of_.contains(binding.session)) LOCKD_REACH(kSessionMovesToAnotherConnection);
  Unbind(binding.session);
  const auto place = connections_.find(id);
  if (place == connections_.end()) {
    LOCKD_REACH(kConnectionClosedWhileOpening);
    orphans_.push_back(binding);  // the connection closed while the session was being opened
    return;
  }
  place->second.sessions[binding.session] = binding.epoch;
  connection_of_[binding.session] = id;
}

void ClientConnections::Unbind(SessionId session) {
  const auto bound = connection_of_.find(session);
  if (bound == connection_of_.end()) return;
  connections_.at(bound->second).sessions.erase(session);
  connection_of_.erase(bound);
}

std::optional<ConnectionEpoch> ClientConnections::EpochOn(ConnectionId id,
                                                          SessionId session) const {
  const auto place = connections_.find(id);
  if (place == connections_.end()) return std::nullopt;
  const auto bound = place->second.sessions.find(session);
  if (bound == place->second.sessions.end()) return std::nullopt;
  return bound->second;
}

std::optional<ConnectionId> ClientConnections::ConnectionOf(SessionId session) const {
  const auto bound = connection_of_.find(session);
  if (bound == connection_of_.end()) return std::nullopt;
  return bound->second;
}

size_t ClientConnections::SessionCount(ConnectionId id) const {
  const auto place = connections_.find(id);
  return place == connections_.end() ? 0 : place->second.sessions.size() + place->second.binding;
}

void ClientConnections::UnbindAll() {
  pb::NotLeader push;
  FillStamp(context_, push.mutable_stamp());
  FillLeaderHint(context_, push.mutable_leader());
  for (auto& [id, connection] : connections_) {
    if (connection.sessions.empty()) continue;
    connection.sessions.clear();
    Push(id, Opcode::kNotLeader, push);
  }
  connection_of_.clear();
  orphans_.clear();  // only a leader reports a disconnect
}

std::vector<SessionBinding> ClientConnections::TakeOrphans() {
  return std::exchange(orphans_, {});
}

}  // namespace lockd::node
