#include "tests/support/raft_env/verbs.h"

#include <vector>

#include "absl/strings/str_cat.h"

namespace lockd::raft_env {
namespace {

absl::Status Restart(RaftEnv& env, datadriven::Arguments& args) {
  std::vector<NodeId> ids = TakeMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const NodeId id : ids) {
    if (env.member(id).up()) continue;
    env.Restart(id);
    const raft::Raft& raft = *env.member(id).raft;
    env.Note("* ", id, " is up in term ", raft.term(), ", log ends at ", raft.last_index(),
             ", commits ", raft.commit_index());
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kRestart = {"restart", "[IDS...]",
                       "Starts members that are down (default: all of them) on what their disks "
                       "hold. Their state machines are empty and apply the log again.",
                       Restart};

}  // namespace lockd::raft_env
