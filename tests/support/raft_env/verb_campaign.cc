#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status Campaign(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  env.Campaign(id);
  return absl::OkStatus();
}

}  // namespace

const Verb kCampaign = {
    "campaign", "ID",
    "The member campaigns as if its election timeout had passed: it becomes a pre-candidate. What "
    "it wants to send and write is taken by `ready` or `stabilize`.",
    Campaign};

}  // namespace lockd::raft_env
