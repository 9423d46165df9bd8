#include "tests/support/raft_env/verbs.h"

#include <string>

namespace lockd::raft_env {
namespace {

absl::Status Output(RaftEnv& env, datadriven::Arguments& args) {
  // The words quiet, brief and full belong to every verb and are already taken.
  const Detail detail = env.detail();
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  env.set_default_detail(detail);
  return absl::OkStatus();
}

}  // namespace

const Verb kOutput = {
    "output", "quiet | brief | full",
    "Sets how much the verbs that follow show; every verb also takes one of the three words for "
    "itself. quiet: nothing but what was asked for. brief: also, with a star, changes of role, "
    "term, leader and commit index, and answered reads. full (the default): also every message "
    "delivered or lost, every write, and every entry applied.",
    Output};

}  // namespace lockd::raft_env
