// LeaderFinder: which address to dial next, and when.
//
// The configured endpoints in turn, starting at a random one. A hint of a server ("the leader is at
// ...") is tried next, without delay, but only a few times in a row: servers whose hints form a
// circle meet the back-off like a server that is down. Delays double from backoff_ms_min to
// backoff_ms_max and are drawn uniformly from [delay / 2, delay], so that clients that lost one
// server together do not come back together.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_LEADER_FINDER_H_
#define LOCKD_CLIENT_LEADER_FINDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "protocol/base/random.h"
#include "protocol/base/time.h"

namespace lockd::client {

class LeaderFinder {
 public:
  // `endpoints` is not empty.
  LeaderFinder(std::vector<std::string> endpoints, int64_t backoff_ms_min, int64_t backoff_ms_max,
               uint64_t seed);

  // The address to dial now.
  [[nodiscard]] std::string Next();

  // A server named the leader's address. True: dial it at once (Next() returns it). False: too many
  // hints in a row; treat it as a failure.
  [[nodiscard]] bool OnHint(absl::string_view address);
  // The last dial did not lead to a session: how long to wait before the next one.
  [[nodiscard]] int64_t OnFailureNs();
  // The last dial led to the leader. The next Next() after a disconnect starts afresh.
  void OnAttached();

 private:
  std::vector<std::string> endpoints_;
  int64_t backoff_ms_min_;
  int64_t backoff_ms_max_;
  Random random_;
  size_t next_ = 0;
  std::string hint_;  // to be dialled next; empty: none
  std::string last_;  // dialled last
  int hints_in_a_row_ = 0;
  int64_t backoff_ms_ = 0;  // of the last failure
};

}  // namespace lockd::client

#endif  // LOCKD_CLIENT_LEADER_FINDER_H_
