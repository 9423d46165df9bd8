#include "tests/sim/checks/session_ledger.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "protocol/base/time.h"

namespace lockd::sim {

std::string SessionLedger::Credited(SessionId session, Lease lease, int64_t sent_real_ns,
                                    int64_t duration_ms) {
  Counted& counted = sessions_[session];
  const int64_t shortest_ns = duration_ms * (kNanosPerMilli / kDriftDivisor) * (kDriftDivisor - 1);
  const int64_t until_ns = sent_real_ns + shortest_ns;
  if (lease == Lease::kTtl) {
    counted.ttl_until_ns = std::max(counted.ttl_until_ns, until_ns);
  } else {
    counted.grace_until_ns =
        counted.grace_until_ns == kNever ? until_ns : std::max(counted.grace_until_ns, until_ns);
  }
  if (counted.given_up || !counted.ended_ns || counted.until_ns() <= *counted.ended_ns) return "";
  return absl::StrCat("CreditAfterTheEnd: session ", session, " ended at ", *counted.ended_ns,
                      ", its client counts on ", counted.until_ns());
}

void SessionLedger::GivenUp(SessionId session) {
  sessions_[session].given_up = true;
}

std::string SessionLedger::Ended(SessionId session, int64_t real_ns) {
  Counted& counted = sessions_[session];
  if (counted.ended_ns.has_value()) {
    return absl::StrCat("EndsOnce: session ", session, " ends again");
  }
  counted.ended_ns = real_ns;
  if (counted.given_up || real_ns >= counted.until_ns()) return "";
  return absl::StrCat("NeverEarly: session ", session, " ends at ", real_ns,
                      ", its client counts on ", counted.until_ns());
}

}  // namespace lockd::sim
