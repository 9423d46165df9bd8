#include "absl/strings/str_cat.h"
#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status Persist(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeMember(env, args);
  const bool all = args.Flag("all");
  const bool stall = args.Flag("stall");
  const bool resume = args.Flag("resume");
  const uint64_t count = args.Number("count", 1);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  Member& member = env.member(id);
  if (stall || resume) {
    member.disk_stalled = stall;
    return absl::OkStatus();
  }
  if (!member.up()) return absl::InvalidArgumentError(absl::StrCat("node ", id, " is down"));
  for (uint64_t done = 0; all || done < count; ++done) {
    if (member.writes.empty() && member.reads.empty()) {
      if (all) break;
      return absl::InvalidArgumentError("no write or read is waiting");
    }
    if (!member.writes.empty()) {
      env.Print(id, " has written #", member.writes.front().id);
      env.CompleteWrite(id);
    } else {
      env.CompleteRead(id);
    }
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kPersist = {
    "persist", "ID [all | count=K | stall | resume]",
    "Completes the oldest waiting write of this member (or K of them, or all), and then, when no "
    "write is left, its waiting disk reads. The messages that waited for a write leave, the core "
    "learns of the completion. `stall`: from now on `stabilize`, `elect` and `run` leave this "
    "member's disk alone, until `resume`.",
    Persist};

}  // namespace lockd::raft_env
