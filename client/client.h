// Client: the way into a cluster of lockd nodes. Opens sessions, reads what the cluster holds, and
// does what operators ask for.
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
// The endpoints are the nodes that are asked where the leader is; the leader itself need not be
// among them. They are never learned from the cluster: when its members are replaced, make a new
// client with the new addresses, or give addresses that outlive machines (names, old and new nodes
// together), before the last of the old endpoints is gone (README.md).
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

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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

  // void(absl::StatusOr<TransferRecord>): moves the leadership to this node; zero: to the one that
  // has most of the log. Asked again when the answer is lost, which with zero may move it twice.
  template <typename CompletionToken>
  auto TransferLeadership(NodeId to, ReadOptions options, CompletionToken&& token) {
    return Initiate<absl::StatusOr<TransferRecord>>(&Client::StartTransfer, token, to, options);
  }

  // void(absl::StatusOr<ChangeMembersRecord>): adds, removes or promotes a member of the cluster;
  // the record comes from the leader, when the change is committed. Asked again when the answer is
  // lost: an add finds the member under its peer address, done, with its id; a removal that was
  // done then finds no such member. Unavailable: whether it was done is not known; ask for the
  // same again, or look at the members.
  template <typename CompletionToken>
  auto ChangeMembers(MemberChange change, ReadOptions options, CompletionToken&& token) {
    return Initiate<absl::StatusOr<ChangeMembersRecord>>(&Client::StartChangeMembers, token,
                                                         std::move(change), options);
  }

  // void(absl::StatusOr<SnapshotRecord>): a snapshot at the node at this very address, leader or
  // not; it is on that node's disk then, and verified. All that was done when the call began is in
  // it, for which the leader is asked first; of a stale one, all that the node had applied.
  // ResourceExhausted: the node cannot write it now. Unavailable: the node does not answer, has no
  // state yet or is behind, or no leader is found.
  template <typename CompletionToken>
  auto TakeSnapshot(std::string endpoint, SnapshotOptions options, CompletionToken&& token) {
    return Initiate<absl::StatusOr<SnapshotRecord>>(&Client::StartTakeSnapshot, token,
                                                    std::move(endpoint), options);
  }

  // Takes the next bytes of a snapshot's content, on the io_context's thread; an error ends the
  // call.
  using SnapshotSink = absl::AnyInvocable<absl::Status(absl::string_view content)>;
  // void(absl::Status): all of the content of a snapshot that this node has taken, piece by piece.
  // The options' timeout is that of each piece; a connection that breaks is dialled again. OK: it
  // was all there, and has the right checksum. NotFound: the node has it no more. DataLoss: it
  // cannot read it, or what came is something else. What the sink returns otherwise.
  template <typename CompletionToken>
  auto ReadSnapshot(std::string endpoint, SnapshotRecord snapshot, SnapshotSink sink,
                    ReadOptions options, CompletionToken&& token) {
    return Initiate<absl::Status>(&Client::StartReadSnapshot, token, std::move(endpoint),
                                  std::move(snapshot), std::move(sink), options);
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
  static void StartTransfer(std::shared_ptr<Shared> shared, NodeId to, ReadOptions options,
                            internal::Completion<absl::StatusOr<TransferRecord>> done);
  static void StartChangeMembers(std::shared_ptr<Shared> shared, MemberChange change,
                                 ReadOptions options,
                                 internal::Completion<absl::StatusOr<ChangeMembersRecord>> done);
  static void StartTakeSnapshot(std::shared_ptr<Shared> shared, std::string endpoint,
                                SnapshotOptions options,
                                internal::Completion<absl::StatusOr<SnapshotRecord>> done);
  static void StartReadSnapshot(std::shared_ptr<Shared> shared, std::string endpoint,
                                SnapshotRecord snapshot, SnapshotSink sink, ReadOptions options,
                                internal::Completion<absl::Status> done);

  boost::asio::io_context* context_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_CLIENT_H_
