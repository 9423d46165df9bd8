// Child: the command that runs under a lock, in a process group of its own.
//
// When this process dies, the kernel kills the child. When the terminal's foreground was ours, the
// child gets it, so that it can read from the terminal and Ctrl-C reaches it directly.
//
// Threading: the thread that starts it must live as long as the child may: its end counts as this
// process's death.
#ifndef LOCKD_TOOLS_LOCKCTL_CHILD_H_
#define LOCKD_TOOLS_LOCKCTL_CHILD_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace lockd::lockctl {

class Child {
 public:
  // Variables are added to the environment. A command that cannot be run shows when it is reaped.
  static absl::StatusOr<Child> Start(
      const std::vector<std::string>& command,
      const std::vector<std::pair<std::string, std::string>>& variables);

  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();

  // To the whole group; does nothing when the child has been reaped.
  void Signal(int signal) const;

  struct End {
    int exit_status = 0;  // 128+N when signal N killed it
    int exec_error = 0;   // errno; 0: the command ran
  };
  // To be called after SIGCHLD: the end of the child, once. `kill_group`: what it leaves behind in
  // its group is killed.
  [[nodiscard]] std::optional<End> Reap(bool kill_group);

 private:
  Child(pid_t pid, int exec_error_pipe, bool has_terminal)
      : pid_(pid), exec_error_pipe_(exec_error_pipe), has_terminal_(has_terminal) {}

  pid_t pid_;  // and process group; 0 once reaped
  int exec_error_pipe_;
  bool has_terminal_;
};

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_CHILD_H_
