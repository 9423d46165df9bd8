#include "tools/sim/totals.h"

#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lockd::sim {
namespace {

constexpr double kNanosPerHour = 3.6e12;

std::string NameOf(size_t fault) {
  return std::string(FaultName(static_cast<Fault>(fault)));
}

std::string MarkOf(size_t mark) {
  return std::string(ReachName(static_cast<Reach>(mark)));
}

}  // namespace

void Totals::Add(const Totals& other) {
  seeds += other.seeds;
  violations += other.violations;
  sum.Add(other.sum);
  failed_seeds.insert(failed_seeds.end(), other.failed_seeds.begin(), other.failed_seeds.end());
  cpu_s += other.cpu_s;
}

double Totals::simulated_hours() const {
  return static_cast<double>(sum.simulated) / kNanosPerHour;
}

uint64_t Totals::fault_count() const {
  return std::accumulate(sum.faults.begin(), sum.faults.end(), uint64_t{0});
}

std::vector<std::string> Totals::Missed() const {
  std::vector<std::string> missed;
  for (size_t i = 0; i < kFaultCount; ++i) {
    if (sum.faults[i] == 0) missed.push_back(absl::StrCat("fault ", NameOf(i)));
  }
  for (size_t i = 0; i < kReachCount; ++i) {
    if (sum.marks[i] == 0) missed.push_back(absl::StrCat("mark ", MarkOf(i)));
  }
  return missed;
}

std::string AsText(const Totals& totals) {
  const double simulated_s = totals.simulated_hours() * 3600;
  std::string text = absl::StrFormat(
      "%d seeds, %d violations, %.2f simulated hours, %.0f s of CPU (%.0f times real time on a "
      "core)\n%d operations (%.1f a second), %d grants, %d fenced writes, %d reads, %d nodes lost "
      "for good\n"
      "faults\n",
      totals.seeds, totals.violations, totals.simulated_hours(), totals.cpu_s,
      totals.cpu_s > 0 ? simulated_s / totals.cpu_s : 0, totals.sum.operations,
      simulated_s > 0 ? static_cast<double>(totals.sum.operations) / simulated_s : 0,
      totals.sum.grants, totals.sum.works, totals.sum.reads, totals.sum.nodes_lost);
  for (size_t i = 0; i < kFaultCount; ++i) {
    absl::StrAppendFormat(&text, "  %-40s %d\n", NameOf(i), totals.sum.faults[i]);
  }
  absl::StrAppend(&text, "marks\n");
  for (size_t i = 0; i < kReachCount; ++i) {
    absl::StrAppendFormat(&text, "  %-40s %d\n", MarkOf(i), totals.sum.marks[i]);
  }
  for (const uint64_t seed : totals.failed_seeds) {
    absl::StrAppend(&text, "failed: sim --replay ", seed, " --trace, or sim --shrink ", seed, "\n");
  }
  return text;
}

std::string AsJson(const Totals& totals) {
  nlohmann::json out;
  out["seeds"] = totals.seeds;
  out["violations"] = totals.violations;
  out["failed_seeds"] = totals.failed_seeds;
  out["simulated_hours"] = totals.simulated_hours();
  out["cpu_s"] = totals.cpu_s;
  out["operations"] = totals.sum.operations;
  out["grants"] = totals.sum.grants;
  out["reads"] = totals.sum.reads;
  out["nodes_lost"] = totals.sum.nodes_lost;
  out["faults"] = nlohmann::json::object();
  out["marks"] = nlohmann::json::object();
  for (size_t i = 0; i < kFaultCount; ++i) out["faults"][NameOf(i)] = totals.sum.faults[i];
  for (size_t i = 0; i < kReachCount; ++i) out["marks"][MarkOf(i)] = totals.sum.marks[i];
  return out.dump() + "\n";
}

}  // namespace lockd::sim
