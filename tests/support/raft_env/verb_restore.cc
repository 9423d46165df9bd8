#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status Restore(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  const Member& member = env.member(id);
  if (!member.receiving || member.received_bytes < member.receiving->bytes) {
    return absl::InvalidArgumentError("no whole snapshot has come in");
  }
  env.RestoreSnapshot(id);
  return absl::OkStatus();
}

}  // namespace

const Verb kRestore = {
    "restore", "ID",
    "The snapshot that this member has received whole is durable and loaded, and takes the place "
    "of its state if the core agrees. The answer to the leader leaves when the core lets it.",
    Restore};

}  // namespace lockd::raft_env
