#include "tools/lockbench/report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lockd::lockbench {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMiB = 1024 * 1024;

// Digits beyond these are noise.
double Rounded(double value, double digits) {
  const double scale = std::pow(10.0, digits);
  return std::round(value * scale) / scale;
}

uint64_t Cycles(const Measurement& measurement) {
  return measurement.release.count +
         (measurement.snapshot.has_value() ? measurement.snapshot->release.count : 0);
}

double CyclesPerSecond(const Measurement& measurement) {
  const auto cycles = static_cast<double>(Cycles(measurement));
  return measurement.elapsed_s > 0 ? cycles / measurement.elapsed_s : 0;
}

std::optional<double> ClientCpuPer1000(const Measurement& measurement) {
  if (Cycles(measurement) == 0) return std::nullopt;
  return measurement.client_cpu_s * 1'000.0 / static_cast<double>(Cycles(measurement));
}

Json ToJson(const LatencySummary& summary) {
  if (summary.count == 0) {
    return {
        {"p50", nullptr}, {"p90", nullptr}, {"p99", nullptr}, {"p999", nullptr}, {"max", nullptr}};
  }
  return {{"p50", summary.p50_us},
          {"p90", summary.p90_us},
          {"p99", summary.p99_us},
          {"p999", summary.p999_us},
          {"max", summary.max_us}};
}

Json ToJson(const SnapshotMeasurement& snapshot) {
  return {{"elapsed_s", Rounded(snapshot.elapsed_s, 3)},
          {"content_bytes", snapshot.bytes},
          {"acquire_us", ToJson(snapshot.acquire)},
          {"release_us", ToJson(snapshot.release)}};
}

Json NumberOrNull(const std::optional<uint64_t>& number) {
  return number.has_value() ? Json(*number) : Json(nullptr);
}

Json SecondsOrNull(const std::optional<double>& seconds) {
  return seconds.has_value() ? Json(Rounded(*seconds, 6)) : Json(nullptr);
}

std::string Line(absl::string_view what, const LatencySummary& summary) {
  if (summary.count == 0) return absl::StrCat(what, "  none\n");
  return absl::StrFormat("%s  p50 %d us, p90 %d us, p99 %d us, p99.9 %d us, max %d us\n", what,
                         summary.p50_us, summary.p90_us, summary.p99_us, summary.p999_us,
                         summary.max_us);
}

}  // namespace

Json ToJson(const Arguments& arguments, const Measurement& measurement) {
  const ServerCost& server = measurement.server;
  const std::optional<SnapshotMeasurement>& snapshot = measurement.snapshot;
  return {{"target", "lockd"},
          {"workload", std::string(ToString(arguments.workload))},
          {"connections", arguments.connections},
          {"in_flight", arguments.in_flight},
          {"keys", arguments.keys},
          {"seconds", arguments.seconds},
          {"cycles_per_s", Rounded(CyclesPerSecond(measurement), 1)},
          {"errors", measurement.errors},
          {"acquire_us", ToJson(measurement.acquire)},
          {"release_us", ToJson(measurement.release)},
          {"server_cpu_s_per_1000", SecondsOrNull(server.cpu_s_per_1000)},
          {"server_rss_bytes", NumberOrNull(server.rss_bytes)},
          {"server_longest_turn_cpu_us", NumberOrNull(server.longest_turn_cpu_us)},
          {"server_longest_turn_wall_us", NumberOrNull(server.longest_turn_wall_us)},
          {"client_cpu_s_per_1000", SecondsOrNull(ClientCpuPer1000(measurement))},
          {"cycles", Cycles(measurement)},
          {"elapsed_s", Rounded(measurement.elapsed_s, 3)},
          {"held", arguments.held},
          {"snapshot", snapshot.has_value() ? ToJson(*snapshot) : Json(nullptr)}};
}

std::string ToText(const Arguments& arguments, const Measurement& measurement) {
  std::string text =
      absl::StrFormat("%s, %d in flight on %d connections, %d keys, %d held, %.1f s\n",
                      std::string(ToString(arguments.workload)), arguments.in_flight,
                      arguments.connections, arguments.keys, arguments.held, measurement.elapsed_s);
  absl::StrAppendFormat(&text, "cycles   %.0f/s, %d errors\n", CyclesPerSecond(measurement),
                        measurement.errors);
  absl::StrAppend(&text, Line("acquire", measurement.acquire),
                  Line("release", measurement.release));
  if (measurement.snapshot.has_value()) {
    const SnapshotMeasurement& snapshot = *measurement.snapshot;
    absl::StrAppendFormat(&text, "while all nodes took a snapshot of %d MiB, in %.1f s:\n",
                          snapshot.bytes / kMiB, snapshot.elapsed_s);
    absl::StrAppend(&text, Line("acquire", snapshot.acquire), Line("release", snapshot.release));
  }
  const auto shown_cpu = [](const std::optional<double>& seconds) {
    return seconds.has_value() ? absl::StrFormat("%.4f s", *seconds) : std::string("unknown");
  };
  absl::StrAppend(&text, "CPU for 1,000 cycles: all nodes ",
                  shown_cpu(measurement.server.cpu_s_per_1000), ", lockbench ",
                  shown_cpu(ClientCpuPer1000(measurement)), "\nmemory of all nodes: ");
  if (measurement.server.rss_bytes.has_value()) {
    absl::StrAppend(&text, *measurement.server.rss_bytes / kMiB, " MiB\n");
  } else {
    absl::StrAppend(&text, "unknown\n");
  }
  if (measurement.server.longest_turn_cpu_us.has_value()) {
    absl::StrAppend(
        &text, "longest turn of a node since it began: ", *measurement.server.longest_turn_cpu_us,
        " us of CPU, ", *measurement.server.longest_turn_wall_us, " us\n");
  }
  return text;
}

}  // namespace lockd::lockbench
