#include "tests/support/datadriven/datadriven.h"

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/support/datadriven/line_diff.h"

namespace lockd::datadriven {
namespace {

constexpr absl::string_view kFence = "----";

// One command of the file, and which lines of the file its parts are. Line numbers here count from
// zero; `end` is the first line after the expected output.
struct Block {
  Command command;
  std::string expected;  // with a newline at the end of each line
  size_t fence = 0;      // the line of (the first) `----`
  size_t end = 0;
};

bool IsBlank(absl::string_view line) {
  return absl::StripAsciiWhitespace(line).empty();
}

absl::Status At(absl::string_view file, size_t line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ":", line + 1, ": ", what));
}

// Splits at spaces that stand outside of double quotes and parentheses. The quotes go, the
// parentheses stay.
absl::StatusOr<std::vector<std::string>> SplitWords(absl::string_view line) {
  std::vector<std::string> words;
  std::optional<std::string> word;
  bool quoted = false;
  int depth = 0;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
      if (!word) word.emplace();
      continue;
    }
    if (!quoted && c == '(') ++depth;
    if (!quoted && c == ')') --depth;
    if (depth < 0) return absl::InvalidArgumentError("closing parenthesis without an opening one");
    if (!quoted && depth == 0 && (c == ' ' || c == '\t')) {
      if (word) words.push_back(*std::exchange(word, std::nullopt));
      continue;
    }
    if (!word) word.emplace();
    word->push_back(c);
  }
  if (quoted) return absl::InvalidArgumentError("quote is not closed");
  if (depth > 0) return absl::InvalidArgumentError("parenthesis is not closed");
  if (word) words.push_back(*std::move(word));
  return words;
}

// Reads the blocks from the lines of a file.
class Parser {
 public:
  Parser(absl::string_view file, const std::vector<absl::string_view>& lines)
      : file_(file), lines_(lines) {}

  absl::StatusOr<std::vector<Block>> Parse() {
    std::vector<Block> blocks;
    while (SkipToCommand()) {
      absl::StatusOr<Block> block = ParseBlock();
      if (!block.ok()) return block.status();
      blocks.push_back(*std::move(block));
    }
    return blocks;
  }

 private:
  bool SkipToCommand() {
    while (next_ < lines_.size() &&
           (IsBlank(lines_[next_]) || absl::StartsWith(lines_[next_], "#"))) {
      ++next_;
    }
    return next_ < lines_.size();
  }

  absl::StatusOr<Block> ParseBlock() {
    Block block;
    const size_t start = next_++;
    if (lines_[start] == kFence) {
      return At(file_, start,
                "`----` without a command before it (does an earlier output hold a blank line "
                "without doubled fences?)");
    }
    absl::StatusOr<Command> command = ParseCommandLine(lines_[start]);
    if (!command.ok()) return At(file_, start, command.status().message());
    block.command = *std::move(command);
    block.command.file = std::string(file_);
    block.command.line = static_cast<int>(start + 1);
    while (next_ < lines_.size() && lines_[next_] != kFence) {
      if (IsBlank(lines_[next_])) {
        return At(file_, start, "command without `----` before the next blank line");
      }
      block.command.input.emplace_back(lines_[next_++]);
    }
    if (next_ == lines_.size()) return At(file_, start, "command without `----` at the end");
    block.fence = next_++;
    if (const absl::Status status = ParseExpected(block); !status.ok()) return status;
    block.end = next_;
    return block;
  }

  absl::Status ParseExpected(Block& block) {
    const bool doubled = next_ < lines_.size() && lines_[next_] == kFence;
    if (!doubled) {
      for (; next_ < lines_.size() && !IsBlank(lines_[next_]); ++next_) {
        absl::StrAppend(&block.expected, lines_[next_], "\n");
      }
      return absl::OkStatus();
    }
    for (++next_; next_ + 1 < lines_.size(); ++next_) {
      if (lines_[next_] == kFence && lines_[next_ + 1] == kFence) {
        next_ += 2;
        return absl::OkStatus();
      }
      absl::StrAppend(&block.expected, lines_[next_], "\n");
    }
    return At(file_, block.fence, "doubled `----` is never closed by another doubled `----`");
  }

  const absl::string_view file_;
  const std::vector<absl::string_view>& lines_;
  size_t next_ = 0;
};

