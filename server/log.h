// Log lines of the process, through spdlog, to standard error: human text, or one JSON object a
// line.
//
// Only the rim logs (server, server/net, main); the pure parts hand out notes.
//
// Threading: any (locked).
#ifndef LOCKD_SERVER_LOG_H_
#define LOCKD_SERVER_LOG_H_

#include <string>

#include "absl/strings/string_view.h"

namespace lockd {

// Once, before the first line. `level`: debug, info, warning, error.
void StartLog(bool json, const std::string& level);

void LogInfo(absl::string_view text);
void LogWarning(absl::string_view text);
void LogError(absl::string_view text);

}  // namespace lockd

#endif  // LOCKD_SERVER_LOG_H_
