#include "client/client.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/client_shared.h"
#include "client/node_reader.h"
#include "client/record_wire.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/text.h"
#include "protocol/lock.pb.h"

namespace lockd {

namespace asio = boost::asio;
using client::AgeOf;
using client::NodeReader;
using client::NodeReaderOptions;
using client::ToRecord;
using internal::ClientShared;
using internal::Completion;

namespace {

constexpr size_t kOwnerIdBytesMax = 256;
constexpr size_t kClientNameBytesMax = 64;

std::string RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
  LOCKD_CHECK(got == static_cast<ssize_t>(count), "getrandom gave ", got, " bytes");
  return bytes;
}

uint64_t RandomSeed() {
  return LoadLittle<uint64_t>(RandomBytes(sizeof(uint64_t)).data());
}

std::string DefaultOwnerId() {
  char host[256] = {};
  if (gethostname(host, sizeof(host) - 1) != 0) host[0] = '\0';
  return absl::StrCat(host, ":", getpid()).substr(0, kOwnerIdBytesMax);
}

absl::Status CheckClientOptions(const ClientOptions& options) {
  if (options.endpoints.empty()) return absl::InvalidArgumentError("endpoints: at least one");
  for (const std::string& endpoint : options.endpoints) {
    const absl::StatusOr<HostPort> parsed = ParseHostPort(endpoint);
    if (!parsed.ok()) return parsed.status();
  }
  if (options.client_name.size() > kClientNameBytesMax) {
    return absl::InvalidArgumentError("client_name: at most 64 bytes");
  }
  if (options.connect_timeout.count() <= 0) {
    return absl::InvalidArgumentError("connect_timeout: above 0");
  }
  if (options.backoff_min.count() <= 0 || options.backoff_max < options.backoff_min) {
    return absl::InvalidArgumentError("backoff_min, backoff_max: above 0, in this order");
  }
  return absl::OkStatus();
}

// The cluster has bounds of its own, and says so; these are only what cannot be sent.
absl::Status CheckSessionOptions(const SessionOptions& options) {
  if (options.ttl.count() <= 0 || options.operation_timeout.count() <= 0) {
    return absl::InvalidArgumentError("ttl, operation_timeout: above 0");
  }
  if (options.grace.count() < 0) return absl::InvalidArgumentError("grace: 0 (off) or above");
  if (options.owner_id.size() > kOwnerIdBytesMax) {
    return absl::InvalidArgumentError("owner_id: at most 256 bytes");
  }
  return absl::OkStatus();
}

client::SessionConfig MakeConfig(const ClientOptions& client, const SessionOptions& session) {
  client::SessionConfig config;
  config.endpoints = client.endpoints;
  config.client_name = client.client_name;
  config.owner_id = session.owner_id.empty() ? DefaultOwnerId() : session.owner_id;
  config.ttl_ms = session.ttl.count();
  config.grace_ms = session.grace.count();
  config.operation_timeout_ms = session.operation_timeout.count();
  config.connect_timeout_ms = client.connect_timeout.count();
  config.backoff_ms_min = client.backoff_min.count();
  config.backoff_ms_max = client.backoff_max.count();
  config.pending_operations_max = session.pending_operations_max;
  return config;
}

// `endpoint` not empty: of the node at this very address.
NodeReaderOptions OptionsOf(ClientShared& shared, const ReadOptions& options,
                            const std::string& endpoint) {
  NodeReaderOptions reader;
  reader.endpoints =
      endpoint.empty() ? shared.options.endpoints : std::vector<std::string>{endpoint};
  reader.client_name = shared.options.client_name;
  reader.timeout = options.timeout;
  reader.attempt_timeout = shared.options.connect_timeout;
  reader.backoff_min = shared.options.backoff_min;
  reader.backoff_max = shared.options.backoff_max;
  reader.any_node = options.stale || !endpoint.empty();
  reader.once = !endpoint.empty();
  reader.seed = shared.random.Next();
  return reader;
}

std::shared_ptr<NodeReader> MakeReader(ClientShared& shared, const ReadOptions& options,
                                       const std::string& endpoint = {}) {
  return std::make_shared<NodeReader>(shared.context, OptionsOf(shared, options, endpoint));
}

// Whether the answer of a leader may follow what earlier ones have shown.
bool Accept(ClientShared& shared, const ReadOptions& options, const pb::Stamp& stamp) {
  if (options.stale) return true;
  if (stamp.term() < shared.seen_term || stamp.applied_index() < shared.seen_applied_index) {
    return false;
  }
  shared.seen_term = stamp.term();
  shared.seen_applied_index = stamp.applied_index();
  return true;
}

asio::awaitable<void> ReadLock(std::shared_ptr<ClientShared> shared, std::string name,
                               ReadOptions options, Completion<absl::StatusOr<LockRecord>> done) {
  const std::shared_ptr<NodeReader> reader = MakeReader(*shared, options);
  pb::GetLockRequest request;
  request.set_name(std::move(name));
  request.set_stale(options.stale);
  pb::GetLockReply reply;
  for (;;) {
    const absl::Status status = co_await reader->Read(Opcode::kGetLock, request, &reply);
    if (!status.ok()) {
      done(status);
      co_return;
    }
    if (Accept(*shared, options, reply.stamp())) break;
    reader->Reject();
  }
  done(ToRecord(reply.lock(), reply.stamp(), AgeOf(options.stale, reply.age_ms())));
}

asio::awaitable<void> ReadLocks(std::shared_ptr<ClientShared> shared, std::string prefix,
                                ReadOptions options,
                                Completion<absl::StatusOr<std::vector<LockRecord>>> done) {
  const std::shared_ptr<NodeReader> reader = MakeReader(*shared, options);
  pb::ListLocksRequest request;
  request.set_prefix(std::move(prefix));
  request.set_stale(options.stale);
  pb::ListLocksReply reply;
  std::vector<LockRecord> locks;
  std::string page_from;
  do {
    const absl::Status status = co_await reader->Read(Opcode::kListLocks, request, &reply);
    if (!status.ok()) {
      done(status);
      co_return;
    }
    // A cursor means something to the node that gave it only: with another one, from the start.
    const bool is_same_node = request.cursor() == 0 || reader->address() == page_from;
    if (!is_same_node || !Accept(*shared, options, reply.stamp())) {
      reader->Reject();
      locks.clear();
      request.set_cursor(0);
      reply.set_next_cursor(1);
      continue;
    }
    page_from = reader->address();
    for (const pb::LockRecord& lock : reply.locks()) {
      locks.push_back(ToRecord(lock, reply.stamp(), AgeOf(options.stale, reply.age_ms())));
    }
    request.set_cursor(reply.next_cursor());
  } while (reply.next_cursor() != 0);
  std::sort(locks.begin(), locks.end(),
            [](const LockRecord& a, const LockRecord& b) { return a.lock_id < b.lock_id; });
  done(std::move(locks));
}

asio::awaitable<void> ReadSessions(std::shared_ptr<ClientShared> shared, ReadOptions options,
                                   Completion<absl::StatusOr<std::vector<SessionRecord>>> done) {
  const std::shared_ptr<NodeReader> reader = MakeReader(*shared, options);
  pb::ListSessionsRequest request;
  request.set_stale(options.stale);
  pb::ListSessionsReply reply;
  std::vector<SessionRecord> sessions;
  std::string page_from;
  do {
    const absl::Status status = co_await reader->Read(Opcode::kListSessions, request, &reply);
    if (!status.ok()) {
      done(status);
      co_return;
    }
    const bool is_same_node = request.cursor() == 0 || reader->address() == page_from;
    if (!is_same_node || !Accept(*shared, options, reply.stamp())) {
      reader->Reject();
      sessions.clear();
      request.set_cursor(0);
      reply.set_next_cursor(1);
      continue;
    }
    page_from = reader->address();
    for (const pb::SessionRecord& session : reply.sessions()) {
      sessions.push_back(ToRecord(session, reply.stamp(), AgeOf(options.stale, reply.age_ms())));
    }
    request.set_cursor(reply.next_cursor());
  } while (reply.next_cursor() != 0);
  std::sort(sessions.begin(), sessions.end(), [](const SessionRecord& a, const SessionRecord& b) {
    return a.session_id < b.session_id;
  });
  done(std::move(sessions));
}

asio::awaitable<void> ReadStatus(std::shared_ptr<ClientShared> shared, std::string endpoint,
                                 ReadOptions options, Completion<absl::StatusOr<NodeStatus>> done) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort(endpoint);
  if (!parsed.ok()) {
    done(parsed.status());
    co_return;
  }
  const std::shared_ptr<NodeReader> reader = MakeReader(*shared, options, endpoint);
  const pb::StatusRequest request;
  pb::StatusReply reply;
  const absl::Status status = co_await reader->Read(Opcode::kStatus, request, &reply);
  if (status.ok()) {
    done(ToRecord(reply));
  } else {
    done(status);
  }
}

