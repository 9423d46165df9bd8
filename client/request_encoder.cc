#include "client/request_encoder.h"

#include "client/request_window.h"
#include "protocol/frame.h"

namespace lockd::client {
namespace {

constexpr size_t kAcknowledgementsMax = 1'024;

FrameHeader Header(Opcode opcode, uint32_t request_id) {
  return FrameHeader{.opcode = opcode, .group = GroupId(0), .request_id = request_id};
}

FrameHeader Header(Opcode opcode, const MutationHead& head) {
  return Header(opcode, RequestWindow::RequestId(head.sequence));
}

template <typename Field>
void MoveAcknowledgements(std::vector<Sequence>* from, Field* to) {
  if (from == nullptr) return;
  for (size_t i = 0; i < kAcknowledgementsMax && !from->empty(); ++i) {
    to->Add(from->back().value());
    from->pop_back();
  }
}

void Fill(const MutationHead& head, pb::Mutation* mutation) {
  mutation->set_session_id(head.session.value());
  mutation->set_sequence(head.sequence.value());
  mutation->set_acknowledged_through(head.acknowledged_through.value());
  mutation->clear_acknowledged_acquire_ids();
  MoveAcknowledgements(head.acknowledgements, mutation->mutable_acknowledged_acquire_ids());
}

}  // namespace

void RequestEncoder::Hello(std::string& to, absl::string_view client_name, uint64_t cluster_id) {
  pb::ClientHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version_min(kProtocolVersionMin);
  hello.set_version_max(kProtocolVersionMax);
  hello.set_cluster_id(cluster_id);
  hello.set_client_name(client_name.data(), client_name.size());
  AppendFrame(to, Header(Opcode::kHello, 0), hello);
}

void RequestEncoder::Open(std::string& to, uint32_t request_id, const SessionConfig& config,
                          absl::string_view nonce) {
  pb::OpenSessionRequest open;
  open.set_nonce(nonce.data(), nonce.size());
  open.set_ttl_ms(config.ttl_ms);
  open.set_grace_ms(config.grace_ms);
  open.set_owner_id(config.owner_id);
  AppendFrame(to, Header(Opcode::kOpenSession, request_id), open);
}

void RequestEncoder::Attach(std::string& to, uint32_t request_id, SessionId session,
                            absl::string_view nonce) {
  pb::AttachSessionRequest attach;
  attach.set_session_id(session.value());
  attach.set_nonce(nonce.data(), nonce.size());
  AppendFrame(to, Header(Opcode::kAttachSession, request_id), attach);
}

void RequestEncoder::KeepAlive(std::string& to, uint32_t request_id, SessionId session,
                               uint64_t transmission, std::vector<Sequence>* acknowledgements) {
  keep_alive_.set_session_id(session.value());
  keep_alive_.set_transmission(transmission);
  keep_alive_.clear_acknowledged_acquire_ids();
  MoveAcknowledgements(acknowledgements, keep_alive_.mutable_acknowledged_acquire_ids());
  AppendFrame(to, Header(Opcode::kKeepAlive, request_id), keep_alive_);
}

void RequestEncoder::Ping(std::string& to, uint32_t request_id, SessionId session,
                          ConnectionEpoch epoch, uint64_t transmission) {
  ping_.set_session_id(session.value());
  ping_.set_epoch(epoch.value());
  ping_.set_transmission(transmission);
  AppendFrame(to, Header(Opcode::kPing, request_id), ping_);
}

void RequestEncoder::Close(std::string& to, uint32_t request_id, SessionId session) {
  pb::CloseSessionRequest close;
  close.set_session_id(session.value());
  AppendFrame(to, Header(Opcode::kCloseSession, request_id), close);
}

void RequestEncoder::Acquire(std::string& to, const MutationHead& head, absl::string_view name,
                             int64_t wait_ms, int64_t max_hold_ms) {
  Fill(head, acquire_.mutable_mutation());
  acquire_.set_name(name.data(), name.size());
  acquire_.set_mode(pb::LOCK_MODE_EXCLUSIVE);
  acquire_.set_wait_ms(wait_ms);
  acquire_.set_max_hold_ms(max_hold_ms);
  AppendFrame(to, Header(Opcode::kAcquire, head), acquire_);
}

void RequestEncoder::Release(std::string& to, const MutationHead& head, absl::string_view name,
                             FencingToken token) {
  Fill(head, release_.mutable_mutation());
  release_.set_name(name.data(), name.size());
  release_.set_token(token.value());
  AppendFrame(to, Header(Opcode::kRelease, head), release_);
}

void RequestEncoder::Cancel(std::string& to, const MutationHead& head, Sequence acquire) {
  Fill(head, cancel_.mutable_mutation());
  cancel_.set_acquire_id(acquire.value());
  AppendFrame(to, Header(Opcode::kCancel, head), cancel_);
}

void RequestEncoder::Reconcile(std::string& to, const MutationHead& head, Sequence after,
                               Sequence watermark, const std::vector<Sequence>& live) {
  pb::ReconcileRequest reconcile;
  Fill(head, reconcile.mutable_mutation());
  reconcile.set_after(after.value());
  reconcile.set_watermark(watermark.value());
  for (const Sequence acquire : live) reconcile.add_live_acquire_ids(acquire.value());
  AppendFrame(to, Header(Opcode::kReconcile, head), reconcile);
}

}  // namespace lockd::client
