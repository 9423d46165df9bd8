// Client frames of every opcode against a whole node with sessions, holds and waiters.
//
//   input: choices
//
// Three clients of a node that leads a cluster of one say what the choices make of each request's
// fields: ids, epochs and tokens that exist and that do not, sequences in and out of order, names
// held and free, or plain bytes; they close, come back and let time pass. What must hold: it never
// crashes, answers or closes, and the invariants of state and log hold afterwards.
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "consensus/raft/invariants.h"
#include "google/protobuf/message.h"
#include "protocol/base/check.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"
#include "protocol/lock.pb.h"
#include "server/node/node.h"
#include "tests/fuzz/choices.h"

namespace lockd::node {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kStepsMax = 300;
constexpr uint64_t kClients = 3;
constexpr int kNestingMax = 2;

constexpr std::array<Opcode, 13> kRequests = {
    Opcode::kOpenSession, Opcode::kAttachSession, Opcode::kKeepAlive, Opcode::kCloseSession,
    Opcode::kPing,        Opcode::kReconcile,     Opcode::kAcquire,   Opcode::kRelease,
    Opcode::kCancel,      Opcode::kGetLock,       Opcode::kListLocks, Opcode::kListSessions,
    Opcode::kStatus,
};

std::unique_ptr<Message> RequestOf(Opcode opcode) {
  switch (opcode) {
    case Opcode::kOpenSession:
      return std::make_unique<pb::OpenSessionRequest>();
    case Opcode::kAttachSession:
      return std::make_unique<pb::AttachSessionRequest>();
    case Opcode::kKeepAlive:
      return std::make_unique<pb::KeepAliveRequest>();
    case Opcode::kCloseSession:
      return std::make_unique<pb::CloseSessionRequest>();
    case Opcode::kPing:
      return std::make_unique<pb::PingRequest>();
    case Opcode::kReconcile:
      return std::make_unique<pb::ReconcileRequest>();
    case Opcode::kAcquire:
      return std::make_unique<pb::AcquireRequest>();
    case Opcode::kRelease:
      return std::make_unique<pb::ReleaseRequest>();
    case Opcode::kCancel:
      return std::make_unique<pb::CancelRequest>();
    case Opcode::kGetLock:
      return std::make_unique<pb::GetLockRequest>();
    case Opcode::kListLocks:
      return std::make_unique<pb::ListLocksRequest>();
    case Opcode::kListSessions:
      return std::make_unique<pb::ListSessionsRequest>();
    default:
      return std::make_unique<pb::StatusRequest>();
  }
}

// Fills the fields of any message: mostly with numbers and names that mean something here.
class Filler {
 public:
  explicit Filler(Choices& choices) : choices_(choices) {}

  void Fill(Message& message, int nesting = 0) {
    const google::protobuf::Descriptor* const type = message.GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* const field = type->field(i);
      const uint64_t count = field->is_repeated() ? choices_.Below(4) : choices_.Below(8) != 7;
      for (uint64_t n = 0; n < count; ++n) FillField(message, *field, nesting);
    }
  }

