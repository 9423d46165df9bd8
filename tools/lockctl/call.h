// One call of a client, run to its end, and what is shown of it.
//
// Threading: runs everything on the calling thread.
#ifndef LOCKD_TOOLS_LOCKCTL_CALL_H_
#define LOCKD_TOOLS_LOCKCTL_CALL_H_

#include <boost/asio/io_context.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "protocol/base/check.h"
#include "tools/lockctl/command_line.h"
#include "tools/lockctl/exit_status.h"
#include "tools/lockctl/render.h"

namespace lockd::lockctl {

[[nodiscard]] ReadOptions MakeReadOptions(const Arguments& arguments);

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

// To stdout.
template <typename Shown>
void Print(const Arguments& arguments, const Shown& shown) {
  if (arguments.json) {
    std::cout << ToJson(shown).dump() << '\n';
  } else {
    std::cout << ToText(shown);
  }
}

// Says on stderr why there is no result. Returns the exit status.
int Report(const Arguments& arguments, const absl::Status& failure);
// Prints the result, or why there is none. Returns the exit status of a read.
template <typename Result>
int Report(const Arguments& arguments, const absl::StatusOr<Result>& result) {
  if (!result.ok()) return Report(arguments, result.status());
  Print(arguments, *result);
  return kExitOk;
}

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_CALL_H_
