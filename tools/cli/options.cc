#include "tools/cli/options.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/options.h"
#include "protocol/base/text.h"

namespace lockd::cli {
namespace {

// "lockctl lock", "lockctl member add": the part of the command line whose help explains the
// mistake.
std::string CommandOf(const CLI::App& app) {
  std::string command = app.get_name();
  for (const CLI::App* subcommand : app.get_subcommands()) {
    absl::StrAppend(&command, " ", CommandOf(*subcommand));
  }
  return command;
}

}  // namespace

std::optional<Ending> Parse(CLI::App& app, int argc, const char* const* argv,
                            absl::string_view version) {
  app.set_version_flag("--version", std::string(version));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Ending{kExitOk, app.help()};
  } catch (const CLI::CallForVersion&) {
    return Ending{kExitOk, absl::StrCat(version, "\n")};
  } catch (const CLI::Error& error) {
    return Mistake(app, error.what());
  }
  return std::nullopt;
}

Ending Mistake(const CLI::App& app, absl::string_view message) {
  return {kExitUsage,
          absl::StrCat(app.get_name(), ": ", message, " (", CommandOf(app), " --help explains)\n")};
}

int Leave(const Ending& ending) {
  (ending.exit_status == kExitOk ? std::cout : std::cerr) << ending.text << std::flush;
  return ending.exit_status;
}

CLI::Option* AddText(CLI::App& app, const std::string& name, const std::string& type,
                     const std::string& help, std::function<std::string(const std::string&)> take) {
  return app
      .add_option_function<std::string>(
          name,
          [name, take = std::move(take)](const std::string& text) {
            const std::string wrong = take(text);
            if (!wrong.empty()) throw CLI::ValidationError(name, wrong);
          },
          help)
      ->type_name(type);
}

std::string DurationRange::ToString() const {
  return absl::StrCat(zero_allowed ? "0s or " : "", FormatDurationMs(min_ms), "..",
                      FormatDurationMs(max_ms));
}

CLI::Option* AddDuration(CLI::App& app, const std::string& name, int64_t* value_ms,
                         const DurationRange& range, const std::string& help) {
  const std::string allowed = range.ToString();
  return AddText(app, name, "DUR", absl::StrCat(help, " (", allowed, ")"),
                 [value_ms, range, allowed](const std::string& text) -> std::string {
                   const absl::StatusOr<int64_t> parsed = ParseDurationMs(text);
                   if (!parsed.ok()) {
                     return absl::StrCat(std::string(parsed.status().message()),
                                         "; allowed: ", allowed);
                   }
                   const bool is_zero_meant = range.zero_allowed && *parsed == 0;
                   if (!is_zero_meant && (*parsed < range.min_ms || *parsed > range.max_ms)) {
                     return absl::StrCat(text, " is out of range; allowed: ", allowed);
                   }
                   *value_ms = *parsed;
                   return "";
                 });
}

CLI::Option* AddCount(CLI::App& app, const std::string& name, uint64_t* value, uint64_t min,
                      uint64_t max, const std::string& help) {
  const std::string allowed = absl::StrCat(min, "..", max);
  return AddText(app, name, "N", absl::StrCat(help, " (", allowed, ")"),
                 [=](const std::string& text) -> std::string {
                   uint64_t number = 0;
                   if (!absl::SimpleAtoi(text, &number)) {
                     return absl::StrCat("\"", EscapeName(text),
                                         "\" is not a whole number; allowed: ", allowed);
                   }
                   if (number < min || number > max) {
                     return absl::StrCat(text, " is out of range; allowed: ", allowed);
                   }
                   *value = number;
                   return "";
                 });
}

CLI::Option* AddEndpoints(CLI::App& app, std::string* list) {
  return app
      .add_option("--endpoints", *list,
                  absl::StrCat("nodes to ask, any of the cluster, separated by commas; without it "
                               "LOCKD_ENDPOINTS, else ",
                               kDefaultEndpoint))
      ->type_name("HOST:PORT,...");
}

absl::StatusOr<std::vector<std::string>> EndpointsOr(const std::string& list) {
  std::vector<std::string> endpoints = EndpointsFrom(list);
  const char* const source = list.empty() ? "LOCKD_ENDPOINTS" : "--endpoints";
  for (const std::string& endpoint : endpoints) {
    const absl::StatusOr<HostPort> parsed = ParseHostPort(endpoint);
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, ": ", std::string(parsed.status().message())));
    }
    if (parsed->port == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, ": ", endpoint, " has port 0; allowed: 1..65535"));
    }
  }
  return endpoints;
}

}  // namespace lockd::cli
