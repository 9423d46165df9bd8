// SessionLedger: what clients may count on, in real time, against when their sessions end.
//
//   NeverEarly          (I-22, P3) a session does not end by itself before (send time of the last
//                       transmission whose reply its client counts) + TTL x (1 - drift); with a
//                       disconnect grace, before the earlier of that and the same of the last
//                       answered ping and the grace
//   CreditAfterTheEnd   (I-22) no reply that arrives after a session's end makes its client count
//   on
//                       time beyond that end
//   EndsOnce            a session ends once
//
// All times are real (simulated) nanoseconds, which no process sees. The client counts by its own
// clock; if that is fast, its TTL is over after TTL x (1 - drift) of real time, and that is the
// least that it is owed.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_SESSION_LEDGER_H_
#define LOCKD_TESTS_SIM_CHECKS_SESSION_LEDGER_H_

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "protocol/base/ids.h"

namespace lockd::sim {

class SessionLedger {
 public:
  // What keeps a session alive: each keep-alive, attach or open its TTL, each answered ping (and
  // the attach of its connection) its disconnect grace. The lesser of the two decides.
  enum class Lease : uint8_t { kTtl, kGrace };

  // The client has a reply, and counts `duration_ms` from when it sent what this answers.
  [[nodiscard]] std::string Credited(SessionId session, Lease lease, int64_t sent_real_ns,
                                     int64_t duration_ms);
  // The client counts on the session no more: it closed it, gave it up, or died.
  void GivenUp(SessionId session);
  // The log ended the session by itself (expired or disconnected; not closed).
  [[nodiscard]] std::string Ended(SessionId session, int64_t real_ns);

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  struct Counted {
    int64_t ttl_until_ns = 0;
    int64_t grace_until_ns = kNever;  // none
    bool given_up = false;
    std::optional<int64_t> ended_ns;
    [[nodiscard]] int64_t until_ns() const {
      return ttl_until_ns < grace_until_ns ? ttl_until_ns : grace_until_ns;
    }
  };

  std::map<SessionId, Counted> sessions_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_SESSION_LEDGER_H_
