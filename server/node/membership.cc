#include "server/node/membership.h"

#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "server/state/command.h"
#include "server/state/members.h"

namespace lockd::node {

raft::Configuration ConfigurationOf(const std::vector<state::Member>& members) {
  state::ChangeMembers lists = state::ListsOf(members);
  return {.voters = std::move(lists.voters),
          .outgoing_voters = std::move(lists.outgoing),
          .learners = std::move(lists.learners)};
}

state::ChangeMembers CommandFor(const raft::Configuration& to, std::vector<state::Member> added) {
  return {.voters = to.voters,
          .outgoing = to.outgoing_voters,
          .learners = to.learners,
          .added = std::move(added)};
}

raft::ConfigurationChange ChangeFor(const raft::Configuration& to, std::vector<state::Member> added,
                                    WallTime now) {
  state::BatchBuilder builder;
  builder.Add(CommandFor(to, std::move(added)));
  return {.configuration = to, .particulars = builder.Take(now)};
}

std::vector<state::Member> AddedBy(const raft::ConfigurationChange& change) {
  const absl::StatusOr<state::Batch> batch = state::DecodeBatch(change.particulars);
  if (!batch.ok()) return {};  // apply will end the process with a reason
  for (const state::Command& command : batch->commands) {
    if (const auto* members = std::get_if<state::ChangeMembers>(&command)) return members->added;
  }
  return {};
}

}  // namespace lockd::node