 private:
  uint64_t Number() {
    switch (choices_.Below(8)) {
      case 0:
        return choices_.Below(uint64_t{1} << 16);
      case 1:
        return std::numeric_limits<uint64_t>::max() >> choices_.Below(64);
      case 2:
        return uint64_t{1} << choices_.Below(64);
      case 3:
        return 1'000 * choices_.Below(5'000);  // a time that is allowed
      default:
        return choices_.Below(12);  // an id, epoch, sequence or token of this run
    }
  }
  std::string Bytes() {
    switch (choices_.Below(4)) {
      case 0:
        return std::string(choices_.Bytes(choices_.Below(40)));
      case 1:
        return std::string(choices_.Below(1'100), 'x');
      case 2:
        return std::string(16, static_cast<char>('1' + choices_.Below(4)));  // a nonce
      default:
        return std::string(1, static_cast<char>('a' + choices_.Below(4)));  // a lock
    }
  }
  void FillField(Message& message, const FieldDescriptor& field, int nesting) {
    const Reflection& to = *message.GetReflection();
    const bool repeated = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_UINT64:
        repeated ? to.AddUInt64(&message, &field, Number())
                 : to.SetUInt64(&message, &field, Number());
        break;
      case FieldDescriptor::CPPTYPE_INT64: {
        const auto number = static_cast<int64_t>(Number());
        repeated ? to.AddInt64(&message, &field, number) : to.SetInt64(&message, &field, number);
        break;
      }
      case FieldDescriptor::CPPTYPE_UINT32: {
        const auto number = static_cast<uint32_t>(Number());
        repeated ? to.AddUInt32(&message, &field, number) : to.SetUInt32(&message, &field, number);
        break;
      }
      case FieldDescriptor::CPPTYPE_BOOL:
        if (!repeated) to.SetBool(&message, &field, choices_.OneIn(2));
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        if (!repeated) to.SetEnumValue(&message, &field, static_cast<int>(choices_.Below(6)));
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        repeated ? to.AddString(&message, &field, Bytes())
                 : to.SetString(&message, &field, Bytes());
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (nesting == kNestingMax) break;
        Fill(repeated ? *to.AddMessage(&message, &field) : *to.MutableMessage(&message, &field),
             nesting + 1);
        break;
      default:
        break;
    }
  }

  Choices& choices_;
};

class Harness {
 public:
  explicit Harness(Choices& choices) : choices_(choices), filler_(choices) {
    NodeOptions options;
    options.node_id = NodeId(1);
    options.cluster_name = "fuzz";
    options.client_address = "client:1";
    options.peer_address = "peer:1";
    options.incarnation = Incarnation(7);
    options.bootstrap_members = {{.node_id = NodeId(1), .peer_address = "peer:1"}};
    options.cluster_id_draw = ClusterId(9);
    options.requests_in_flight_max = 32;
    options.sessions_per_connection_max = 4;
    node_ = std::make_unique<Node>(std::move(options), raft::RecoveredLog{}, now_);
    for (int turn = 0; turn < 50 && !node_->is_serving(); ++turn) Turn(10);
    LOCKD_CHECK(node_->is_serving());
    for (uint64_t client = 0; client < kClients; ++client) Connect(client);
    Populate();
  }

  void Run() {
    for (int step = 0; step < kStepsMax && !choices_.AtEnd(); ++step) Step();
    Turn(100);
    node_->database().CheckInvariants();
    raft::CheckInvariants(node_->raft());
  }

