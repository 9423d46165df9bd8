// HistoryRecorder: clients report what they do to locks, as it happens; the result is one History a
// lock.
//
//   const OperationId acquire = recorder.OnInvokeAcquire("lock-1", client, now);
//   ...
//   recorder.OnAcquireDone(acquire, now, AcquireOutcome::kGranted, token);
//   const OperationId release = recorder.OnInvokeRelease("lock-1", client, token, now);
//   recorder.OnHoldEnded("lock-1", token, now);        // the log ended it: anybody may report this
//   recorder.OnReleaseDone(release, now, ReleaseOutcome::kReleased);
//   std::string violation = CheckHistories(recorder.histories());
//
// What to report:
//   - An operation that is never done (its process crashed) is unknown: report nothing.
//   - Give an outcome only where the cluster gave it. An acquire that the client gave up
//   (cancelled,
//     unavailable, session lost) is kUnknown, a release without an answer too. kUnknown is always
//     sound, it only checks less.
//   - Report every end of a hold that the committed log shows, with the earliest moment at which
//     anybody could act on it (the first commit), ends by a release included: it is a permission.
//     Forgetting one makes a lawful history look wrong. Locks and tokens that nobody recorded are
//     welcome.
//
// An operation takes 40 bytes: 200 simulated seconds at 100 operations a second stay below one
// megabyte.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SUPPORT_HISTORY_RECORDER_H_
#define LOCKD_TESTS_SUPPORT_HISTORY_RECORDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "tests/support/history/history.h"

namespace lockd::history {

// Names one recorded operation of one recorder. A default one names none.
struct OperationId {
  static constexpr uint32_t kNone = ~uint32_t{0};
  uint32_t lock = kNone;
  uint32_t position = 0;  // among its lock's operations of its kind
  [[nodiscard]] bool is_none() const { return lock == kNone; }
};

class HistoryRecorder {
 public:
  // Time does not go back from the invocation of an operation to its end; each is done at most
  // once.
  OperationId OnInvokeAcquire(const std::string& lock, uint64_t client, Time now);
  // `token` counts with kGranted only.
  void OnAcquireDone(OperationId id, Time now, AcquireOutcome outcome, FencingToken token);
  // The acquire was granted this token, but its client may never hear of it. OnAcquireDone may
  // follow; without it the grant counts as one that never returned.
  void OnGrantSeen(OperationId id, FencingToken token);

  OperationId OnInvokeRelease(const std::string& lock, uint64_t client, FencingToken token,
                              Time now);
  void OnReleaseDone(OperationId id, Time now, ReleaseOutcome outcome);

  // From `now` on the lock may be without this hold.
  void OnHoldEnded(const std::string& lock, FencingToken token, Time now);

  // "Who owns the lock", and "is my token still good" (report only a yes).
  OperationId OnInvokeObservation(const std::string& lock, uint64_t client, ObservationKind kind,
                                  Time now);
  void OnObservationDone(OperationId id, Time now, FencingToken token);

  // In the order in which the locks were first named.
  [[nodiscard]] const std::vector<History>& histories() const { return histories_; }
  [[nodiscard]] uint64_t operation_count() const;

 private:
  uint32_t IndexOf(const std::string& lock);

  std::map<std::string, uint32_t> index_;
  std::vector<History> histories_;
};

}  // namespace lockd::history

#endif  // LOCKD_TESTS_SUPPORT_HISTORY_RECORDER_H_
