// A digest as people and programs see it: 32 hex digits.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_DIGEST_TEXT_H_
#define LOCKD_SERVER_STATE_DIGEST_TEXT_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "server/state/types.h"

namespace lockd::state {

[[nodiscard]] inline std::string ToText(const Digest& digest) {
  return absl::StrCat(absl::Hex(digest.high, absl::kZeroPad16),
                      absl::Hex(digest.low, absl::kZeroPad16));
}

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_DIGEST_TEXT_H_
