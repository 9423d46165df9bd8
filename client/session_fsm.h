// SessionFsm: the client's half of a session. Inputs in, actions out; no clock, socket or thread.
//
// The rim (client/session.cc over Asio, or the simulator) owns sockets, clock and timers:
//
//   for each thing that happens:  fsm.On...(now, ...) or fsm.Acquire(now, ...), ...
//   then, once per turn:          SessionActions actions = fsm.TakeActions(now);
//                                 carry out all, in the order of the fields
//   and at actions.next_wakeup:   fsm.OnTime(now)
//
// `now` is CLOCK_BOOTTIME in nanoseconds, read right before the call, and never decreases. Every
// input first looks at it: once the session's deadline has passed, the session is lost before
// anything else is considered, also before a reply that lay in the socket and would have renewed
// it. Loss is final.
//
//            dial        hello       OpenSession       reply
//   backing off ──► dialing ──► greeting ──► opening or attaching ──► attached
//        ▲             │            │                 │                   │
//        └─────────────┴────────────┴─────────────────┴───────────────────┘
//          closed, refused, silent, or "go to the leader" (then without back-off)
//
// What it promises:
//   - One deadline: send time of the transmission whose reply counts + TTL (and + grace of the last
//     answered ping, for a session with a disconnect grace). A reply credits its own transmission
//     only.
//   - Exactly once: a request keeps its sequence through every reconnect until it is answered.
//   - No orphans: an acquire belongs to the machine until its final outcome. One whose caller has
//     gone (cancelled, out of time) is cancelled at the server, and released if it was granted.
//   - "Unknown" does not leave it: each operation completes exactly once with a definite result.
//   - Whatever bytes a server sends, it answers by closing the link, never by crashing.
//
// Bounds: at most kSequenceWindow requests are unanswered at a time; acquires beyond wait here, at
// most SessionConfig::pending_operations_max of them. One link at a time exists between Dial and
// Close/OnDisconnected; bytes for a link that is no longer the current one are ignored.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_SESSION_FSM_H_
#define LOCKD_CLIENT_SESSION_FSM_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "client/leader_finder.h"
#include "client/lease.h"
#include "client/outcomes.h"
#include "client/request_window.h"
#include "protocol/base/ids.h"
#include "protocol/base/random.h"
#include "protocol/base/time.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"

namespace lockd::pb {
class AcquireOutcome;
class AcquireReply;
class AttachSessionReply;
class CancelReply;
class Error;
class Grant;
class OpenSessionReply;
class ReleaseReply;
class Stamp;
}  // namespace lockd::pb

