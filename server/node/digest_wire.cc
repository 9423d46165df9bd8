#include "server/node/digest_wire.h"

#include "absl/strings/str_cat.h"
#include "protocol/opcode.h"
#include "protocol/raft.pb.h"
#include "server/state/digest.h"

namespace lockd::node {

bool IsDigestFrame(Opcode opcode) {
  return opcode == Opcode::kDigestReport || opcode == Opcode::kDigestVerdict;
}

void SendDigestMessage(const DigestMessage& message, PeerLinkId link, Outbox& outbox) {
  pb::DigestPoint wire;
  wire.set_term(message.term.value());
  wire.set_index(message.point.index.value());
  wire.set_digest_version(state::kDigestVersion);
  wire.set_digest_high(message.point.digest.high);
  wire.set_digest_low(message.point.digest.low);
  const Opcode opcode =
      message.kind == DigestMessage::Kind::kReport ? Opcode::kDigestReport : Opcode::kDigestVerdict;
  outbox.SendToPeer(link, {.opcode = opcode, .flags = 0, .group = GroupId{0}}, wire);
}

absl::StatusOr<std::optional<DigestMessage>> ParseDigestMessage(NodeId from, NodeId to,
                                                                const FrameView& frame) {
  pb::DigestPoint wire;
  if (!wire.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()))) {
    return absl::InvalidArgumentError(
        absl::StrCat("a malformed ", OpcodeName(frame.header.opcode), " frame"));
  }
  if (wire.digest_version() != state::kDigestVersion) return std::nullopt;
  return DigestMessage{.from = from,
                       .to = to,
                       .term = raft::Term{wire.term()},
                       .kind = frame.header.opcode == Opcode::kDigestReport
                                   ? DigestMessage::Kind::kReport
                                   : DigestMessage::Kind::kVerdict,
                       .point = {.index = raft::Index{wire.index()},
                                 .digest = {.high = wire.digest_high(), .low = wire.digest_low()}}};
}

}  // namespace lockd::node
