// BlockingClient: the client for programs without an event loop. It owns one background thread that
// runs everything, keep-alives included, however long the program computes or blocks.
//
//   lockd::BlockingClient client({.endpoints = {"node-a:7420"}});
//   absl::StatusOr<lockd::BlockingSession> session = client.OpenSession({.ttl = 10s});
//   lockd::AcquireResult result = session->Acquire("resource1", {.wait = 5s});
//   ...
//   session->Release(std::move(result.lock));
//
// Asynchronous functions work beside it (`session->async()`, with callbacks or asio::use_future);
// their completions run on the background thread, which must not be blocked.
//
// The destructor closes the sessions that are still open, waits at most a second for the answers,
// and joins the thread. Locks and sessions that outlive it are lost from then on; they are safe to
// use and to destroy.
//
// Threading: any but the background thread itself, which would wait for itself.
#ifndef LOCKD_CLIENT_BLOCKING_CLIENT_H_
#define LOCKD_CLIENT_BLOCKING_CLIENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/options.h"
#include "client/records.h"
#include "client/session.h"

namespace lockd {

namespace internal {
class BackgroundLoop;
}

class BlockingSession {
 public:
  BlockingSession() = default;  // no session: only assignment and destruction are allowed

  // Blocks for the wait of the options at most (and 0.5 s for the answer).
  [[nodiscard]] AcquireResult Acquire(std::string name, AcquireOptions options = {}) const;
  // Blocks for the operation timeout at most.
  ReleaseStatus Release(DistributedLock lock) const;
  absl::Status Close() const;

  [[nodiscard]] SessionId id() const { return session_.id(); }
  [[nodiscard]] SessionState state() const { return session_.state(); }
  [[nodiscard]] SessionValidity validity() const { return session_.validity(); }
  [[nodiscard]] std::stop_token lost() const { return session_.lost(); }
  [[nodiscard]] const Session& async() const { return session_; }

 private:
  friend class BlockingClient;
  // The loop first: it must go last.
  std::shared_ptr<internal::BackgroundLoop> loop_;
  Session session_;
};

class BlockingClient {
 public:
  explicit BlockingClient(ClientOptions options = {});
  ~BlockingClient();
  BlockingClient(const BlockingClient&) = delete;
  BlockingClient& operator=(const BlockingClient&) = delete;

  [[nodiscard]] absl::StatusOr<BlockingSession> OpenSession(SessionOptions options = {});
  [[nodiscard]] absl::StatusOr<LockRecord> GetLock(std::string name, ReadOptions options = {});
  [[nodiscard]] absl::StatusOr<std::vector<LockRecord>> ListLocks(std::string prefix,
                                                                  ReadOptions options = {});
  [[nodiscard]] absl::StatusOr<std::vector<SessionRecord>> ListSessions(ReadOptions options = {});
  [[nodiscard]] absl::StatusOr<NodeStatus> GetStatus(std::string endpoint,
                                                     ReadOptions options = {});

  [[nodiscard]] const std::vector<std::string>& endpoints() const;
  // For asynchronous use beside the blocking calls.
  [[nodiscard]] Client& async();

 private:
  std::shared_ptr<internal::BackgroundLoop> loop_;
  std::shared_ptr<internal::ClientShared> shared_;
  std::unique_ptr<Client> client_;
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_BLOCKING_CLIENT_H_
