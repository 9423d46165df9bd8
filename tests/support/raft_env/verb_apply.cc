#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status Apply(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeMember(env, args);
  const bool stall = args.Flag("stall");
  const bool resume = args.Flag("resume");
  const uint64_t count = args.Number("count", 1);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  Member& member = env.member(id);
  if (stall) {
    member.apply_stalled = true;
    return absl::OkStatus();
  }
  if (resume) {
    member.apply_stalled = false;
    while (!member.to_apply.empty()) env.ApplyOne(id);
    return absl::OkStatus();
  }
  for (uint64_t done = 0; done < count; ++done) {
    if (member.to_apply.empty()) return absl::InvalidArgumentError("nothing waits to be applied");
    env.ApplyOne(id);
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kApply = {
    "apply", "ID [stall | resume | count=K]",
    "`stall`: from now on committed entries of this member wait; `apply ID count=K` applies the "
    "next K of them, `resume` all, and ends the stall.",
    Apply};

}  // namespace lockd::raft_env
