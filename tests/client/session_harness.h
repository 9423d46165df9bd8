// One session machine, a clock by hand, and a server that only builds frames.
//
//   SessionHarness harness;
//   harness.Open();                                         // connected, greeted, opened
//   const OperationId acquire = harness.Acquire("a", 0);
//   const Sent<pb::AcquireRequest> request = harness.Take<pb::AcquireRequest>();
//   harness.Grant(request, 7);
//   EXPECT_EQ(harness.Done(acquire).status, AcquireStatus::kGranted);
//
// Each verb ends with a turn: what the machine sends is decoded into a queue, what it completes is
// collected. Take() takes the next frame and fails the test when it is of another kind.
#ifndef LOCKD_TESTS_CLIENT_SESSION_HARNESS_H_
#define LOCKD_TESTS_CLIENT_SESSION_HARNESS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/session_fsm.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"
#include "protocol/lock.pb.h"

namespace lockd::client {

template <typename Message>
struct Sent {
  uint32_t request_id = 0;
  Message message;
};

template <typename Message>
struct OpcodeOf;
#define LOCKD_OPCODE_OF(Message, code)             \
  template <>                                      \
  struct OpcodeOf<pb::Message> {                   \
    static constexpr Opcode kValue = Opcode::code; \
  }
LOCKD_OPCODE_OF(ClientHello, kHello);
LOCKD_OPCODE_OF(OpenSessionRequest, kOpenSession);
LOCKD_OPCODE_OF(AttachSessionRequest, kAttachSession);
LOCKD_OPCODE_OF(KeepAliveRequest, kKeepAlive);
LOCKD_OPCODE_OF(CloseSessionRequest, kCloseSession);
LOCKD_OPCODE_OF(PingRequest, kPing);
LOCKD_OPCODE_OF(ReconcileRequest, kReconcile);
LOCKD_OPCODE_OF(AcquireRequest, kAcquire);
LOCKD_OPCODE_OF(ReleaseRequest, kRelease);
LOCKD_OPCODE_OF(CancelRequest, kCancel);
#undef LOCKD_OPCODE_OF

class SessionHarness {
 public:
  static constexpr uint64_t kSession = 77;
  static constexpr uint64_t kCluster = 5;

  static SessionConfig Config();
  explicit SessionHarness(SessionConfig config = Config(), const UsedNumbers& used = {});

  // -- time --
  [[nodiscard]] LocalTime now() const { return now_; }
  void Advance(int64_t ms);  // to that time at once, then what is due
  void AdvanceNs(int64_t ns);
  void AdvanceToWakeup();  // to the time that the machine asked for

  // -- the link --
  void Connect();     // the last dial succeeds
  void Disconnect();  // from the server's side
  void Hello(uint64_t node_id = 1, uint64_t leader_id = 1, const std::string& leader = {});
  void OpenReply(uint64_t epoch = 1, bool found = false);
  // All of the above, with a fresh session.
  void Open();
  // After a disconnect: dial, connect, hello, and the attach is taken. Not yet answered.
  Sent<pb::AttachSessionRequest> Redial();
  void AttachReply(const Sent<pb::AttachSessionRequest>& attach, uint64_t epoch,
                   const std::vector<pb::AcquireOutcome>& outcomes = {});

  // -- frames --
  template <typename Message>
  Sent<Message> Take() {
    Sent<Message> taken;
    if (frames_.empty()) {
      ADD_FAILURE() << "nothing sent where " << OpcodeName(OpcodeOf<Message>::kValue)
                    << " was expected";
      return taken;
    }
    const Frame frame = frames_.front();
    frames_.pop_front();
    EXPECT_EQ(OpcodeName(frame.header.opcode), OpcodeName(OpcodeOf<Message>::kValue));
    taken.request_id = frame.header.request_id;
    EXPECT_TRUE(taken.message.ParseFromString(frame.payload));
    return taken;
  }
  // Takes frames off the queue until one of this kind.
  template <typename Message>
  Sent<Message> TakeNext() {
    while (!frames_.empty() && frames_.front().header.opcode != OpcodeOf<Message>::kValue) {
      frames_.pop_front();
    }
    return Take<Message>();
  }
  [[nodiscard]] bool NothingSent() const { return frames_.empty(); }
  [[nodiscard]] size_t sent_count() const { return frames_.size(); }

