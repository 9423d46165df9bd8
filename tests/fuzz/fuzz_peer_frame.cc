// Frames of the peer port: any opcode, any payload.
//
//   input: u8 opcode | payload
//
// What must hold: it never crashes, also when the core judges what was read; a message that is
// accepted reads back as itself after being sent again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "consensus/raft/types.h"
#include "protocol/base/check.h"
#include "protocol/frame_decoder.h"
#include "server/node/outbox.h"
#include "server/node/raft_wire.h"
#include "tests/fuzz/choices.h"

namespace lockd::node {
namespace {

void RunOne(Choices& choices) {
  const NodeId from{1};
  const NodeId to{2};
  FrameView frame;
  frame.header.opcode = static_cast<Opcode>(choices.Below(256));
  frame.payload = choices.Bytes(kPeerFrameBytesMax);
  const absl::StatusOr<raft::Message> message = ParseRaftMessage(from, to, frame);
  if (!message.ok()) return;
  (void)raft::IsWellFormed(*message);

  Outbox outbox;
  SendRaftMessage(*message, PeerLinkId{1}, outbox);
  const NodeActions actions = outbox.Take(kNeverLocal);
  FrameDecoder decoder(kPeerFrameBytesMax);
  decoder.Feed(actions.peers.at(0).bytes);
  FrameView again;
  LOCKD_CHECK(decoder.Next(&again) == FrameDecoder::Result::kFrame);
  const absl::StatusOr<raft::Message> reread = ParseRaftMessage(from, to, again);
  LOCKD_CHECK(reread.ok() && *reread == *message);
}

}  // namespace
}  // namespace lockd::node

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::Choices choices(absl::string_view(reinterpret_cast<const char*>(data), size));
  lockd::node::RunOne(choices);
  return 0;
}
