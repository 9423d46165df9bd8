// The difference between two texts, line by line, for people.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_DATADRIVEN_LINE_DIFF_H_
#define LOCKD_TESTS_SUPPORT_DATADRIVEN_LINE_DIFF_H_

#include <string>

#include "absl/strings/string_view.h"

namespace lockd::datadriven {

// Every line of both texts: "  same", "- only expected", "+ only actual". Runs of more than six
// equal lines are shortened to three at each end, with a line that says how many were left out.
[[nodiscard]] std::string LineDiff(absl::string_view expected, absl::string_view actual);

}  // namespace lockd::datadriven

#endif  // LOCKD_TESTS_SUPPORT_DATADRIVEN_LINE_DIFF_H_
