// LOCKD_CHECK: an assertion that stays on in release builds.
//
// A failed check means that lockd itself has a bug (never that the world failed, see absl::Status
// for that). The process ends at once: a dead process is better than a wrong lock. `lockd` installs
// a handler that logs and leaves with exit status 16; without a handler the process aborts, which
// is what tests and tools want.
//
//   LOCKD_CHECK(next_index > match_index, "peer ", peer, " next ", next_index, " match ",
//   match_index);
//
// The message parts are anything that absl::StrCat takes; they are evaluated only when the check
// fails.
//
// Threading: any.
#ifndef LOCKD_PROTOCOL_BASE_CHECK_H_
#define LOCKD_PROTOCOL_BASE_CHECK_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace lockd {

// Called once with the whole message; must not return (the process aborts if it does).
using CheckFailureHandler = void (*)(absl::string_view message);

// Replaces the handler for the whole process; call it before other threads start.
void SetCheckFailureHandler(CheckFailureHandler handler);

namespace internal {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& message);

template <typename... Parts>
std::string CheckMessage(const Parts&... parts) {
  return absl::StrCat(parts...);
}

}  // namespace internal
}  // namespace lockd

#define LOCKD_CHECK(condition, ...)                                                 \
  do {                                                                              \
    if (!(condition)) [[unlikely]] {                                                \
      ::lockd::internal::CheckFailed(__FILE__, __LINE__, #condition,                \
                                     ::lockd::internal::CheckMessage(__VA_ARGS__)); \
    }                                                                               \
  } while (false)

// A place that no execution can reach.
#define LOCKD_UNREACHABLE(...)                                      \
  ::lockd::internal::CheckFailed(__FILE__, __LINE__, "unreachable", \
                                 ::lockd::internal::CheckMessage(__VA_ARGS__))

#endif  // LOCKD_PROTOCOL_BASE_CHECK_H_
