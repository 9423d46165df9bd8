#include "server/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "protocol/base/text.h"

namespace lockd {
namespace {

bool g_json = false;

void Log(spdlog::level::level_enum level, absl::string_view text) {
  // Bytes from outside (names, addresses) never reach the terminal raw.
  const std::string safe = EscapeName(text);
  spdlog::log(level, "{}", g_json ? nlohmann::json(safe).dump() : safe);
}

}  // namespace

void StartLog(bool json, const std::string& level) {
  g_json = json;
  auto logger = spdlog::stderr_logger_mt("lockd");
  logger->set_level(spdlog::level::from_str(level == "warning" ? "warn" : level));
  logger->set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":%v})"
                           : "%Y-%m-%d %H:%M:%S.%e %l: %v");
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

void LogInfo(absl::string_view text) {
  Log(spdlog::level::info, text);
}
void LogWarning(absl::string_view text) {
  Log(spdlog::level::warn, text);
}
void LogError(absl::string_view text) {
  Log(spdlog::level::err, text);
}

}  // namespace lockd
