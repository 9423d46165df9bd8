#include "tests/support/raft_env/verbs.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lockd::raft_env {
namespace {

absl::Status Partition(RaftEnv& env, datadriven::Arguments& args) {
  std::vector<std::vector<NodeId>> groups;
  for (const std::string& word : args.RestPositional()) {
    const std::optional<std::vector<NodeId>> group = ParseIds(word);
    if (!group) args.Fail(absl::StrCat("`", word, "` is not a list of ids"));
    groups.push_back(group.value_or(std::vector<NodeId>{}));
  }
  if (groups.empty()) args.Fail("missing argument IDS");
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  // Which group each member is in; those that are not named are alone together.
  std::map<NodeId, size_t> group_of;
  for (size_t group = 0; group < groups.size(); ++group) {
    for (const NodeId id : groups[group]) group_of[id] = group + 1;
  }
  env.network().HealAll();
  for (const NodeId from : env.ids()) {
    for (const NodeId to : env.ids()) {
      if (group_of[from] != group_of[to]) env.network().Cut({from, to});
    }
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kPartition = {"partition", "IDS...",
                         "Cuts the cluster into these groups, and those not named into one more; "
                         "all other links are healed.",
                         Partition};

}  // namespace lockd::raft_env
