#include "tests/support/raft_env/verbs.h"

#include <vector>

namespace lockd::raft_env {
namespace {

absl::Status Heal(RaftEnv& env, datadriven::Arguments& args) {
  const std::vector<Link> links = TakeLinks(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  if (links.empty()) env.network().HealAll();
  for (const Link& link : links) env.network().Heal(link);
  return absl::OkStatus();
}

}  // namespace

const Verb kHeal = {"heal", "[LINK...]", "Heals these links, by default all.", Heal};

}  // namespace lockd::raft_env
