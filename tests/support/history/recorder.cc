#include "tests/support/history/recorder.h"

#include "protocol/base/check.h"

namespace lockd::history {
namespace {

template <typename Operation>
OperationId Append(uint32_t lock, std::vector<Operation>& operations, const Operation& operation) {
  operations.push_back(operation);
  return OperationId{.lock = lock, .position = static_cast<uint32_t>(operations.size() - 1)};
}

template <typename Operation>
void Finish(Operation& operation, Time now) {
  LOCKD_CHECK(operation.returned == kNever, "an operation was done twice, invoked at ",
              operation.invoke);
  LOCKD_CHECK(now >= operation.invoke, "done at ", now, ", invoked at ", operation.invoke);
  operation.returned = now;
}

}  // namespace

uint32_t HistoryRecorder::IndexOf(const std::string& lock) {
  const auto [found, is_new] = index_.emplace(lock, static_cast<uint32_t>(histories_.size()));
  if (is_new) {
    histories_.emplace_back();
    histories_.back().lock = lock;
  }
  return found->second;
}

OperationId HistoryRecorder::OnInvokeAcquire(const std::string& lock, uint64_t client, Time now) {
  const uint32_t index = IndexOf(lock);
  return Append(index, histories_[index].acquires, Acquire{.client = client, .invoke = now});
}

void HistoryRecorder::OnAcquireDone(OperationId id, Time now, AcquireOutcome outcome,
                                    FencingToken token) {
  Acquire& acquire = histories_.at(id.lock).acquires.at(id.position);
  // Given up by its client, but the grant has been seen: it happened and never returned.
  if (outcome == AcquireOutcome::kUnknown) return;
  Finish(acquire, now);
  acquire.outcome = outcome;
  if (outcome == AcquireOutcome::kGranted) acquire.token = token;
}

void HistoryRecorder::OnGrantSeen(OperationId id, FencingToken token) {
  Acquire& acquire = histories_.at(id.lock).acquires.at(id.position);
  if (acquire.returned != kNever) return;
  acquire.outcome = AcquireOutcome::kGranted;
  acquire.token = token;
}

OperationId HistoryRecorder::OnInvokeRelease(const std::string& lock, uint64_t client,
                                             FencingToken token, Time now) {
  LOCKD_CHECK(!token.is_zero(), "a release without a token");
  const uint32_t index = IndexOf(lock);
  return Append(index, histories_[index].releases,
                Release{.client = client, .token = token, .invoke = now});
}

void HistoryRecorder::OnReleaseDone(OperationId id, Time now, ReleaseOutcome outcome) {
  // Nobody knows when, or whether, an unknown one takes effect: it has no return.
  if (outcome == ReleaseOutcome::kUnknown) return;
  Release& release = histories_.at(id.lock).releases.at(id.position);
  Finish(release, now);
  release.outcome = outcome;
}

void HistoryRecorder::OnHoldEnded(const std::string& lock, FencingToken token, Time now) {
  histories_[IndexOf(lock)].ends.push_back(HoldEnd{.token = token, .earliest = now});
}

OperationId HistoryRecorder::OnInvokeObservation(const std::string& lock, uint64_t client,
                                                 ObservationKind kind, Time now) {
  const uint32_t index = IndexOf(lock);
  return Append(index, histories_[index].observations,
                Observation{.client = client, .invoke = now, .kind = kind});
}

void HistoryRecorder::OnObservationDone(OperationId id, Time now, FencingToken token) {
  Observation& observation = histories_.at(id.lock).observations.at(id.position);
  Finish(observation, now);
  observation.token = token;
}

uint64_t HistoryRecorder::operation_count() const {
  uint64_t count = 0;
  for (const History& history : histories_) {
    count += history.acquires.size() + history.releases.size() + history.observations.size();
  }
  return count;
}

}  // namespace lockd::history
