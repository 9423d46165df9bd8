// e2e_holder: a client process for tests. Opens a session, acquires a lock, then answers lines of
// standard input.
//
//   e2e_holder ENDPOINTS LOCK TTL_MS GRACE_MS
//   prints   granted TOKEN SESSION
//   look     prints  held TOKEN | lost TOKEN     by DistributedLock::held(), at once
//   release  prints  released, and ends
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "client/blocking_client.h"

int main(int argc, char** argv) {
  int64_t ttl_ms = 0;
  int64_t grace_ms = 0;
  if (argc != 5 || !absl::SimpleAtoi(argv[3], &ttl_ms) || !absl::SimpleAtoi(argv[4], &grace_ms)) {
    std::cerr << "usage: e2e_holder ENDPOINTS LOCK TTL_MS GRACE_MS\n";
    return 2;
  }
  lockd::ClientOptions client_options;
  client_options.endpoints = absl::StrSplit(argv[1], ',');
  lockd::BlockingClient client(client_options);
  lockd::SessionOptions options;
  options.ttl = std::chrono::milliseconds(ttl_ms);
  options.grace = std::chrono::milliseconds(grace_ms);
  const auto session = client.OpenSession(options);
  if (!session.ok()) {
    std::cerr << session.status() << '\n';
    return 1;
  }
  lockd::AcquireResult result = session->Acquire(argv[2]);
  if (!result.granted()) {
    std::cerr << result.ToStatus() << '\n';
    return 1;
  }
  std::cout << "granted " << result.lock.token().value() << ' ' << session->id().value()
            << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line == "look") {
      // The look first, then anything else.
      const bool held = result.lock.held();
      std::cout << (held ? "held " : "lost ") << result.lock.token().value() << std::endl;
    } else if (line == "release") {
      session->Release(std::move(result.lock));
      std::cout << "released" << std::endl;
      return 0;
    }
  }
  return 0;
}
