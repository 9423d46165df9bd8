// Lockable: one named lock with the interface that std::unique_lock and std::scoped_lock expect.
//
//   lockd::Lockable resource(session, "resource1");
//   std::scoped_lock guard(resource);
//   storage.Write(data, resource.token());
//
// Prefer DistributedLock: this interface cannot say that a lock was lost in the middle, and what it
// guards should check the token all the more.
//
// lock() throws std::system_error when the lock cannot be had (the session is lost, a limit is
// reached): the standard's way to say so, and the only place where lockd throws. try_lock() and
// try_lock_for() return false instead.
//
// Threading: like a mutex object that is used by one task: lock() and unlock() alternate; different
// tasks use a Lockable of their own, also for the same name.
#ifndef LOCKD_CLIENT_LOCKABLE_H_
#define LOCKD_CLIENT_LOCKABLE_H_

#include <chrono>
#include <string>

#include "client/blocking_client.h"
#include "client/distributed_lock.h"

namespace lockd {

class Lockable {
 public:
  Lockable(BlockingSession session, std::string name);
  Lockable(const Lockable&) = delete;
  Lockable& operator=(const Lockable&) = delete;

  void lock();
  [[nodiscard]] bool try_lock();
  template <typename Rep, typename Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> wait) {
    return TryFor(std::chrono::ceil<std::chrono::milliseconds>(wait));
  }
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> until) {
    return try_lock_for(until - Clock::now());
  }
  // Waits until the server has released it (or the operation timeout is over).
  void unlock();

  [[nodiscard]] bool held() const { return lock_.held(); }
  [[nodiscard]] FencingToken token() const { return lock_.token(); }
  [[nodiscard]] const DistributedLock& distributed_lock() const { return lock_; }

 private:
  bool TryFor(std::chrono::milliseconds wait);

  const BlockingSession session_;
  const std::string name_;
  DistributedLock lock_;
};

}  // namespace lockd

#endif  // LOCKD_CLIENT_LOCKABLE_H_
