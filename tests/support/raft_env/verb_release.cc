#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status Release(RaftEnv& env, datadriven::Arguments& args) {
  const Selection selection = Selection::Take(args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  env.network().Release(selection);
  return absl::OkStatus();
}

}  // namespace

const Verb kRelease = {
    "release",
    "[A->B] [from=N] [to=N] [type=TYPE] [term=T] [skip=K] [count=K] [at=(P,...)] [reversed]",
    "Puts messages that are held back in flight, behind all others.", Release};

}  // namespace lockd::raft_env
