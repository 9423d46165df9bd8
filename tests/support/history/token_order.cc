#include "tests/support/history/token_order.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::history {
namespace {

constexpr Time kBeginning = std::numeric_limits<Time>::min();

constexpr const char* kTokensDistinct = "TokensDistinct";
constexpr const char* kTokensFollowTime = "TokensFollowTime";
constexpr const char* kHoldsDoNotOverlap = "HoldsDoNotOverlap";
constexpr const char* kReleaseFollowsGrant = "ReleaseFollowsGrant";
constexpr const char* kStaleMeansNotHeld = "StaleMeansNotHeld";
constexpr const char* kObservationsWithinHolds = "ObservationsWithinHolds";
constexpr const char* kRenewalsWithinHolds = "RenewalsWithinHolds";

const char* RuleOf(ObservationKind kind) {
  return kind == ObservationKind::kOwner ? kObservationsWithinHolds : kRenewalsWithinHolds;
}

// All that the history says about one token.
struct Hold {
  FencingToken token;
  Time invoke = 0;
  Time returned = kNever;
  Time may_end = kNever;              // the earliest end without an acknowledged release
  const Release* released = nullptr;  // the acknowledged one: the hold ends there and nowhere else
  std::vector<const Observation*> seen{};
  std::vector<const Release*> stale{};
};

// The latest of some lower bounds of a moment, and the rule that the strictest of them stands for.
struct Bound {
  Time at = kBeginning;
  const char* rule = kHoldsDoNotOverlap;

  void Raise(Time to, const char* why) {
    if (to <= at) return;
    at = to;
    rule = why;
  }
};

// Of grants of one or more locks. One request for several locks has the same token in each of them,
// so equal tokens say nothing here.
std::string CheckFollowTime(std::vector<const Acquire*> grants) {
  std::sort(grants.begin(), grants.end(),
            [](const Acquire* a, const Acquire* b) { return a->token > b->token; });
  const Acquire* first = nullptr;  // to return, of those with larger tokens than that of grants[i]
  for (size_t i = 0; i < grants.size();) {
    size_t next = i;
    for (; next < grants.size() && grants[next]->token == grants[i]->token; ++next) {
      if (first != nullptr && first->returned < grants[next]->invoke) {
        return absl::StrCat(kTokensFollowTime, ": token ", first->token, " was returned at ",
                            first->returned, ", before token ", grants[next]->token,
                            " was asked for at ", grants[next]->invoke);
      }
    }
    for (; i < next; ++i) {
      if (first == nullptr || grants[i]->returned < first->returned) first = grants[i];
    }
  }
  return "";
}

void AppendGrants(const History& history, std::vector<const Acquire*>& grants) {
  for (const Acquire& acquire : history.acquires) {
    if (acquire.outcome == AcquireOutcome::kGranted) grants.push_back(&acquire);
  }
}

class TokenOrder {
 public:
  explicit TokenOrder(const History& history) : history_(history) {}

  std::string Check() {
    std::string violation = TakeGrants();
    if (violation.empty()) violation = TakeUnreported();
    if (violation.empty()) violation = TakeReleases();
    if (violation.empty()) {
      TakeObservations();
      TakeEnds();
      violation = Sweep();
    }
    return violation;
  }

 private:
  std::string TakeGrants();
  std::string TakeUnreported();
  std::string TakeReleases();
  void TakeObservations();
  void TakeEnds();
  std::string Sweep();

  void SortHolds() {
    std::sort(holds_.begin(), holds_.end(),
              [](const Hold& a, const Hold& b) { return a.token < b.token; });
  }
  Hold* Find(FencingToken token);
  const char* RuleOfUnreported(FencingToken token) const;
  Time ForcedStart(const Hold& hold, const Bound& start, const Bound& end, const char** rule);
  static Bound EarliestEnd(const Hold& hold, const Bound& start);
  static std::string CheckHold(const Hold& hold, const Bound& start, const Bound& end);

