// The vocabulary of the replicated state: settings, commands, results and events.
//
// Commands are what the leader logs, results and events are what applying them yields. Plain
// structs, no protobuf: server/node translates between these and the wire, command.h between these
// and log bytes.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_TYPES_H_
#define LOCKD_SERVER_STATE_TYPES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/time.h"

namespace lockd::state {

// The version of the command envelope and of what apply understands. A logged command raises the
// cluster's feature level once all members support it; apply ends the process on a command above
// the level it knows and never skips one.
inline constexpr uint16_t kCommandVersion = 1;
inline constexpr uint32_t kFeatureLevelMax = 1;

inline constexpr size_t kLockNameBytesMax = 1024;
inline constexpr size_t kOwnerIdBytesMax = 256;
inline constexpr size_t kNonceBytes = 16;
inline constexpr uint64_t kSequenceWindow = 1024;
inline constexpr size_t kAcknowledgedAcquiresMax = 1024;
inline constexpr size_t kReconcileAcquiresMax = 8192;  // live acquires listed in one Reconcile
inline constexpr size_t kAddressBytesMax = 256;
inline constexpr size_t kMembersMax = 64;  // of all roles together
// Longest duration in any command, so that no sum with a cluster time overflows (about 31 years).
inline constexpr int64_t kDurationMsMax = 1'000'000'000'000;
inline constexpr int64_t kEndedSessionKeptMs = 60'000;

// Limits that apply reads are replicated, so that every replica decides alike. Local limits act
// only before proposing.
struct Settings {
  int64_t session_ttl_ms_min = 1'000;
  int64_t session_ttl_ms_max = 3'600'000;
  int64_t grace_ms_min = 3'000;     // a grace of 0 (off) is always allowed
  uint64_t sessions_max = 200'000;  // live ones
  uint64_t locks_max = 16'000'000;  // held locks in the cluster
  // Waiting acquires and outcomes not acknowledged singly, together.
  uint64_t waiters_max = 4'000'000;
  uint64_t locks_per_session_max = 1'000'000;
  // All outcomes that a session has not acknowledged follow its attach at once, some 70 bytes each:
  // these must fit into what may wait for one connection (4 MiB by default).
  uint64_t waiters_per_session_max = 32'768;
  uint64_t cleanup_holds_max = 1'024;  // K of "at most K holds per entry" cleaned up; README.md
  friend bool operator==(const Settings&, const Settings&) = default;
};

// What a member's voice counts for. While the voters are being exchanged (a joint configuration,
// Raft thesis 4.3) there are two halves, the old voters and the new ones, and both have to agree.
enum class MemberRole : uint8_t {
  kVoter = 1,     // of both halves, or simply of the one that there is
  kLearner = 2,   // gets the log and has no vote
  kIncoming = 3,  // only of the new half: a voter once the exchange is over
  kOutgoing = 4,  // only of the old half: no voter any more then
};

struct Member {
  NodeId node_id;
  std::string peer_address{};
  std::string client_address{};
  Incarnation incarnation{};  // zero: not seen yet; set once
  // In no command's record of a member: a Bootstrap founds with voters, and ChangeMembers has
  // lists.
  MemberRole role = MemberRole::kVoter;
  friend bool operator==(const Member&, const Member&) = default;
};

enum class LockMode : uint8_t { kExclusive = 1 };

// ---- Commands

struct OpenSession {
  std::string nonce;  // kNonceBytes, secret
  int64_t ttl_ms = 0;
  int64_t grace_ms = 0;  // 0: no disconnect grace
  std::string owner_id;
};
struct AttachSession {
  SessionId session;
  std::string nonce;
};
// One compact command for all the keep-alives that a leader collected in a short window.
struct KeepAlives {
  struct One {
    SessionId session;
    ConnectionEpoch epoch;
    std::vector<Sequence> acknowledged_acquires;
  };
  std::vector<One> sessions;
};
struct CloseSession {
  SessionId session;
  ConnectionEpoch epoch;
};
// The connection of `epoch` was closed. Applies only if that epoch is still current and the session
// has a grace.
struct Disconnect {
  SessionId session;
  ConnectionEpoch epoch;
};

// The head of what takes effect exactly once.
struct Mutation {
  SessionId session;
  ConnectionEpoch epoch;  // of the connection that it came on
  Sequence sequence;
  Sequence acknowledged_through;
  std::vector<Sequence> acknowledged_acquires;
};
inline constexpr int64_t kWaitForever = -1;
struct Acquire {
  Mutation mutation;  // its sequence is the acquire id
  std::string name;
  LockMode mode = LockMode::kExclusive;
  int64_t wait_ms = 0;      // 0: try; kWaitForever; else milliseconds of cluster time
  int64_t max_hold_ms = 0;  // 0: none
};
struct Release {
  Mutation mutation;
  std::string name;
  FencingToken token;
};
struct Cancel {
  Mutation mutation;
  Sequence acquire;
};
struct Reconcile {
  Mutation mutation;
  Sequence after;
  Sequence watermark;
  std::vector<Sequence> live_acquires;  // ascending
};

// The first command of a cluster's life.
struct Bootstrap {
  ClusterId cluster_id;
  uint32_t feature_level = kFeatureLevelMax;
  Settings settings;
  std::vector<Member> members;  // ascending by node id
};
// The first command of a cluster that is made from the state of another one (refounding.h).
struct Refound {
  Bootstrap bootstrap;        // its settings are those of the state, unless they are to change
  uint64_t numbers_from = 0;  // ids and tokens are above this; itself above all that were given
};
struct RegisterMember {
  Member member;
};
struct SetSettings {
  Settings settings;
};
struct SetFeatureLevel {
  uint32_t feature_level = 0;
};
// Says anew who belongs to the cluster, and in which role. The lists name every member there is
// afterwards; who is in none of them is a member no longer, and the record of it goes, incarnation
// and addresses too. Ids ascend in each list.
//
//   voters only    kVoter; while there are outgoing ones kIncoming
//   both           kVoter
//   outgoing only  kOutgoing
//   learners       kLearner; these are in no other list
//
// This is never a command among others: a batch of this one command is what a configuration entry
// of the log carries for the state (its particulars), so that the state's members follow the
// configuration that the entry brings into force. The leader asks LockDatabase::CheckChange before
// it proposes, with the last change applied and none under way: then apply agrees.
struct ChangeMembers {
  std::vector<NodeId> voters;    // not empty
  std::vector<NodeId> outgoing;  // not empty only in a joint change; then not the same as `voters`
  std::vector<NodeId> learners;
  // The records of those that were no members before, ascending by node id, above every id that
  // was ever given: an id means one node for the whole life of the cluster. Roles are not in here.
  std::vector<Member> added;
};

using Command = std::variant<OpenSession, AttachSession, KeepAlives, CloseSession, Disconnect,
                             Acquire, Release, Cancel, Reconcile, Bootstrap, RegisterMember,
                             SetSettings, SetFeatureLevel, ChangeMembers, Refound>;

// ---- Results

// Why a command did nothing. Apply cannot fail: every replica computes the same refusal.
enum class Refusal : uint8_t {
  kNone = 0,
  kSessionEnded,  // unknown or over
  kStaleEpoch,    // from a connection that has been superseded
  kBadSequence,   // at or below acknowledged_through, above the window, or used for another kind
  kWrongSecret,
  kLimit,    // see `limit`
  kInvalid,  // a field out of range that intake let through (never from a correct leader of this
             // version)
};

struct Grant {
  FencingToken token;
  LockMode mode = LockMode::kExclusive;
  FencingToken fence_floor;
  ClusterTime granted_at;
  ClusterTime
      hold_deadline;  // as the *client* counts it: granted_at + max_hold_ms; zero: no maximum
  friend bool operator==(const Grant&, const Grant&) = default;
};

// Which replicated setting stood in the way.
enum class LimitKind : uint8_t {
  kNone = 0,
  kSessionsMax,
  kLocksMax,
  kWaitersMax,
  kLocksPerSessionMax,
  kWaitersPerSessionMax,
};
// The name of the setting as operators know it ("locks_max"); empty for kNone.
[[nodiscard]] const char* LimitName(LimitKind limit);

enum class AcquireOutcomeKind : uint8_t {
  kQueued = 1,
  kGranted,
  kBusy,
  kTimedOut,
  kCancelled,
  kLimit,
};
struct AcquireResult {
  AcquireOutcomeKind kind = AcquireOutcomeKind::kQueued;
  LimitKind limit = LimitKind::kNone;  // kLimit
  Grant grant;                         // kGranted
  uint64_t waiters_before = 0;         // kQueued
  friend bool operator==(const AcquireResult&, const AcquireResult&) = default;
};
enum class ReleaseOutcome : uint8_t { kReleased = 1, kStale };
struct ReleaseResult {
  ReleaseOutcome outcome = ReleaseOutcome::kReleased;
  friend bool operator==(const ReleaseResult&, const ReleaseResult&) = default;
};
enum class CancelOutcome : uint8_t { kCancelled = 1, kTooLate, kEnded };
struct CancelResult {
  CancelOutcome outcome = CancelOutcome::kCancelled;
  AcquireResult acquire;  // the target's final outcome
  friend bool operator==(const CancelResult&, const CancelResult&) = default;
};
struct ReconcileResult {
  uint64_t cancelled = 0;
  uint64_t released = 0;
  friend bool operator==(const ReconcileResult&, const ReconcileResult&) = default;
};
struct SessionResult {  // OpenSession, AttachSession
  SessionId session;
  ConnectionEpoch epoch;
  bool found = false;
  // AttachSession: final outcomes that were not acknowledged singly, ascending by acquire id.
  std::vector<std::pair<Sequence, AcquireResult>> outcomes;
  friend bool operator==(const SessionResult&, const SessionResult&) = default;
};
struct KeepAliveResults {
  std::vector<Refusal> sessions;  // one for each of the command, in order; kNone: renewed
  friend bool operator==(const KeepAliveResults&, const KeepAliveResults&) = default;
};
struct Done {  // commands without a result of their own
  friend bool operator==(const Done&, const Done&) = default;
};

struct CommandResult {
  Refusal refusal = Refusal::kNone;
  // Of a refusal kLimit and of an outcome AcquireOutcomeKind::kLimit: LimitName() of the setting.
  const char* limit = "";
  std::variant<Done, SessionResult, KeepAliveResults, AcquireResult, ReleaseResult, CancelResult,
               ReconcileResult>
      value;
};

// ---- Events: what applying did beyond the command's own result

// A queued acquire got its final outcome.
struct AcquireDone {
  SessionId session;
  Sequence acquire;
  AcquireResult result;
  friend bool operator==(const AcquireDone&, const AcquireDone&) = default;
};
enum class SessionEndReason : uint8_t {
  kClosed = 1,
  kExpired,
  kDisconnected,
  kRefounded,  // its cluster was lost (refounding.h); no event tells of it
};
struct SessionEnded {
  SessionId session;
  SessionEndReason reason = SessionEndReason::kClosed;
  friend bool operator==(const SessionEnded&, const SessionEnded&) = default;
};
// A hold ended by its maximum hold time; its session lives on.
struct HoldExpired {
  SessionId session;
  FencingToken token;
  friend bool operator==(const HoldExpired&, const HoldExpired&) = default;
};
using Event = std::variant<AcquireDone, SessionEnded, HoldExpired>;

// What applying one log entry yields.
struct ApplyResult {
  std::vector<CommandResult> results;  // one for each command of the batch, in order
  std::vector<Event> events;           // in the order in which they happened
  uint64_t cleaned_up = 0;  // sessions, holds and waiters that have ended: work beside the commands
};

// ---- Reads

struct LockView {
  std::string name;
  bool held = false;
  SessionId session;
  std::string owner_id;
  FencingToken token;
  WallTime granted_wall;     // schema field `timestamp`
  WallTime expiration_wall;  // schema field `expiration_time`: when the hold ends unless its
                             // session is renewed
  uint64_t waiters = 0;
};
struct SessionView {
  SessionId session;
  std::string owner_id;
  int64_t ttl_ms = 0;
  int64_t grace_ms = 0;
  int64_t remaining_ms = 0;
  uint64_t holds = 0;
  uint64_t waiters = 0;
  ConnectionEpoch epoch;
};

// 128 bits; equal for two replicas that have applied the same log, whatever their memory layout.
struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;
  friend bool operator==(const Digest&, const Digest&) = default;
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_TYPES_H_
