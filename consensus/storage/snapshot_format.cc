#include "consensus/storage/snapshot_format.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace lockd::storage {
namespace {

constexpr absl::string_view kSnapshotPrefix = "snap-";
constexpr absl::string_view kDraftPrefix = "draft-";
constexpr size_t kDigits = 20;

std::optional<uint64_t> ParseDigits(absl::string_view digits) {
  uint64_t number = 0;
  if (digits.empty() ||
      !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }) ||
      !absl::SimpleAtoi(digits, &number)) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

std::string SnapshotName(const SnapshotPlace& place) {
  return absl::StrFormat("%s%020d-%020d", kSnapshotPrefix, place.index.value(), place.term.value());
}

std::optional<SnapshotPlace> ParseSnapshotName(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, kSnapshotPrefix) || name.size() != 2 * kDigits + 1 ||
      name[kDigits] != '-') {
    return std::nullopt;
  }
  const std::optional<uint64_t> index = ParseDigits(name.substr(0, kDigits));
  const std::optional<uint64_t> term = ParseDigits(name.substr(kDigits + 1));
  if (!index || !term) return std::nullopt;
  return SnapshotPlace{.index = raft::Index(*index), .term = raft::Term(*term)};
}

std::string DraftName(uint64_t draft) {
  return absl::StrCat(kDraftPrefix, draft);
}

std::optional<uint64_t> ParseDraftName(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, kDraftPrefix)) return std::nullopt;
  return ParseDigits(name);
}

}  // namespace lockd::storage
