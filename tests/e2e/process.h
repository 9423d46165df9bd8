// Process: a child process of a test: started, watched, signalled, and never left behind.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_E2E_PROCESS_H_
#define LOCKD_TESTS_E2E_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace lockd::e2e {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long anything may take on a machine that is busy with other tests, before it counts as never.
inline constexpr milliseconds kPatience{30'000};

class Process {
 public:
  // `argv[0]` is a path. Standard error goes to `log_path` (appended), or where the test's goes
  // when empty.
  explicit Process(const std::vector<std::string>& argv, const std::string& log_path = "");
  // Kills it if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int signal) const;
  // The exit status, 128 + n when signal n killed it; nothing if it still runs after `patience`.
  std::optional<int> Wait(milliseconds patience = kPatience);
  [[nodiscard]] bool is_running();

  // A line of its standard output without the end; nothing at its end or after `patience`.
  std::optional<std::string> ReadLine(milliseconds patience = kPatience);
  // All that it still prints until it ends.
  std::string ReadAll();
  void WriteLine(const std::string& line) const;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  bool Fill(milliseconds patience);

  pid_t pid_ = -1;
  int stdin_ = -1;
  int stdout_ = -1;
  std::string unread_;
  std::optional<int> exit_status_;
};

}  // namespace lockd::e2e

#endif  // LOCKD_TESTS_E2E_PROCESS_H_