std::vector<absl::string_view> SplitLines(absl::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

bool HasBlankLine(absl::string_view output) {
  for (const absl::string_view line : SplitLines(output)) {
    if (IsBlank(line)) return true;
  }
  return false;
}

void AppendLines(std::string& to, const std::vector<absl::string_view>& lines, size_t from,
                 size_t end) {
  for (size_t i = from; i < end; ++i) absl::StrAppend(&to, lines[i], "\n");
}

void AppendOutput(std::string& to, const std::string& output) {
  const absl::string_view fence = HasBlankLine(output) ? "----\n----\n" : "----\n";
  absl::StrAppend(&to, fence, output, fence.size() > kFence.size() + 1 ? fence : "");
}

Result BadScript(const absl::Status& status, absl::string_view text) {
  return {.outcome = Outcome::kBadScript,
          .report = absl::StrCat(status.message(), "\n"),
          .rewritten = std::string(text),
          .may_rewrite = false};
}

// The handler ended the script at this command.
Result Refused(const Command& command, const absl::Status& status, absl::string_view text,
               Result so_far) {
  const bool bad = absl::IsInvalidArgument(status);
  so_far.outcome = bad ? Outcome::kBadScript : Outcome::kMismatch;
  absl::StrAppend(&so_far.report, command.location(), ": `", command.text, "`: ", status.message(),
                  "\n");
  so_far.rewritten = std::string(text);
  so_far.may_rewrite = false;
  return so_far;
}

}  // namespace

std::string Command::location() const {
  return absl::StrCat(file, ":", line);
}

absl::StatusOr<Command> ParseCommandLine(absl::string_view line) {
  absl::StatusOr<std::vector<std::string>> words = SplitWords(line);
  if (!words.ok()) return words.status();
  if (words->empty()) return absl::InvalidArgumentError("empty command line");
  Command command;
  command.verb = std::move(words->front());
  command.words.assign(std::make_move_iterator(words->begin() + 1),
                       std::make_move_iterator(words->end()));
  command.text = std::string(line);
  return command;
}

absl::StatusOr<std::vector<Command>> ParseScript(absl::string_view file, absl::string_view text) {
  const std::vector<absl::string_view> lines = SplitLines(text);
  absl::StatusOr<std::vector<Block>> blocks = Parser(file, lines).Parse();
  if (!blocks.ok()) return blocks.status();
  std::vector<Command> commands;
  for (Block& block : *blocks) commands.push_back(std::move(block.command));
  return commands;
}

Result RunScript(absl::string_view file, absl::string_view text, const Handler& handler) {
  const std::vector<absl::string_view> lines = SplitLines(text);
  const absl::StatusOr<std::vector<Block>> blocks = Parser(file, lines).Parse();
  if (!blocks.ok()) return BadScript(blocks.status(), text);
  if (blocks->empty()) {
    // A script that tests nothing must not pass.
    return BadScript(absl::InvalidArgumentError(absl::StrCat(file, ": holds no command")), text);
  }
  Result result;
  size_t copied = 0;  // lines of the file that are in result.rewritten
  for (const Block& block : *blocks) {
    absl::StatusOr<std::string> output = handler(block.command);
    if (!output.ok()) return Refused(block.command, output.status(), text, std::move(result));
    if (!output->empty() && output->back() != '\n') output->push_back('\n');
    AppendLines(result.rewritten, lines, copied, block.fence);
    copied = block.end;
    if (*output == block.expected) {
      AppendLines(result.rewritten, lines, block.fence, block.end);
      continue;
    }
    result.outcome = Outcome::kMismatch;
    AppendOutput(result.rewritten, *output);
    absl::StrAppend(&result.report, block.command.location(), ": `", block.command.text,
                    "` printed something else (- expected, + actual):\n",
                    LineDiff(block.expected, *output));
  }
  AppendLines(result.rewritten, lines, copied, lines.size());
  return result;
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    // An empty file sets the fail bit of `text` too: it is not a script.
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read, or is empty"));
  }
  return text.str();
}

absl::Status WriteTextFile(const std::string& path, absl::string_view text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) return absl::UnavailableError(absl::StrCat(path, ": cannot be written"));
  return absl::OkStatus();
}

Result RunScriptFile(const std::string& path, const Handler& handler, bool rewrite) {
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) return BadScript(text.status(), "");
  Result result = RunScript(path, *text, handler);
  if (rewrite && result.outcome == Outcome::kMismatch && result.may_rewrite) {
    if (const absl::Status status = WriteTextFile(path, result.rewritten); !status.ok()) {
      return BadScript(status, *text);
    }
    result.outcome = Outcome::kMatch;
  }
  return result;
}

bool RewriteRequested() {
  const char* value = std::getenv("LOCKD_REWRITE");
  return value != nullptr && absl::string_view(value) == "1";
}

}  // namespace lockd::datadriven
