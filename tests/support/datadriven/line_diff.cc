#include "tests/support/datadriven/line_diff.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace lockd::datadriven {
namespace {

constexpr size_t kContextLines = 3;

std::vector<absl::string_view> Lines(absl::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

struct Row {
  char sign;
  absl::string_view line;
};

// Longest common subsequence by the textbook table: outputs are a few hundred lines at most.
std::vector<Row> Align(const std::vector<absl::string_view>& a,
                       const std::vector<absl::string_view>& b) {
  const size_t width = b.size() + 1;
  std::vector<size_t> common((a.size() + 1) * width, 0);  // of a[i..] and b[j..]
  for (size_t i = a.size(); i-- > 0;) {
    for (size_t j = b.size(); j-- > 0;) {
      common[i * width + j] =
          a[i] == b[j] ? common[(i + 1) * width + j + 1] + 1
                       : std::max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  std::vector<Row> rows;
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      rows.push_back({' ', a[i]});
      ++i;
      ++j;
    } else if (j == b.size() ||
               (i < a.size() && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      rows.push_back({'-', a[i++]});
    } else {
      rows.push_back({'+', b[j++]});
    }
  }
  return rows;
}

}  // namespace

std::string LineDiff(absl::string_view expected, absl::string_view actual) {
  const std::vector<Row> rows = Align(Lines(expected), Lines(actual));
  std::string diff;
  const auto show = [&](size_t from, size_t to) {
    for (size_t k = from; k < to; ++k) {
      absl::StrAppend(&diff, std::string(1, rows[k].sign), " ", rows[k].line, "\n");
    }
  };
  for (size_t start = 0; start < rows.size();) {
    size_t end = start + 1;
    if (rows[start].sign == ' ') {
      while (end < rows.size() && rows[end].sign == ' ') ++end;
    }
    if (end - start > 2 * kContextLines) {
      show(start, start + kContextLines);
      absl::StrAppend(&diff, "  ... ", end - start - 2 * kContextLines, " equal lines ...\n");
      show(end - kContextLines, end);
    } else {
      show(start, end);
    }
    start = end;
  }
  return diff;
}

}  // namespace lockd::datadriven
