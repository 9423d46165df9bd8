// Scripts as tests: a text file holds commands and what each of them printed when a person last
// looked at it.
//
//   # Comments tell the story. They and blank lines stand between the commands.
//   propose 1 payload=hello
//   ----
//   accepted at 2 in term 1
//
// A command is one line: a verb, then words. A word is `value`, `key=value` or `key=(v1, v2)`;
// double quotes keep spaces together. Lines between the command and `----` are its input. The
// expected output ends at the first blank line; output that itself has blank lines stands between
// doubled fences:
//
//   print-something
//   ----
//   ----
//   first
//
//   second
//   ----
//   ----
//
// RunScript hands the commands to a handler, one by one, and compares. It reports a mismatch as a
// line diff headed by file:line, and gives the whole text back with the outputs that it saw, which
// is how a script is recorded (LOCKD_REWRITE=1): comments and layout stay as they are.
//
// Threading: pure value (the two file functions read and write files).
#ifndef LOCKD_TESTS_SUPPORT_DATADRIVEN_DATADRIVEN_H_
#define LOCKD_TESTS_SUPPORT_DATADRIVEN_DATADRIVEN_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lockd::datadriven {

struct Command {
  std::string verb;
  std::vector<std::string> words;  // after the verb; see Arguments for their meaning
  std::vector<std::string> input;  // lines between the command line and `----`
  std::string text;                // the command line as written
  std::string file;
  int line = 0;  // of the command line, from 1

  [[nodiscard]] std::string location() const;  // "file:line"
};

// Carries out one command and returns its output (lines; a missing last newline is added).
//
// A status instead of an output ends the script. InvalidArgument means that the script is wrong
// (an unknown verb, a bad argument) and needs no location, RunScript adds it. Any other code means
// that what the script tests is wrong in a way that no expected output may hide, such as a broken
// safety rule: it is a mismatch that recording does not accept.
using Handler = std::function<absl::StatusOr<std::string>(const Command&)>;

enum class Outcome {
  kMatch,
  kMismatch,  // at least one output differs, or the handler refused to go on
  kBadScript,
};

struct Result {
  Outcome outcome = Outcome::kMatch;
  std::string report;     // empty on a match; else diffs or the error, each headed by file:line
  std::string rewritten;  // the script with the actual outputs; equal to the text on a match
  // False after a bad script or a refusal of the handler: `rewritten` is not to be kept.
  bool may_rewrite = true;
};

// Runs all commands of `text`; `file` is only used in messages. Goes on after a difference, so that
// the report shows all of them.
[[nodiscard]] Result RunScript(absl::string_view file, absl::string_view text,
                               const Handler& handler);

// The commands of a script, without running them.
[[nodiscard]] absl::StatusOr<std::vector<Command>> ParseScript(absl::string_view file,
                                                               absl::string_view text);

// One command line cut into verb and words; file, line and input stay empty.
[[nodiscard]] absl::StatusOr<Command> ParseCommandLine(absl::string_view line);

[[nodiscard]] absl::StatusOr<std::string> ReadTextFile(const std::string& path);
[[nodiscard]] absl::Status WriteTextFile(const std::string& path, absl::string_view text);

// RunScript over a file. With `rewrite`, a mismatch that may be rewritten is recorded in the file
// and counts as a match; its diff is still in the report, for review.
[[nodiscard]] Result RunScriptFile(const std::string& path, const Handler& handler, bool rewrite);

// True when the environment says LOCKD_REWRITE=1: what tests pass for `rewrite`.
[[nodiscard]] bool RewriteRequested();

}  // namespace lockd::datadriven

#endif  // LOCKD_TESTS_SUPPORT_DATADRIVEN_DATADRIVEN_H_
