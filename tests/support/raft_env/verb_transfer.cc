#include "tests/support/raft_env/verbs.h"

namespace lockd::raft_env {
namespace {

absl::Status TransferTo(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  const NodeId to(args.Number("to", 0));
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  raft::Raft& raft = *env.member(id).raft;
  switch (raft.TransferLeadership(to)) {
    case raft::TransferOutcome::kStarted:
      env.Print(id, " hands over to ", raft.transfer_target());
      break;
    case raft::TransferOutcome::kNotLeader:
      env.Print(id, " does not lead");
      break;
    case raft::TransferOutcome::kIsLeader:
      env.Print(to, " leads already");
      break;
    case raft::TransferOutcome::kNoSuchMember:
      env.Print(to, " is no member");
      break;
    case raft::TransferOutcome::kNotVoter:
      env.Print(to, " is no voter");
      break;
    case raft::TransferOutcome::kBusy:
      env.Print(id, " is busy handing over to ", raft.transfer_target());
      break;
    case raft::TransferOutcome::kNobody:
      env.Print(id, " has heard no other voter of late");
      break;
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kTransfer = {
    "transfer", "ID [to=N]",
    "Asks this member to hand its leadership to another one, or (without `to`) to the voter that "
    "has the most of its log, and prints to whom it does, or why not.",
    TransferTo};

}  // namespace lockd::raft_env
