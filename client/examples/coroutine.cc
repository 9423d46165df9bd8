// Coroutines: two workers of one program want the same lock; one waits for the other, and one that
// does not want to wait any longer cancels.
//
//   coroutine [--endpoints host:port,...] [--lock NAME]
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdio>
#include <string>
#include <utility>

#include "client/client.h"
#include "client/examples/arguments.h"

namespace asio = boost::asio;
using asio::use_awaitable;
using namespace std::chrono_literals;

namespace {

int failures = 0;

void Fail(const std::string& what) {
  std::fprintf(stderr, "coroutine: %s\n", what.c_str());
  ++failures;
}

// Holds of one session exclude each other: the unit of ownership is the hold, not the process.
asio::awaitable<void> Worker(lockd::Session session, std::string lock, std::string name) {
  lockd::AcquireResult result = co_await session.Acquire(lock, {.wait = 10s}, use_awaitable);
  if (!result.granted()) {
    Fail(name + ": " + result.ToStatus().ToString());
    co_return;
  }
  std::printf("%s has %s, token %llu\n", name.c_str(), lock.c_str(),
              static_cast<unsigned long long>(result.lock.token().value()));
  asio::steady_timer work(co_await asio::this_coro::executor, 100ms);
  co_await work.async_wait(use_awaitable);
  const bool was_certain = result.lock.held();
  const lockd::ReleaseStatus released = co_await result.lock.Release(use_awaitable);
  std::printf("%s gave it back: %s\n", name.c_str(), std::string(ToString(released)).c_str());
  if (!was_certain || released != lockd::ReleaseStatus::kReleased) Fail(name + " lost the lock");
}

asio::awaitable<void> ImpatientWorker(lockd::Session session, std::string lock) {
  lockd::AcquireResult held = co_await session.Acquire(lock, {.wait = 10s}, use_awaitable);
  if (!held.granted()) {
    Fail(held.ToStatus().ToString());
    co_return;
  }
  asio::cancellation_signal signal;
  asio::steady_timer patience(co_await asio::this_coro::executor, 50ms);
  auto give_up = [&signal](const boost::system::error_code&) {
    signal.emit(asio::cancellation_type::total);
  };
  patience.async_wait(give_up);
  auto token = asio::bind_cancellation_slot(signal.slot(), use_awaitable);
  lockd::AcquireResult second = co_await session.Acquire(lock, {}, token);
  std::printf("a wait that was given up: %s\n", std::string(ToString(second.status)).c_str());
  if (second.status != lockd::AcquireStatus::kCancelled) Fail("the wait was not cancelled");
}

asio::awaitable<void> Run(lockd::Client& client, std::string lock) {
  lockd::SessionOptions options{.owner_id = "coroutine-example"};
  absl::StatusOr<lockd::Session> session =
      co_await client.OpenSession(std::move(options), use_awaitable);
  if (!session.ok()) {
    Fail(std::string(session.status().message()));
    co_return;
  }
  auto executor = co_await asio::this_coro::executor;
  asio::co_spawn(executor, Worker(*session, lock, "first"), asio::detached);
  co_await Worker(*session, lock, "second");
  co_await ImpatientWorker(*session, lock);
  const absl::Status closed = co_await session->Close(use_awaitable);
  if (!closed.ok()) Fail(std::string(closed.message()));
}

}  // namespace

int main(int argc, char** argv) {
  const examples::Arguments arguments(argc, argv);
  asio::io_context context;
  lockd::Client client(context, {.endpoints = arguments.endpoints});
  asio::co_spawn(context, Run(client, arguments.lock), asio::detached);
  context.run();
  return failures == 0 ? 0 : 1;
}
