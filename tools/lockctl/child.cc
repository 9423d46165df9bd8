#include "tools/lockctl/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tools/lockctl/exit_status.h"

namespace lockd::lockctl {
namespace {

// The foreground of the terminal on stdin is this process's.
bool HasForeground() {
  return isatty(STDIN_FILENO) == 1 && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

// Moving the terminal from the background stops the mover, unless it blocks the signal.
void GiveForegroundTo(pid_t group) {
  sigset_t ttou;
  sigset_t old;
  sigemptyset(&ttou);
  sigaddset(&ttou, SIGTTOU);
  sigprocmask(SIG_BLOCK, &ttou, &old);
  tcsetpgrp(STDIN_FILENO, group);
  sigprocmask(SIG_SETMASK, &old, nullptr);
}

std::vector<std::string> EnvironmentWith(
    const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool is_replaced = false;
    for (const auto& [name, value] : variables) {
      const std::string prefix = absl::StrCat(name, "=");
      is_replaced = is_replaced || std::strncmp(*entry, prefix.c_str(), prefix.size()) == 0;
    }
    if (!is_replaced) environment.emplace_back(*entry);
  }
  for (const auto& [name, value] : variables) environment.push_back(absl::StrCat(name, "=", value));
  return environment;
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The child's side of fork: only calls that are safe there. Does not return.
[[noreturn]] void BecomeCommand(char* const* argv, char* const* envp, pid_t parent,
                                bool takes_terminal, int exec_error_pipe, const sigset_t& mask) {
  setpgid(0, 0);
  if (takes_terminal) tcsetpgrp(STDIN_FILENO, getpid());
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before the line above.
  if (getppid() != parent) _exit(kExitFailure);
  // All signals are blocked until here: our handlers, which exec takes away, must not run in the
  // child, where they would tell the parent.
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD, SIGPIPE}) {
    std::signal(signal, SIG_DFL);
  }
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  execvpe(argv[0], argv, envp);
  const int error = errno;
  // Whether it could be written decides only about the message.
  const ssize_t written = write(exec_error_pipe, &error, sizeof(error));
  static_cast<void>(written);
  _exit(error == ENOENT ? kExitNotFound : kExitNotRunnable);
}

}  // namespace

absl::StatusOr<Child> Child::Start(
    const std::vector<std::string>& command,
    const std::vector<std::pair<std::string, std::string>>& variables) {
  // Everything that allocates comes before fork.
  const std::vector<std::string> environment = EnvironmentWith(variables);
  const std::vector<char*> argv = Pointers(command);
  const std::vector<char*> envp = Pointers(environment);
  const bool takes_terminal = HasForeground();
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe");
  }
  sigset_t all;
  sigset_t mask;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &mask);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  const int fork_error = errno;
  if (pid == 0) {
    BecomeCommand(argv.data(), envp.data(), parent, takes_terminal, pipe_ends[1], mask);
  }
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  close(pipe_ends[1]);
  if (pid < 0) {
    close(pipe_ends[0]);
    return absl::ErrnoToStatus(fork_error, "cannot start another process");
  }
  // In both processes: whoever is first, the group exists from here on.
  setpgid(pid, pid);
  return Child(pid, pipe_ends[0], takes_terminal);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      exec_error_pipe_(std::exchange(other.exec_error_pipe_, -1)),
      has_terminal_(std::exchange(other.has_terminal_, false)) {}

Child::~Child() {
  if (exec_error_pipe_ >= 0) close(exec_error_pipe_);
}

void Child::Signal(int signal) const {
  if (pid_ == 0) return;
  kill(-pid_, signal);
  // What is stopped acts on a signal only when it goes on.
  if (signal != SIGKILL) kill(-pid_, SIGCONT);
}

std::optional<Child::End> Child::Reap(bool kill_group) {
  if (pid_ == 0) return std::nullopt;
  // Looked at first and reaped after the group has been signalled: as long as the dead child is
  // there, nobody else can get its number.
  siginfo_t info{};
  const int flags = WEXITED | WSTOPPED | WNOHANG | WNOWAIT;
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, flags) != 0 || info.si_pid == 0) {
    return std::nullopt;
  }
  int wait_status = 0;
  if (info.si_code == CLD_STOPPED) {
    waitpid(pid_, &wait_status, WNOHANG | WUNTRACED);
    // Ctrl-Z: nobody could bring it back, as the shell waits for lockctl and not for the child.
    if (has_terminal_ && info.si_status == SIGTSTP) kill(-pid_, SIGCONT);
    return std::nullopt;
  }
  if (kill_group) kill(-pid_, SIGKILL);
  if (waitpid(pid_, &wait_status, WNOHANG) != pid_) return std::nullopt;
  if (has_terminal_) GiveForegroundTo(getpgrp());
  pid_ = 0;
  End end;
  end.exit_status =
      WIFSIGNALED(wait_status) ? kExitSignalBase + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
  int error = 0;
  if (read(exec_error_pipe_, &error, sizeof(error)) == sizeof(error)) end.exec_error = error;
  return end;
}

}  // namespace lockd::lockctl