 private:
  void Step() {
    const uint64_t client = choices_.Below(kClients);
    switch (choices_.Below(16)) {
      case 0:
        Turn(static_cast<int64_t>(choices_.Below(4'000)));
        break;
      case 1:
        if (connections_[client].value() != 0) node_->OnClientClosed(connections_[client]);
        connections_[client] = ConnectionId(0);
        break;
      case 2: {
        const auto opcode = static_cast<Opcode>(choices_.Below(256));
        SendAny(client, opcode, std::string(choices_.Bytes(choices_.Below(200))));
        break;
      }
      case 3:
      case 4:
        Turn(0);
        break;
      default: {
        const Opcode opcode = kRequests[choices_.Below(kRequests.size())];
        const std::unique_ptr<Message> request = RequestOf(opcode);
        filler_.Fill(*request);
        SendAny(client, opcode, request->SerializeAsString());
        break;
      }
    }
  }

  // Each client has a session; the first one holds `a` and `b`, the others wait for them.
  void Populate() {
    for (uint64_t client = 0; client < kClients; ++client) {
      pb::OpenSessionRequest open;
      open.set_ttl_ms(10'000);
      open.set_nonce(std::string(16, static_cast<char>('1' + client)));
      open.set_owner_id("fuzz");
      Send(client, Opcode::kOpenSession, open.SerializeAsString());
      Turn(0);
    }
    for (uint64_t client = 0; client < kClients; ++client) {
      for (uint64_t sequence = 1; sequence <= 2; ++sequence) {
        pb::AcquireRequest acquire;
        acquire.mutable_mutation()->set_session_id(client + 1);
        acquire.mutable_mutation()->set_sequence(sequence);
        acquire.set_mode(pb::LOCK_MODE_EXCLUSIVE);
        acquire.set_name(sequence == 1 ? "a" : "b");
        acquire.set_wait_ms(5'000);
        Send(client, Opcode::kAcquire, acquire.SerializeAsString());
      }
      Turn(0);
    }
    LOCKD_CHECK(node_->database().lock_count() == 2 && node_->database().waiter_count() == 4,
                "the node was to have locks and waiters");
  }

  void Connect(uint64_t client) {
    connections_[client] = ConnectionId(++last_connection_);
    node_->OnClientConnected(connections_[client]);
    pb::ClientHello hello;
    hello.set_magic(kClientMagic);
    hello.set_version_min(kProtocolVersionMin);
    hello.set_version_max(kProtocolVersionMax);
    Deliver(connections_[client], {.opcode = Opcode::kHello}, hello.SerializeAsString());
  }
  void Send(uint64_t client, Opcode opcode, const std::string& payload) {
    Send(client, {.opcode = opcode, .request_id = ++last_request_}, payload);
  }
  // Now and then with the id that no request has.
  void SendAny(uint64_t client, Opcode opcode, const std::string& payload) {
    const uint32_t id = choices_.Below(64) == 63 ? 0 : ++last_request_;
    Send(client, {.opcode = opcode, .request_id = id}, payload);
  }
  void Send(uint64_t client, const FrameHeader& header, const std::string& payload) {
    if (connections_[client].value() == 0) Connect(client);
    Deliver(connections_[client], header, payload);
  }
  void Deliver(ConnectionId connection, const FrameHeader& header, const std::string& payload) {
    if (payload.size() + kFrameHeaderBytes > node_->ClientFrameBytesMax(connection)) return;
    node_->OnClientFrame(connection, {header, payload});
  }

  // Everything that the node asks for is done, and `ms` go by.
  void Turn(int64_t ms) {
    now_ += ms * kNanosPerMilli;
    for (int again = 0; again < 8; ++again) {
      node_->OnTime(now_, WallTime(now_.value() / kNanosPerMilli));
      NodeActions actions = node_->TakeActions();
      LOCKD_CHECK(!actions.fatal.has_value(), actions.fatal ? actions.fatal->message : "");
      for (const ClientOutput& output : actions.clients) OnOutput(output);
      for (const DiskJob& job : actions.disk) {
        const auto* write = std::get_if<storage::LogWrite>(&job);
        LOCKD_CHECK(write != nullptr, "the whole log is in memory");
        node_->OnWriteDone({write->id});
      }
      now_ += kNanosPerMilli;
      if (actions.disk.empty()) break;
    }
  }
  // What a node says must be frames that a client takes.
  void OnOutput(const ClientOutput& output) {
    FrameDecoder decoder(kClientFrameBytesMax);
    decoder.Feed(output.bytes);
    FrameView frame;
    FrameDecoder::Result result = FrameDecoder::Result::kFrame;
    while ((result = decoder.Next(&frame)) == FrameDecoder::Result::kFrame) {
    }
    LOCKD_CHECK(result == FrameDecoder::Result::kNeedMore && decoder.buffered_bytes() == 0);
    for (ConnectionId& connection : connections_) {
      if (output.close && connection == output.connection) connection = ConnectionId(0);
    }
  }

  Choices& choices_;
  Filler filler_;
  LocalTime now_{1'000'000'000};
  std::unique_ptr<Node> node_;
  std::array<ConnectionId, kClients> connections_{};
  uint64_t last_connection_ = 0;
  uint32_t last_request_ = 0;
};

}  // namespace
}  // namespace lockd::node

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::Choices choices(absl::string_view(reinterpret_cast<const char*>(data), size));
  lockd::node::Harness(choices).Run();
  return 0;
}
