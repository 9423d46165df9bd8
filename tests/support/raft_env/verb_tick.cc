#include "tests/support/raft_env/verbs.h"

#include <vector>

namespace lockd::raft_env {
namespace {

absl::Status Tick(RaftEnv& env, datadriven::Arguments& args) {
  const uint64_t count = args.Number("count", 1);
  const bool at_once = args.Flag("at-once");
  const std::vector<NodeId> ids = TakeRunningMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const NodeId id : ids) {
    if (at_once) {
      env.Tick(id, count);
      continue;
    }
    for (uint64_t tick = 0; tick < count; ++tick) env.Tick(id, 1);
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kTick = {"tick", "[IDS...] [count=K] [at-once]",
                    "K ticks pass at each of these members (default: all that are up), one by one, "
                    "or at-once, as after a pause of the process.",
                    Tick};

}  // namespace lockd::raft_env
