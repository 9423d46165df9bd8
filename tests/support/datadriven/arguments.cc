#include "tests/support/datadriven/arguments.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace lockd::datadriven {
namespace {

// A word is key=value when a name stands before its first `=`: "1->2=x" is not.
size_t KeyLength(absl::string_view word) {
  const size_t equals = word.find('=');
  if (equals == absl::string_view::npos || equals == 0) return 0;
  const absl::string_view key = word.substr(0, equals);
  const bool is_name = std::all_of(key.begin(), key.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-';
  });
  return is_name && absl::ascii_isalpha(static_cast<unsigned char>(key[0])) ? equals : 0;
}

}  // namespace

Arguments::Arguments(const Command& command) : input_(command.input) {
  for (const std::string& word : command.words) {
    const size_t key_length = KeyLength(word);
    if (key_length == 0) {
      words_.push_back({.key = "", .value = word});
      continue;
    }
    std::string key = word.substr(0, key_length);
    const bool repeated = std::any_of(words_.begin(), words_.end(),
                                      [&](const Word& other) { return other.key == key; });
    if (repeated) Fail(absl::StrCat("argument `", key, "=` given twice"));
    words_.push_back({.key = std::move(key), .value = word.substr(key_length + 1)});
  }
}

std::string Arguments::Positional(absl::string_view name) {
  std::optional<std::string> value = OptionalPositional();
  if (!value) Fail(absl::StrCat("missing argument ", name));
  return value.value_or("");
}

std::optional<std::string> Arguments::OptionalPositional() {
  for (Word& word : words_) {
    if (!word.key.empty() || word.taken) continue;
    word.taken = true;
    return word.value;
  }
  return std::nullopt;
}

std::vector<std::string> Arguments::RestPositional() {
  std::vector<std::string> rest;
  while (std::optional<std::string> value = OptionalPositional()) rest.push_back(*value);
  return rest;
}

bool Arguments::Flag(absl::string_view flag) {
  for (Word& word : words_) {
    if (!word.key.empty() || word.taken || word.value != flag) continue;
    word.taken = true;
    return true;
  }
  return false;
}

std::optional<std::string> Arguments::Text(absl::string_view key) {
  for (Word& word : words_) {
    if (word.key != key || word.taken) continue;
    word.taken = true;
    return word.value;
  }
  return std::nullopt;
}

uint64_t Arguments::Number(absl::string_view key, uint64_t fallback) {
  return OptionalNumber(key).value_or(fallback);
}

std::optional<uint64_t> Arguments::OptionalNumber(absl::string_view key) {
  const std::optional<std::string> text = Text(key);
  if (!text) return std::nullopt;
  const std::optional<uint64_t> number = ParseNumber(*text);
  if (!number) Fail(absl::StrCat("`", key, "=", *text, "` is not a number"));
  return number;
}

uint64_t Arguments::RequiredNumber(absl::string_view key) {
  const std::optional<uint64_t> number = OptionalNumber(key);
  if (!number) Fail(absl::StrCat("missing argument ", key, "=N"));
  return number.value_or(0);
}

std::vector<std::string> Arguments::List(absl::string_view key) {
  return SplitList(Text(key).value_or(""));
}

std::vector<uint64_t> Arguments::NumberList(absl::string_view key) {
  std::vector<uint64_t> numbers;
  for (const std::string& text : List(key)) {
    const std::optional<uint64_t> number = ParseNumber(text);
    if (!number) Fail(absl::StrCat("`", text, "` in ", key, "= is not a number"));
    numbers.push_back(number.value_or(0));
  }
  return numbers;
}

std::vector<std::string> Arguments::TakeInput() {
  return std::exchange(input_, {});
}

void Arguments::Fail(absl::string_view mistake) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(mistake);
}

absl::Status Arguments::Finish() const {
  if (!status_.ok()) return status_;
  for (const Word& word : words_) {
    if (word.taken) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("unknown argument `", word.key, word.key.empty() ? "" : "=", word.value, "`"));
  }
  if (!input_.empty()) {
    return absl::InvalidArgumentError("this verb takes no input lines before `----`");
  }
  return absl::OkStatus();
}

std::vector<std::string> SplitList(absl::string_view list) {
  if (absl::ConsumePrefix(&list, "(")) absl::ConsumeSuffix(&list, ")");
  std::vector<std::string> parts;
  for (const absl::string_view part : absl::StrSplit(list, ',')) {
    const absl::string_view trimmed = absl::StripAsciiWhitespace(part);
    if (!trimmed.empty()) parts.emplace_back(trimmed);
  }
  return parts;
}

std::optional<uint64_t> ParseNumber(absl::string_view text) {
  uint64_t number = 0;
  // SimpleAtoi also takes spaces and signs.
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  if (!digits || !absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

std::optional<std::pair<uint64_t, uint64_t>> ParseRange(absl::string_view text) {
  const size_t dots = text.find("..");
  const std::optional<uint64_t> low = ParseNumber(text.substr(0, dots));
  if (dots == absl::string_view::npos) {
    if (!low) return std::nullopt;
    return std::pair(*low, *low);
  }
  const std::optional<uint64_t> high = ParseNumber(text.substr(dots + 2));
  if (!low || !high || *low > *high) return std::nullopt;
  return std::pair(*low, *high);
}

}  // namespace lockd::datadriven