namespace lockd::client {

// Names of links within one machine, counted up and never re-used.
using LinkId = StrongInt<struct LinkIdTag>;
// Names an acquire, and from its grant on the hold that it made; never re-used within a session.
using OperationId = StrongInt<struct OperationIdTag>;

inline constexpr int64_t kWaitForever = -1;
inline constexpr size_t kNonceBytes = 16;

struct SessionConfig {
  std::vector<std::string> endpoints;  // host:port of nodes; not empty
  std::string client_name;             // for the servers' logs, at most 64 bytes
  std::string owner_id;                // shown to people, at most 256 bytes
  int64_t ttl_ms = 10'000;
  int64_t grace_ms = 0;  // disconnect grace; 0: off, else at least 3,000
  // How long a call that needs no waiting (open, try, release, close) may go without an answer.
  int64_t operation_timeout_ms = 5'000;
  // How much longer than its own wait a timed acquire waits for the server to say that the time is
  // up.
  int64_t answer_slack_ms = 500;
  int64_t connect_timeout_ms = 2'000;  // from dialing to attached
  int64_t backoff_ms_min = 20;
  int64_t backoff_ms_max = 1'000;
  size_t pending_operations_max = 65'536;
};

using lockd::AcquireStatus;
using lockd::ReleaseStatus;
using lockd::SessionState;

struct AcquireDone {
  OperationId operation;
  AcquireStatus status = AcquireStatus::kUnavailable;
  // kGranted:
  FencingToken token;
  FencingToken fence_floor;
  LocalTime hold_deadline = kNeverLocal;  // maximum hold as this client counts it
  // kLimit, kInvalid:
  std::string message;
  int64_t retry_after_ms = 0;
};

struct ReleaseDone {
  OperationId hold;
  ReleaseStatus status = ReleaseStatus::kReleased;
};

enum class OpenStatus : uint8_t { kOpened, kUnavailable, kRefused };
struct OpenDone {
  OpenStatus status = OpenStatus::kOpened;
  std::string message;
};

struct CloseDone {
  bool acknowledged = false;  // false: no answer in time; the session ends by its TTL
};

// A hold ended without having been released. After the loss of the session it is reported for each
// of its holds.
struct HoldLost {
  OperationId hold;
};

struct Dial {
  LinkId link;
  std::string address;
};

struct SessionActions {
  std::vector<LinkId> close;  // no event of these links is expected any more
  std::optional<Dial> dial;
  // For the current link, in one write.
  LinkId send_link;
  std::string send;
  std::optional<OpenDone> opened;
  std::vector<AcquireDone> acquires;
  std::vector<ReleaseDone> releases;
  std::vector<HoldLost> lost;
  std::optional<CloseDone> closed;
  bool session_lost = false;  // in the turn in which it happens
  LocalTime next_wakeup = kNeverLocal;
};

class RequestEncoder;

// What a machine counts as used up when it starts. Runs that are to cross the wrap of a number
// begin just below it; everybody else at zero.
struct UsedNumbers {
  Sequence sequence{};
  uint64_t transmission = 0;
  uint32_t control_id = 0;  // request ids of what is no mutation
};

class SessionFsm {
 public:
  // `nonce` is secret, kNonceBytes long, and drawn anew for each session. Starts to open at once.
  SessionFsm(SessionConfig config, std::string nonce, uint64_t seed, LocalTime now,
             const UsedNumbers& used = {});
  ~SessionFsm();
  SessionFsm(const SessionFsm&) = delete;
  SessionFsm& operator=(const SessionFsm&) = delete;

  // -- operations --
  // `wait_ms`: 0 is a try, kWaitForever, or how long to wait in the queue. `max_hold_ms`: 0 is no
  // maximum. Each completes once, in some later TakeActions (also when refused at once).
  OperationId Acquire(LocalTime now, absl::string_view name, int64_t wait_ms, int64_t max_hold_ms);
  // Completes the acquire with kCancelled unless it has completed already.
  void Cancel(LocalTime now, OperationId acquire);
  // False, and no completion follows, when there is nothing to release: never granted, released or
  // lost.
  bool Release(LocalTime now, OperationId hold);
  // Ends the session and all that it holds. Everything pending completes with kSessionLost.
  void Close(LocalTime now);

  // -- the link --
  void OnConnected(LocalTime now, LinkId link);
  void OnDisconnected(LocalTime now, LinkId link);  // also: could not connect
  void OnBytes(LocalTime now, LinkId link, absl::string_view bytes);

  // -- time --
  void OnTime(LocalTime now);
  // The rim saw the deadline pass before this machine did (another thread looked at its clock).
  void OnLost(LocalTime now);

  [[nodiscard]] SessionActions TakeActions(LocalTime now);

  // -- what the clock decides; compares at each call --
  [[nodiscard]] SessionState state(LocalTime now) const;
  [[nodiscard]] bool IsHeld(OperationId hold, LocalTime now) const;
  // The hold is lost from this time on, unless the session is renewed before.
  [[nodiscard]] LocalTime SafeUntil(OperationId hold) const;

  [[nodiscard]] SessionId session_id() const { return session_id_; }
  [[nodiscard]] const Lease& lease() const { return lease_; }
  // Why the session was lost or could not be opened, for people; empty while it lives.
  [[nodiscard]] const std::string& end_message() const { return end_message_; }
  // Where the current link leads to; empty without one.
  [[nodiscard]] const std::string& server_address() const { return server_address_; }

  // -- for checks --
  // Whether nothing is under way: no acquire without final outcome, no release without answer.
  [[nodiscard]] bool IsIdle() const;
  [[nodiscard]] size_t hold_count() const { return hold_count_; }

 private:
  enum class LinkState : uint8_t { kNone, kDialing, kGreeting, kOpening, kAttached };
  enum class Life : uint8_t { kOpening, kLive, kClosing, kClosed, kLost, kOpenFailed };

