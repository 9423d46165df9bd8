#include "tests/support/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

namespace lockd::testing {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// The C library's header for this call lacks its extern "C" in Debian 12.
int PidfdOpen(pid_t pid, unsigned int flags) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, flags));
}

std::vector<char*> Pointers(const Words& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// This process's environment, with what the test sets in front, where getenv finds it first.
Words EnvironmentWith(const Words& own) {
  Words environment = own;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('=') + 1);
    const bool is_set = std::any_of(own.begin(), own.end(),
                                    [&](const std::string& set) { return set.starts_with(name); });
    if (!is_set) environment.push_back(text);
  }
  return environment;
}

int PollMs(Clock::time_point until) {
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

}  // namespace

Process Process::Start(const std::string& program, const Words& arguments,
                       const ProcessOptions& options) {
  Process process;
  const std::string path =
      program.starts_with("/") ? program : std::string(LOCKD_BIN_DIR "/") + program;
  Words words = {path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  for (const std::string& word : words) process.command_ += word + " ";

  std::array<int, 2> input{};
  std::array<int, 2> output{};
  std::array<int, 2> error{};
  if (pipe2(input.data(), O_CLOEXEC) != 0 || pipe2(output.data(), O_CLOEXEC) != 0 ||
      pipe2(error.data(), O_CLOEXEC) != 0) {
    ADD_FAILURE() << "no pipes";
    process.has_ended_ = true;
    return process;
  }
  // Everything that allocates is done before the fork: other threads may hold any lock.
  const Words all = EnvironmentWith(options.environment);
  const std::vector<char*> argv = Pointers(words);
  const std::vector<char*> envp = Pointers(all);
  process.pid_ = fork();
  if (process.pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGPIPE, SIG_DFL);
    if (!options.error_path.empty()) {
      dup2(open(options.error_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644), error[1]);
    }
    if (options.descriptors_max > 0) {
      const rlimit limit{options.descriptors_max, options.descriptors_max};
      setrlimit(RLIMIT_NOFILE, &limit);
    }
    dup2(input[0], STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    dup2(error[1], STDERR_FILENO);
    execve(path.c_str(), argv.data(), envp.data());
    _exit(127);
  }
  close(input[0]);
  close(output[1]);
  close(error[1]);
  if (options.has_input) {
    process.input_fd_ = input[1];
  } else {
    close(input[1]);
  }
  process.output_.fd = output[0];
  process.error_.fd = error[0];
  if (process.pid_ < 0) {
    ADD_FAILURE() << process.command_ << ": cannot be started";
    process.pid_ = 0;
    process.has_ended_ = true;
    return process;
  }
  for (const int fd : {output[0], error[0]}) fcntl(fd, F_SETFL, O_NONBLOCK);
  process.pid_fd_ = PidfdOpen(process.pid_, 0);
  return process;
}

Process::Process(Process&& other) noexcept
    : command_(std::move(other.command_)),
      pid_(std::exchange(other.pid_, 0)),
      pid_fd_(std::exchange(other.pid_fd_, -1)),
      has_ended_(std::exchange(other.has_ended_, true)),
      exit_status_(other.exit_status_),
      input_fd_(std::exchange(other.input_fd_, -1)),
      output_(std::exchange(other.output_, {})),
      error_(std::exchange(other.error_, {})) {}

Process::~Process() {
  if (pid_ != 0 && !has_ended_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  for (const int fd : {pid_fd_, input_fd_, output_.fd, error_.fd}) {
    if (fd >= 0) close(fd);
  }
}

void Process::Signal(int signal) const {
  if (!has_ended_) kill(pid_, signal);
}

void Process::WriteLine(const std::string& line) const {
  const std::string bytes = line + "\n";
  EXPECT_EQ(write(input_fd_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()))
      << command_ << " does not read";
}

bool Process::is_running() {
  if (!has_ended_) Poll(Clock::now());
  return !has_ended_;
}

int Process::Await(milliseconds patience) {
  const Clock::time_point until = Clock::now() + patience;
  while (!has_ended_) {
    if (!Poll(until)) {
      ADD_FAILURE() << "does not end: " << Describe();
      return -1;
    }
  }
  return exit_status_;
}

std::string Process::AwaitOutput(const std::string& text, milliseconds patience) {
  return AwaitLine(output_, text, patience);
}

std::string Process::AwaitError(const std::string& text, milliseconds patience) {
  return AwaitLine(error_, text, patience);
}

std::string Process::AwaitLine(const Stream& stream, const std::string& text,
                               milliseconds patience) {
  const Clock::time_point until = Clock::now() + patience;
  for (;;) {
    const size_t found = stream.text.find(text);
    const size_t end = found == std::string::npos ? found : stream.text.find('\n', found);
    if (end != std::string::npos) {
      const size_t previous = stream.text.rfind('\n', found);
      const size_t begin = previous == std::string::npos ? 0 : previous + 1;
      return stream.text.substr(begin, end - begin);
    }
    if (has_ended_ || !Poll(until)) {
      ADD_FAILURE() << "no line with \"" << text << "\": " << Describe();
      return "";
    }
  }
}

bool Process::Poll(Clock::time_point until) {
  std::array<pollfd, 3> waits = {pollfd{pid_fd_, POLLIN, 0}, pollfd{output_.fd, POLLIN, 0},
                                 pollfd{error_.fd, POLLIN, 0}};
  const int ready = poll(waits.data(), waits.size(), PollMs(until));
  ReadAll();
  if (ready > 0 && waits[0].revents != 0) {
    int wait_status = 0;
    if (waitpid(pid_, &wait_status, WNOHANG) == pid_) {
      has_ended_ = true;
      exit_status_ =
          WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
      ReadAll();
    }
  }
  return ready > 0;
}

void Process::ReadAll() {
  ReadFrom(output_);
  ReadFrom(error_);
}

void Process::ReadFrom(Stream& stream) {
  std::array<char, 4096> buffer{};
  while (stream.fd >= 0) {
    const ssize_t count = read(stream.fd, buffer.data(), buffer.size());
    if (count > 0) {
      stream.text.append(buffer.data(), static_cast<size_t>(count));
      continue;
    }
    if (count < 0 && errno == EAGAIN) return;
    // poll ignores a negative descriptor.
    close(std::exchange(stream.fd, -1));
  }
}

std::string Process::Describe() const {
  return command_ + "\n-- stdout\n" + output_.text + "\n-- stderr\n" + error_.text;
}

ProcessResult RunProcess(const std::string& program, const Words& arguments,
                         const ProcessOptions& options) {
  Process process = Process::Start(program, arguments, options);
  const int exit_status = process.Await();
  return {exit_status, process.output(), process.error()};
}

bool AwaitEndOf(pid_t pid, milliseconds patience) {
  const int fd = PidfdOpen(pid, 0);
  if (fd < 0) return errno == ESRCH;
  pollfd wait = {fd, POLLIN, 0};
  const int ready = poll(&wait, 1, static_cast<int>(patience.count()));
  close(fd);
  return ready > 0;
}

}  // namespace lockd::testing