asio::awaitable<void> MoveLeadership(std::shared_ptr<ClientShared> shared, NodeId to,
                                     ReadOptions options,
                                     Completion<absl::StatusOr<TransferRecord>> done) {
  const std::shared_ptr<NodeReader> reader = MakeReader(*shared, options);
  pb::TransferLeadershipRequest request;
  request.set_to_node_id(to.value());
  pb::TransferLeadershipReply reply;
  const absl::Status status = co_await reader->Read(Opcode::kTransferLeadership, request, &reply);
  if (!status.ok()) {
    done(status);
    co_return;
  }
  done(ToRecord(reply));
}

asio::awaitable<void> ChangeTheMembers(std::shared_ptr<ClientShared> shared, MemberChange change,
                                       ReadOptions options,
                                       Completion<absl::StatusOr<ChangeMembersRecord>> done) {
  const std::shared_ptr<NodeReader> reader = MakeReader(*shared, options);
  const pb::ChangeMembersRequest request = client::ToWire(change);
  pb::ChangeMembersReply reply;
  const absl::Status status = co_await reader->Read(Opcode::kChangeMembers, request, &reply);
  if (!status.ok()) {
    done(status);
    co_return;
  }
  done(ToRecord(reply));
}

// An entry such that all that is committed now is in the state after it: the shortest read there
// is, of the leader that this node knows.
asio::awaitable<absl::StatusOr<uint64_t>> ReadCommittedIndex(std::shared_ptr<ClientShared> shared,
                                                             std::string endpoint,
                                                             ReadOptions options) {
  NodeReaderOptions to_leader = OptionsOf(*shared, options, endpoint);
  to_leader.any_node = false;
  to_leader.once = false;
  const auto reader = std::make_shared<NodeReader>(shared->context, std::move(to_leader));
  pb::ListSessionsRequest request;
  request.set_count_max(1);
  pb::ListSessionsReply reply;
  for (;;) {
    const absl::Status status = co_await reader->Read(Opcode::kListSessions, request, &reply);
    if (!status.ok()) co_return status;
    if (Accept(*shared, options, reply.stamp())) co_return reply.stamp().applied_index();
    reader->Reject();
  }
}