  // What has become of an acquire.
  //
  //   kLocal ─► kUnanswered ─► kQueued ─► kHeld ─► kReleasing
  //
  // Any of the first three ends by a final outcome. An *abandoned* one has completed for its caller
  // and lives on until the server can no longer hold anything for it.
  enum class Phase : uint8_t { kFree, kLocal, kUnanswered, kQueued, kHeld, kReleasing };
  struct Operation {
    OperationId id;
    Phase phase = Phase::kFree;
    bool abandoned = false;
    bool release_waits = false;  // a caller waits for the release to complete
    std::string name;
    int64_t wait_ms = 0;
    int64_t server_wait_ms = 0;  // what was left of it when the request was first sent
    int64_t max_hold_ms = 0;
    LocalTime called_at;
    LocalTime timer = kNeverLocal;  // its entry in timers_
    Sequence sequence;              // its acquire id; zero while kLocal
    LocalTime first_sent_at;
    FencingToken token;
    FencingToken fence_floor;
    LocalTime hold_deadline = kNeverLocal;
  };
  struct ReconcileBatch {
    Sequence sequence{};  // of its request
    Sequence after;
    Sequence watermark;
    std::vector<Sequence> live{};
  };
  // A control request (open, attach, keep-alive, ping, close) on the current link.
  struct Control {
    Opcode opcode = Opcode::kHello;
    uint32_t request_id = 0;
    uint64_t transmission = 0;
    LocalTime sent_at{};
  };

  // session_fsm.cc: time, life and link.
  void Advance(LocalTime now);
  void Lose(Life life, absl::string_view message);
  void FinishClose(bool acknowledged);
  void CheckLink(LocalTime now);
  void StartDial(LocalTime now);
  void DropLink();
  void Retry(LocalTime now, int64_t at_least_ms = 0);  // drops the link and dials after a while
  void Redirect(LocalTime now, absl::string_view address);
  void Attached(LocalTime now, LocalTime sent_at, ConnectionEpoch epoch);
  uint32_t NewControl(LocalTime now, Opcode opcode, uint64_t transmission);
  void SendOpenOrAttach(LocalTime now);
  void SendKeepAlive(LocalTime now);
  void SendPing(LocalTime now);
  void SendClose(LocalTime now);
  void ScheduleKeepAlive(LocalTime sent_at);
  void ExpectAnswer(LocalTime now);
  [[nodiscard]] int64_t PingMs() const;
  [[nodiscard]] int64_t SilenceNs() const;
  [[nodiscard]] LocalTime SilentAt() const;
  [[nodiscard]] LocalTime NextWakeup() const;
  [[nodiscard]] bool is_attached() const { return link_state_ == LinkState::kAttached; }
  [[nodiscard]] bool is_over() const {
    return life_ == Life::kClosed || life_ == Life::kLost || life_ == Life::kOpenFailed;
  }

  // session_replies.cc: frames. False: the server misbehaves, the link is to be closed.
  bool OnFrame(LocalTime now, const FrameView& frame);
  bool OnHello(LocalTime now, const FrameView& frame);
  bool OnControlReply(LocalTime now, const FrameView& frame);
  bool OnControlError(LocalTime now, const Control& control, const pb::Error& error);
  bool OnOpenReply(LocalTime now, const Control& control, const pb::OpenSessionReply& reply);
  bool OnAttachReply(LocalTime now, const Control& control, const pb::AttachSessionReply& reply);
  bool OnPush(LocalTime now, const FrameView& frame);
  bool OnMutationReply(LocalTime now, const FrameView& frame);
  bool OnMutationError(LocalTime now, Request& request, const pb::Error& error);
  bool OnAcquireReply(LocalTime now, Request& request, const pb::AcquireReply& reply);
  bool OnReleaseReply(Request& request, const pb::ReleaseReply& reply);
  bool OnCancelReply(LocalTime now, Request& request, const pb::CancelReply& reply);
  // A final outcome of a queued acquire, from a push or an attach.
  bool OnOutcome(LocalTime now, const pb::AcquireOutcome& outcome);
  void OnRefused(Operation& operation, int result, absl::string_view limit_name,
                 int64_t retry_after_ms);
  void OnLeaderError(LocalTime now, const pb::Error& error);
  void OnSessionEnded(absl::string_view message);
  void Settle(Operation& operation);
  void AcknowledgeOutcome(Sequence acquire);
  // False when the stamp is missing or goes backwards: a deposed leader, or a state of before.
  bool AcceptStamp(const pb::Stamp& stamp);

