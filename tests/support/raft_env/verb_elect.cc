#include "tests/support/raft_env/verbs.h"

#include "absl/strings/str_cat.h"

namespace lockd::raft_env {
namespace {

absl::Status Elect(RaftEnv& env, datadriven::Arguments& args) {
  const bool votes_only = args.Flag("votes-only");
  const NodeId id = TakeRunningMember(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  env.Campaign(id);
  if (absl::Status status = env.Stabilize(env.ids(), votes_only); !status.ok()) return status;
  if (env.member(id).raft->role() != raft::Role::kLeader) {
    return absl::FailedPreconditionError(absl::StrCat(id, " was not elected"));
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kElect = {"elect", "ID [votes-only]",
                     "Set-up in one line: `campaign ID`, `stabilize` (which see for votes-only), "
                     "and the member must lead "
                     "afterwards.",
                     Elect};

}  // namespace lockd::raft_env
