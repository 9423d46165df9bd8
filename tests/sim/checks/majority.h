// Majorities as the thesis defines them (4.3), written apart from the product's.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_MAJORITY_H_
#define LOCKD_TESTS_SIM_CHECKS_MAJORITY_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::sim {

// More than half of the voters, and in a joint configuration more than half of the old ones too.
[[nodiscard]] inline bool IsMajority(const raft::Configuration& configuration,
                                     absl::FunctionRef<bool(NodeId)> agrees) {
  for (const std::vector<NodeId>* half : {&configuration.voters, &configuration.outgoing_voters}) {
    size_t agreeing = 0;
    for (const NodeId voter : *half) agreeing += agrees(voter) ? 1 : 0;
    if (!half->empty() && agreeing * 2 <= half->size()) return false;
  }
  return !configuration.voters.empty();
}

[[nodiscard]] inline std::string Describe(const raft::Configuration& configuration) {
  const auto list = [](const std::vector<NodeId>& ids) {
    return absl::StrJoin(ids, " ", [](std::string* out, NodeId id) { absl::StrAppend(out, id); });
  };
  return absl::StrCat(
      "{", list(configuration.voters), "}", configuration.outgoing_voters.empty() ? "" : " and {",
      list(configuration.outgoing_voters), configuration.outgoing_voters.empty() ? "" : "}");
}

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_MAJORITY_H_
