#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status Crash(RaftEnv& env, datadriven::Arguments& args) {
  const uint64_t writes = args.Number("writes-kept", 0);
  const uint64_t entries = args.Number("entries-kept", 0);
  const std::vector<NodeId> ids = TakeRunningMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const NodeId id : ids) {
    env.Note("* ", id, " is down");
    env.Crash(id, writes, entries);
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kCrash = {
    "crash", "[IDS...] [writes-kept=K] [entries-kept=K]",
    "Power off at these members (default: all that are up). Writes that were not completed are "
    "lost, but for the first `writes-kept` of them, and of the next one its hard state and first "
    "`entries-kept` entries: a disk may have stored what it did not live to report. What was in "
    "flight stays in flight.",
    Crash};

}  // namespace lockd::raft_env
