#include "tests/client/session_harness.h"

#include <utility>

namespace lockd::client {

SessionConfig SessionHarness::Config() {
  SessionConfig config;
  config.endpoints = {"node-a:1"};
  config.client_name = "test";
  config.owner_id = "owner";
  config.ttl_ms = 10'000;
  return config;
}

SessionHarness::SessionHarness(SessionConfig config, const UsedNumbers& used)
    : fsm_(std::move(config), std::string(kNonceBytes, 'n'), 1, now_, used) {
  stamp_.set_term(3);
  stamp_.set_applied_index(100);
  stamp_.set_cluster_time_ms(50'000);
  Turn();
}

void SessionHarness::Turn() {
  SessionActions actions = fsm_.TakeActions(now_);
  for (const LinkId link : actions.close) {
    EXPECT_TRUE(dial_.has_value() && dial_->link == link) << "closes a link that is not there";
    dial_.reset();
    decoder_ = FrameDecoder(kPeerFrameBytesMax);
  }
  if (actions.dial.has_value()) {
    EXPECT_FALSE(dial_.has_value()) << "dials a second link";
    dial_ = actions.dial;
    ++dials_;
  }
  if (!actions.send.empty()) {
    EXPECT_TRUE(dial_.has_value() && dial_->link == actions.send_link);
  }
  decoder_.Feed(actions.send);
  FrameView frame;
  while (decoder_.Next(&frame) == FrameDecoder::Result::kFrame) {
    EXPECT_LE(frame.payload.size() + kFrameHeaderBytes, kClientFrameBytesMax);
    frames_.push_back({frame.header, std::string(frame.payload)});
  }
  for (AcquireDone& done : actions.acquires) {
    EXPECT_EQ(acquires_.count(done.operation), 0u) << "completes twice";
    acquires_[done.operation] = std::move(done);
  }
  for (const client::ReleaseDone& done : actions.releases) {
    EXPECT_EQ(releases_.count(done.hold), 0u) << "completes twice";
    releases_[done.hold] = done.status;
  }
  for (const HoldLost& lost : actions.lost) ++lost_[lost.hold];
  if (actions.opened.has_value()) {
    EXPECT_FALSE(opened_.has_value()) << "completes twice";
    opened_ = actions.opened;
  }
  if (actions.closed.has_value()) {
    EXPECT_FALSE(closed_.has_value()) << "completes twice";
    closed_ = actions.closed;
  }
  session_lost_ = session_lost_ || actions.session_lost;
  next_wakeup_ = actions.next_wakeup;
}

void SessionHarness::AdvanceNs(int64_t ns) {
  now_ += ns;
  fsm_.OnTime(now_);
  Turn();
}

void SessionHarness::Advance(int64_t ms) {
  AdvanceNs(ms * kNanosPerMilli);
}

void SessionHarness::AdvanceToWakeup() {
  ASSERT_NE(next_wakeup_, kNeverLocal);
  AdvanceNs(std::max<int64_t>(next_wakeup_ - now_, 0));
}

void SessionHarness::Connect() {
  ASSERT_TRUE(dial_.has_value());
  fsm_.OnConnected(now_, dial_->link);
  Turn();
}

void SessionHarness::Disconnect() {
  ASSERT_TRUE(dial_.has_value());
  const LinkId link = dial_->link;
  dial_.reset();
  decoder_ = FrameDecoder(kPeerFrameBytesMax);
  frames_.clear();
  fsm_.OnDisconnected(now_, link);
  Turn();
}

void SessionHarness::Hello(uint64_t node_id, uint64_t leader_id, const std::string& leader) {
  pb::ServerHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version(1);
  hello.set_cluster_id(kCluster);
  hello.set_node_id(node_id);
  hello.set_frame_bytes_max(kClientFrameBytesMax);
  hello.set_requests_in_flight_max(4'096);
  hello.mutable_leader()->set_node_id(leader_id);
  hello.mutable_leader()->set_client_address(leader);
  Reply(Opcode::kHello, 0, hello);
}

void SessionHarness::OpenReply(uint64_t epoch, bool found) {
  const Sent<pb::OpenSessionRequest> open = Take<pb::OpenSessionRequest>();
  pb::OpenSessionReply reply;
  *reply.mutable_stamp() = stamp_;
  reply.set_session_id(kSession);
  reply.set_epoch(epoch);
  reply.set_found(found);
  Reply(Opcode::kOpenSession, open.request_id, reply);
}

void SessionHarness::Open() {
  Connect();
  Take<pb::ClientHello>();
  Hello();
  OpenReply();
  ASSERT_TRUE(opened_.has_value());
  ASSERT_EQ(opened_->status, OpenStatus::kOpened);
}

Sent<pb::AttachSessionRequest> SessionHarness::Redial() {
  if (!dial_.has_value()) AdvanceToWakeup();
  Connect();
  Take<pb::ClientHello>();
  Hello();
  return Take<pb::AttachSessionRequest>();
}

void SessionHarness::AttachReply(const Sent<pb::AttachSessionRequest>& attach, uint64_t epoch,
                                 const std::vector<pb::AcquireOutcome>& outcomes) {
  pb::AttachSessionReply reply;
  *reply.mutable_stamp() = stamp_;
  reply.set_epoch(epoch);
  for (const pb::AcquireOutcome& outcome : outcomes) *reply.add_outcomes() = outcome;
  Reply(Opcode::kAttachSession, attach.request_id, reply);
}

void SessionHarness::Error(Opcode opcode, uint32_t request_id, pb::ErrorCode code,
                           const std::string& leader, uint32_t retry_after_ms) {
  pb::Error error;
  error.set_code(code);
  error.set_message("says the server");
  error.mutable_leader()->set_client_address(leader);
  error.set_retry_after_ms(retry_after_ms);
  *error.mutable_stamp() = stamp_;
  Feed({.opcode = opcode,
        .flags = kFlagReply | kFlagError,
        .group = GroupId(0),
        .request_id = request_id},
       error);
}

void SessionHarness::Feed(const FrameHeader& header, const google::protobuf::MessageLite& message) {
  std::string bytes;
  AppendFrame(bytes, header, message);
  FeedRaw(bytes);
}

void SessionHarness::FeedRaw(absl::string_view bytes) {
  ASSERT_TRUE(dial_.has_value());
  fsm_.OnBytes(now_, dial_->link, bytes);
  Turn();
  stamp_.set_applied_index(stamp_.applied_index() + 1);
  stamp_.set_cluster_time_ms(stamp_.cluster_time_ms() + 1);
}

void SessionHarness::KeepAliveReply(const Sent<pb::KeepAliveRequest>& keep_alive) {
  pb::KeepAliveReply reply;
  *reply.mutable_stamp() = stamp_;
  reply.set_transmission(keep_alive.message.transmission());
  Reply(Opcode::kKeepAlive, keep_alive.request_id, reply);
}

void SessionHarness::PingReply(const Sent<pb::PingRequest>& ping) {
  pb::PingReply reply;
  *reply.mutable_stamp() = stamp_;
  reply.set_epoch(ping.message.epoch());
  reply.set_transmission(ping.message.transmission());
  Reply(Opcode::kPing, ping.request_id, reply);
}

void SessionHarness::Grant(const Sent<pb::AcquireRequest>& request, uint64_t token) {
  pb::AcquireReply reply;
  *reply.mutable_stamp() = stamp_;
  reply.set_result(pb::ACQUIRE_RESULT_GRANTED);
  reply.mutable_grant()->set_token(token);
  reply.mutable_grant()->set_fence_floor(token);
  reply.mutable_grant()->set_granted_time_ms(stamp_.cluster_time_ms());
  if (request.message.max_hold_ms() > 0) {
    reply.mutable_grant()->set_hold_deadline_ms(stamp_.cluster_time_ms() +
                                                request.message.max_hold_ms());
  }
  Reply(Opcode::kAcquire, request.request_id, reply);
}

void SessionHarness::AcquireReply(const Sent<pb::AcquireRequest>& request,
                                  pb::AcquireResult result) {
  pb::AcquireReply reply;
  *reply.mutable_stamp() = stamp_;
  reply.set_result(result);
  Reply(Opcode::kAcquire, request.request_id, reply);
}

void SessionHarness::ReleaseReply(const Sent<pb::ReleaseRequest>& request,
                                  pb::ReleaseResult result) {
  pb::ReleaseReply reply;
  *reply.mutable_stamp() = stamp_;
  reply.set_result(result);
  Reply(Opcode::kRelease, request.request_id, reply);
}

pb::AcquireOutcome SessionHarness::MakeOutcome(uint64_t acquire_id, pb::AcquireResult result,
                                               uint64_t token) {
  pb::AcquireOutcome outcome;
  outcome.set_session_id(kSession);
  outcome.set_acquire_id(acquire_id);
  outcome.set_result(result);
  if (token != 0) outcome.mutable_grant()->set_token(token);
  return outcome;
}

void SessionHarness::Outcome(uint64_t acquire_id, pb::AcquireResult result, uint64_t token) {
  pb::AcquireOutcome outcome = MakeOutcome(acquire_id, result, token);
  *outcome.mutable_stamp() = stamp_;
  Push(Opcode::kAcquireOutcome, outcome);
}

OperationId SessionHarness::Acquire(absl::string_view name, int64_t wait_ms, int64_t max_hold_ms) {
  const OperationId id = fsm_.Acquire(now_, name, wait_ms, max_hold_ms);
  Turn();
  return id;
}

OperationId SessionHarness::AcquireAndGrant(absl::string_view name, uint64_t token) {
  const OperationId id = Acquire(name, 0);
  Grant(TakeNext<pb::AcquireRequest>(), token);
  EXPECT_TRUE(IsHeld(id));
  return id;
}

bool SessionHarness::Release(OperationId hold) {
  const bool is_releasing = fsm_.Release(now_, hold);
  Turn();
  return is_releasing;
}

void SessionHarness::Cancel(OperationId acquire) {
  fsm_.Cancel(now_, acquire);
  Turn();
}

void SessionHarness::Close() {
  fsm_.Close(now_);
  Turn();
}

AcquireDone SessionHarness::Done(OperationId acquire) const {
  const auto found = acquires_.find(acquire);
  if (found != acquires_.end()) return found->second;
  ADD_FAILURE() << "the acquire has not completed";
  return {};
}

std::optional<ReleaseStatus> SessionHarness::ReleaseDone(OperationId hold) const {
  const auto found = releases_.find(hold);
  return found == releases_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace lockd::client
