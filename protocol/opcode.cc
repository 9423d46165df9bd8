#include "protocol/opcode.h"

namespace lockd {

absl::string_view OpcodeName(Opcode opcode) {
  switch (opcode) {
    case Opcode::kHello:
      return "hello";
    case Opcode::kReason:
      return "reason";
    case Opcode::kOpenSession:
      return "open-session";
    case Opcode::kAttachSession:
      return "attach-session";
    case Opcode::kKeepAlive:
      return "keep-alive";
    case Opcode::kCloseSession:
      return "close-session";
    case Opcode::kPing:
      return "ping";
    case Opcode::kReconcile:
      return "reconcile";
    case Opcode::kAcquire:
      return "acquire";
    case Opcode::kRelease:
      return "release";
    case Opcode::kCancel:
      return "cancel";
    case Opcode::kAcquireOutcome:
      return "acquire-outcome";
    case Opcode::kSessionEnded:
      return "session-ended";
    case Opcode::kNotLeader:
      return "not-leader";
    case Opcode::kGetLock:
      return "get-lock";
    case Opcode::kListLocks:
      return "list-locks";
    case Opcode::kListSessions:
      return "list-sessions";
    case Opcode::kStatus:
      return "status";
    case Opcode::kTransferLeadership:
      return "transfer-leadership";
    case Opcode::kChangeMembers:
      return "change-members";
    case Opcode::kTakeSnapshot:
      return "take-snapshot";
    case Opcode::kReadSnapshot:
      return "read-snapshot";
    case Opcode::kVote:
      return "vote";
    case Opcode::kVoteReply:
      return "vote-reply";
    case Opcode::kAppend:
      return "append";
    case Opcode::kAppendReply:
      return "append-reply";
    case Opcode::kHeartbeat:
      return "heartbeat";
    case Opcode::kHeartbeatReply:
      return "heartbeat-reply";
    case Opcode::kTimeoutNow:
      return "timeout-now";
    case Opcode::kSnapshotChunk:
      return "snapshot-chunk";
    case Opcode::kSnapshotChunkReply:
      return "snapshot-chunk-reply";
    case Opcode::kDigestReport:
      return "digest-report";
    case Opcode::kDigestVerdict:
      return "digest-verdict";
  }
  return "unknown";
}

bool IsClientRequest(Opcode opcode) {
  switch (opcode) {
    case Opcode::kHello:
    case Opcode::kOpenSession:
    case Opcode::kAttachSession:
    case Opcode::kKeepAlive:
    case Opcode::kCloseSession:
    case Opcode::kPing:
    case Opcode::kReconcile:
    case Opcode::kAcquire:
    case Opcode::kRelease:
    case Opcode::kCancel:
    case Opcode::kGetLock:
    case Opcode::kListLocks:
    case Opcode::kListSessions:
    case Opcode::kStatus:
    case Opcode::kTransferLeadership:
    case Opcode::kChangeMembers:
    case Opcode::kTakeSnapshot:
    case Opcode::kReadSnapshot:
      return true;
    default:
      return false;
  }
}

bool IsServerToClient(Opcode opcode) {
  switch (opcode) {
    case Opcode::kReason:
    case Opcode::kAcquireOutcome:
    case Opcode::kSessionEnded:
    case Opcode::kNotLeader:
      return true;
    default:
      return IsClientRequest(opcode);
  }
}

bool IsPeerFrame(Opcode opcode) {
  switch (opcode) {
    case Opcode::kHello:
    case Opcode::kReason:
    case Opcode::kVote:
    case Opcode::kVoteReply:
    case Opcode::kAppend:
    case Opcode::kAppendReply:
    case Opcode::kHeartbeat:
    case Opcode::kHeartbeatReply:
    case Opcode::kTimeoutNow:
    case Opcode::kSnapshotChunk:
    case Opcode::kSnapshotChunkReply:
    case Opcode::kDigestReport:
    case Opcode::kDigestVerdict:
      return true;
    default:
      return false;
  }
}

}  // namespace lockd
