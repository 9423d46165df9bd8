#include "tests/support/raft_env/verbs.h"

#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

absl::Status Deliver(RaftEnv& env, datadriven::Arguments& args) {
  const bool twice = args.Flag("twice");
  const Selection selection = Selection::Take(args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  Network& network = env.network();
  const std::vector<raft::Message> messages = network.Take(selection.Apply(network.in_flight()));
  if (messages.empty()) env.Print("no such message is in flight");
  for (const raft::Message& message : messages) {
    env.Deliver(message);
    if (twice) env.Deliver(message);
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kDeliver = {
    "deliver",
    "[A->B] [from=N] [to=N] [type=TYPE] [term=T] [skip=K] [count=K] [at=(P,...)] [reversed] "
    "[twice]",
    "Hands messages in flight to their receivers, by default all of them in the order of sending; "
    "twice: each of them two times. A message over a cut link, or to a member that is down, is "
    "lost. What the receivers want to do about it is taken by `ready` or `stabilize`.",
    Deliver};

}  // namespace lockd::raft_env