asio::awaitable<void> TakeOneSnapshot(std::shared_ptr<ClientShared> shared, std::string endpoint,
                                      SnapshotOptions options,
                                      Completion<absl::StatusOr<SnapshotRecord>> done) {
  pb::TakeSnapshotRequest request;
  if (!options.stale) {
    const absl::StatusOr<uint64_t> committed =
        co_await ReadCommittedIndex(shared, endpoint, {.timeout = options.timeout});
    if (!committed.ok()) {
      done(committed.status());
      co_return;
    }
    request.set_index(*committed);
  }
  NodeReaderOptions to_node = OptionsOf(*shared, {.timeout = options.take_timeout}, endpoint);
  to_node.attempt_timeout = options.take_timeout;  // one answer may take all of it
  const auto reader = std::make_shared<NodeReader>(shared->context, std::move(to_node));
  pb::TakeSnapshotReply reply;
  const absl::Status status = co_await reader->Read(Opcode::kTakeSnapshot, request, &reply);
  if (status.ok()) {
    done(ToRecord(reply));
  } else {
    done(status);
  }
}

// What is wrong with a piece, from which the rest of the content is so long.
absl::Status CheckPiece(const pb::ReadSnapshotReply& reply, uint64_t rest) {
  if (absl::Status status = client::ToStatus(reply); !status.ok()) return status;
  if (reply.content().empty() || reply.content().size() > rest) {
    return absl::DataLossError(absl::StrCat("the node gave ", reply.content().size(), " of the ",
                                            rest, " bytes that are left of its snapshot"));
  }
  return absl::OkStatus();
}

