#include "tests/sim/checks/clock_ledger.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace lockd::sim {
namespace {

constexpr int64_t kMicrosPerMilli = 1'000;
constexpr int64_t kNanosPerMicro = 1'000;
constexpr int64_t kRoundingMs = 1;

}  // namespace

void ClockLedger::Stamped(raft::Index index, raft::Term term, int64_t real_ns) {
  stamped_.try_emplace({index, term}, real_ns);
}

std::string ClockLedger::Committed(raft::Index index, raft::Term term, ClusterTime time,
                                   int64_t real_ns) {
  if (time < last_time_) {
    return absl::StrCat("ClusterTimeMonotone: entry ", index, " is of ", time, " after ",
                        last_time_);
  }
  last_time_ = time;
  const auto stamped = stamped_.find({index, term});
  if (stamped != stamped_.end()) {
    real_ns = stamped->second;
    stamped_.erase(stamped);
  }
  // Both sides times kDriftDivisor: whole numbers, exact for some 1,400 years.
  const int64_t lead = time.value() * kMicrosPerMilli * kDriftDivisor -
                       real_ns / kNanosPerMicro * (kDriftDivisor + 1);
  const int64_t gained = lead - least_lead_.value_or(lead);
  least_lead_ = std::min(lead, least_lead_.value_or(lead));
  if (gained <= kRoundingMs * kMicrosPerMilli * kDriftDivisor) return "";
  return absl::StrCat("ClusterTimeBounded: up to entry ", index, " cluster time gained ",
                      gained / (kMicrosPerMilli * kDriftDivisor),
                      " ms on a clock that is 0.5 % fast");
}

}  // namespace lockd::sim
