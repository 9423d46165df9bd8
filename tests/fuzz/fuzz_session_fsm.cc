// The client's session machine against a hostile server.
//
// The input decides what the caller does (acquire, cancel, release, close), how time passes, and
// what the server says: plausible replies to what was sent, with numbers of its own choice, errors,
// pushes, frames of any kind, raw bytes, broken connections. What must hold, whatever it says:
//   - no deadline lies beyond what the machine's own transmissions allow (now + TTL),
//   - a hold is held only before its deadline, and none survives the session,
//   - each operation completes once, and all have completed once the session is over,
//   - one link at a time, bytes for the current one only, and no turn asks for the next one at once
//     for ever.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/session_fsm.h"
#include "protocol/base/check.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"
#include "protocol/lock.pb.h"
#include "tests/fuzz/choices.h"

namespace lockd::client {
namespace {

constexpr int kStepsMax = 400;
constexpr int kWakeupsMax = 20'000;
constexpr uint64_t kSession = 77;
constexpr size_t kRequestsMax = 16;

class HostileServer {
 public:
  explicit HostileServer(Choices& choices) : choices_(choices) {
    config_.endpoints = {"a:1", "b:2"};
    config_.owner_id = "owner";
    config_.ttl_ms = 5'000;
    config_.grace_ms = choices_.OneIn(2) ? 3'000 : 0;
    config_.pending_operations_max = 8;
    fsm_ = std::make_unique<SessionFsm>(config_, std::string(kNonceBytes, 'n'), 1, now_);
  }

  void Run() {
    Turn();
    for (int step = 0; step < kStepsMax && !choices_.AtEnd(); ++step) {
      Step();
      Turn();
    }
    Finish();
  }

 private:
  struct Request {
    FrameHeader header;
    std::string payload;
  };

  // -- the caller, time and the link --

