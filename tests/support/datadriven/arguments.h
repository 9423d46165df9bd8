// The words of a command, taken one by one by the verb that knows what they mean.
//
//   Arguments args(command);
//   const std::string name = args.Positional("NAME");
//   const uint64_t count = args.Number("count", 1);
//   const bool all = args.Flag("all");
//   if (const absl::Status status = args.Finish(); !status.ok()) return status;
//
// The first mistake (a missing or malformed value) is remembered, later takes return defaults, and
// Finish() reports it. Finish() also refuses words that nobody took, so a misspelt argument never
// passes in silence. All errors are InvalidArgument.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_DATADRIVEN_ARGUMENTS_H_
#define LOCKD_TESTS_SUPPORT_DATADRIVEN_ARGUMENTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tests/support/datadriven/datadriven.h"

namespace lockd::datadriven {

class Arguments {
 public:
  explicit Arguments(const Command& command);

  // -- words without `=`, in order --
  // The next one; a mistake, and empty, when there is none. `name` is for the message.
  std::string Positional(absl::string_view name);
  // The next one, or nothing.
  std::optional<std::string> OptionalPositional();
  // All that are left.
  std::vector<std::string> RestPositional();
  // True when this very word is among them; takes it.
  bool Flag(absl::string_view word);

  // -- words of the form key=value --
  std::optional<std::string> Text(absl::string_view key);
  uint64_t Number(absl::string_view key, uint64_t fallback);
  std::optional<uint64_t> OptionalNumber(absl::string_view key);
  uint64_t RequiredNumber(absl::string_view key);
  // key=(a,b,c) or key=a,b,c; an empty list when the key is missing.
  std::vector<std::string> List(absl::string_view key);
  std::vector<uint64_t> NumberList(absl::string_view key);

  // -- the lines between the command and `----` --
  std::vector<std::string> TakeInput();

  // Remembers a mistake that the verb found in a value.
  void Fail(absl::string_view mistake);
  [[nodiscard]] bool ok() const { return status_.ok(); }
  // The first mistake; else a complaint about words that nobody took; else ok.
  [[nodiscard]] absl::Status Finish() const;

 private:
  struct Word {
    std::string key;  // empty: positional
    std::string value;
    bool taken = false;
  };

  std::vector<Word> words_;
  std::vector<std::string> input_;
  absl::Status status_;
};

// "(a, b,c)" or "a,b,c" -> {"a", "b", "c"}; the empty list is "" or "()".
[[nodiscard]] std::vector<std::string> SplitList(absl::string_view list);
// Digits only, in the range of uint64_t.
[[nodiscard]] std::optional<uint64_t> ParseNumber(absl::string_view text);
// "A..B" or a single number N (which is N..N).
[[nodiscard]] std::optional<std::pair<uint64_t, uint64_t>> ParseRange(absl::string_view text);

}  // namespace lockd::datadriven

#endif  // LOCKD_TESTS_SUPPORT_DATADRIVEN_ARGUMENTS_H_
