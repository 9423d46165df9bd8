// Frame kinds and protocol versions. README.md in this folder describes every frame byte by byte.
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_OPCODE_H_
#define LOCKD_PROTOCOL_OPCODE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace lockd {

// The range of protocol versions that this build speaks. The hello of each side carries its range;
// the highest common version is used, and a side that finds none says so in a reason frame and
// closes.
inline constexpr uint32_t kProtocolVersionMin = 1;
inline constexpr uint32_t kProtocolVersionMax = 1;

// First field of every hello, so that a stranger is recognised at once. On the wire: "LOCKDCL1" and
// "LOCKDPR1".
inline constexpr uint64_t kClientMagic = 0x314c43444b434f4cu;
inline constexpr uint64_t kPeerMagic = 0x315250444b434f4cu;

// Bits of PeerHello.features: what a node understands beyond its version.
inline constexpr uint64_t kPeerFeatureDigests = 1;  // digest-report, digest-verdict

// A request and its reply have the same opcode; a reply carries kFlagReply. Numbers never change
// meaning and are never re-used.
enum class Opcode : uint8_t {
  // Both ports.
  kHello = 1,   // ClientHello/ServerHello, PeerHello
  kReason = 2,  // Reason: why the sender is about to close
  // Client port: sessions.
  kOpenSession = 16,
  kAttachSession = 17,
  kKeepAlive = 18,
  kCloseSession = 19,
  kPing = 20,
  // After an attach: what the client still owns; the server cancels and releases the rest.
  kReconcile = 21,
  // Client port: locks.
  kAcquire = 32,
  kRelease = 33,
  kCancel = 34,
  kAcquireOutcome = 35,  // push: the outcome of a queued acquire
  kSessionEnded = 36,    // push: the session is gone, and all its locks with it
  kNotLeader = 37,       // push: this node serves no sessions any more, go to the leader
  // Client port: reads.
  kGetLock = 48,
  kListLocks = 49,
  kListSessions = 50,
  kStatus = 51,
  // Client port: operators.
  kTransferLeadership = 64,
  kChangeMembers = 65,
  kTakeSnapshot = 66,
  kReadSnapshot = 67,
  // Peer port.
  kVote = 128,
  kVoteReply = 129,
  kAppend = 130,
  kAppendReply = 131,
  kHeartbeat = 132,
  kHeartbeatReply = 133,
  kTimeoutNow = 134,
  kSnapshotChunk = 136,
  kSnapshotChunkReply = 137,
  kDigestReport = 138,
  kDigestVerdict = 139,
};

// The name for logs and traces, or "unknown".
[[nodiscard]] absl::string_view OpcodeName(Opcode opcode);

// Whether a frame of this kind may be *received* on the named port (in any state). Nothing on the
// client port reaches Raft.
[[nodiscard]] bool IsClientRequest(Opcode opcode);
[[nodiscard]] bool IsServerToClient(Opcode opcode);
[[nodiscard]] bool IsPeerFrame(Opcode opcode);

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_OPCODE_H_
