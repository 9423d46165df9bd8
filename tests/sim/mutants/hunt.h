// Hunt: simulations with one mutation on, seed after seed, until one breaks an invariant.
//
// Each seed runs in a child process, because a broken invariant ends the process. The owner polls
// fd() and calls OnReadable() when it has something to say.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_MUTANTS_HUNT_H_
#define LOCKD_TESTS_SIM_MUTANTS_HUNT_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace lockd::mutants {

class Hunt {
 public:
  enum class State : uint8_t {
    kRunning,
    kFound,      // seed() broke an invariant: said()
    kSurvived,   // all seeds passed
    kOutOfTime,  // the CPU limit was reached before
  };

  // `mutant` is a Mutant::id; zero runs the product as it is. The CPU time of all seeds together is
  // limited.
  Hunt(uint64_t mutant, uint64_t first_seed, uint64_t last_seed, double cpu_s_max);
  ~Hunt();
  Hunt(const Hunt&) = delete;
  Hunt& operator=(const Hunt&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  // Takes what the child says; at its end judges it and goes on to the next seed.
  void OnReadable();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] uint64_t seed() const { return seed_; }
  [[nodiscard]] const std::string& said() const { return said_; }
  [[nodiscard]] double cpu_s() const { return cpu_s_; }

 private:
  void StartChild();
  [[noreturn]] void RunChild(int output) const;
  void JudgeChild();

  const uint64_t mutant_;
  const uint64_t last_seed_;
  const double cpu_s_max_;
  State state_ = State::kRunning;
  uint64_t seed_;
  std::string said_;
  double cpu_s_ = 0;
  pid_t pid_ = -1;
  int fd_ = -1;
};

}  // namespace lockd::mutants

#endif  // LOCKD_TESTS_SIM_MUTANTS_HUNT_H_
