#include "tools/sim/shrink.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "protocol/base/check.h"

namespace lockd::sim {
namespace {

using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;

// What a try leaves behind, in memory that parent and child share.
struct Remains {
  SimProgress progress;
  char broken[64];
};
Remains* remains = nullptr;

// Of "broken invariant at FILE: CONDITION: Name: details" only the name is kept: it is the first
// part that reads like one. Details may change while the run shrinks.
void NoteFailure(absl::string_view message) {
  absl::string_view name = message;
  for (const absl::string_view part : absl::StrSplit(message, ": ")) {
    if (part.empty() || part[0] < 'A' || part[0] > 'Z') continue;
    if (part.find(' ') != absl::string_view::npos) continue;
    name = part;
    break;
  }
  std::snprintf(remains->broken, sizeof(remains->broken), "%s", std::string(name).c_str());
  _exit(1);
}

// The broken invariant's name; empty when all is well.
std::string Try(const Run& run, SimOptions options) {
  *remains = Remains{};
  std::fflush(stdout);
  const pid_t pid = fork();
  LOCKD_CHECK(pid >= 0, "no process: errno ", errno);
  if (pid == 0) {
    SetCheckFailureHandler(NoteFailure);
    options.progress = &remains->progress;
    run(options);
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return remains->broken[0] == '\0' ? "crash" : remains->broken;
}

class Shrinker {
 public:
  Shrinker(Shrunk* shrunk, uint64_t tries_max, const Run& run)
      : shrunk_(shrunk), tries_max_(tries_max), run_(run) {}

  // Leaves out of `which` (a member of the options) as much of [0, count) as can be.
  void Reduce(Omissions SimOptions::*which, uint64_t count) {
    for (uint64_t piece = count; piece > 0; piece /= 2) {
      for (uint64_t begin = 0; begin < count && shrunk_->tries < tries_max_; begin += piece) {
        const uint64_t end = begin + piece >= count ? UINT64_MAX : begin + piece;
        if ((shrunk_->options.*which).Contains(begin) &&
            (shrunk_->options.*which).Contains(std::min(end, count) - 1)) {
          continue;  // gone already, as part of a larger piece
        }
        SimOptions options = shrunk_->options;
        options.*which = With(options.*which, begin, end);
        ++shrunk_->tries;
        if (Try(run_, options) != shrunk_->broken) continue;
        shrunk_->options = options;
        shrunk_->after = remains->progress;
        std::fprintf(stderr, "%lu tries: %lu occasions of faults and %lu acquires left to %.3f s\n",
                     shrunk_->tries, shrunk_->after.fault_occasions, shrunk_->after.operations,
                     static_cast<double>(shrunk_->after.simulated) / 1e9);
      }
    }
  }

 private:
  static Omissions With(const Omissions& omissions, uint64_t begin, uint64_t end) {
    Ranges ranges = omissions.ranges();
    ranges.emplace_back(begin, end);
    std::sort(ranges.begin(), ranges.end());
    Ranges merged;
    for (const auto& range : ranges) {
      if (!merged.empty() && range.first <= merged.back().second) {
        merged.back().second = std::max(merged.back().second, range.second);
      } else {
        merged.push_back(range);
      }
    }
    return Omissions(std::move(merged));
  }

  Shrunk* const shrunk_;
  const uint64_t tries_max_;
  const Run& run_;
};

}  // namespace

Shrunk Shrink(uint64_t seed, uint64_t tries_max, const Run& run) {
  void* shared =
      mmap(nullptr, sizeof(Remains), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  LOCKD_CHECK(shared != MAP_FAILED, "no memory to share: errno ", errno);
  remains = static_cast<Remains*>(shared);
  Shrunk shrunk;
  shrunk.options.seed = seed;
  shrunk.tries = 1;
  shrunk.broken = Try(run, shrunk.options);
  shrunk.before = shrunk.after = remains->progress;
  if (!shrunk.broken.empty()) {
    Shrinker shrinker(&shrunk, tries_max, run);
    shrinker.Reduce(&SimOptions::omit_faults, shrunk.before.fault_occasions);
    shrinker.Reduce(&SimOptions::omit_operations, shrunk.before.operations);
  }
  munmap(shared, sizeof(Remains));
  return shrunk;
}

std::string FormatOmissions(const Omissions& omissions) {
  std::string text;
  for (const auto& [begin, end] : omissions.ranges()) {
    absl::StrAppend(&text, text.empty() ? "" : ",", begin);
    if (end == UINT64_MAX) {
      absl::StrAppend(&text, "-");
    } else if (end > begin + 1) {
      absl::StrAppend(&text, "-", end - 1);
    }
  }
  return text;
}

bool ParseOmissions(const std::string& text, Omissions* omissions) {
  Ranges ranges;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::vector<std::string> ends = absl::StrSplit(part, '-');
    uint64_t first = 0;
    if (ends.size() > 2 || !absl::SimpleAtoi(ends[0], &first)) return false;
    uint64_t last = first;
    if (ends.size() == 2 && ends[1].empty()) {
      last = UINT64_MAX - 1;
    } else if (ends.size() == 2 && (!absl::SimpleAtoi(ends[1], &last) || last < first)) {
      return false;
    }
    ranges.emplace_back(first, last + 1);
  }
  *omissions = Omissions(std::move(ranges));
  return true;
}

}  // namespace lockd::sim
