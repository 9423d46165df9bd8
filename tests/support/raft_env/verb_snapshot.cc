#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status TakeSnapshot(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  if (env.member(id).applied.is_zero()) return absl::InvalidArgumentError("nothing is applied");
  env.TakeSnapshot(id);
  return absl::OkStatus();
}

}  // namespace

const Verb kSnapshot = {
    "snapshot", "ID",
    "All that this member has applied is in a durable snapshot, which takes the place of an older "
    "one. The log stays.",
    TakeSnapshot};

}  // namespace lockd::raft_env
