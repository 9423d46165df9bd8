// RequestEncoder: appends the frames that a session sends. It owns the messages that it fills, so
// that a request costs no allocation once they have grown.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_REQUEST_ENCODER_H_
#define LOCKD_CLIENT_REQUEST_ENCODER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/session_fsm.h"
#include "protocol/base/ids.h"
#include "protocol/lock.pb.h"

namespace lockd::client {

// The head of every mutating request.
struct MutationHead {
  SessionId session;
  Sequence sequence;
  Sequence acknowledged_through;
  // Taken from the back, at most 1,024 for each request.
  std::vector<Sequence>* acknowledgements = nullptr;
};

class RequestEncoder {
 public:
  void Hello(std::string& to, absl::string_view client_name, uint64_t cluster_id);
  void Open(std::string& to, uint32_t request_id, const SessionConfig& config,
            absl::string_view nonce);
  void Attach(std::string& to, uint32_t request_id, SessionId session, absl::string_view nonce);
  void KeepAlive(std::string& to, uint32_t request_id, SessionId session, uint64_t transmission,
                 std::vector<Sequence>* acknowledgements);
  void Ping(std::string& to, uint32_t request_id, SessionId session, ConnectionEpoch epoch,
            uint64_t transmission);
  void Close(std::string& to, uint32_t request_id, SessionId session);

  void Acquire(std::string& to, const MutationHead& head, absl::string_view name, int64_t wait_ms,
               int64_t max_hold_ms);
  void Release(std::string& to, const MutationHead& head, absl::string_view name,
               FencingToken token);
  void Cancel(std::string& to, const MutationHead& head, Sequence acquire);
  void Reconcile(std::string& to, const MutationHead& head, Sequence after, Sequence watermark,
                 const std::vector<Sequence>& live);

 private:
  pb::AcquireRequest acquire_;
  pb::ReleaseRequest release_;
  pb::CancelRequest cancel_;
  pb::KeepAliveRequest keep_alive_;
  pb::PingRequest ping_;
};

}  // namespace lockd::client

#endif  // LOCKD_CLIENT_REQUEST_ENCODER_H_
