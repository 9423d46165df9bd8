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

// What was asked for, and what came of it.
struct MemberAnswer {
  MemberChange change;
  ChangeMembersRecord record;
};
// The members as this node knows them.
struct MemberList {
  NodeStatus told_by;
};

[[nodiscard]] nlohmann::ordered_json ToJson(const LockRecord& lock);
[[nodiscard]] nlohmann::ordered_json ToJson(const SessionRecord& session);
// A node that has not answered: its address and `error`.
[[nodiscard]] nlohmann::ordered_json ToJson(const cli::NodeReport& report);
[[nodiscard]] nlohmann::ordered_json ToJson(const TransferRecord& transfer);
[[nodiscard]] nlohmann::ordered_json ToJson(const MemberRecord& member);
// `start`, when there is something to start: the words of the line.
[[nodiscard]] nlohmann::ordered_json ToJson(const MemberAnswer& answer);
// An array of members, each with whether it leads.
[[nodiscard]] nlohmann::ordered_json ToJson(const MemberList& list);
template <typename Record>
[[nodiscard]] nlohmann::ordered_json ToJson(const std::vector<Record>& records);

// One line for each field.
[[nodiscard]] std::string ToText(const LockRecord& lock);
// A table with a head line; a sentence when there is nothing to list.
[[nodiscard]] std::string ToText(const std::vector<LockRecord>& locks);
[[nodiscard]] std::string ToText(const std::vector<SessionRecord>& sessions);
[[nodiscard]] std::string ToText(const std::vector<cli::NodeReport>& reports);
[[nodiscard]] std::string ToText(const TransferRecord& transfer);
// What is to be done next. Empty for what was refused: Explanation says why.
[[nodiscard]] std::string ToText(const MemberAnswer& answer);
[[nodiscard]] std::string ToText(const MemberList& list);
// What a result means and what to do, in half a line.
[[nodiscard]] std::string Explanation(TransferStatus status);
[[nodiscard]] std::string Explanation(const MemberAnswer& answer);

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_RENDER_H_