  // session_operations.cc: acquires, holds, and the requests that carry them.
  Operation* Find(OperationId id);
  [[nodiscard]] const Operation* Find(OperationId id) const;
  Operation& NewOperation(LocalTime now);
  void Free(Operation& operation);
  void SetTimer(Operation& operation, LocalTime at);
  void OnOperationTimer(Operation& operation);
  void Complete(Operation& operation, AcquireStatus status, absl::string_view message,
                int64_t retry_after_ms);
  void EndWithoutHold(Operation& operation, AcquireStatus status, absl::string_view message,
                      int64_t retry_after_ms);
  void Abandon(Operation& operation, AcquireStatus status, absl::string_view message);
  void OnGranted(LocalTime now, Operation& operation, const pb::Grant& grant);
  void StartRelease(Operation& operation);
  void EndAllOperations();
  void ForgetEndedWaiting();
  void Pump(LocalTime now);  // sends what may be sent
  void SendAcquire(LocalTime now, Operation& operation);
  void SendRequest(LocalTime now, Request& request);
  void StartReconcile(LocalTime now);
  void BuildReconciles();
  [[nodiscard]] bool HasRoomFor(RequestKind kind) const;

  // -- constant --
  const SessionConfig config_;
  const std::string nonce_;

  // -- the session --
  Random random_;
  Life life_ = Life::kOpening;
  SessionId session_id_;
  Lease lease_;
  std::string end_message_;
  std::string last_refusal_;   // what a server said last; the reason if the session never opens
  bool open_refused_ = false;  // for ever, not for now
  LocalTime open_deadline_ = kNeverLocal;
  LocalTime close_deadline_ = kNeverLocal;
  uint64_t next_transmission_;
  // The newest stamp seen in a reply of a leader.
  uint64_t seen_term_ = 0;
  uint64_t seen_applied_index_ = 0;
  int64_t seen_cluster_time_ms_ = 0;
  uint64_t cluster_id_ = 0;  // of the first hello; other clusters are not talked to

  // -- the link --
  LeaderFinder finder_;
  LinkState link_state_ = LinkState::kNone;
  LinkId link_;                  // the last one dialled
  bool link_is_closed_ = false;  // by the other side
  std::string server_address_;
  FrameDecoder decoder_;
  ConnectionEpoch epoch_;
  LocalTime dial_at_;                         // kNone: when to dial
  LocalTime connect_deadline_ = kNeverLocal;  // dialing to opening: when to give up
  LocalTime keep_alive_at_ = kNeverLocal;     // attached: when the next one is due
  LocalTime ping_at_ = kNeverLocal;
  LocalTime heard_at_;         // last frame from it
  LocalTime expecting_since_;  // something has been unanswered since
  size_t in_flight_max_ = 0;   // mutations; what the server said, less some places
  uint32_t last_control_id_;
  std::deque<Control> controls_;  // unanswered, oldest first
  // After RESOURCE_EXHAUSTED nothing of that kind is sent before; `wait`: something would be.
  LocalTime acquires_from_;
  LocalTime others_from_;
  bool acquires_wait_ = false;
  bool others_wait_ = false;

  // -- operations --
  std::vector<Operation> operations_;  // a slab; an OperationId has the place in its low bits
  std::vector<uint32_t> free_operations_;
  uint64_t next_operation_ = 1;
  size_t operation_count_ = 0;
  size_t hold_count_ = 0;
  std::deque<OperationId> waiting_;  // kLocal acquires in order; may name ended ones
  size_t waiting_count_ = 0;         // live ones in waiting_
  std::deque<std::pair<RequestKind, OperationId>> urgent_;  // cancels and releases to send
  absl::btree_set<std::pair<LocalTime, OperationId>> timers_;
  absl::flat_hash_map<Sequence, OperationId> by_sequence_;  // an index: never walked
  RequestWindow window_;
  std::vector<ReconcileBatch> reconciles_;  // of one attach, until all are answered
  size_t reconciles_unanswered_ = 0;
  std::vector<Sequence> acknowledgements_;  // outcomes that the server may forget

  std::unique_ptr<RequestEncoder> encoder_;
  SessionActions actions_;
};

}  // namespace lockd::client

#endif  // LOCKD_CLIENT_SESSION_FSM_H_
