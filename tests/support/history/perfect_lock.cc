#include "tests/support/history/perfect_lock.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "tests/support/history/recorder.h"

namespace lockd::history {
namespace {

const char* const kLock = "perfect";

enum class Phase : uint8_t { kIdle, kAsked, kAnswered };
enum class Request : uint8_t { kAcquire, kRelease, kObserve };

// One process; when it dies, another one with a new number takes its place.
struct Client {
  uint64_t number = 0;
  Phase phase = Phase::kIdle;
  Request request = Request::kAcquire;
  OperationId operation{};
  bool is_done = false;   // answered: granted, or released
  FencingToken answer{};  // answered: of the grant or observation
  FencingToken token{};   // believes that it holds this
};

class PerfectLock {
 public:
  PerfectLock(const PerfectLockOptions& options, Random& random)
      : random_(random), clients_(static_cast<size_t>(options.clients)) {
    for (Client& client : clients_) client.number = ++clients_ever_;
  }

  void Step() {
    now_ += static_cast<Time>(random_.Below(4));  // often the same moment as the step before
    if (!held_.is_zero() && random_.Chance(1, 12)) EndHold();
    if (!late_.empty() && random_.Chance(1, 6)) CarryOutLate();
    Client& client = clients_[random_.Below(clients_.size())];
    if (client.phase != Phase::kIdle && random_.Chance(1, 20)) {
      Die(client);
      return;
    }
    switch (client.phase) {
      case Phase::kIdle:
        Ask(client);
        break;
      case Phase::kAsked:
        CarryOut(client);
        break;
      case Phase::kAnswered:
        Answer(client);
        break;
    }
  }

  [[nodiscard]] History Take() const {
    return recorder_.histories().empty() ? History{} : recorder_.histories()[0];
  }

 private:
  void EndHold() {
    recorder_.OnHoldEnded(kLock, held_, now_);
    held_ = FencingToken(0);
  }
  // A release that its client does not wait for any more.
  void CarryOutLate() {
    if (late_.back() == held_) held_ = FencingToken(0);
    late_.pop_back();
  }
  void Die(Client& client);
  void Ask(Client& client);
  void CarryOut(Client& client);
  void Answer(Client& client);

