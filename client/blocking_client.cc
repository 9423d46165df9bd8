#include "client/blocking_client.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "client/client_shared.h"
#include "protocol/base/check.h"
#include "protocol/base/mutex.h"

namespace lockd {

namespace asio = boost::asio;

namespace internal {

// One io_context and the thread that runs it.
//
// Threading: any.
class BackgroundLoop {
 public:
  BackgroundLoop() : work_(asio::make_work_guard(context_)), thread_([this] { context_.run(); }) {}
  ~BackgroundLoop() { LOCKD_CHECK(!thread_.joinable(), "destroyed before Stop"); }

  asio::io_context& context() { return context_; }

  // Calls `start` with a completion and waits for its result. Nullopt: the loop has ended.
  template <typename Result, typename Start>
  std::optional<Result> Wait(Start start) ABSL_LOCKS_EXCLUDED(mutex_) {
    struct Call {
      std::optional<Result> result;
      bool is_done = false;
    };
    const auto call = std::make_shared<Call>();
    MutexLock lock(&mutex_);
    if (has_ended_) return std::nullopt;
    start([this, call](Result result) {
      MutexLock done_lock(&mutex_);
      call->result = std::move(result);
      call->is_done = true;
      changed_.NotifyAll();
    });
    while (!call->is_done && !has_ended_) changed_.Wait(&mutex_);
    return std::move(call->result);
  }

  // Closes the sessions, gives the answers a second, and ends.
  void Stop(const std::shared_ptr<ClientShared>& shared) {
    asio::post(context_, [this, shared] {
      stop_timer_.expires_after(kStopTime);
      stop_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) context_.stop();
      });
      shared->CloseAll([this] { context_.stop(); });
    });
    Join();
  }

 private:
  static constexpr std::chrono::seconds kStopTime{1};

  void Join() ABSL_LOCKS_EXCLUDED(mutex_) {
    work_.reset();
    thread_.join();
    MutexLock lock(&mutex_);
    has_ended_ = true;
    changed_.NotifyAll();
  }

  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::steady_timer stop_timer_{context_};
  Mutex mutex_;
  CondVar changed_;
  bool has_ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace internal

BlockingClient::BlockingClient(ClientOptions options)
    : loop_(std::make_shared<internal::BackgroundLoop>()),
      shared_(internal::MakeClientShared(loop_->context(), std::move(options), loop_)),
      client_(std::make_unique<Client>(shared_)) {}

BlockingClient::~BlockingClient() {
  loop_->Stop(shared_);
}

const std::vector<std::string>& BlockingClient::endpoints() const {
  return client_->endpoints();
}

Client& BlockingClient::async() {
  return *client_;
}

absl::StatusOr<BlockingSession> BlockingClient::OpenSession(SessionOptions options) {
  auto opened = loop_->Wait<absl::StatusOr<Session>>(
      [&](auto done) { client_->OpenSession(std::move(options), std::move(done)); });
  if (!opened.has_value()) return absl::UnavailableError("the client has ended");
  if (!opened->ok()) return opened->status();
  BlockingSession session;
  session.loop_ = loop_;
  session.session_ = **std::move(opened);
  return session;
}

absl::StatusOr<LockRecord> BlockingClient::GetLock(std::string name, ReadOptions options) {
  return *loop_->Wait<absl::StatusOr<LockRecord>>(
      [&](auto done) { client_->GetLock(std::move(name), options, std::move(done)); });
}

absl::StatusOr<std::vector<LockRecord>> BlockingClient::ListLocks(std::string prefix,
                                                                  ReadOptions options) {
  return *loop_->Wait<absl::StatusOr<std::vector<LockRecord>>>(
      [&](auto done) { client_->ListLocks(std::move(prefix), options, std::move(done)); });
}

absl::StatusOr<std::vector<SessionRecord>> BlockingClient::ListSessions(ReadOptions options) {
  return *loop_->Wait<absl::StatusOr<std::vector<SessionRecord>>>(
      [&](auto done) { client_->ListSessions(options, std::move(done)); });
}

absl::StatusOr<NodeStatus> BlockingClient::GetStatus(std::string endpoint, ReadOptions options) {
  return *loop_->Wait<absl::StatusOr<NodeStatus>>(
      [&](auto done) { client_->GetStatus(std::move(endpoint), options, std::move(done)); });
}

AcquireResult BlockingSession::Acquire(std::string name, AcquireOptions options) const {
  auto result = loop_->Wait<AcquireResult>(
      [&](auto done) { session_.Acquire(std::move(name), options, std::move(done)); });
  if (result.has_value()) return *std::move(result);
  AcquireResult lost;
  lost.status = AcquireStatus::kSessionLost;
  lost.message = "the client has ended";
  return lost;
}

ReleaseStatus BlockingSession::Release(DistributedLock lock) const {
  return loop_->Wait<ReleaseStatus>([&](auto done) { lock.Release(std::move(done)); })
      .value_or(ReleaseStatus::kSessionLost);
}

absl::Status BlockingSession::Close() const {
  return loop_->Wait<absl::Status>([&](auto done) { session_.Close(std::move(done)); })
      .value_or(absl::OkStatus());
}

}  // namespace lockd
