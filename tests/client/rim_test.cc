// The public interface over real sockets, against one real node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/blocking_client.h"
#include "client/client.h"
#include "client/lockable.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"
#include "protocol/lock.pb.h"
#include "tests/client/loopback_node.h"

namespace lockd {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;
using namespace std::chrono_literals;

ClientOptions At(const LoopbackNode& node) {
  return {.endpoints = {node.address()}};
}

// Runs a coroutine to its end on a loop of its own.
template <typename Coroutine>
void RunToEnd(asio::io_context& context, Coroutine coroutine) {
  bool done = false;
  auto finished = [&](std::exception_ptr error) {
    done = true;
    if (error) std::rethrow_exception(error);
  };
  asio::co_spawn(context, std::move(coroutine), finished);
  while (!done && context.run_one() > 0) {
  }
  ASSERT_TRUE(done);
}

asio::awaitable<void> LockAndUnlock(Client& client) {
  // Named first: g++ 12 destroys an aggregate with a string twice when it is made in a co_await.
  const SessionOptions options{.owner_id = "me"};
  absl::StatusOr<Session> session = co_await client.OpenSession(options, use_awaitable);
  EXPECT_TRUE(session.ok()) << session.status();
  if (!session.ok()) co_return;
  EXPECT_EQ(session->state(), SessionState::kHealthy);
  EXPECT_FALSE(session->id().is_zero());
  AcquireResult first = co_await session->Acquire("a", {}, use_awaitable);
  EXPECT_TRUE(first.granted()) << first.ToStatus();
  EXPECT_TRUE(first.lock.held());
  EXPECT_EQ(first.lock.name(), "a");
  EXPECT_GT(first.lock.safe_until(), BootClock::now() + 5s);
  EXPECT_FALSE(first.lock.lost().stop_requested());

  AcquireResult second = co_await session->Acquire("a", {.wait = kTry}, use_awaitable);
  EXPECT_EQ(second.status, AcquireStatus::kBusy);
  EXPECT_FALSE(second.lock.held());

  const FencingToken token = first.lock.token();
  const ReleaseStatus released = co_await first.lock.Release(use_awaitable);
  EXPECT_EQ(released, ReleaseStatus::kReleased);
  EXPECT_FALSE(first.lock.held());
  AcquireResult third = co_await session->Acquire("a", {}, use_awaitable);
  EXPECT_GT(third.lock.token(), token);
  const absl::Status closed = co_await session->Close(use_awaitable);
  EXPECT_TRUE(closed.ok()) << closed;
  EXPECT_FALSE(third.lock.held());
  EXPECT_TRUE(third.lock.lost().stop_requested());
  EXPECT_EQ(session->state(), SessionState::kClosed);
}

TEST(Rim, LocksAndUnlocksInACoroutine) {
  LoopbackNode node;
  asio::io_context context;
  Client client(context, At(node));
  RunToEnd(context, LockAndUnlock(client));
}

asio::awaitable<void> HandOver(Client& client) {
  const SessionOptions options;
  absl::StatusOr<Session> one = co_await client.OpenSession(options, use_awaitable);
  absl::StatusOr<Session> two = co_await client.OpenSession(options, use_awaitable);
  AcquireResult held = co_await one->Acquire("a", {}, use_awaitable);
  {
    DistributedLock goes_out_of_scope = std::move(held.lock);
    EXPECT_FALSE(held.lock.held());
    EXPECT_TRUE(goes_out_of_scope.held());
  }
  AcquireResult next = co_await two->Acquire("a", {.wait = 5s}, use_awaitable);
  EXPECT_TRUE(next.granted()) << next.ToStatus();
}

TEST(Rim, TheDestructorOfALockReleasesIt) {
  LoopbackNode node;
  asio::io_context context;
  Client client(context, At(node));
  RunToEnd(context, HandOver(client));
}

asio::awaitable<void> CancelAWait(Client& client) {
  const SessionOptions options;
  absl::StatusOr<Session> session = co_await client.OpenSession(options, use_awaitable);
  AcquireResult held = co_await session->Acquire("a", {}, use_awaitable);
  asio::cancellation_signal signal;
  AcquireStatus status = AcquireStatus::kGranted;
  auto on_done = [&status](AcquireResult result) { status = result.status; };
  session->Acquire("a", {}, asio::bind_cancellation_slot(signal.slot(), on_done));
  AcquireResult other = co_await session->Acquire("b", {}, use_awaitable);
  EXPECT_TRUE(other.granted());
  signal.emit(asio::cancellation_type::terminal);
  AcquireResult after = co_await session->Acquire("c", {}, use_awaitable);
  EXPECT_TRUE(after.granted());
  EXPECT_EQ(status, AcquireStatus::kCancelled);
  co_await held.lock.Release(use_awaitable);
  AcquireResult again = co_await session->Acquire("a", {.wait = kTry}, use_awaitable);
  EXPECT_TRUE(again.granted()) << "the cancelled wait holds it: " << again.ToStatus();
}

TEST(Rim, ACancelledWaitLeavesNothingHeld) {
  LoopbackNode node;
  asio::io_context context;
  Client client(context, At(node));
  RunToEnd(context, CancelAWait(client));
}

asio::awaitable<void> Reconnect(Client& client, LoopbackNode& node) {
  const SessionOptions options;
  absl::StatusOr<Session> session = co_await client.OpenSession(options, use_awaitable);
  AcquireResult held = co_await session->Acquire("a", {}, use_awaitable);
  for (int i = 0; i < 5; ++i) {
    node.DropConnections();
    AcquireResult other = co_await session->Acquire("b", {.wait = 5s}, use_awaitable);
    EXPECT_TRUE(other.granted()) << other.ToStatus();
    const ReleaseStatus released = co_await other.lock.Release(use_awaitable);
    EXPECT_EQ(released, ReleaseStatus::kReleased);
  }
  EXPECT_TRUE(held.lock.held());
}

TEST(Rim, ReconnectsDoNotShow) {
  LoopbackNode node;
  asio::io_context context;
  Client client(context, At(node));
  RunToEnd(context, Reconnect(client, node));
}

asio::awaitable<void> ReadEverything(Client& client, const std::string& address) {
  // Named first: g++ 12 destroys an aggregate with a string twice when it is made in a co_await.
  const SessionOptions options{.owner_id = "me"};
  absl::StatusOr<Session> session = co_await client.OpenSession(options, use_awaitable);
  AcquireResult held = co_await session->Acquire("x/2", {}, use_awaitable);
  AcquireResult also = co_await session->Acquire("x/1", {}, use_awaitable);
  AcquireResult other = co_await session->Acquire("y", {}, use_awaitable);

  absl::StatusOr<LockRecord> lock = co_await client.GetLock("x/2", {}, use_awaitable);
  EXPECT_TRUE(lock.ok()) << lock.status();
  if (!lock.ok()) co_return;
  EXPECT_TRUE(lock->held);
  EXPECT_EQ(lock->lock_id, "x/2");
  EXPECT_EQ(lock->owner_id, "me");
  EXPECT_EQ(lock->token, held.lock.token());
  EXPECT_EQ(lock->session_id, session->id());
  EXPECT_GT(lock->applied_index, 0u);

  absl::StatusOr<LockRecord> unused = co_await client.GetLock("never", {}, use_awaitable);
  EXPECT_TRUE(unused.ok() && !unused->held);

  absl::StatusOr<std::vector<LockRecord>> list = co_await client.ListLocks("x/", {}, use_awaitable);
  EXPECT_TRUE(list.ok()) << list.status();
  if (!list.ok() || list->size() != 2u) {
    ADD_FAILURE() << "not two locks";
    co_return;
  }
  EXPECT_EQ((*list)[0].lock_id, "x/1");
  EXPECT_EQ((*list)[1].lock_id, "x/2");

  absl::StatusOr<std::vector<SessionRecord>> sessions =
      co_await client.ListSessions({.stale = true}, use_awaitable);
  EXPECT_TRUE(sessions.ok() && sessions->size() == 1u);
  if (sessions.ok() && !sessions->empty()) {
    EXPECT_EQ(sessions->front().holds, 3u);
  }

  absl::StatusOr<NodeStatus> status = co_await client.GetStatus(address, {}, use_awaitable);
  EXPECT_TRUE(status.ok()) << status.status();
  if (status.ok()) {
    EXPECT_EQ(status->role, "leader");
  }
}

TEST(Rim, ReadsNeedNoSession) {
  LoopbackNode node;
  asio::io_context context;
  Client client(context, At(node));
  RunToEnd(context, ReadEverything(client, node.address()));
}

asio::awaitable<void> ChangeTheMembers(Client& client) {
  const MemberChange add{.action = MemberAction::kAdd, .node_id = {}, .peer_address = "node-b:1"};
  absl::StatusOr<ChangeMembersRecord> added = co_await client.ChangeMembers(add, {}, use_awaitable);
  EXPECT_TRUE(added.ok()) << added.status();
  if (!added.ok()) co_return;
  EXPECT_EQ(added->status, ChangeMembersStatus::kDone);
  EXPECT_EQ(added->node_id, NodeId(2));
  EXPECT_EQ(added->members.size(), 2u);
  EXPECT_EQ(added->members.back().role, MemberRole::kLearner);
  EXPECT_FALSE(added->members.back().was_seen);
  // As after an answer that was lost.
  absl::StatusOr<ChangeMembersRecord> found = co_await client.ChangeMembers(add, {}, use_awaitable);
  EXPECT_TRUE(found.ok() && found->status == ChangeMembersStatus::kDone);
  EXPECT_TRUE(found.ok() && found->node_id == NodeId(2));

  const MemberChange remove{.action = MemberAction::kRemove, .node_id = NodeId(2)};
  absl::StatusOr<ChangeMembersRecord> removed =
      co_await client.ChangeMembers(remove, {}, use_awaitable);
  EXPECT_TRUE(removed.ok() && removed->status == ChangeMembersStatus::kDone);
  EXPECT_TRUE(removed.ok() && removed->members.size() == 1u);
  absl::StatusOr<ChangeMembersRecord> again =
      co_await client.ChangeMembers(remove, {}, use_awaitable);
  EXPECT_TRUE(again.ok() && again->status == ChangeMembersStatus::kNoSuchMember);

  const MemberChange nowhere{
      .action = MemberAction::kAdd, .node_id = {}, .peer_address = "no port"};
  absl::StatusOr<ChangeMembersRecord> refused =
      co_await client.ChangeMembers(nowhere, {}, use_awaitable);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << refused.status();
}

TEST(Rim, MembersAreAddedOnceAndRemovedOnce) {
  LoopbackNode node;
  asio::io_context context;
  Client client(context, At(node));
  RunToEnd(context, ChangeTheMembers(client));
}

asio::awaitable<void> CopyTheState(Client& client, std::string endpoint, LoopbackNode& node) {
  const SessionOptions options;
  absl::StatusOr<Session> session = co_await client.OpenSession(options, use_awaitable);
  EXPECT_TRUE(session.ok()) << session.status();
  std::vector<AcquireResult> held;
  for (int i = 0; i < 80; ++i) {
    held.push_back(
        co_await session->Acquire(std::to_string(i) + std::string(1'000, 'x'), {}, use_awaitable));
  }
  const absl::StatusOr<SnapshotRecord> taken =
      co_await client.TakeSnapshot(endpoint, {}, use_awaitable);
  EXPECT_TRUE(taken.ok()) << taken.status();
  if (!taken.ok()) co_return;
  EXPECT_GT(taken->index, 0u);
  EXPECT_EQ(taken->node_id, NodeId(1));
  EXPECT_FALSE(taken->cluster_id.is_zero());
  EXPECT_EQ(taken->digest.size(), 32u);
  EXPECT_EQ(taken->locks, 80u);
  std::string content;
  uint64_t first_piece = 0;
  Client::SnapshotSink keep = [&](absl::string_view piece) {
    if (content.empty()) {
      first_piece = piece.size();
      node.DropConnections();  // it goes on over the next one
    }
    content.append(piece.data(), piece.size());
    return absl::OkStatus();
  };
  absl::Status read =
      co_await client.ReadSnapshot(endpoint, *taken, std::move(keep), {}, use_awaitable);
  EXPECT_TRUE(read.ok()) << read;
  EXPECT_EQ(content.size(), taken->bytes);
  EXPECT_LT(first_piece, taken->bytes);

  Client::SnapshotSink refuse = [](absl::string_view) { return absl::CancelledError("enough"); };
  read = co_await client.ReadSnapshot(endpoint, *taken, std::move(refuse), {}, use_awaitable);
  EXPECT_TRUE(absl::IsCancelled(read)) << read;
  SnapshotRecord other = *taken;
  other.index += 1;
  Client::SnapshotSink forget = [](absl::string_view) { return absl::OkStatus(); };
  read = co_await client.ReadSnapshot(endpoint, other, std::move(forget), {}, use_awaitable);
  EXPECT_TRUE(absl::IsNotFound(read)) << read;
  // More comes than there should be; and as much, but something else.
  for (const uint64_t bytes : {taken->bytes - 1, first_piece}) {
    other = *taken;
    other.bytes = bytes;
    Client::SnapshotSink take_all = [](absl::string_view) { return absl::OkStatus(); };
    read = co_await client.ReadSnapshot(endpoint, other, std::move(take_all), {}, use_awaitable);
    EXPECT_TRUE(absl::IsDataLoss(read)) << read;
  }
}

TEST(Rim, ASnapshotIsTakenAndReadOut) {
  LoopbackNode node;
  asio::io_context context;
  Client client(context, At(node));
  RunToEnd(context, CopyTheState(client, node.address(), node));
}

TEST(Rim, ASnapshotOfANodeThatDoesNotAnswerIsUnavailable) {
  LoopbackNode node;
  asio::io_context context;
  Client client(context, At(node));
  node.Freeze();
  for (const bool stale : {false, true}) {
    SnapshotOptions options;
    options.stale = stale;
    (stale ? options.take_timeout : options.timeout) = 200ms;
    absl::StatusOr<SnapshotRecord> taken = SnapshotRecord();
    client.TakeSnapshot(node.address(), options,
                        [&](absl::StatusOr<SnapshotRecord> result) { taken = std::move(result); });
    context.restart();
    context.run();
    EXPECT_TRUE(absl::IsUnavailable(taken.status())) << stale << ": " << taken.status();
  }
}

// A node that is loading its state: it greets, refuses everything, and names another as the leader.
asio::awaitable<void> PointElsewhere(asio::ip::tcp::acceptor& acceptor, std::string leader) {
  asio::ip::tcp::socket socket = co_await acceptor.async_accept(use_awaitable);
  FrameDecoder decoder(kClientFrameBytesMax);
  std::array<char, 4'096> buffer;
  for (;;) {
    const size_t count = co_await socket.async_read_some(asio::buffer(buffer), use_awaitable);
    decoder.Feed(absl::string_view(buffer.data(), count));
    std::string answers;
    FrameView frame;
    while (decoder.Next(&frame) == FrameDecoder::Result::kFrame) {
      FrameHeader header = frame.header;
      header.flags = kFlagReply;
      pb::ServerHello hello;
      hello.set_magic(kClientMagic);
      hello.set_version(kProtocolVersionMax);
      pb::Error error;
      error.set_code(pb::ERROR_CODE_UNAVAILABLE);
      error.set_message("this node is loading its state");
      error.mutable_leader()->set_node_id(1);
      error.mutable_leader()->set_client_address(leader);
      if (header.opcode == Opcode::kHello) {
        AppendFrame(answers, header, hello);
      } else {
        header.flags |= kFlagError;
        AppendFrame(answers, header, error);
      }
    }
    co_await asio::async_write(socket, asio::buffer(answers), use_awaitable);
  }
}

TEST(Rim, WhatIsAskedOfOneNodeIsAskedOfNoOther) {
  LoopbackNode leader;
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  asio::co_spawn(context, PointElsewhere(acceptor, leader.address()), asio::detached);
  const std::string address = "127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
  Client client(context, At(leader));
  absl::Status read;
  size_t pieces = 0;
  Client::SnapshotSink sink = [&pieces](absl::string_view) {
    ++pieces;
    return absl::OkStatus();
  };
  SnapshotRecord snapshot;
  snapshot.bytes = 10;
  client.ReadSnapshot(address, snapshot, std::move(sink), {.timeout = 300ms},
                      [&](absl::Status status) {
                        read = std::move(status);
                        context.stop();
                      });
  context.run();
  // The leader would have said that it has no such snapshot.
  EXPECT_TRUE(absl::IsUnavailable(read)) << read;
  EXPECT_EQ(pieces, 0u);
}

asio::awaitable<void> MeetNobody(Client& client) {
  const SessionOptions options{.operation_timeout = 200ms};
  absl::StatusOr<Session> session = co_await client.OpenSession(options, use_awaitable);
  EXPECT_EQ(session.status().code(), absl::StatusCode::kUnavailable) << session.status();
  absl::StatusOr<LockRecord> lock = co_await client.GetLock("a", {.timeout = 200ms}, use_awaitable);
  EXPECT_EQ(lock.status().code(), absl::StatusCode::kUnavailable) << lock.status();
}

TEST(Rim, NobodyThereIsUnavailableInTime) {
  asio::io_context context;
  Client client(context, {.endpoints = {"127.0.0.1:1"}});
  RunToEnd(context, MeetNobody(client));
}

TEST(Rim, WrongOptionsAreSaidInWords) {
  BlockingClient no_endpoints({.endpoints = {}});
  EXPECT_EQ(no_endpoints.OpenSession().status().code(), absl::StatusCode::kInvalidArgument);
  BlockingClient wrong({.endpoints = {"no port"}});
  EXPECT_EQ(wrong.GetLock("a").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Rim, AnEmptyLockIsNotHeldAndReleasesNothing) {
  DistributedLock none;
  EXPECT_FALSE(none.held());
  EXPECT_TRUE(none.lost().stop_requested());
  EXPECT_EQ(none.token(), FencingToken(0));
  EXPECT_EQ(none.Release(asio::use_future).get(), ReleaseStatus::kNotHeld);
}

TEST(Blocking, ExcludesThreadsOfOneSession) {
  LoopbackNode node;
  BlockingClient client(At(node));
  absl::StatusOr<BlockingSession> session = client.OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  std::atomic<int> inside{0};
  int counter = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 25; ++round) {
        AcquireResult result = session->Acquire("a", {.wait = 20s});
        ASSERT_TRUE(result.granted()) << result.ToStatus();
        EXPECT_EQ(inside.fetch_add(1), 0);
        ++counter;
        inside.fetch_sub(1);
        EXPECT_EQ(session->Release(std::move(result.lock)), ReleaseStatus::kReleased);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 100);
}

TEST(Blocking, ALockableWorksWithTheStandardsGuards) {
  LoopbackNode node;
  BlockingClient client(At(node));
  absl::StatusOr<BlockingSession> session = client.OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  Lockable a(*session, "a");
  Lockable b(*session, "b");
  {
    const std::scoped_lock guard(a, b);
    EXPECT_TRUE(a.held());
    EXPECT_TRUE(b.held());
    EXPECT_FALSE(a.token().is_zero());
    Lockable again(*session, "a");
    EXPECT_FALSE(again.try_lock());
    const std::unique_lock<Lockable> timed(again, 50ms);
    EXPECT_FALSE(timed.owns_lock());
  }
  EXPECT_FALSE(a.held());
  const std::unique_lock<Lockable> guard(a, std::try_to_lock);
  EXPECT_TRUE(guard.owns_lock());
}

TEST(Blocking, ALockOfALostSessionThrowsFromLock) {
  LoopbackNode node;
  BlockingClient client(At(node));
  absl::StatusOr<BlockingSession> session = client.OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  Lockable a(*session, "a");
  EXPECT_TRUE(session->Close().ok());
  EXPECT_THROW(a.lock(), std::system_error);
}

// L-20
TEST(Blocking, ASilentServerMeansJeopardyAndThenLoss) {
  LoopbackNode node;
  BlockingClient client(At(node));
  absl::StatusOr<BlockingSession> session = client.OpenSession({.ttl = 5s});
  ASSERT_TRUE(session.ok()) << session.status();
  AcquireResult result = session->Acquire("a");
  ASSERT_TRUE(result.granted());
  std::atomic<bool> told{false};
  const std::stop_callback on_lost(result.lock.lost(), [&] { told = true; });
  node.Freeze();
  bool was_in_jeopardy = false;
  BootClock::time_point last_held;
  while (result.lock.held()) {
    last_held = BootClock::now();
    was_in_jeopardy = was_in_jeopardy || session->state() == SessionState::kJeopardy;
    std::this_thread::yield();
  }
  EXPECT_TRUE(was_in_jeopardy);
  EXPECT_TRUE(result.lock.lost().stop_requested());
  EXPECT_TRUE(told);
  EXPECT_EQ(session->state(), SessionState::kLost);
  EXPECT_EQ(result.lock.safe_until(), BootClock::time_point());
  EXPECT_EQ(session->Release(std::move(result.lock)), ReleaseStatus::kSessionLost);
  EXPECT_EQ(session->Acquire("a").status, AcquireStatus::kSessionLost);
}

// L-17: answers that the application does not take do not stop the renewals. For twice the TTL
// nobody looks at what was granted.
TEST(Blocking, RenewsThoughNobodyTakesTheAnswers) {
  LoopbackNode node;
  BlockingClient client(At(node));
  absl::StatusOr<BlockingSession> session = client.OpenSession({.ttl = 5s});
  absl::StatusOr<BlockingSession> other = client.OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();
  ASSERT_TRUE(other.ok()) << other.status();
  std::vector<std::future<AcquireResult>> untaken;
  for (int i = 0; i < 100; ++i) {
    untaken.push_back(session->async().Acquire(std::to_string(i), {}, asio::use_future));
  }
  untaken[0].wait();
  EXPECT_EQ(other->Acquire("0", {.wait = 10s}).status, AcquireStatus::kTimedOut);
  EXPECT_EQ(session->state(), SessionState::kHealthy);
  for (std::future<AcquireResult>& each : untaken) EXPECT_TRUE(each.get().lock.held());
}

TEST(Blocking, LocksAndSessionsMayOutliveTheClient) {
  LoopbackNode node;
  BlockingSession session;
  DistributedLock lock;
  {
    BlockingClient client(At(node));
    absl::StatusOr<BlockingSession> opened = client.OpenSession();
    ASSERT_TRUE(opened.ok()) << opened.status();
    session = *std::move(opened);
    AcquireResult result = session.Acquire("a");
    ASSERT_TRUE(result.granted());
    lock = std::move(result.lock);
  }
  EXPECT_FALSE(lock.held());
  EXPECT_EQ(session.Acquire("b").status, AcquireStatus::kSessionLost);
  // The client closed the session: the lock is free for others.
  BlockingClient next(At(node));
  absl::StatusOr<LockRecord> record = next.GetLock("a");
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_FALSE(record->held);
}

// L-23
TEST(Blocking, TheLastHandleClosesTheSession) {
  LoopbackNode node;
  BlockingClient client(At(node));
  { absl::StatusOr<BlockingSession> session = client.OpenSession(); }
  for (int i = 0; i < 200; ++i) {
    absl::StatusOr<std::vector<SessionRecord>> sessions = client.ListSessions();
    ASSERT_TRUE(sessions.ok()) << sessions.status();
    if (sessions->empty()) return;
  }
  FAIL() << "the session is still there";
}

// What is pending when a loop is thrown away is thrown away with it, without a leak or a crash.
TEST(Rim, ALoopMayEndInTheMiddleOfEverything) {
  LoopbackNode node;
  bool was_granted = false;
  {
    asio::io_context context;
    Client client(context, At(node));
    auto work = [&](absl::StatusOr<Session> session) {
      ASSERT_TRUE(session.ok()) << session.status();
      auto on_granted = [&was_granted](AcquireResult result) { was_granted = result.granted(); };
      session->Acquire("a", {}, on_granted);
      auto keep = [held = *session](AcquireResult) {};
      session->Acquire("b", {}, std::move(keep));
      session->Acquire("b", {}, [](AcquireResult) {});
    };
    client.OpenSession({}, work);
    while (!was_granted && context.run_one() > 0) {
    }
  }
  EXPECT_TRUE(was_granted);
}

}  // namespace
}  // namespace lockd
