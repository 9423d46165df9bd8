#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status Suspect(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  env.SuspectLeader(id);
  return absl::OkStatus();
}

}  // namespace

const Verb kSuspect = {
    "suspect", "ID",
    "The member's owner has evidence that the leader died (its connections are refused): the "
    "leader's lease ends here, and the member campaigns within a heartbeat interval unless it "
    "hears "
    "the leader again.",
    Suspect};

}  // namespace lockd::raft_env