asio::awaitable<void> ReadTheSnapshot(std::shared_ptr<ClientShared> shared, std::string endpoint,
                                      SnapshotRecord snapshot, Client::SnapshotSink sink,
                                      ReadOptions options, Completion<absl::Status> done) {
  NodeReaderOptions to_node = OptionsOf(*shared, options, endpoint);
  to_node.once = false;  // it may be begun at any place, again and again
  const auto reader = std::make_shared<NodeReader>(shared->context, std::move(to_node));
  uint64_t offset = 0;
  uint32_t checksum = 0;
  while (offset < snapshot.bytes) {
    const pb::ReadSnapshotRequest request = client::ToWire(snapshot, offset);
    pb::ReadSnapshotReply reply;
    reader->RenewDeadline();
    absl::Status status = co_await reader->Read(Opcode::kReadSnapshot, request, &reply);
    if (status.ok()) status = CheckPiece(reply, snapshot.bytes - offset);
    if (status.ok()) status = sink(reply.content());
    if (!status.ok()) {
      done(status);
      co_return;
    }
    offset += reply.content().size();
    checksum = ExtendCrc32c(checksum, reply.content());
  }
  done(checksum == snapshot.checksum
           ? absl::OkStatus()
           : absl::DataLossError("what the node gave is not the snapshot that it had taken"));
}

}  // namespace

// ---- What calls share

namespace internal {

std::shared_ptr<ClientShared> MakeClientShared(asio::io_context& context, ClientOptions options,
                                               std::weak_ptr<void> anchor) {
  absl::Status checked = CheckClientOptions(options);
  return std::make_shared<ClientShared>(context, std::move(options), std::move(checked),
                                        std::move(anchor), RandomSeed());
}

void ClientShared::CloseAll(absl::AnyInvocable<void()> done) {
  // Runs `done` when the last close lets go of it.
  struct Last {
    explicit Last(absl::AnyInvocable<void()> to_run) : run(std::move(to_run)) {}
    Last(const Last&) = delete;
    Last& operator=(const Last&) = delete;
    ~Last() { run(); }
    absl::AnyInvocable<void()> run;
  };
  const auto last = std::make_shared<Last>(std::move(done));
  for (const std::weak_ptr<SessionCore>& weak : sessions) {
    const std::shared_ptr<SessionCore> core = weak.lock();
    if (core != nullptr) core->Close([last](const absl::Status&) {});
  }
  sessions.clear();
}

}  // namespace internal

// ---- Client

Client::Client(asio::io_context& context, ClientOptions options)
    : Client(internal::MakeClientShared(context, std::move(options), {})) {}

Client::Client(std::shared_ptr<ClientShared> shared)
    : context_(&shared->context), shared_(std::move(shared)) {}

Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

const std::vector<std::string>& Client::endpoints() const {
  return shared_->options.endpoints;
}

namespace {

// Starts a call on the loop, or fails it there when the client's options are wrong.
template <typename Result, typename Start>
void OnLoop(std::shared_ptr<ClientShared> shared, Completion<Result> done, Start start) {
  asio::io_context& context = shared->context;
  asio::post(context, [shared = std::move(shared), done = std::move(done),
                       start = std::move(start)]() mutable {
    if (!shared->options_status.ok()) {
      done(shared->options_status);
    } else {
      start(std::move(shared), std::move(done));
    }
  });
}

}  // namespace

void Client::StartOpen(std::shared_ptr<Shared> shared, SessionOptions options,
                       Completion<absl::StatusOr<Session>> done) {
  using Done = Completion<absl::StatusOr<Session>>;
  OnLoop(std::move(shared), std::move(done),
         [options = std::move(options)](std::shared_ptr<Shared> on_loop, Done open_done) {
           const absl::Status checked = CheckSessionOptions(options);
           if (!checked.ok()) {
             open_done(checked);
             return;
           }
           std::erase_if(on_loop->sessions, [](const std::weak_ptr<internal::SessionCore>& core) {
             return core.expired();
           });
           auto core = std::make_shared<internal::SessionCore>(
               on_loop->context, MakeConfig(on_loop->options, options),
               RandomBytes(client::kNonceBytes), on_loop->random.Next(), on_loop->anchor);
           on_loop->sessions.push_back(core);
           core->Open(std::move(open_done));
         });
}

void Client::StartGetLock(std::shared_ptr<Shared> shared, std::string name, ReadOptions options,
                          Completion<absl::StatusOr<LockRecord>> done) {
  using Done = Completion<absl::StatusOr<LockRecord>>;
  OnLoop(std::move(shared), std::move(done),
         [name = std::move(name), options](std::shared_ptr<Shared> on_loop, Done read_done) {
           asio::io_context& context = on_loop->context;
           asio::co_spawn(context,
                          ReadLock(std::move(on_loop), name, options, std::move(read_done)),
                          asio::detached);
         });
}

