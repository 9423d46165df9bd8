#include "tools/lockbench/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/text.h"

namespace lockd::lockbench {
namespace {

constexpr uint64_t kConnectionsMax = 10'000;
constexpr uint64_t kInFlightMax = 65'536;
constexpr uint64_t kKeysMax = 10'000'000;
constexpr uint64_t kSecondsMax = 24 * 3'600;
constexpr uint64_t kHeldMax = 10'000'000;
constexpr int64_t kWarmupMsMax = 10 * 60'000;
constexpr uint64_t kDefaultConnections = 8;
constexpr uint64_t kDefaultKeysPerClient = 16;

constexpr char kAbout[] =
    "lockbench: measures how fast a lockd cluster locks and unlocks.\n\n"
    "A closed loop: each of --in-flight logical clients acquires a lock, releases it, and begins "
    "again;\nthey share --connections sessions. Latencies are exact to the microsecond, over all "
    "cycles.\n\n"
    "  lockbench                                                  64 in flight, keys of their own\n"
    "  lockbench --in-flight 1                                    latency of one client alone\n"
    "  lockbench --workload contended --in-flight 16              hand-over of one lock\n"
    "  lockbench --in-flight 1024 --seconds 30 --json             one JSON object on stdout\n"
    "  lockbench --held 1000000 --snapshot                        while a large state is saved\n\n"
    "It shares the machine with the cluster when both run on one: then it takes part of what it "
    "measures.";
constexpr char kStatuses[] =
    "Progress goes to stderr. Ctrl-C ends the measurement and prints what there is.\n"
    "Exit status: 0 ok, 2 usage, 3 cluster unavailable, or not one cycle was completed.";

}  // namespace

absl::string_view ToString(Workload workload) {
  return workload == Workload::kContended ? "contended" : "uncontended";
}

ParsedCommandLine ParseCommandLine(int argc, const char* const* argv) {
  Arguments arguments;
  std::string endpoints;
  CLI::App app(kAbout, "lockbench");
  app.footer(kStatuses);
  cli::AddEndpoints(app, &endpoints);
  cli::AddText(app, "--workload", "uncontended|contended",
               "uncontended: keys of each client's own; contended: all want the same keys; "
               "default uncontended",
               [&](const std::string& text) -> std::string {
                 for (const Workload workload : {Workload::kUncontended, Workload::kContended}) {
                   if (ToString(workload) != text) continue;
                   arguments.workload = workload;
                   return "";
                 }
                 return absl::StrCat("\"", EscapeName(text),
                                     "\" is not a workload; allowed: uncontended, contended");
               });
  const CLI::Option* connections =
      cli::AddCount(app, "--connections", &arguments.connections, 1, kConnectionsMax,
                    "sessions, each on a connection of its own; default 8, or --in-flight if that "
                    "is less");
  cli::AddCount(app, "--in-flight", &arguments.in_flight, 1, kInFlightMax,
                "logical clients, over all connections; default 64");
  const CLI::Option* keys =
      cli::AddCount(app, "--keys", &arguments.keys, 1, kKeysMax,
                    "locks to choose from at random; default: contended 1, else 16 for each "
                    "client");
  cli::AddCount(app, "--seconds", &arguments.seconds, 1, kSecondsMax,
                "how long to measure; default 10");
  cli::AddDuration(app, "--warmup", &arguments.warmup_ms, {1, kWarmupMsMax, true},
                   "load before the measurement begins; default 1s");
  cli::AddCount(app, "--held", &arguments.held, 0, kHeldMax,
                "locks that are acquired before and held all the time; default 0");
  app.add_flag(
      "--snapshot", arguments.snapshot,
      "half way through, all nodes are asked for a snapshot; cycles meanwhile are reported "
      "by themselves, and the measurement lasts until all have one");
  app.add_flag("--json", arguments.json, "one JSON object instead of text");
  std::optional<cli::Ending> ending = cli::Parse(app, argc, argv, "lockbench " LOCKD_VERSION);
  if (ending.has_value()) return *std::move(ending);

  absl::StatusOr<std::vector<std::string>> parsed = cli::EndpointsOr(endpoints);
  if (!parsed.ok()) return cli::Mistake(app, std::string(parsed.status().message()));
  arguments.endpoints = *std::move(parsed);
  const bool is_contended = arguments.workload == Workload::kContended;
  if (connections->empty()) {
    arguments.connections = std::min(kDefaultConnections, arguments.in_flight);
  }
  if (keys->empty()) {
    arguments.keys = is_contended ? 1 : kDefaultKeysPerClient * arguments.in_flight;
  }
  if (!is_contended && arguments.keys < arguments.in_flight) {
    return cli::Mistake(
        app, absl::StrCat("--keys: ", arguments.keys, " are too few for keys of their own for ",
                          arguments.in_flight, " clients; allowed: ", arguments.in_flight, "..",
                          kKeysMax, ", or --workload contended"));
  }
  return arguments;
}

}  // namespace lockd::lockbench
