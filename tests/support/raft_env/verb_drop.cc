#include "tests/support/raft_env/verbs.h"

#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

absl::Status Drop(RaftEnv& env, datadriven::Arguments& args) {
  const Selection selection = Selection::Take(args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  Network& network = env.network();
  const std::vector<raft::Message> messages = network.Take(selection.Apply(network.in_flight()));
  if (messages.empty()) env.Print("no such message is in flight");
  for (const raft::Message& message : messages) env.Trace("lost: ", raft::Describe(message));
  return absl::OkStatus();
}

}  // namespace

const Verb kDrop = {
    "drop",
    "[A->B] [from=N] [to=N] [type=TYPE] [term=T] [skip=K] [count=K] [at=(P,...)] [reversed]",
    "Loses messages in flight, by default all of them.", Drop};

}  // namespace lockd::raft_env
