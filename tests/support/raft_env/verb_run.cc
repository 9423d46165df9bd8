#include "tests/support/raft_env/verbs.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lockd::raft_env {
namespace {

absl::Status Run(RaftEnv& env, datadriven::Arguments& args) {
  const uint64_t ticks = args.RequiredNumber("ticks");
  const std::vector<NodeId> ids = TakeRunningMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (uint64_t tick = 1; tick <= ticks; ++tick) {
    env.set_prefix(absl::StrCat("[", tick, "] "));
    for (const NodeId id : ids) env.Tick(id, 1);
    if (absl::Status status = env.Stabilize(ids); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kRun = {"run", "[IDS...] ticks=K",
                   "Time goes on: K times, a tick at each of these members (default: all that are "
                   "up), in order, then `stabilize` over them. Every line shown begins with the "
                   "number of its tick.",
                   Run};

}  // namespace lockd::raft_env
