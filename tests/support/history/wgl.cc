#include "tests/support/history/wgl.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "protocol/base/check.h"

namespace lockd::history {
namespace {

constexpr Time kBeginning = std::numeric_limits<Time>::min();

enum class Kind : uint8_t {
  kGrant,
  kUnreportedGrant,  // an unknown acquire: may take any token that nobody reports
  kRelease,
  kEnd,    // may end the hold: an expiry, or a release of unknown outcome
  kStale,  // the token does not hold the lock
  kOwner,  // the token, or nobody, holds the lock
};

struct Operation {
  Kind kind = Kind::kGrant;
  FencingToken token;
  Time invoke = 0;
  Time returned = kNever;
  bool must_happen = true;
};

// Of the model: who holds the lock (zero: nobody), and the largest token so far.
struct State {
  FencingToken held;
  FencingToken largest;
};

struct Pair {
  uint64_t linearized = 0;  // bit i: operation i
  State state;

  friend bool operator==(const Pair& a, const Pair& b) {
    return a.linearized == b.linearized && a.state.held == b.state.held &&
           a.state.largest == b.state.largest;
  }
};

struct PairHash {
  size_t operator()(const Pair& pair) const {
    uint64_t hash = pair.linearized * 0x9e3779b97f4a7c15u;
    hash = (hash ^ (hash >> 29) ^ pair.state.held.value()) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ (hash >> 32) ^ pair.state.largest.value()) * 0x94d049bb133111ebu;
    return static_cast<size_t>(hash ^ (hash >> 31));
  }
};

// Left out is what the model accepts at any time without a change: acquires that were not granted,
// observations without an answer, and unknown acquires when every token that is spoken of is
// reported by its acquire (then nothing can tell whether they happened).
std::vector<Operation> OperationsOf(const History& history,
                                    const std::vector<FencingToken>& unreported) {
  std::vector<Operation> operations;
  for (const Acquire& op : history.acquires) {
    if (op.outcome == AcquireOutcome::kGranted) {
      operations.push_back({Kind::kGrant, op.token, op.invoke, op.returned, true});
    } else if (op.outcome == AcquireOutcome::kUnknown && !unreported.empty()) {
      operations.push_back({Kind::kUnreportedGrant, FencingToken(0), op.invoke, kNever, false});
    }
  }
  for (const Release& op : history.releases) {
    switch (op.outcome) {
      case ReleaseOutcome::kUnknown:
        operations.push_back({Kind::kEnd, op.token, op.invoke, kNever, false});
        break;
      case ReleaseOutcome::kReleased:
        operations.push_back({Kind::kRelease, op.token, op.invoke, op.returned, true});
        break;
      case ReleaseOutcome::kStale:
        operations.push_back({Kind::kStale, op.token, op.invoke, op.returned, true});
        break;
    }
  }
  for (const Observation& op : history.observations) {
    if (op.returned == kNever) continue;
    operations.push_back({Kind::kOwner, op.token, op.invoke, op.returned, true});
  }
  for (const HoldEnd& end : history.ends) {
    operations.push_back({Kind::kEnd, end.token, end.earliest, kNever, false});
  }
  for (const FencingToken token : unreported) {
    operations.push_back({Kind::kEnd, token, kBeginning, kNever, false});
  }
  return operations;
}

class Search {
 public:
  Search(std::vector<Operation> operations, std::vector<FencingToken> unreported, size_t pairs_max)
      : operations_(std::move(operations)),
        unreported_(std::move(unreported)),
        pairs_max_(pairs_max) {
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (operations_[i].must_happen) must_happen_ |= uint64_t{1} << i;
    }
  }

  Linearizability Run() {
    if (CanFinish(Pair{})) return Linearizability::kLinearizable;
    return is_exhausted_ ? Linearizability::kTooLong : Linearizability::kNot;
  }

 private:
  // Whether some order of the operations outside `from.linearized` completes the history. As deep
  // as there are operations.
  bool CanFinish(const Pair& from);
  // Whether linearizing operation `i` next leads to a complete order.
  bool CanFinishWith(size_t i, const Pair& from);
  // Every operation that is invoked later than this is preceded by one that is not linearized yet.
  Time Frontier(uint64_t linearized) const;

  const std::vector<Operation> operations_;
  const std::vector<FencingToken> unreported_;
  const size_t pairs_max_;
  uint64_t must_happen_ = 0;
  bool is_exhausted_ = false;
  std::unordered_set<Pair, PairHash> tried_;
};

Time Search::Frontier(uint64_t linearized) const {
  Time frontier = kNever;
  for (size_t i = 0; i < operations_.size(); ++i) {
    if ((linearized >> i & 1) == 0) frontier = std::min(frontier, operations_[i].returned);
  }
  return frontier;
}

bool Search::CanFinish(const Pair& from) {
  if ((from.linearized & must_happen_) == must_happen_) return true;
  if (tried_.size() >= pairs_max_) {
    is_exhausted_ = true;
    return false;
  }
  if (!tried_.insert(from).second) return false;
  const Time frontier = Frontier(from.linearized);
  for (size_t i = 0; i < operations_.size(); ++i) {
    if ((from.linearized >> i & 1) != 0 || operations_[i].invoke > frontier) continue;
    if (CanFinishWith(i, from)) return true;
  }
  return false;
}

bool Search::CanFinishWith(size_t i, const Pair& from) {
  const FencingToken token = operations_[i].token;
  const State& state = from.state;
  const uint64_t linearized = from.linearized | uint64_t{1} << i;
  const bool is_free = state.held.is_zero();
  const bool is_held = !is_free && state.held == token;
  switch (operations_[i].kind) {
    case Kind::kGrant:
      return is_free && token > state.largest && CanFinish({linearized, {token, token}});
    case Kind::kUnreportedGrant:
      return is_free &&
             std::any_of(unreported_.begin(), unreported_.end(), [&](FencingToken taken) {
               return taken > state.largest && CanFinish({linearized, {taken, taken}});
             });
    case Kind::kRelease:
    case Kind::kEnd:
      return is_held && CanFinish({linearized, {FencingToken(0), state.largest}});
    case Kind::kStale:
      return !is_held && CanFinish({linearized, state});
    case Kind::kOwner:
      return state.held == token && CanFinish({linearized, state});
  }
  LOCKD_UNREACHABLE("an operation of no kind");
}

}  // namespace

size_t CountWglOperations(const History& history) {
  return OperationsOf(history, UnreportedTokens(history)).size();
}

Linearizability CheckWgl(const History& history, const WglLimits& limits) {
  LOCKD_CHECK(limits.operations_max <= 64, limits.operations_max, " operations");
  std::vector<FencingToken> unreported = UnreportedTokens(history);
  std::vector<Operation> operations = OperationsOf(history, unreported);
  if (operations.size() > limits.operations_max) return Linearizability::kTooLong;
  return Search(std::move(operations), std::move(unreported), limits.pairs_max).Run();
}

}  // namespace lockd::history
