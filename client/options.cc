#include "client/options.h"

#include <cstdlib>

#include "absl/strings/str_split.h"

namespace lockd {

std::vector<std::string> EndpointsFrom(const std::string& list) {
  const char* variable = std::getenv("LOCKD_ENDPOINTS");
  const std::string text = !list.empty() ? list : variable != nullptr ? variable : "";
  std::vector<std::string> endpoints = absl::StrSplit(text, ',', absl::SkipWhitespace());
  if (endpoints.empty()) endpoints.push_back(kDefaultEndpoint);
  return endpoints;
}

}  // namespace lockd
