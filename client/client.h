// Client: the way into a cluster of lockd nodes. Opens sessions, and reads what the cluster holds.
//
//   asio::io_context context;
//   lockd::Client client(context, {.endpoints = {"node-a:7420", "node-b:7420", "node-c:7420"}});
//   asio::co_spawn(context, Work(client), asio::detached);
//   context.run();
//
// Programs without an event loop use BlockingClient (blocking_client.h).
//
// Reads need no session. By default the leader answers, with all that was acknowledged before the
// call; an answer that goes back behind an earlier one of this client is refused and asked for
// again.
//
// The io_context is run by one thread and outlives the client and all that comes from it.
//
// Threading: any; completions run on the handler's executor, by default the io_context.
#ifndef LOCKD_CLIENT_CLIENT_H_
#define LOCKD_CLIENT_CLIENT_H_

#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/completion.h"
#include "client/options.h"
#include "client/records.h"
#include "client/session.h"

namespace lockd {

namespace internal {
struct ClientShared;
}

class Client {
 public:
  Client(boost::asio::io_context& context, ClientOptions options);
  // Internal: for BlockingClient.
  explicit Client(std::shared_ptr<internal::ClientShared> shared);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // void(absl::StatusOr<Session>). Unavailable: no leader within the operation timeout.
  // InvalidArgument: an option out of its range.
  template <typename CompletionToken>
  auto OpenSession(SessionOptions options, CompletionToken&& token) {
    return Initiate<absl::StatusOr<Session>>(&Client::StartOpen, token, std::move(options));
  }

  // void(absl::StatusOr<LockRecord>). A name that was never used is a free lock.
  template <typename CompletionToken>
  auto GetLock(std::string name, ReadOptions options, CompletionToken&& token) {
    return Initiate<absl::StatusOr<LockRecord>>(&Client::StartGetLock, token, std::move(name),
                                                options);
  }

  // void(absl::StatusOr<std::vector<LockRecord>>): held locks with this prefix, in order of name.
  // Read in pages: a lock that was held all the time is in it, others may be.
  template <typename CompletionToken>
  auto ListLocks(std::string prefix, ReadOptions options, CompletionToken&& token) {
    return Initiate<absl::StatusOr<std::vector<LockRecord>>>(&Client::StartListLocks, token,
                                                             std::move(prefix), options);
  }

  // void(absl::StatusOr<std::vector<SessionRecord>>), in order of id.
  template <typename CompletionToken>
  auto ListSessions(ReadOptions options, CompletionToken&& token) {
    return Initiate<absl::StatusOr<std::vector<SessionRecord>>>(&Client::StartListSessions, token,
                                                                options);
  }

  // void(absl::StatusOr<NodeStatus>): of the node at this very address.
  template <typename CompletionToken>
  auto GetStatus(std::string endpoint, ReadOptions options, CompletionToken&& token) {
    return Initiate<absl::StatusOr<NodeStatus>>(&Client::StartGetStatus, token, std::move(endpoint),
                                                options);
  }

  [[nodiscard]] const std::vector<std::string>& endpoints() const;

 private:
  using Shared = internal::ClientShared;

  template <typename Result, typename Start, typename CompletionToken, typename... Args>
  auto Initiate(Start start, CompletionToken&& token, Args... args) {
    return boost::asio::async_initiate<CompletionToken, void(Result)>(
        [](auto handler, Start start_function, std::shared_ptr<Shared> shared,
           boost::asio::io_context* context, Args... arguments) {
          start_function(std::move(shared), std::move(arguments)...,
                         internal::MakeCompletion<Result>(std::move(handler), *context));
        },
        token, start, shared_, context_, std::move(args)...);
  }

  static void StartOpen(std::shared_ptr<Shared> shared, SessionOptions options,
                        internal::Completion<absl::StatusOr<Session>> done);
  static void StartGetLock(std::shared_ptr<Shared> shared, std::string name, ReadOptions options,
                           internal::Completion<absl::StatusOr<LockRecord>> done);
  static void StartListLocks(std::shared_ptr<Shared> shared, std::string prefix,
                             ReadOptions options,
                             internal::Completion<absl::StatusOr<std::vector<LockRecord>>> done);
  static void StartListSessions(
      std::shared_ptr<Shared> shared, ReadOptions options,
      internal::Completion<absl::StatusOr<std::vector<SessionRecord>>> done);
  static void StartGetStatus(std::shared_ptr<Shared> shared, std::string endpoint,
                             ReadOptions options,
                             internal::Completion<absl::StatusOr<NodeStatus>> done);

  boost::asio::io_context* context_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_CLIENT_H_
