// What lockctl shows, as JSON and as text for people.
//
// In both, bytes that are not printable ASCII come out as \xNN. In JSON, tokens and 64-bit ids are
// decimal strings, what does not apply is null, and keys are never taken away.
//
// Threading: pure value.
#ifndef LOCKD_TOOLS_LOCKCTL_RENDER_H_
#define LOCKD_TOOLS_LOCKCTL_RENDER_H_

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "client/records.h"
#include "tools/cli/cluster_status.h"

namespace lockd::lockctl {

[[nodiscard]] nlohmann::ordered_json ToJson(const LockRecord& lock);
[[nodiscard]] nlohmann::ordered_json ToJson(const SessionRecord& session);
// A node that has not answered: its address and `error`.
[[nodiscard]] nlohmann::ordered_json ToJson(const cli::NodeReport& report);
template <typename Record>
[[nodiscard]] nlohmann::ordered_json ToJson(const std::vector<Record>& records);

// One line for each field.
[[nodiscard]] std::string ToText(const LockRecord& lock);
// A table with a head line; a sentence when there is nothing to list.
[[nodiscard]] std::string ToText(const std::vector<LockRecord>& locks);
[[nodiscard]] std::string ToText(const std::vector<SessionRecord>& sessions);
[[nodiscard]] std::string ToText(const std::vector<cli::NodeReport>& reports);

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_RENDER_H_
