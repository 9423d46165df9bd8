#include "tests/support/raft_env/verbs.h"

#include <vector>

namespace lockd::raft_env {
namespace {

absl::Status TakeReady(RaftEnv& env, datadriven::Arguments& args) {
  const raft::TakeWrite take_write =
      args.Flag("no-write") ? raft::TakeWrite::kNo : raft::TakeWrite::kYes;
  const std::vector<NodeId> ids = TakeRunningMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const NodeId id : ids) {
    if (env.member(id).raft->HasReady(take_write)) env.TakeReady(id, take_write, true);
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kReady = {
    "ready", "[IDS...] [no-write]",
    "Takes one Ready of each member (default: all that are up) and starts what it asks for: "
    "messages are in flight, the write waits for `persist`, disk reads wait too, committed "
    "entries "
    "are applied (unless `apply ID stall`), reads are answered. "
    "no-write: what is to be written stays in the core and grows (group commit).",
    TakeReady};

}  // namespace lockd::raft_env
