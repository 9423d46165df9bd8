#include "absl/strings/str_cat.h"
#include "tests/server/node/node_env.h"

namespace lockd::node {

uint64_t TestClient::last_nonce_ = 0;

TestClient::TestClient(NodeEnv& env, int node, Raw)
    : env_(env), node_(node), connection_(env.Connect(node)) {}

TestClient::TestClient(NodeEnv& env, int node) : TestClient(env, node, Raw{}) {
  pb::ClientHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version_min(kProtocolVersionMin);
  hello.set_version_max(kProtocolVersionMax);
  SendFrame({.opcode = Opcode::kHello, .flags = 0, .group = {}, .request_id = 0},
            hello.SerializeAsString());
  env_.Settle();
  const std::vector<Received> answer = Receive();
  EXPECT_EQ(answer.size(), 1u);
  if (answer.empty()) return;
  EXPECT_EQ(answer[0].header.opcode, Opcode::kHello);
}

void TestClient::SendFrame(const FrameHeader& header, const std::string& payload) {
  std::string bytes;
  AppendFrame(bytes, header, absl::string_view(payload));
  env_.SendBytes(node_, connection_, bytes);
}

uint32_t TestClient::Send(Opcode opcode, const google::protobuf::MessageLite& message) {
  SendFrame({.opcode = opcode, .flags = 0, .group = {}, .request_id = ++last_request_},
            message.SerializeAsString());
  return last_request_;
}

std::vector<Received> TestClient::Receive() {
  for (Received& frame : env_.TakeReceived(node_, connection_)) {
    received_.push_back(std::move(frame));
  }
  return std::exchange(received_, {});
}

std::optional<Received> TestClient::ReplyTo(uint32_t request_id) {
  std::optional<Received> reply;
  for (Received& frame : Receive()) {
    if (!reply && (frame.header.flags & kFlagReply) != 0 && frame.header.request_id == request_id) {
      reply = std::move(frame);
    } else {
      received_.push_back(std::move(frame));
    }
  }
  return reply;
}

std::optional<Received> TestClient::Push(Opcode opcode) {
  std::optional<Received> push;
  for (Received& frame : Receive()) {
    if (!push && frame.header.flags == 0 && frame.header.opcode == opcode) {
      push = std::move(frame);
    } else {
      received_.push_back(std::move(frame));
    }
  }
  return push;
}

Received TestClient::CallAny(Opcode opcode, const google::protobuf::MessageLite& message) {
  const uint32_t request_id = Send(opcode, message);
  std::optional<Received> reply;
  EXPECT_TRUE(env_.RunUntil(
      [&] {
        reply = ReplyTo(request_id);
        return reply.has_value();
      },
      1'000))
      << "no reply to a " << OpcodeName(opcode);
  if (!reply) return {};
  EXPECT_EQ(reply->header.opcode, opcode);
  return *std::move(reply);
}

TestClient::Session TestClient::Open(int64_t ttl_ms, int64_t grace_ms) {
  Session session;
  session.nonce = absl::StrCat("nonce-", 1'000'000'000 + ++last_nonce_);
  session.nonce.resize(state::kNonceBytes, 'x');
  pb::OpenSessionRequest request;
  request.set_nonce(session.nonce);
  request.set_ttl_ms(ttl_ms);
  request.set_grace_ms(grace_ms);
  request.set_owner_id("tester");
  const auto reply = Call<pb::OpenSessionReply>(Opcode::kOpenSession, request);
  session.id = reply.session_id();
  session.epoch = reply.epoch();
  return session;
}

void TestClient::Attach(Session& session) {
  pb::AttachSessionRequest request;
  request.set_session_id(session.id);
  request.set_nonce(session.nonce);
  session.epoch = Call<pb::AttachSessionReply>(Opcode::kAttachSession, request).epoch();
}

pb::AcquireRequest TestClient::AcquireOf(Session& session, const std::string& name,
                                         int64_t wait_ms) {
  pb::AcquireRequest request;
  request.mutable_mutation()->set_session_id(session.id);
  request.mutable_mutation()->set_acknowledged_through(session.sequence);
  request.mutable_mutation()->set_sequence(++session.sequence);
  request.set_name(name);
  request.set_mode(pb::LOCK_MODE_EXCLUSIVE);
  request.set_wait_ms(wait_ms);
  return request;
}

pb::ReleaseRequest TestClient::ReleaseOf(Session& session, const std::string& name,
                                         uint64_t token) {
  pb::ReleaseRequest request;
  request.mutable_mutation()->set_session_id(session.id);
  request.mutable_mutation()->set_acknowledged_through(session.sequence);
  request.mutable_mutation()->set_sequence(++session.sequence);
  request.set_name(name);
  request.set_token(token);
  return request;
}

pb::AcquireReply TestClient::Acquire(Session& session, const std::string& name, int64_t wait_ms) {
  return Call<pb::AcquireReply>(Opcode::kAcquire, AcquireOf(session, name, wait_ms));
}

pb::ReleaseReply TestClient::Release(Session& session, const std::string& name, uint64_t token) {
  return Call<pb::ReleaseReply>(Opcode::kRelease, ReleaseOf(session, name, token));
}

pb::LockRecord TestClient::Get(const std::string& name) {
  pb::GetLockRequest request;
  request.set_name(name);
  return Call<pb::GetLockReply>(Opcode::kGetLock, request).lock();
}

}  // namespace lockd::node
