#include "tests/e2e/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <utility>

#include "protocol/base/check.h"

namespace lockd::e2e {

Process::Process(const std::vector<std::string>& argv, const std::string& log_path) {
  int in[2];
  int out[2];
  LOCKD_CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "no pipe");
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_ = fork();
  LOCKD_CHECK(pid_ >= 0, "no process");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that dies takes its processes along
    std::signal(SIGPIPE, SIG_DFL);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    if (!log_path.empty()) {
      const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
      if (log >= 0) dup2(log, STDERR_FILENO);
    }
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  stdin_ = in[1];
  stdout_ = out[0];
  std::signal(SIGPIPE, SIG_IGN);  // a write to a child that has died is an error, not our end
}

Process::~Process() {
  if (is_running()) {
    Signal(SIGKILL);
    Wait();
  }
  close(stdin_);
  close(stdout_);
}

void Process::Signal(int signal) const {
  if (!exit_status_) kill(pid_, signal);
}

std::optional<int> Process::Wait(milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (is_running()) {
    if (Clock::now() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return exit_status_;
}

bool Process::is_running() {
  if (exit_status_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

bool Process::Fill(milliseconds patience) {
  pollfd polled{stdout_, POLLIN, 0};
  if (poll(&polled, 1, static_cast<int>(patience.count())) <= 0) return false;
  char buffer[4096];
  const ssize_t count = read(stdout_, buffer, sizeof(buffer));
  if (count <= 0) return false;
  unread_.append(buffer, static_cast<size_t>(count));
  return true;
}

std::optional<std::string> Process::ReadLine(milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (true) {
    const size_t end = unread_.find('\n');
    if (end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    if (left.count() <= 0 || !Fill(left)) return std::nullopt;
  }
}

std::string Process::ReadAll() {
  while (Fill(kPatience)) {
  }
  return std::exchange(unread_, std::string());
}

void Process::WriteLine(const std::string& line) const {
  const std::string bytes = line + "\n";
  LOCKD_CHECK(write(stdin_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
              "the process does not read");
}

}  // namespace lockd::e2e