void Client::StartListLocks(std::shared_ptr<Shared> shared, std::string prefix, ReadOptions options,
                            Completion<absl::StatusOr<std::vector<LockRecord>>> done) {
  using Done = Completion<absl::StatusOr<std::vector<LockRecord>>>;
  OnLoop(std::move(shared), std::move(done),
         [prefix = std::move(prefix), options](std::shared_ptr<Shared> on_loop, Done read_done) {
           asio::io_context& context = on_loop->context;
           asio::co_spawn(context,
                          ReadLocks(std::move(on_loop), prefix, options, std::move(read_done)),
                          asio::detached);
         });
}

void Client::StartListSessions(std::shared_ptr<Shared> shared, ReadOptions options,
                               Completion<absl::StatusOr<std::vector<SessionRecord>>> done) {
  using Done = Completion<absl::StatusOr<std::vector<SessionRecord>>>;
  OnLoop(std::move(shared), std::move(done),
         [options](std::shared_ptr<Shared> on_loop, Done read_done) {
           asio::io_context& context = on_loop->context;
           asio::co_spawn(context, ReadSessions(std::move(on_loop), options, std::move(read_done)),
                          asio::detached);
         });
}

void Client::StartGetStatus(std::shared_ptr<Shared> shared, std::string endpoint,
                            ReadOptions options, Completion<absl::StatusOr<NodeStatus>> done) {
  using Done = Completion<absl::StatusOr<NodeStatus>>;
  OnLoop(
      std::move(shared), std::move(done),
      [endpoint = std::move(endpoint), options](std::shared_ptr<Shared> on_loop, Done read_done) {
        asio::io_context& context = on_loop->context;
        asio::co_spawn(context,
                       ReadStatus(std::move(on_loop), endpoint, options, std::move(read_done)),
                       asio::detached);
      });
}

void Client::StartTransfer(std::shared_ptr<Shared> shared, NodeId to, ReadOptions options,
                           Completion<absl::StatusOr<TransferRecord>> done) {
  using Done = Completion<absl::StatusOr<TransferRecord>>;
  OnLoop(std::move(shared), std::move(done),
         [to, options](std::shared_ptr<Shared> on_loop, Done transfer_done) {
           asio::io_context& context = on_loop->context;
           asio::co_spawn(context,
                          MoveLeadership(std::move(on_loop), to, options, std::move(transfer_done)),
                          asio::detached);
         });
}

void Client::StartChangeMembers(std::shared_ptr<Shared> shared, MemberChange change,
                                ReadOptions options,
                                Completion<absl::StatusOr<ChangeMembersRecord>> done) {
  using Done = Completion<absl::StatusOr<ChangeMembersRecord>>;
  OnLoop(std::move(shared), std::move(done),
         [change = std::move(change), options](std::shared_ptr<Shared> on_loop, Done change_done) {
           asio::io_context& context = on_loop->context;
           asio::co_spawn(
               context,
               ChangeTheMembers(std::move(on_loop), change, options, std::move(change_done)),
               asio::detached);
         });
}

void Client::StartTakeSnapshot(std::shared_ptr<Shared> shared, std::string endpoint,
                               SnapshotOptions options,
                               Completion<absl::StatusOr<SnapshotRecord>> done) {
  using Done = Completion<absl::StatusOr<SnapshotRecord>>;
  OnLoop(
      std::move(shared), std::move(done),
      [endpoint = std::move(endpoint), options](std::shared_ptr<Shared> on_loop, Done take_done) {
        asio::io_context& context = on_loop->context;
        asio::co_spawn(context,
                       TakeOneSnapshot(std::move(on_loop), endpoint, options, std::move(take_done)),
                       asio::detached);
      });
}

void Client::StartReadSnapshot(std::shared_ptr<Shared> shared, std::string endpoint,
                               SnapshotRecord snapshot, SnapshotSink sink, ReadOptions options,
                               Completion<absl::Status> done) {
  OnLoop(std::move(shared), std::move(done),
         [endpoint = std::move(endpoint), snapshot = std::move(snapshot), sink = std::move(sink),
          options](std::shared_ptr<Shared> on_loop, Completion<absl::Status> read_done) mutable {
           asio::io_context& context = on_loop->context;
           asio::co_spawn(context,
                          ReadTheSnapshot(std::move(on_loop), endpoint, snapshot, std::move(sink),
                                          options, std::move(read_done)),
                          asio::detached);
         });
}

}  // namespace lockd
