#include "tests/support/history/history.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::history {
namespace {

std::string When(Time time) {
  return time == kNever ? "never" : absl::StrCat(time);
}

std::string Line(Time invoke, Time returned, uint64_t client, const std::string& what) {
  return absl::StrCat("  [", When(invoke), ", ", When(returned), "] client ", client, " ", what);
}

std::string What(const Acquire& acquire) {
  switch (acquire.outcome) {
    case AcquireOutcome::kUnknown:
      return "acquire: unknown";
    case AcquireOutcome::kGranted:
      return absl::StrCat("acquire: token ", acquire.token);
    case AcquireOutcome::kNotGranted:
      return "acquire: not granted";
  }
  return "";
}

std::string What(const Release& release) {
  const std::string what = absl::StrCat("release of ", release.token);
  switch (release.outcome) {
    case ReleaseOutcome::kUnknown:
      return what + ": unknown";
    case ReleaseOutcome::kReleased:
      return what + ": released";
    case ReleaseOutcome::kStale:
      return what + ": stale";
  }
  return "";
}

std::string What(const Observation& observation) {
  const char* const what =
      observation.kind == ObservationKind::kOwner ? "owner is " : "renewed token ";
  return absl::StrCat(what, observation.token);
}

}  // namespace

std::vector<FencingToken> UnreportedTokens(const History& history) {
  std::vector<FencingToken> reported;
  for (const Acquire& acquire : history.acquires) {
    if (acquire.outcome == AcquireOutcome::kGranted) reported.push_back(acquire.token);
  }
  std::sort(reported.begin(), reported.end());
  std::vector<FencingToken> unreported;
  const auto consider = [&](FencingToken token) {
    if (token.is_zero() || std::binary_search(reported.begin(), reported.end(), token)) return;
    unreported.push_back(token);
  };
  for (const Release& release : history.releases) {
    if (release.outcome == ReleaseOutcome::kReleased) consider(release.token);
  }
  for (const Observation& observation : history.observations) {
    if (observation.returned != kNever) consider(observation.token);
  }
  std::sort(unreported.begin(), unreported.end());
  unreported.erase(std::unique(unreported.begin(), unreported.end()), unreported.end());
  return unreported;
}

std::string Describe(const History& history) {
  std::vector<std::pair<Time, std::string>> lines;
  for (const Acquire& op : history.acquires) {
    lines.emplace_back(op.invoke, Line(op.invoke, op.returned, op.client, What(op)));
  }
  for (const Release& op : history.releases) {
    lines.emplace_back(op.invoke, Line(op.invoke, op.returned, op.client, What(op)));
  }
  for (const Observation& op : history.observations) {
    lines.emplace_back(op.invoke, Line(op.invoke, op.returned, op.client, What(op)));
  }
  for (const HoldEnd& end : history.ends) {
    lines.emplace_back(end.earliest, absl::StrCat("  [", When(end.earliest), ", never] hold ",
                                                  end.token, " may end"));
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text = absl::StrCat("lock ", history.lock, "\n");
  for (const auto& [invoke, line] : lines) absl::StrAppend(&text, line, "\n");
  return text;
}

}  // namespace lockd::history