  void Step() {
    switch (choices_.Below(16)) {
      case 0:
      case 1:
        Started(fsm_->Acquire(now_, choices_.OneIn(8) ? "" : "name", Wait(),
                              choices_.OneIn(2) ? 0 : 100));
        return;
      case 2:
        if (!operations_.empty()) fsm_->Cancel(now_, SomeOperation());
        return;
      case 3:
        if (!operations_.empty()) {
          const OperationId hold = SomeOperation();
          if (fsm_->Release(now_, hold)) {
            LOCKD_CHECK(releasing_.insert(hold).second, "released twice");
          }
        }
        return;
      case 4:
        if (choices_.OneIn(8)) {
          fsm_->Close(now_);
        } else if (choices_.OneIn(8)) {
          fsm_->OnLost(now_);
        }
        return;
      case 5:
        now_ += static_cast<int64_t>(choices_.Below(2'000)) * kNanosPerMilli;
        fsm_->OnTime(now_);
        return;
      case 6:
        if (next_wakeup_ != kNeverLocal && next_wakeup_ > now_) now_ = next_wakeup_;
        fsm_->OnTime(now_);
        return;
      case 7:
        if (!link_) return;
        if (choices_.OneIn(3)) {
          Disconnect();
        } else if (!is_connected_) {
          is_connected_ = true;
          fsm_->OnConnected(now_, *link_);
        }
        return;
      case 8:
        Say(std::string(choices_.Bytes(choices_.Below(64))));
        return;
      case 9:
        SayFrame(SomeHeader(), std::string(choices_.Bytes(choices_.Below(64))));
        return;
      case 10:
        SayPush();
        return;
      case 11:
        SayHello();
        return;
      default:
        SayReply();
        return;
    }
  }

  int64_t Wait() { return choices_.OneIn(3) ? 0 : choices_.OneIn(2) ? kWaitForever : 300; }
  OperationId SomeOperation() { return operations_[choices_.Below(operations_.size())]; }
  void Started(OperationId operation) {
    operations_.push_back(operation);
    LOCKD_CHECK(pending_.insert(operation).second, "a number used twice");
  }

  // -- what it says --

  void Say(const std::string& bytes) {
    if (link_ && is_connected_) fsm_->OnBytes(now_, *link_, bytes);
  }
  void SayFrame(const FrameHeader& header, const std::string& payload) {
    std::string bytes;
    AppendFrame(bytes, header, payload);
    Say(bytes);
  }
  FrameHeader SomeHeader() {
    FrameHeader header;
    header.opcode = static_cast<Opcode>(choices_.Below(64));
    header.flags = static_cast<uint8_t>(choices_.Below(4));
    header.group = GroupId(choices_.OneIn(16) ? 1 : 0);
    header.request_id = static_cast<uint32_t>(choices_.OneIn(2) ? choices_.Below(8)
                                                                : 0x40000000 + choices_.Below(8));
    return header;
  }
  // Mostly small and plausible, at times at the edge of its type.
  uint64_t Number() {
    constexpr uint64_t kEdges[] = {0, uint64_t{1} << 31, (uint64_t{1} << 63) - 1, uint64_t{1} << 63,
                                   ~uint64_t{0}};
    return choices_.OneIn(8) ? kEdges[choices_.Below(5)] : choices_.Below(16);
  }
  void FillStamp(pb::Stamp* stamp) {
    if (choices_.OneIn(10)) {
      stamp->set_term(Number());
      stamp->set_applied_index(Number());
      stamp->set_cluster_time_ms(static_cast<int64_t>(Number()));
      return;
    }
    index_ += choices_.Below(2);
    stamp->set_term(3);
    stamp->set_applied_index(index_);
    stamp->set_cluster_time_ms(1'000 + now_.value() / kNanosPerMilli);
  }
  void FillGrant(pb::Grant* grant) {
    grant->set_token(Number());
    grant->set_mode(pb::LOCK_MODE_EXCLUSIVE);
    grant->set_fence_floor(Number());
    grant->set_granted_time_ms(static_cast<int64_t>(1'000 + Number()));
    grant->set_hold_deadline_ms(choices_.OneIn(2) ? 0 : static_cast<int64_t>(1'000 + Number()));
  }
  void FillOutcome(pb::AcquireOutcome* outcome) {
    FillStamp(outcome->mutable_stamp());
    outcome->set_session_id(choices_.OneIn(8) ? Number() : kSession);
    outcome->set_acquire_id(Number());
    outcome->set_result(static_cast<pb::AcquireResult>(choices_.Below(8)));
    if (choices_.OneIn(2)) FillGrant(outcome->mutable_grant());
  }

  void SayHello() {
    pb::ServerHello hello;
    hello.set_magic(choices_.OneIn(16) ? kPeerMagic : kClientMagic);
    hello.set_version(choices_.OneIn(16) ? 9 : 1);
    hello.set_cluster_id(choices_.OneIn(8) ? Number() : 5);
    hello.set_node_id(1);
    hello.set_frame_bytes_max(static_cast<uint32_t>(Number()));
    hello.set_requests_in_flight_max(static_cast<uint32_t>(choices_.OneIn(4) ? Number() : 100));
    if (choices_.OneIn(4)) {
      hello.mutable_leader()->set_node_id(2);
      hello.mutable_leader()->set_client_address(choices_.OneIn(4) ? "\xff" : "c:3");
    }
    SayFrame({Opcode::kHello, kFlagReply, GroupId(0), 0}, hello.SerializeAsString());
  }

  void SayPush() {
    switch (choices_.Below(4)) {
      case 0: {
        pb::SessionEnded ended;
        FillStamp(ended.mutable_stamp());
        ended.set_session_id(choices_.OneIn(4) ? Number() : kSession);
        SayFrame({Opcode::kSessionEnded, 0, GroupId(0), 0}, ended.SerializeAsString());
        return;
      }
      case 1: {
        pb::NotLeader push;
        if (choices_.OneIn(2)) push.mutable_leader()->set_client_address("b:2");
        SayFrame({Opcode::kNotLeader, 0, GroupId(0), 0}, push.SerializeAsString());
        return;
      }
      default: {
        pb::AcquireOutcome outcome;
        FillOutcome(&outcome);
        SayFrame({Opcode::kAcquireOutcome, 0, GroupId(0), 0}, outcome.SerializeAsString());
        return;
      }
    }
  }

  void SayReply() {
    if (requests_.empty()) return;
    const size_t place = choices_.Below(requests_.size());
    const Request request = requests_[place];
    if (!choices_.OneIn(8)) requests_.erase(requests_.begin() + static_cast<ptrdiff_t>(place));
    FrameHeader header = request.header;
    header.flags = kFlagReply;
    if (choices_.OneIn(6)) {
      pb::Error error;
      error.set_code(static_cast<pb::ErrorCode>(choices_.Below(15)));
      error.set_retry_after_ms(static_cast<uint32_t>(Number()));
      FillStamp(error.mutable_stamp());
      if (choices_.OneIn(2)) error.mutable_leader()->set_client_address("b:2");
      header.flags |= kFlagError;
      SayFrame(header, error.SerializeAsString());
      return;
    }
    SayFrame(header, ReplyTo(request));
  }

  std::string ReplyTo(const Request& request) {
    switch (request.header.opcode) {
      case Opcode::kOpenSession: {
        pb::OpenSessionReply reply;
        FillStamp(reply.mutable_stamp());
        reply.set_session_id(choices_.OneIn(8) ? Number() : kSession);
        reply.set_epoch(1 + Number());
        return reply.SerializeAsString();
      }
      case Opcode::kAttachSession: {
        pb::AttachSessionReply reply;
        FillStamp(reply.mutable_stamp());
        reply.set_epoch(Number());
        for (uint64_t count = choices_.Below(3); count > 0; --count) {
          FillOutcome(reply.add_outcomes());
        }
        return reply.SerializeAsString();
      }
      case Opcode::kKeepAlive: {
        pb::KeepAliveRequest sent;
        (void)sent.ParseFromString(request.payload);
        pb::KeepAliveReply reply;
        FillStamp(reply.mutable_stamp());
        reply.set_transmission(choices_.OneIn(4) ? Number() : sent.transmission());
        return reply.SerializeAsString();
      }
      case Opcode::kPing: {
        pb::PingRequest sent;
        (void)sent.ParseFromString(request.payload);
        pb::PingReply reply;
        FillStamp(reply.mutable_stamp());
        reply.set_epoch(choices_.OneIn(4) ? Number() : sent.epoch());
        reply.set_transmission(choices_.OneIn(4) ? Number() : sent.transmission());
        return reply.SerializeAsString();
      }
      case Opcode::kAcquire: {
        pb::AcquireReply reply;
        FillStamp(reply.mutable_stamp());
        reply.set_result(static_cast<pb::AcquireResult>(choices_.Below(8)));
        if (!choices_.OneIn(4)) FillGrant(reply.mutable_grant());
        return reply.SerializeAsString();
      }
      case Opcode::kRelease: {
        pb::ReleaseReply reply;
        FillStamp(reply.mutable_stamp());
        reply.set_result(static_cast<pb::ReleaseResult>(choices_.Below(4)));
        return reply.SerializeAsString();
      }
      case Opcode::kCancel: {
        pb::CancelReply reply;
        FillStamp(reply.mutable_stamp());
        reply.set_result(static_cast<pb::CancelResult>(choices_.Below(5)));
        FillOutcome(reply.mutable_outcome());
        return reply.SerializeAsString();
      }
      default: {
        pb::ReconcileReply reply;  // and CloseSessionReply: a stamp
        FillStamp(reply.mutable_stamp());
        return reply.SerializeAsString();
      }
    }
  }

  // -- what comes out --

  void Turn() {
    const SessionActions actions = fsm_->TakeActions(now_);
    for (const LinkId link : actions.close) {
      LOCKD_CHECK(link_ == link, "closes a link that is not there");
      CloseLink();
    }
    if (actions.dial) {
      LOCKD_CHECK(!link_, "dials a second link");
      link_ = actions.dial->link;
    }
    if (!actions.send.empty()) {
      LOCKD_CHECK(link_ == actions.send_link && is_connected_, "sends without a link");
      Receive(actions.send);
    }
    for (const AcquireDone& done : actions.acquires) {
      LOCKD_CHECK(pending_.erase(done.operation) == 1, "an acquire completes twice");
    }
    for (const ReleaseDone& done : actions.releases) {
      LOCKD_CHECK(releasing_.erase(done.hold) == 1, "a release completes twice");
    }
    next_wakeup_ = actions.next_wakeup;
    wakeups_at_once_ = next_wakeup_ <= now_ ? wakeups_at_once_ + 1 : 0;
    LOCKD_CHECK(wakeups_at_once_ < kStepsMax + 100, "turns without time");
    CheckHolds();
  }

  void Disconnect() {
    const LinkId link = *link_;
    CloseLink();
    fsm_->OnDisconnected(now_, link);
  }
  void CloseLink() {
    link_.reset();
    is_connected_ = false;
    requests_.clear();
    decoder_ = FrameDecoder(kClientFrameBytesMax);
  }

  void Receive(absl::string_view bytes) {
    decoder_.Feed(bytes);
    FrameView frame;
    FrameDecoder::Result result = decoder_.Next(&frame);
    for (; result == FrameDecoder::Result::kFrame; result = decoder_.Next(&frame)) {
      LOCKD_CHECK(IsClientRequest(frame.header.opcode) && frame.header.flags == 0);
      if (requests_.size() == kRequestsMax) requests_.erase(requests_.begin());
      requests_.push_back({frame.header, std::string(frame.payload)});
    }
    LOCKD_CHECK(result == FrameDecoder::Result::kNeedMore && decoder_.buffered_bytes() == 0);
  }

  void CheckHolds() {
    const LocalTime bound = now_ + config_.ttl_ms * kNanosPerMilli;
    LOCKD_CHECK(fsm_->lease().deadline() <= bound, "believes more than it may");
    const SessionState state = fsm_->state(now_);
    const bool may_hold = state == SessionState::kHealthy || state == SessionState::kJeopardy;
    for (const OperationId operation : operations_) {
      if (!fsm_->IsHeld(operation, now_)) continue;
      LOCKD_CHECK(may_hold, "a hold without a session");
      LOCKD_CHECK(fsm_->SafeUntil(operation) > now_ && fsm_->SafeUntil(operation) <= bound);
    }
  }

  // Nobody answers any more: all that is open comes to an end by itself.
  void Finish() {
    for (int i = 0; i < kWakeupsMax && next_wakeup_ != kNeverLocal; ++i) {
      if (link_) Disconnect();
      if (next_wakeup_ > now_) now_ = next_wakeup_;
      fsm_->OnTime(now_);
      Turn();
    }
    LOCKD_CHECK(next_wakeup_ == kNeverLocal, "it does not come to an end");
    LOCKD_CHECK(pending_.empty() && releasing_.empty(), pending_.size(), " acquires and ",
                releasing_.size(), " releases never complete");
    LOCKD_CHECK(fsm_->hold_count() == 0 && fsm_->IsIdle());
  }

  Choices& choices_;
  SessionConfig config_;
  LocalTime now_{int64_t{1'000'000'000}};
  std::unique_ptr<SessionFsm> fsm_;
  LocalTime next_wakeup_ = kNeverLocal;
  int wakeups_at_once_ = 0;

  std::optional<LinkId> link_;
  bool is_connected_ = false;
  FrameDecoder decoder_{kClientFrameBytesMax};
  std::vector<Request> requests_;  // unanswered, the newest few
  uint64_t index_ = 100;

  std::vector<OperationId> operations_;
  std::set<OperationId> pending_;    // acquires that have not completed
  std::set<OperationId> releasing_;  // releases that have not completed
};

}  // namespace
}  // namespace lockd::client

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::Choices choices(absl::string_view(reinterpret_cast<const char*>(data), size));
  lockd::client::HostileServer(choices).Run();
  return 0;
}
