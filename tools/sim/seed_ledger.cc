#include "tools/sim/seed_ledger.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "protocol/base/crc32c.h"

namespace lockd::sim {
namespace {

std::string ThisBuild() {
  std::ifstream program("/proc/self/exe", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(program), {}};
  return absl::StrFormat("%08x", Crc32c(bytes));
}

}  // namespace

SeedLedger::SeedLedger(std::string path) : path_(std::move(path)), build_(ThisBuild()) {}

absl::Status SeedLedger::Open() {
  std::ifstream file(path_);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line.front() == '#') continue;
    char build[9] = {};
    uint64_t first = 0;
    uint64_t last = 0;
    if (std::sscanf(line.c_str(), "%8s %lu..%lu", build, &first, &last) != 3 || last < first) {
      return absl::InvalidArgumentError(
          absl::StrCat(path_, " line ", number, ": not a line of a seed ledger (BUILD A..B ...)"));
    }
    if (build == build_) next_seed_ = std::max(next_seed_, last + 1);
  }
  // Now, not after the first block of a long soak.
  if (!std::ofstream(path_, std::ios::app)) {
    return absl::UnavailableError(absl::StrCat("cannot write ", path_, "; name another file"));
  }
  return absl::OkStatus();
}

absl::Status SeedLedger::Add(uint64_t first, uint64_t last, const Totals& totals) {
  next_seed_ = std::max(next_seed_, last + 1);
  std::ofstream file(path_, std::ios::app);
  file << absl::StrFormat("%s %d..%d violations %d hours %.2f", build_, first, last,
                          totals.violations, totals.simulated_hours());
  for (const uint64_t seed : totals.failed_seeds) file << " failed " << seed;
  file << '\n';
  file.flush();
  if (!file) return absl::UnavailableError(absl::StrCat("cannot write ", path_));
  return absl::OkStatus();
}

}  // namespace lockd::sim
