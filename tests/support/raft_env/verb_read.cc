#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status Read(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  const std::string word = args.Positional("CONTEXT");
  const std::optional<uint64_t> context = datadriven::ParseNumber(word);
  if (!context) args.Fail("CONTEXT is not a number");
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  env.RequestRead(id, *context);
  return absl::OkStatus();
}

}  // namespace

const Verb kRead = {
    "read", "ID CONTEXT",
    "Asks this member for a linearizable read. The answer is shown by the `ready` or `stabilize` "
    "that takes it: the index from which the read may be served, or that it cannot be answered.",
    Read};

}  // namespace lockd::raft_env
