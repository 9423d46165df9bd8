// ClientConnections: the client port's connections: hello, limits, and which sessions live on which
// connection.
//
// A session is bound to one connection at a time, with the epoch that its opening or attaching
// raised; what names a session comes from the connection that it is bound to, or is refused. Only a
// serving leader has bindings. When a connection ends, its bindings become orphans, which the lock
// manager takes: sessions with a disconnect grace have it logged.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_CLIENT_CONNECTIONS_H_
#define LOCKD_SERVER_NODE_CLIENT_CONNECTIONS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "protocol/frame.h"
#include "protocol/lock.pb.h"
#include "server/node/context.h"
#include "server/node/frame_deadlines.h"
#include "server/node/pending_requests.h"
#include "server/node/types.h"

namespace lockd::node {

struct SessionBinding {
  SessionId session;
  ConnectionEpoch epoch;
  friend bool operator==(const SessionBinding&, const SessionBinding&) = default;
};

class ClientConnections {
 public:
  // `context` must outlive this.
  explicit ClientConnections(NodeContext& context)
      : context_(context), frame_deadlines_(context.options.client_frame_timeout_ms) {}

  // -- connections --
  void OnConnected(ConnectionId id);
  void OnClosed(ConnectionId id) { Forget(id); }
  // True: a request after the hello, for the caller to handle. Else it was handled here.
  [[nodiscard]] bool OnFrame(ConnectionId id, const FrameView& frame);
  // A piece of a frame was left.
  void OnPartial(ConnectionId id) {
    if (IsOpen(id)) frame_deadlines_.OnPartial(id);
  }
  [[nodiscard]] bool IsOpen(ConnectionId id) const { return connections_.contains(id); }
  [[nodiscard]] size_t FrameBytesMax(ConnectionId id) const;
  // Says why, closes, forgets.
  void Refuse(ConnectionId id, pb::ErrorCode code, absl::string_view message);
  void RefuseAll(pb::ErrorCode code, absl::string_view message);
  // Refuses those that did not say hello, or did not finish a frame, in time.
  void OnTime(LocalTime now);
  [[nodiscard]] LocalTime NextDeadline() const;

  // -- requests --
  // False: too many are in flight. Else `request` is to be answered once, by Reply or ReplyError.
  [[nodiscard]] bool Begin(const RequestRef& request);
  // Nothing happens when the connection is gone.
  void Reply(const RequestRef& request, const google::protobuf::MessageLite& reply);
  void ReplyError(const RequestRef& request, pb::ErrorCode code, absl::string_view message,
                  uint32_t retry_after_ms = 0);
  // NOT_LEADER with a hint, or UNAVAILABLE when there is nobody to point at.
  void ReplyNotServing(const RequestRef& request);
  // NOT_LEADER, with a hint if there is one: the command may have taken effect or may yet.
  void ReplyOutcomeUnknown(const RequestRef& request);
  void Push(ConnectionId id, Opcode opcode, const google::protobuf::MessageLite& message);

  // -- sessions --
  void Bind(ConnectionId id, SessionBinding binding);
  void Unbind(SessionId session);
  // The epoch with which the session is bound to this very connection.
  [[nodiscard]] std::optional<ConnectionEpoch> EpochOn(ConnectionId id, SessionId session) const;
  [[nodiscard]] std::optional<ConnectionId> ConnectionOf(SessionId session) const;
  // Bound, or about to be.
  [[nodiscard]] size_t SessionCount(ConnectionId id) const;
  // Leadership is lost: bindings end, and whoever had one is told.
  void UnbindAll();
  [[nodiscard]] std::vector<SessionBinding> TakeOrphans();

 private:
  struct Connection {
    bool is_greeted = false;
    uint32_t in_flight = 0;
    uint32_t binding = 0;  // of these, how many open or attach a session
    absl::btree_map<SessionId, ConnectionEpoch> sessions;
  };
  struct HelloDeadline {
    ConnectionId connection;
    std::optional<LocalTime> at;  // set at the next OnTime
  };

  void OnHello(ConnectionId id, Connection& connection, const FrameView& frame);
  void Forget(ConnectionId id);
  // Counts the request as answered. False: its connection is gone.
  [[nodiscard]] bool End(const RequestRef& request);

  NodeContext& context_;
  absl::btree_map<ConnectionId, Connection> connections_;
  absl::flat_hash_map<SessionId, ConnectionId> connection_of_;  // of bound sessions
  std::deque<HelloDeadline> hello_deadlines_;  // in order of connecting, hence of deadline
  FrameDeadlines<ConnectionId> frame_deadlines_;
  std::vector<SessionBinding> orphans_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_CLIENT_CONNECTIONS_H_
