#include "tests/support/raft_env/verbs.h"

#include <vector>

namespace lockd::raft_env {
namespace {

absl::Status Stabilize(RaftEnv& env, datadriven::Arguments& args) {
  const bool votes_only = args.Flag("votes-only");
  const std::vector<NodeId> ids = TakeMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  return env.Stabilize(ids, votes_only);
}

}  // namespace

const Verb kStabilize = {
    "stabilize", "[IDS...] [votes-only]",
    "Lets these members (default: all) work until nothing is left to do, without a tick: in "
    "rounds, "
    "each takes its Ready, completes its writes and reads (unless `persist ID stall`), then all "
    "messages in flight to these members are delivered. Messages to others stay in flight, and so "
    "do appends and heartbeats with votes-only.",
    Stabilize};

}  // namespace lockd::raft_env
