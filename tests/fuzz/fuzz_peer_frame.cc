// Frames of the peer port: any opcode, any payload.
//
//   input: u8 opcode | payload
//
// What must hold: it never crashes, also when the core judges what was read; a message that is
// accepted reads back as itself after being sent again.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "consensus/raft/types.h"
#include "protocol/base/check.h"
#include "protocol/frame_decoder.h"
#include "server/node/digest_wire.h"
#include "server/node/outbox.h"
#include "server/node/raft_wire.h"
#include "tests/fuzz/choices.h"

namespace lockd::node {
namespace {

constexpr NodeId kFrom{1};
constexpr NodeId kTo{2};

// The frame that was sent last, as it arrives.
FrameView Sent(Outbox& outbox, FrameDecoder& decoder) {
  decoder.Feed(outbox.Take(kNeverLocal).peers.at(0).bytes);
  FrameView again;
  LOCKD_CHECK(decoder.Next(&again) == FrameDecoder::Result::kFrame);
  return again;
}

void RunDigest(const FrameView& frame) {
  const absl::StatusOr<std::optional<DigestMessage>> message =
      ParseDigestMessage(kFrom, kTo, frame);
  if (!message.ok() || !message->has_value()) return;
  Outbox outbox;
  SendDigestMessage(**message, PeerLinkId{1}, outbox);
  FrameDecoder decoder(kPeerFrameBytesMax);
  const absl::StatusOr<std::optional<DigestMessage>> reread =
      ParseDigestMessage(kFrom, kTo, Sent(outbox, decoder));
  LOCKD_CHECK(reread.ok() && *reread == *message);
}

void RunOne(Choices& choices) {
  FrameView frame;
  frame.header.opcode = static_cast<Opcode>(choices.Below(256));
  frame.payload = choices.Bytes(kPeerFrameBytesMax);
  if (IsDigestFrame(frame.header.opcode)) {
    RunDigest(frame);
    return;
  }
  const absl::StatusOr<raft::Message> message = ParseRaftMessage(kFrom, kTo, frame);
  if (!message.ok()) return;
  (void)raft::IsWellFormed(*message);

  Outbox outbox;
  SendRaftMessage(*message, PeerLinkId{1}, outbox);
  FrameDecoder decoder(kPeerFrameBytesMax);
  const absl::StatusOr<raft::Message> reread = ParseRaftMessage(kFrom, kTo, Sent(outbox, decoder));
  LOCKD_CHECK(reread.ok() && *reread == *message);
}

}  // namespace
}  // namespace lockd::node

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::Choices choices(absl::string_view(reinterpret_cast<const char*>(data), size));
  lockd::node::RunOne(choices);
  return 0;
}
