// Scheduler: the one thing that happens next, in simulated time.
//
// Everything in a simulation is an event at a time; events of one time run in the order in which
// they were scheduled. No thread, no clock: a run is a function of its seed.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_SCHEDULER_H_
#define LOCKD_TESTS_SIM_SCHEDULER_H_

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "protocol/base/check.h"

namespace lockd::sim {

// Simulated nanoseconds since the start of the run: the time that no process in it can see.
using Time = int64_t;
inline constexpr Time kMicros = 1'000;
inline constexpr Time kMillis = 1'000'000;
inline constexpr Time kSeconds = 1'000'000'000;

class Scheduler {
 public:
  using Action = std::function<void()>;

  [[nodiscard]] Time now() const { return now_; }
  [[nodiscard]] uint64_t events_run() const { return events_run_; }

  void At(Time time, Action action) {
    LOCKD_CHECK(time >= now_, "an event in the past");
    events_.push({time, next_sequence_++, std::move(action)});
  }
  void After(Time delay, Action action) { At(now_ + delay, std::move(action)); }

  // Runs the next event if it is due by `deadline`; else moves time there and returns false.
  bool RunNext(Time deadline) {
    if (events_.empty() || events_.top().time > deadline) {
      now_ = deadline;
      return false;
    }
    // The queue only hands out constant references; the action is moved out of what is popped next.
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = event.time;
    ++events_run_;
    event.action();
    return true;
  }

 private:
  struct Event {
    Time time;
    uint64_t sequence;
    Action action;
    bool operator<(const Event& other) const {  // std::priority_queue gives the largest first
      return time != other.time ? time > other.time : sequence > other.sequence;
    }
  };

  Time now_ = 0;
  uint64_t next_sequence_ = 0;
  uint64_t events_run_ = 0;
  std::priority_queue<Event> events_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SCHEDULER_H_