  Random& random_;
  Time now_ = 0;
  HistoryRecorder recorder_;
  FencingToken held_;
  FencingToken last_token_;
  uint64_t clients_ever_ = 0;
  std::vector<Client> clients_;
  std::vector<FencingToken> late_;
};

void PerfectLock::Die(Client& client) {
  if (client.phase == Phase::kAsked && client.request == Request::kRelease)
    late_.push_back(client.token);
  // The service knows of the grant, and its log may or may not be watched.
  if (client.phase == Phase::kAnswered && client.request == Request::kAcquire && client.is_done &&
      random_.Chance(1, 2)) {
    recorder_.OnGrantSeen(client.operation, client.answer);
  }
  client = Client{.number = ++clients_ever_};
}

void PerfectLock::Ask(Client& client) {
  client.phase = Phase::kAsked;
  client.is_done = false;
  if (random_.Chance(1, 6)) {
    client.request = Request::kObserve;
    client.operation =
        recorder_.OnInvokeObservation(kLock, client.number, ObservationKind::kOwner, now_);
  } else if (client.token.is_zero()) {
    client.request = Request::kAcquire;
    client.operation = recorder_.OnInvokeAcquire(kLock, client.number, now_);
  } else {
    client.request = Request::kRelease;
    client.operation = recorder_.OnInvokeRelease(kLock, client.number, client.token, now_);
  }
}

void PerfectLock::CarryOut(Client& client) {
  switch (client.request) {
    case Request::kAcquire:
      if (!held_.is_zero() && random_.Chance(9, 10)) return;  // waits
      client.is_done = held_.is_zero();
      if (client.is_done) client.answer = held_ = ++last_token_;
      break;
    case Request::kRelease:
      client.is_done = client.token == held_;
      if (client.is_done) held_ = FencingToken(0);
      break;
    case Request::kObserve:
      client.answer = held_;
      break;
  }
  client.phase = Phase::kAnswered;
}

void PerfectLock::Answer(Client& client) {
  client.phase = Phase::kIdle;
  switch (client.request) {
    case Request::kAcquire:
      recorder_.OnAcquireDone(
          client.operation, now_,
          client.is_done ? AcquireOutcome::kGranted : AcquireOutcome::kNotGranted, client.answer);
      if (client.is_done) client.token = client.answer;
      break;
    case Request::kRelease:
      recorder_.OnReleaseDone(client.operation, now_,
                              client.is_done ? ReleaseOutcome::kReleased : ReleaseOutcome::kStale);
      client.token = FencingToken(0);
      break;
    case Request::kObserve:
      recorder_.OnObservationDone(client.operation, now_, client.answer);
      break;
  }
}

// ---- Mutations

// One of those for which `fits` holds, or nullptr.
template <typename Operation, typename Fits>
Operation* Choose(std::vector<Operation>& operations, Random& random, Fits fits) {
  std::vector<Operation*> fitting;
  for (Operation& operation : operations) {
    if (fits(operation)) fitting.push_back(&operation);
  }
  return fitting.empty() ? nullptr : fitting[random.Below(fitting.size())];
}

Acquire* ChooseGrant(History& history, Random& random) {
  return Choose(history.acquires, random, [](const Acquire& acquire) {
    return acquire.outcome == AcquireOutcome::kGranted && acquire.returned != kNever;
  });
}

Release* ChooseRelease(History& history, Random& random, ReleaseOutcome outcome) {
  return Choose(history.releases, random,
                [&](const Release& release) { return release.outcome == outcome; });
}

Observation* ChooseObservation(History& history, Random& random) {
  return Choose(history.observations, random, [](const Observation& observation) {
    return observation.returned != kNever && !observation.token.is_zero();
  });
}

bool SwapTokens(History& history, Random& random) {
  Acquire* const a = ChooseGrant(history, random);
  Acquire* const b = ChooseGrant(history, random);
  if (a == nullptr || a == b) return false;
  std::swap(a->token, b->token);
  return true;
}

bool DuplicateToken(History& history, Random& random) {
  Acquire* const from = ChooseGrant(history, random);
  Acquire* const to = ChooseGrant(history, random);
  if (from == nullptr || from == to) return false;
  to->token = from->token;
  return true;
}

// A second grant while the first hold lasts, under the token that would come next.
bool GrantWhileHeld(History& history, Random& random) {
  const Release* const release = ChooseRelease(history, random, ReleaseOutcome::kReleased);
  if (release == nullptr) return false;
  const Acquire* const held = Choose(history.acquires, random, [&](const Acquire& acquire) {
    return acquire.token == release->token && acquire.returned < release->invoke;
  });
  if (held == nullptr) return false;
  FencingToken largest;
  for (const Acquire& acquire : history.acquires) largest = std::max(largest, acquire.token);
  const Time at = held->returned;
  history.acquires.push_back({99, at, at, AcquireOutcome::kGranted, largest + 1});
  return true;
}

bool AnswerTooEarly(History& history, Random& random) {
  Acquire* const grant = ChooseGrant(history, random);
  if (grant == nullptr || grant->returned == grant->invoke) return false;
  grant->returned = grant->invoke;
  return true;
}

bool ForgeRelease(History& history, Random& random) {
  const Acquire* const near = ChooseGrant(history, random);
  if (near == nullptr) return false;
  history.releases.push_back(
      {99, FencingToken(1'000'000), near->invoke, near->returned, ReleaseOutcome::kReleased});
  return true;
}

bool ReleaseTwice(History& history, Random& random) {
  const Release* const release = ChooseRelease(history, random, ReleaseOutcome::kReleased);
  if (release == nullptr) return false;
  history.releases.push_back(Release{*release});
  return true;
}

bool RefuseRelease(History& history, Random& random) {
  Release* const release = ChooseRelease(history, random, ReleaseOutcome::kReleased);
  if (release == nullptr) return false;
  release->outcome = ReleaseOutcome::kStale;
  return true;
}

bool AcknowledgeStaleRelease(History& history, Random& random) {
  Release* const release = ChooseRelease(history, random, ReleaseOutcome::kStale);
  if (release == nullptr) return false;
  release->outcome = ReleaseOutcome::kReleased;
  return true;
}

// The client was told "no", but its release was acknowledged.
bool LoseGrant(History& history, Random& random) {
  const Release* const release = ChooseRelease(history, random, ReleaseOutcome::kReleased);
  if (release == nullptr) return false;
  Acquire* const grant = Choose(history.acquires, random, [&](const Acquire& acquire) {
    return acquire.outcome == AcquireOutcome::kGranted && acquire.token == release->token;
  });
  if (grant == nullptr) return false;
  grant->outcome = AcquireOutcome::kNotGranted;
  return true;
}

bool ForgetEnd(History& history, Random& random) {
  if (history.ends.empty()) return false;
  history.ends.erase(history.ends.begin() +
                     static_cast<std::ptrdiff_t>(random.Below(history.ends.size())));
  return true;
}

bool NameWrongOwner(History& history, Random& random) {
  Observation* const seen = ChooseObservation(history, random);
  const Acquire* const other = ChooseGrant(history, random);
  if (seen == nullptr || other == nullptr || other->token == seen->token) return false;
  seen->token = other->token;
  return true;
}

bool RenewAtTheVeryEnd(History& history, Random& random) {
  const Acquire* const grant = ChooseGrant(history, random);
  if (grant == nullptr) return false;
  constexpr Time kLate = 1'000'000;
  history.observations.push_back({99, kLate, kLate, ObservationKind::kRenewal, grant->token});
  return true;
}

bool SeeNobody(History& history, Random& random) {
  Observation* const seen = ChooseObservation(history, random);
  if (seen == nullptr) return false;
  seen->token = FencingToken(0);
  return true;
}

}  // namespace

History DrawLawfulHistory(const PerfectLockOptions& options, Random& random) {
  PerfectLock lock(options, random);
  for (int i = 0; i < options.steps; ++i) lock.Step();
  return lock.Take();
}

const std::vector<Mutation>& Mutations() {
  static const auto* const mutations = new std::vector<Mutation>{
      {"SwapTokens", SwapTokens, 80, true},
      {"DuplicateToken", DuplicateToken, 100, true},
      {"GrantWhileHeld", GrantWhileHeld, 100, true},
      // The acquire may well have been granted at once.
      {"AnswerTooEarly", AnswerTooEarly, 45, true},
      // An unknown acquire may have got the token, if there is one.
      {"ForgeRelease", ForgeRelease, 90, false},
      {"ReleaseTwice", ReleaseTwice, 100, true},
      {"RefuseRelease", RefuseRelease, 95, true},
      // A hold that could end at that time could be released as well.
      {"AcknowledgeStaleRelease", AcknowledgeStaleRelease, 25, true},
      // As for a forged release, and unknown acquires from before it are common here.
      {"LoseGrant", LoseGrant, 8, false},
      // A release may explain the end, or nobody came afterwards.
      {"ForgetEnd", ForgetEnd, 70, true},
      {"NameWrongOwner", NameWrongOwner, 75, true},
      {"RenewAtTheVeryEnd", RenewAtTheVeryEnd, 80, true},
      // The acquire or the release was under way in most cases.
      {"SeeNobody", SeeNobody, 10, true},
  };
  return *mutations;
}

}  // namespace lockd::history
