#include "tests/support/history/check_history.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>

#include "absl/strings/str_cat.h"
#include "tests/support/history/token_order.h"
#include "tests/support/history/wgl.h"

namespace lockd::history {
namespace {

constexpr size_t kWindowOperations = 32;
constexpr size_t kWindowHolds = 8;

// All that speaks of one reported token, and what goes with it.
struct Part {
  const Acquire* acquire = nullptr;
  std::vector<const Release*> releases;
  std::vector<const Observation*> observations;
  std::vector<const HoldEnd*> ends;

  [[nodiscard]] size_t size() const {
    return 1 + releases.size() + observations.size() + ends.size();
  }
  // When the hold was surely there: windows are made along this, not along the tokens.
  [[nodiscard]] Time moment() const {
    Time moment = acquire->returned;
    for (const HoldEnd* end : ends) moment = std::min(moment, end->earliest);
    return std::max(moment, acquire->invoke);
  }
};

std::vector<Part> PartsOf(const History& history) {
  std::vector<Part> parts;
  // Of a token granted twice, the first grant stands for all that speaks of it; both are parts.
  std::map<FencingToken, size_t> of_token;
  for (const Acquire& acquire : history.acquires) {
    if (acquire.outcome != AcquireOutcome::kGranted) continue;
    of_token.emplace(acquire.token, parts.size());
    parts.emplace_back().acquire = &acquire;
  }
  const auto part = [&](FencingToken token) {
    const auto found = of_token.find(token);
    return found == of_token.end() ? nullptr : &parts[found->second];
  };
  for (const Release& release : history.releases) {
    if (Part* const of = part(release.token)) of->releases.push_back(&release);
  }
  for (const Observation& observation : history.observations) {
    if (observation.returned == kNever) continue;
    if (Part* const of = part(observation.token)) of->observations.push_back(&observation);
  }
  for (const HoldEnd& end : history.ends) {
    if (Part* const of = part(end.token)) of->ends.push_back(&end);
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.moment() < b.moment(); });
  // "Nobody holds it" goes with the hold that is the likeliest to refute it, the last one before.
  for (const Observation& observation : history.observations) {
    if (observation.returned == kNever || !observation.token.is_zero()) continue;
    const auto next =
        std::upper_bound(parts.begin(), parts.end(), observation.returned,
                         [](Time time, const Part& later) { return time < later.moment(); });
    if (next != parts.begin()) std::prev(next)->observations.push_back(&observation);
  }
  return parts;
}

void Append(const Part& part, History& window) {
  window.acquires.push_back(*part.acquire);
  for (const Release* release : part.releases) window.releases.push_back(*release);
  for (const Observation* seen : part.observations) window.observations.push_back(*seen);
  for (const HoldEnd* end : part.ends) window.ends.push_back(*end);
}

std::string WithOperations(const std::string& violation, const History& history) {
  return absl::StrCat(violation, "\n", Describe(history));
}

// Empty, or the disagreement of the second checker with what the first one found.
std::string CompareWithWgl(const History& history, const std::string& violation,
                           CheckCounts& counts) {
  const Linearizability second = CheckWgl(history);
  if (second == Linearizability::kTooLong) {
    ++counts.too_long;
    return "";
  }
  ++counts.second_opinions;
  const bool is_lawful = second == Linearizability::kLinearizable;
  if (is_lawful == violation.empty()) return "";
  return WithOperations(
      absl::StrCat("CheckersDisagree: search: ", is_lawful ? "linearizable" : "not linearizable",
                   "; token order: ", violation.empty() ? "lawful" : violation),
      history);
}

std::string CheckWindows(const History& history, const std::string& violation,
                         CheckCounts& counts) {
  for (const History& window : WindowsOf(history)) {
    const std::string of_window = CheckTokenOrder(window);
    const std::string disagreement = CompareWithWgl(window, of_window, counts);
    if (!disagreement.empty()) return disagreement;
    if (violation.empty() && !of_window.empty()) {
      return WithOperations(
          absl::StrCat("CheckersDisagree: the whole is lawful; a window: ", of_window), window);
    }
  }
  return "";
}

}  // namespace

std::vector<History> WindowsOf(const History& history) {
  const std::vector<Part> parts = PartsOf(history);
  std::vector<History> windows;
  size_t begin = 0;
  size_t covered = 0;  // parts before this are in some window
  while (covered < parts.size()) {
    History window;
    window.lock = history.lock;
    size_t end = begin;
    // At least two holds: one alone shows little. Beyond that, as many as the search can bear.
    for (size_t size = 0; end < parts.size() && end < begin + kWindowHolds; ++end) {
      size += parts[end].size();
      if (end >= begin + 2 && size > kWindowOperations) break;
      Append(parts[end], window);
    }
    windows.push_back(std::move(window));
    covered = end;
    begin += std::max<size_t>(1, (end - begin) / 2);
  }
  return windows;
}

std::string CheckHistory(const History& history, CheckCounts* counts) {
  CheckCounts unused;
  CheckCounts& count = counts != nullptr ? *counts : unused;
  const std::string violation = CheckTokenOrder(history);
  if (CountWglOperations(history) > WglLimits{}.operations_max) {
    const std::string disagreement = CheckWindows(history, violation, count);
    return disagreement.empty() ? violation : disagreement;
  }
  const std::string disagreement = CompareWithWgl(history, violation, count);
  if (!disagreement.empty()) return disagreement;
  return violation.empty() ? "" : WithOperations(violation, history);
}

std::string CheckHistories(const std::vector<History>& histories, CheckCounts* counts) {
  for (const History& history : histories) {
    const std::string violation = CheckHistory(history, counts);
    if (!violation.empty()) return absl::StrCat(violation, " (lock ", history.lock, ")");
  }
  return CheckTokensFollowTime(histories);
}

}  // namespace lockd::history
