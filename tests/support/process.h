// Process: a program under test, with what it prints.
//
//   Process node = Process::Start("lockd", {"--client-listen", "127.0.0.1:0"});
//   std::string line = node.AwaitError("clients at");
//   node.Signal(SIGTERM);
//   EXPECT_EQ(node.Await(), 0);
//
// Programs are those of this build. Every wait is bounded; one that runs out fails the test and
// says what the program had printed. A program that still runs at the end of the test is killed.
// A program does not outlive the thread that started it, however that ends.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SUPPORT_PROCESS_H_
#define LOCKD_TESTS_SUPPORT_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lockd::testing {

using Words = std::vector<std::string>;

struct ProcessOptions {
  Words environment{};           // NAME=VALUE, before those of this process
  std::string error_path{};      // standard error is appended to this file, and error() stays empty
  uint64_t descriptors_max = 0;  // how many files it may open; 0: as many as this process
  bool has_input = false;        // WriteLine goes to its standard input, which is empty otherwise
};

class Process {
 public:
  static constexpr std::chrono::seconds kPatience{60};

  // `program`: a name in the build's bin folder, or an absolute path.
  static Process Start(const std::string& program, const Words& arguments,
                       const ProcessOptions& options = {});
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();

  void Signal(int signal) const;
  void WriteLine(const std::string& line) const;
  [[nodiscard]] bool is_running();
  // Exit status, 128+N when signal N ended it; -1 when it does not end.
  int Await(std::chrono::milliseconds patience = kPatience);
  // The first line on stdout or stderr that contains `text`, without its end; empty when it ends or
  // patience runs out before.
  std::string AwaitOutput(const std::string& text, std::chrono::milliseconds patience = kPatience);
  std::string AwaitError(const std::string& text, std::chrono::milliseconds patience = kPatience);

  [[nodiscard]] pid_t pid() const { return pid_; }
  // What has been read so far; all of it after Await.
  [[nodiscard]] const std::string& output() const { return output_.text; }
  [[nodiscard]] const std::string& error() const { return error_.text; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Stream {
    int fd = -1;
    std::string text;
  };

  Process() = default;
  std::string AwaitLine(const Stream& stream, const std::string& text,
                        std::chrono::milliseconds patience);
  // Waits for output or the end, until then. False: time is over.
  bool Poll(Clock::time_point until);
  void ReadAll();
  static void ReadFrom(Stream& stream);
  [[nodiscard]] std::string Describe() const;

  std::string command_;
  pid_t pid_ = 0;
  int pid_fd_ = -1;
  bool has_ended_ = false;
  int exit_status_ = -1;
  int input_fd_ = -1;
  Stream output_;
  Stream error_;
};

struct ProcessResult {
  int exit_status = -1;
  std::string output;
  std::string error;
};
// Runs it to its end.
ProcessResult RunProcess(const std::string& program, const Words& arguments,
                         const ProcessOptions& options = {});

// Whether a process of that number ends, or has ended, within the time.
bool AwaitEndOf(pid_t pid, std::chrono::milliseconds patience = Process::kPatience);

}  // namespace lockd::testing

#endif  // LOCKD_TESTS_SUPPORT_PROCESS_H_
