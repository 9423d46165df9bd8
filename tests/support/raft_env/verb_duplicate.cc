#include "tests/support/raft_env/verbs.h"

#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

absl::Status Duplicate(RaftEnv& env, datadriven::Arguments& args) {
  const Selection selection = Selection::Take(args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  Network& network = env.network();
  const std::vector<size_t> positions = selection.Apply(network.in_flight());
  if (positions.empty()) env.Print("no such message is in flight");
  std::vector<raft::Message> copies;
  for (const size_t position : positions) copies.push_back(network.in_flight()[position]);
  for (raft::Message& copy : copies) {
    env.Trace("again: ", raft::Describe(copy));
    network.Send(std::move(copy));
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kDuplicate = {
    "duplicate",
    "[A->B] [from=N] [to=N] [type=TYPE] [term=T] [skip=K] [count=K] [at=(P,...)] [reversed]",
    "Puts a copy of messages in flight behind all others.", Duplicate};

}  // namespace lockd::raft_env
