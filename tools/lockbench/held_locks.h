// HeldLocks: locks that are acquired before a measurement and held to its end, so that the state of
// the cluster is as large as one likes.
//
// They belong to sessions of their own, with names that no logical client of the load draws.
//
// Threading: loop only. Outlives the run of the io_context.
#ifndef LOCKD_TOOLS_LOCKBENCH_HELD_LOCKS_H_
#define LOCKD_TOOLS_LOCKBENCH_HELD_LOCKS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "client/client.h"
#include "client/session.h"

namespace lockd::lockbench {

class HeldLocks {
 public:
  HeldLocks(Client& client, uint64_t count, std::string prefix);

  // Acquires all of them. `done` gets the first error.
  void Acquire(absl::AnyInvocable<void(absl::Status)> done);
  // Closes the sessions, which frees the locks.
  void Close(absl::AnyInvocable<void()> done);

  [[nodiscard]] uint64_t acquired() const { return locks_.size(); }

 private:
  static constexpr uint64_t kLocksPerSession = 100'000;
  static constexpr uint64_t kInFlightMax = 1'024;

  void OpenNext();
  void AcquireMore();
  void OnAcquired(AcquireResult result);
  void Finish(const absl::Status& status);

  Client& client_;
  const uint64_t count_;
  const std::string prefix_;
  std::vector<Session> sessions_;
  std::vector<DistributedLock> locks_;
  uint64_t asked_ = 0;
  absl::AnyInvocable<void(absl::Status)> acquired_;
  absl::AnyInvocable<void()> closed_;
  size_t closing_ = 0;
};

}  // namespace lockd::lockbench

#endif  // LOCKD_TOOLS_LOCKBENCH_HELD_LOCKS_H_
