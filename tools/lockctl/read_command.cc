#include "tools/lockctl/read_command.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/client.h"
#include "protocol/base/check.h"
#include "protocol/base/text.h"
#include "tools/cli/cluster_status.h"
#include "tools/lockctl/exit_status.h"
#include "tools/lockctl/render.h"

namespace lockd::lockctl {
namespace {

ReadOptions MakeReadOptions(const Arguments& arguments) {
  return {.stale = arguments.stale, .timeout = std::chrono::milliseconds(arguments.timeout_ms)};
}

// Starts one call and runs the loop until it has completed. `start(client, completion)`.
template <typename Result, typename Start>
Result Await(const Arguments& arguments, Start start) {
  boost::asio::io_context context(1);
  ClientOptions options;
  options.endpoints = arguments.endpoints;
  options.client_name = "lockctl";
  Client client(context, std::move(options));
  std::optional<Result> result;
  start(client, [&result](Result completed) { result.emplace(std::move(completed)); });
  context.run();
  LOCKD_CHECK(result.has_value(), "a call that never completes");
  return *std::move(result);
}

template <typename Shown>
void Print(const Arguments& arguments, const Shown& shown) {
  if (arguments.json) {
    std::cout << ToJson(shown).dump() << '\n';
  } else {
    std::cout << ToText(shown);
  }
}

template <typename Result>
int Report(const Arguments& arguments, const absl::StatusOr<Result>& result) {
  if (result.ok()) {
    Print(arguments, *result);
  } else {
    const bool is_down = ReadExitStatus(result.status()) == kExitUnavailable;
    std::cerr << "lockctl: "
              << (is_down ? absl::StrCat("no answer from ", absl::StrJoin(arguments.endpoints, ","),
                                         " within ", FormatDurationMs(arguments.timeout_ms), ": ")
                          : "refused: ")
              << EscapeName(result.status().message()) << '\n';
  }
  return ReadExitStatus(result.status());
}

}  // namespace

int RunGet(const Arguments& arguments, const GetArguments& get) {
  const auto lock = Await<absl::StatusOr<LockRecord>>(arguments, [&](Client& client, auto done) {
    client.GetLock(get.name, MakeReadOptions(arguments), std::move(done));
  });
  return Report(arguments, lock);
}

int RunList(const Arguments& arguments, const ListArguments& list) {
  const auto locks =
      Await<absl::StatusOr<std::vector<LockRecord>>>(arguments, [&](Client& client, auto done) {
        client.ListLocks(list.prefix, MakeReadOptions(arguments), std::move(done));
      });
  return Report(arguments, locks);
}

int RunSessions(const Arguments& arguments) {
  const auto sessions =
      Await<absl::StatusOr<std::vector<SessionRecord>>>(arguments, [&](Client& client, auto done) {
        client.ListSessions(MakeReadOptions(arguments), std::move(done));
      });
  return Report(arguments, sessions);
}

int RunStatus(const Arguments& arguments) {
  const auto reports =
      Await<std::vector<cli::NodeReport>>(arguments, [&](Client& client, auto done) {
        cli::CollectStatus(client, MakeReadOptions(arguments), std::move(done));
      });
  Print(arguments, reports);
  const bool has_answer =
      std::any_of(reports.begin(), reports.end(), [](const auto& r) { return r.status.ok(); });
  if (!has_answer) std::cerr << "lockctl: no node of the cluster answers\n";
  return has_answer ? kExitOk : kExitUnavailable;
}

}  // namespace lockd::lockctl