  const History& history_;
  std::vector<Hold> holds_;                 // by token
  std::vector<const Observation*> nobody_;  // "free", by invocation
  size_t nobody_placed_ = 0;                // of nobody_, by the sweep
};

Hold* TokenOrder::Find(FencingToken token) {
  const auto found =
      std::lower_bound(holds_.begin(), holds_.end(), token,
                       [](const Hold& hold, FencingToken sought) { return hold.token < sought; });
  return found != holds_.end() && found->token == token ? &*found : nullptr;
}

std::string TokenOrder::TakeGrants() {
  std::vector<const Acquire*> grants;
  AppendGrants(history_, grants);
  for (const Acquire* grant : grants) {
    holds_.push_back(
        Hold{.token = grant->token, .invoke = grant->invoke, .returned = grant->returned});
  }
  SortHolds();
  for (size_t i = 0; i < holds_.size(); ++i) {
    const FencingToken token = holds_[i].token;
    if (token.is_zero()) {
      return absl::StrCat(kTokensDistinct, ": the acquire invoked at ", holds_[i].invoke,
                          " was granted token 0");
    }
    if (i > 0 && holds_[i - 1].token == token) {
      return absl::StrCat(kTokensDistinct, ": token ", token,
                          " was granted to acquires invoked at ", holds_[i - 1].invoke, " and ",
                          holds_[i].invoke);
    }
  }
  return CheckFollowTime(std::move(grants));
}

const char* TokenOrder::RuleOfUnreported(FencingToken token) const {
  for (const Observation& observation : history_.observations) {
    if (observation.token == token && observation.returned != kNever)
      return RuleOf(observation.kind);
  }
  return kReleaseFollowsGrant;
}

// Gives each unreported token to an unknown acquire. These have no return, so that only their
// invocations matter, and the earliest invocation for the smallest token is the best choice: where
// any other assignment works, swapping two of its acquires into this order works too.
std::string TokenOrder::TakeUnreported() {
  const std::vector<FencingToken> tokens = UnreportedTokens(history_);
  if (tokens.empty()) return "";
  std::vector<Time> invokes;
  for (const Acquire& acquire : history_.acquires) {
    if (acquire.outcome == AcquireOutcome::kUnknown) invokes.push_back(acquire.invoke);
  }
  std::sort(invokes.begin(), invokes.end());
  if (tokens.size() > invokes.size()) {
    return absl::StrCat(RuleOfUnreported(tokens.back()), ": token ", tokens.back(),
                        " was granted to no acquire; ", tokens.size(), " such tokens, ",
                        invokes.size(), " acquires of unknown outcome");
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    holds_.push_back(Hold{.token = tokens[i], .invoke = invokes[i], .may_end = kBeginning});
  }
  SortHolds();
  return "";
}

std::string TokenOrder::TakeReleases() {
  for (const Release& release : history_.releases) {
    Hold* const hold = Find(release.token);
    if (hold == nullptr) {
      if (release.outcome != ReleaseOutcome::kReleased) continue;
      // Of real tokens, an unknown acquire has got those that nobody reports.
      return absl::StrCat(kReleaseFollowsGrant, ": token ", release.token, " was released");
    }
    switch (release.outcome) {
      case ReleaseOutcome::kUnknown:
        hold->may_end = std::min(hold->may_end, release.invoke);
        break;
      case ReleaseOutcome::kStale:
        hold->stale.push_back(&release);
        break;
      case ReleaseOutcome::kReleased:
        if (hold->released != nullptr) {
          return absl::StrCat(kReleaseFollowsGrant, ": token ", release.token,
                              " was released twice, invoked at ", hold->released->invoke, " and ",
                              release.invoke);
        }
        hold->released = &release;
        break;
    }
  }
  return "";
}

void TokenOrder::TakeObservations() {
  for (const Observation& observation : history_.observations) {
    if (observation.returned == kNever) continue;
    if (observation.token.is_zero()) {
      nobody_.push_back(&observation);
    } else {
      Find(observation.token)->seen.push_back(&observation);
    }
  }
  std::stable_sort(nobody_.begin(), nobody_.end(), [](const Observation* a, const Observation* b) {
    return a->invoke < b->invoke;
  });
}

void TokenOrder::TakeEnds() {
  for (const HoldEnd& end : history_.ends) {
    Hold* const hold = Find(end.token);
    if (hold != nullptr) hold->may_end = std::min(hold->may_end, end.earliest);
  }
}

Bound TokenOrder::EarliestEnd(const Hold& hold, const Bound& start) {
  Bound end = start;
  const Time lawful = hold.released != nullptr ? hold.released->invoke : hold.may_end;
  end.Raise(lawful, kHoldsDoNotOverlap);
  for (const Observation* observation : hold.seen) {
    end.Raise(observation->invoke, RuleOf(observation->kind));
  }
  return end;
}

// The latest start that an answer from within the hold, "nobody" or "stale", forces upon it. An
// answer "nobody" that is older than the start found its place before this hold; one that goes on
// beyond the end finds it behind it, at no cost.
Time TokenOrder::ForcedStart(const Hold& hold, const Bound& start, const Bound& end,
                             const char** rule) {
  Time forced = start.at;
  const auto force = [&](Time invoke, Time returned, const char* why) {
    if (invoke <= forced || returned >= end.at) return;
    forced = invoke;
    *rule = why;
  };
  for (const Release* release : hold.stale) {
    force(release->invoke, release->returned, kStaleMeansNotHeld);
  }
  for (; nobody_placed_ < nobody_.size(); ++nobody_placed_) {
    const Observation& nobody = *nobody_[nobody_placed_];
    if (nobody.invoke >= end.at) break;
    force(nobody.invoke, nobody.returned, kObservationsWithinHolds);
  }
  return forced;
}

// Every answer that proves that the hold had begun, or ended, against the earliest start and end.
std::string TokenOrder::CheckHold(const Hold& hold, const Bound& start, const Bound& end) {
  const auto violation = [&](const char* rule, const std::string& answer) {
    return absl::StrCat(
        rule, ": token ", hold.token, " cannot hold the lock before ",
        start.at == kNever ? "never (the hold before it does not end)" : absl::StrCat(start.at),
        ", but ", answer);
  };
  if (start.at > hold.returned || start.at == kNever) {
    return violation(start.rule, hold.returned == kNever
                                     ? "it was granted"
                                     : absl::StrCat("its grant returned at ", hold.returned));
  }
  for (const Observation* observation : hold.seen) {
    if (start.at > observation->returned) {
      return violation(RuleOf(observation->kind), absl::StrCat("was seen in [", observation->invoke,
                                                               ", ", observation->returned, "]"));
    }
  }
  if (hold.released == nullptr) return "";
  if (start.at > hold.released->returned) {
    return violation(kReleaseFollowsGrant,
                     absl::StrCat("its release returned at ", hold.released->returned));
  }
  if (end.at > hold.released->returned) {
    return absl::StrCat(end.rule, ": token ", hold.token, " was released by ",
                        hold.released->returned, ", but still held at ", end.at);
  }
  return "";
}

std::string TokenOrder::Sweep() {
  Bound previous_end;
  for (const Hold& hold : holds_) {
    Bound start = previous_end;
    start.Raise(hold.invoke, kHoldsDoNotOverlap);
    const Bound end = EarliestEnd(hold, start);
    const char* forced_by = nullptr;
    const Time forced = ForcedStart(hold, start, end, &forced_by);
    if (forced_by != nullptr) start.Raise(forced, forced_by);
    std::string violation = CheckHold(hold, start, end);
    if (!violation.empty()) return violation;
    previous_end = end;
  }
  return "";
}

}  // namespace

std::string CheckTokenOrder(const History& history) {
  return TokenOrder(history).Check();
}

std::string CheckTokensFollowTime(const std::vector<History>& histories) {
  std::vector<const Acquire*> grants;
  for (const History& history : histories) AppendGrants(history, grants);
  return CheckFollowTime(std::move(grants));
}

}  // namespace lockd::history
