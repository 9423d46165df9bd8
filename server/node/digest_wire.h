// What the digest watch says from node to node, as frames of the peer port, and back.
//
// As with Raft's messages, the link says who the sender is. The term makes sure that a report is
// for the office that it finds, and a verdict from the leader that its receiver follows.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_DIGEST_WIRE_H_
#define LOCKD_SERVER_NODE_DIGEST_WIRE_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "consensus/raft/types.h"
#include "protocol/frame.h"
#include "server/node/digest_watch.h"
#include "server/node/outbox.h"
#include "server/node/types.h"

namespace lockd::node {

struct DigestMessage {
  enum class Kind : uint8_t { kReport, kVerdict };
  NodeId from;
  NodeId to;
  raft::Term term;
  Kind kind = Kind::kReport;
  DigestPoint point;
  friend bool operator==(const DigestMessage&, const DigestMessage&) = default;
};

[[nodiscard]] bool IsDigestFrame(Opcode opcode);
void SendDigestMessage(const DigestMessage& message, PeerLinkId link, Outbox& outbox);
// nullopt: the sender makes digests in another way, so there is nothing to compare.
// InvalidArgument: bytes that no node sends.
[[nodiscard]] absl::StatusOr<std::optional<DigestMessage>> ParseDigestMessage(
    NodeId from, NodeId to, const FrameView& frame);

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_DIGEST_WIRE_H_
