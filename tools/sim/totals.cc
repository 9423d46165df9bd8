#include "tools/sim/totals.h"

#include <nlohmann/json.hpp>

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

void Totals::Add(const SimReport& report) {
  ++seeds;
  simulated_hours += static_cast<double>(report.simulated) / kNanosPerHour;
  events += report.events;
  operations += report.operations;
  grants += report.grants;
  reads += report.reads;
  works += report.works;
  nodes_lost += report.nodes_lost;
  for (size_t i = 0; i < kFaultCount; ++i) faults[i] += report.faults[i];
  for (size_t i = 0; i < kReachCount; ++i) marks[i] += report.marks[i];
}

void Totals::Add(const Totals& other) {
  seeds += other.seeds;
  violations += other.violations;
  simulated_hours += other.simulated_hours;
  events += other.events;
  operations += other.operations;
  grants += other.grants;
  reads += other.reads;
  works += other.works;
  nodes_lost += other.nodes_lost;
  for (size_t i = 0; i < kFaultCount; ++i) faults[i] += other.faults[i];
  for (size_t i = 0; i < kReachCount; ++i) marks[i] += other.marks[i];
  failed_seeds.insert(failed_seeds.end(), other.failed_seeds.begin(), other.failed_seeds.end());
  cpu_s += other.cpu_s;
}

uint64_t Totals::fault_count() const {
  uint64_t sum = 0;
  for (const uint64_t count : faults) sum += count;
  return sum;
}

std::vector<std::string> Totals::Missed() const {
  std::vector<std::string> missed;
  for (size_t i = 0; i < kFaultCount; ++i) {
    if (faults[i] == 0) missed.push_back(absl::StrCat("fault ", NameOf(i)));
  }
  for (size_t i = 0; i < kReachCount; ++i) {
    if (marks[i] == 0) missed.push_back(absl::StrCat("mark ", MarkOf(i)));
  }
  return missed;
}

std::string AsText(const Totals& totals) {
  const double simulated_s = totals.simulated_hours * 3600;
  std::string text = absl::StrFormat(
      "%d seeds, %d violations, %.2f simulated hours, %.0f s of CPU (%.0f times real time on a "
      "core)\n%d operations (%.1f a second), %d grants, %d fenced writes, %d reads, %d nodes lost "
      "for good\n"
      "faults\n",
      totals.seeds, totals.violations, totals.simulated_hours, totals.cpu_s,
      totals.cpu_s > 0 ? simulated_s / totals.cpu_s : 0, totals.operations,
      simulated_s > 0 ? static_cast<double>(totals.operations) / simulated_s : 0, totals.grants,
      totals.works, totals.reads, totals.nodes_lost);
  for (size_t i = 0; i < kFaultCount; ++i) {
    absl::StrAppendFormat(&text, "  %-40s %d\n", NameOf(i), totals.faults[i]);
  }
  absl::StrAppend(&text, "marks\n");
  for (size_t i = 0; i < kReachCount; ++i) {
    absl::StrAppendFormat(&text, "  %-40s %d\n", MarkOf(i), totals.marks[i]);
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
  out["simulated_hours"] = totals.simulated_hours;
  out["cpu_s"] = totals.cpu_s;
  out["operations"] = totals.operations;
  out["grants"] = totals.grants;
  out["reads"] = totals.reads;
  out["nodes_lost"] = totals.nodes_lost;
  out["faults"] = nlohmann::json::object();
  out["marks"] = nlohmann::json::object();
  for (size_t i = 0; i < kFaultCount; ++i) out["faults"][NameOf(i)] = totals.faults[i];
  for (size_t i = 0; i < kReachCount; ++i) out["marks"][MarkOf(i)] = totals.marks[i];
  return out.dump() + "\n";
}

}  // namespace lockd::sim
