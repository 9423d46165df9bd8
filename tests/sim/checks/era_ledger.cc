#include "tests/sim/checks/era_ledger.h"

#include <algorithm>
#include <utility>

namespace lockd::sim {

void EraLedger::Begins(FencingToken last, const Holders& at_end, const Holders& at_begin) {
  Era next;
  next.after = last;
  for (const auto& [lock, token] : at_begin) {
    if (token.is_zero()) continue;
    next.held.insert(token);
    const auto holder = at_end.find(lock);
    const bool goes_on = holder != at_end.end() && holder->second == token;
    // Brought back once, it may be the holder again, and its end is known all the same.
    const bool had_ended = !eras_.empty() && eras_.back().ended.contains(token);
    if (!goes_on || had_ended) next.ended.insert(token);
  }
  eras_.push_back(std::move(next));
}

size_t EraLedger::EraOf(FencingToken token) const {
  return static_cast<size_t>(std::count_if(eras_.begin(), eras_.end(),
                                           [token](const Era& era) { return era.after < token; }));
}

bool EraLedger::MayMeet(FencingToken a, FencingToken b) const {
  const auto [older, newer] = std::minmax(a, b);
  const size_t era = EraOf(newer);
  return EraOf(older) < era && !eras_[era - 1].held.contains(older);
}

bool EraLedger::SaysNothing(size_t era, FencingToken owner) const {
  return era > 0 && eras_.at(era - 1).ended.contains(owner);
}

}  // namespace lockd::sim
