#include "tests/support/raft_env/verbs.h"

#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

absl::Status Hold(RaftEnv& env, datadriven::Arguments& args) {
  const Selection selection = Selection::Take(args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  Network& network = env.network();
  std::vector<raft::Message> messages = network.Take(selection.Apply(network.in_flight()));
  if (messages.empty()) env.Print("no such message is in flight");
  for (raft::Message& message : messages) {
    env.Trace("held: ", raft::Describe(message));
    network.Hold(std::move(message));
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kHold = {
    "hold",
    "[A->B] [from=N] [to=N] [type=TYPE] [term=T] [skip=K] [count=K] [at=(P,...)] [reversed]",
    "Delays messages in flight: lays them aside, where neither `deliver` nor `stabilize` finds "
    "them.",
    Hold};

}  // namespace lockd::raft_env
