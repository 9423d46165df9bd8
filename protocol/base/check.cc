#include "protocol/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace lockd {
namespace {

CheckFailureHandler g_handler = nullptr;

}  // namespace

void SetCheckFailureHandler(CheckFailureHandler handler) {
  g_handler = handler;
}

namespace internal {

void CheckFailed(const char* file, int line, const char* condition, const std::string& message) {
  const std::string whole = absl::StrCat("broken invariant at ", file, ":", line, ": ", condition,
                                         message.empty() ? "" : ": ", message);
  if (g_handler != nullptr) g_handler(whole);
  std::fprintf(stderr, "%s\n", whole.c_str());
  std::abort();
}

}  // namespace internal
}  // namespace lockd
