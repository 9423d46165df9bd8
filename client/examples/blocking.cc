// The blocking client: take a lock, do some work while it is certain, give it back.
//
//   blocking [--endpoints host:port,...] [--lock NAME] [--wait MS]
//
// Exit status: 0 done, 1 not done (the reason is on stderr).
#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

#include "client/blocking_client.h"
#include "client/examples/arguments.h"
#include "client/lockable.h"

int main(int argc, char** argv) {
  const examples::Arguments arguments(argc, argv);

  lockd::BlockingClient client({.endpoints = arguments.endpoints});
  absl::StatusOr<lockd::BlockingSession> session =
      client.OpenSession({.owner_id = "blocking-example"});
  if (!session.ok()) {
    std::fprintf(stderr, "blocking: %s\n", std::string(session.status().message()).c_str());
    return 1;
  }
  std::printf("session %llu is open\n", static_cast<unsigned long long>(session->id().value()));

  // One hold as an object.
  lockd::AcquireResult result = session->Acquire(arguments.lock, {.wait = arguments.wait});
  if (!result.granted()) {
    std::fprintf(stderr, "blocking: %s\n", result.ToStatus().ToString().c_str());
    return 1;
  }
  std::printf("%s is ours, token %llu\n", arguments.lock.c_str(),
              static_cast<unsigned long long>(result.lock.token().value()));

  // Work in pieces, and look at the lock before each: held() needs no network and is never wrong
  // after the deadline.
  int pieces = 0;
  while (pieces < 3 && result.lock.held()) ++pieces;
  std::printf("%d pieces of work done\n", pieces);
  if (session->Release(std::move(result.lock)) != lockd::ReleaseStatus::kReleased) {
    std::fprintf(stderr, "blocking: the release was not confirmed\n");
    return 1;
  }
  std::printf("%s is released\n", arguments.lock.c_str());

  // The same lock as a mutex.
  lockd::Lockable mutex(*session, arguments.lock);
  {
    const std::unique_lock<lockd::Lockable> guard(mutex, std::chrono::seconds(5));
    if (!guard.owns_lock()) {
      std::fprintf(stderr, "blocking: no lock within 5 s\n");
      return 1;
    }
    std::printf("%s is ours again, token %llu\n", arguments.lock.c_str(),
                static_cast<unsigned long long>(mutex.token().value()));
  }
  const absl::Status closed = session->Close();
  std::printf("session is closed: %s\n", closed.ok() ? "ok" : "not confirmed");
  return closed.ok() ? 0 : 1;
}
