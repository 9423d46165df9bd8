#include "tests/support/raft_env/verbs.h"

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

absl::Status PrintCore(RaftEnv& env, datadriven::Arguments& args) {
  const std::vector<NodeId> ids = TakeRunningMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const NodeId id : ids) {
    const std::string text = raft::Describe(*env.member(id).raft);
    for (const absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
      env.Print(line);
    }
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kPrintCore = {
    "print-core", "[IDS...]",
    "What the cores of these members (default: all that are up) say of themselves; a leader also "
    "what it believes about each follower: probe, replicate or snapshot, match, next, what is in "
    "flight.",
    PrintCore};

}  // namespace lockd::raft_env
