// What a program chooses: where the cluster is, and how a session, an acquire and a read behave.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_OPTIONS_H_
#define LOCKD_CLIENT_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace lockd {

inline constexpr char kDefaultEndpoint[] = "127.0.0.1:7420";

struct ClientOptions {
  // host:port of nodes, any of them; the leader is found from there.
  std::vector<std::string> endpoints = {kDefaultEndpoint};
  std::string client_name{};  // for the servers' logs, at most 64 bytes
  // From dialing a node to being served by it; then another one is tried.
  std::chrono::milliseconds connect_timeout{2'000};
  // Pause before another dial; doubles with each failure, with jitter.
  std::chrono::milliseconds backoff_min{20};
  std::chrono::milliseconds backoff_max{1'000};
};

struct SessionOptions {
  std::string
      owner_id{};  // shown by `lockctl get`, at most 256 bytes; empty: host name and process
  // The session, and all its locks, ends this long after the last keep-alive: 1 s to 1 h.
  std::chrono::milliseconds ttl{10'000};
  // Disconnect grace: the session ends this long after its connection closed (a crash frees the
  // locks soon); 0 is off, else at least 3 s.
  std::chrono::milliseconds grace{0};
  // How long a call that needs no waiting (open, try, release, close) may go without an answer.
  std::chrono::milliseconds operation_timeout{5'000};
  // Acquires that wait on this side for room in the window of 1,024 unanswered requests.
  size_t pending_operations_max = 65'536;
};

// Waits that are not a duration.
inline constexpr std::chrono::milliseconds kTry{0};
inline constexpr std::chrono::milliseconds kWaitWithoutLimit = std::chrono::milliseconds::max();

struct AcquireOptions {
  std::chrono::milliseconds wait = kWaitWithoutLimit;
  std::chrono::milliseconds max_hold{0};  // the server ends the hold after this long; 0: never
};

struct ReadOptions {
  // Answer from the asked node's own state at once, whatever its role. Else: as of now, by the
  // leader.
  bool stale = false;
  std::chrono::milliseconds timeout{5'000};
};

struct SnapshotOptions {
  // Of what the asked node has applied, without a word of the leader's: it may be behind.
  bool stale = false;
  // Of each answer that needs no writing.
  std::chrono::milliseconds timeout{5'000};
  // A node writes all of its state, syncs it and reads it back before it answers.
  std::chrono::milliseconds take_timeout{600'000};
};

// The endpoints of a comma-separated list; from the environment variable LOCKD_ENDPOINTS when the
// list is empty, and the default when that is not set either.
[[nodiscard]] std::vector<std::string> EndpointsFrom(const std::string& list);

}  // namespace lockd

#endif  // LOCKD_CLIENT_OPTIONS_H_
