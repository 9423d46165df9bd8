#include "tests/support/raft_env/verbs.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

std::string State(const Member& member) {
  const raft::HardState& durable = member.disk.hard_state;
  if (!member.up()) {
    return absl::StrCat("down; on disk: term ", durable.term, ", vote ", durable.voted_for,
                        ", commit ", durable.commit, ", last ", member.disk.last_index());
  }
  const raft::Raft& raft = *member.raft;
  std::string state = absl::StrCat(raft::RoleName(raft.role()), ", term ", raft.term(), ", leader ",
                                   raft.leader_id(), ", vote ", raft.voted_for(), ", last ",
                                   raft.last_index(), ", durable ", raft.durable_index(),
                                   ", commit ", raft.commit_index(), ", applied ", member.applied);
  if (!member.to_apply.empty()) {
    absl::StrAppend(&state, ", handed out up to ", member.to_apply.back().index);
  }
  if (raft.role() == raft::Role::kLeader) {
    absl::StrAppend(&state, ", uncommitted ", raft.uncommitted_bytes(), " bytes");
  }
  return state;
}

absl::Status PrintState(RaftEnv& env, datadriven::Arguments& args) {
  const std::vector<NodeId> ids = TakeMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  for (const NodeId id : ids) env.Print(id, ": ", State(env.member(id)));
  return absl::OkStatus();
}

}  // namespace

const Verb kPrintState = {
    "print-state", "[IDS...]",
    "One line for each member (default: all): role, term, leader (0: unknown), the vote, "
    "last and last durable index, commit and applied index (and how far entries were handed out, "
    "when they wait for `apply`), and a leader's uncommitted bytes.",
    PrintState};

}  // namespace lockd::raft_env
