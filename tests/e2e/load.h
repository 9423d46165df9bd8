// Load: clients lock and unlock a few locks as fast as they can, while the test does things to the
// cluster. What each grant says is checked, and how long none came is measured.
//
// Threading: one thread, which makes a thread for each client.
#ifndef LOCKD_TESTS_E2E_LOAD_H_
#define LOCKD_TESTS_E2E_LOAD_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/fence_gate.h"
#include "tests/e2e/cluster.h"

namespace lockd::e2e {

class Load {
 public:
  Load(const Cluster& cluster, size_t clients, size_t locks);
  ~Load() { Stop(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void Stop();
  [[nodiscard]] uint64_t cycles() const { return cycles_; }
  [[nodiscard]] uint64_t failures() const { return failures_; }
  // Waits for so many more cycles. False: they never came.
  [[nodiscard]] bool Goes(uint64_t cycles);
  // The longest time without any grant, since the last call.
  [[nodiscard]] milliseconds TakeLongestGap();

 private:
  void Run(size_t number, const ClientOptions& options);
  // These are called while the lock is held: with two owners, both would be in here.
  void OnGrant(const std::string& name, FencingToken token);
  void BeforeRelease(const std::string& name, bool is_held);

  const size_t locks_;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint64_t> cycles_ = 0;
  std::atomic<uint64_t> failures_ = 0;
  std::mutex mutex_;
  std::map<std::string, bool> owned_;
  std::map<std::string, FenceGate> gates_;
  Clock::time_point last_grant_at_ = Clock::now();
  Clock::duration longest_gap_{};
  std::vector<std::thread> threads_;
};

}  // namespace lockd::e2e

#endif  // LOCKD_TESTS_E2E_LOAD_H_
