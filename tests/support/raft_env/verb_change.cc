#include "tests/support/raft_env/verbs.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"
#include "consensus/raft/membership.h"

namespace lockd::raft_env {
namespace {

std::vector<NodeId> TakeIds(datadriven::Arguments& args, absl::string_view key) {
  const std::optional<std::string> text = args.Text(key);
  if (!text) return {};
  std::optional<std::vector<NodeId>> ids = ParseIds(*text);
  if (!ids) args.Fail(absl::StrCat("`", key, "=", *text, "` is not a list of ids"));
  return ids.value_or(std::vector<NodeId>{});
}

std::string WhyNot(const raft::Raft& raft, raft::ChangeOutcome outcome) {
  switch (outcome) {
    case raft::ChangeOutcome::kAccepted:
      return "";
    case raft::ChangeOutcome::kNotLeader:
      return "it does not lead";
    case raft::ChangeOutcome::kTransferring:
      return absl::StrCat("it hands over to ", raft.transfer_target());
    case raft::ChangeOutcome::kTooEarly:
      return absl::StrCat("nothing of term ", raft.term(), " is committed");
    case raft::ChangeOutcome::kChangeUnderWay:
      return absl::StrCat("the configuration at ", raft.configuration_index(), " is not committed");
    case raft::ChangeOutcome::kNotOneStep:
      return absl::StrCat("no step leads there from ", raft::Describe(raft.configuration()));
    case raft::ChangeOutcome::kTooManyUncommitted:
      return absl::StrCat(raft.uncommitted_bytes(), " bytes are uncommitted");
  }
  return "unknown";
}

absl::Status ChangeMembers(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  raft::Configuration next;
  next.voters = TakeIds(args, "voters");
  next.outgoing_voters = TakeIds(args, "outgoing");
  next.learners = TakeIds(args, "learners");
  const bool leaves = args.Flag("leave");
  if (leaves != next.voters.empty()) args.Fail("either voters=IDS or `leave`");
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  raft::Raft& raft = *env.member(id).raft;
  if (leaves) next = raft::LeaveJoint(raft.configuration());
  raft::Index index;
  const raft::ChangeOutcome outcome = raft.ProposeConfiguration({next, {}}, &index);
  if (outcome == raft::ChangeOutcome::kAccepted) {
    env.Print(id, " appends ", index, " in term ", raft.term(), ": ", raft::Describe(next));
  } else {
    env.Print(id, " refuses: ", WhyNot(raft, outcome));
  }
  return absl::OkStatus();
}

}  // namespace

const Verb kChange = {
    "change", "ID [voters=IDS [outgoing=IDS] [learners=IDS] | leave]",
    "Proposes the next configuration at this member, joint if there are outgoing voters, or "
    "(leave) "
    "the one that its joint configuration is on the way to. Prints where it stands, or why not.",
    ChangeMembers};

}  // namespace lockd::raft_env