  template <typename Message>
  void Reply(Opcode opcode, uint32_t request_id, const Message& message) {
    Feed({.opcode = opcode, .flags = kFlagReply, .group = GroupId(0), .request_id = request_id},
         message);
  }
  void Error(Opcode opcode, uint32_t request_id, pb::ErrorCode code, const std::string& leader = {},
             uint32_t retry_after_ms = 0);
  template <typename Message>
  void Push(Opcode opcode, const Message& message) {
    Feed({.opcode = opcode, .flags = 0, .group = GroupId(0), .request_id = 0}, message);
  }
  void Feed(const FrameHeader& header, const google::protobuf::MessageLite& message);
  void FeedRaw(absl::string_view bytes);

  void KeepAliveReply(const Sent<pb::KeepAliveRequest>& keep_alive);
  void PingReply(const Sent<pb::PingRequest>& ping);
  void Grant(const Sent<pb::AcquireRequest>& request, uint64_t token);
  void AcquireReply(const Sent<pb::AcquireRequest>& request, pb::AcquireResult result);
  void ReleaseReply(const Sent<pb::ReleaseRequest>& request,
                    pb::ReleaseResult result = pb::RELEASE_RESULT_RELEASED);
  // A push.
  void Outcome(uint64_t acquire_id, pb::AcquireResult result, uint64_t token = 0);
  static pb::AcquireOutcome MakeOutcome(uint64_t acquire_id, pb::AcquireResult result,
                                        uint64_t token = 0);

  // The stamp of replies: each is one index and 1 ms newer. A test may change it.
  pb::Stamp& stamp() { return stamp_; }

  // -- operations --
  OperationId Acquire(absl::string_view name, int64_t wait_ms, int64_t max_hold_ms = 0);
  OperationId AcquireAndGrant(absl::string_view name, uint64_t token);
  bool Release(OperationId hold);
  void Cancel(OperationId acquire);
  void Close();

  // -- what came out --
  [[nodiscard]] bool IsDone(OperationId acquire) const { return acquires_.count(acquire) > 0; }
  [[nodiscard]] AcquireDone Done(OperationId acquire) const;
  [[nodiscard]] std::optional<ReleaseStatus> ReleaseDone(OperationId hold) const;
  [[nodiscard]] bool HoldIsLost(OperationId hold) const { return lost_.count(hold) > 0; }
  [[nodiscard]] bool session_lost() const { return session_lost_; }
  [[nodiscard]] const std::optional<OpenDone>& opened() const { return opened_; }
  [[nodiscard]] const std::optional<CloseDone>& closed() const { return closed_; }
  // The address dialled last, if its link is still wanted.
  [[nodiscard]] const std::optional<Dial>& dialed() const { return dial_; }
  [[nodiscard]] size_t dials() const { return dials_; }
  [[nodiscard]] LocalTime next_wakeup() const { return next_wakeup_; }
  [[nodiscard]] SessionState state() const { return fsm_.state(now_); }
  [[nodiscard]] bool IsHeld(OperationId hold) const { return fsm_.IsHeld(hold, now_); }

  SessionFsm& fsm() { return fsm_; }
  void Turn();

 private:
  struct Frame {
    FrameHeader header;
    std::string payload;
  };

  LocalTime now_{1'000'000'000};
  SessionFsm fsm_;
  pb::Stamp stamp_;
  FrameDecoder decoder_{kPeerFrameBytesMax};
  std::deque<Frame> frames_;
  std::optional<Dial> dial_;
  size_t dials_ = 0;
  std::map<OperationId, AcquireDone> acquires_;
  std::map<OperationId, ReleaseStatus> releases_;
  std::map<OperationId, int> lost_;
  std::optional<OpenDone> opened_;
  std::optional<CloseDone> closed_;
  bool session_lost_ = false;
  LocalTime next_wakeup_ = kNeverLocal;
};

}  // namespace lockd::client

#endif  // LOCKD_TESTS_CLIENT_SESSION_HARNESS_H_
