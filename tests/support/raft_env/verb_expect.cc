#include "tests/support/raft_env/verbs.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

absl::Status Expect(RaftEnv& env, datadriven::Arguments& args) {
  const NodeId id = TakeRunningMember(env, args);
  std::vector<std::string> wrong;
  const auto compare = [&](absl::string_view key, const std::string& actual) {
    const std::optional<std::string> expected = args.Text(key);
    if (expected && *expected != actual) wrong.push_back(absl::StrCat(key, "=", actual));
  };
  if (args.ok()) {
    const Member& member = env.member(id);
    const raft::Raft& raft = *member.raft;
    compare("role", std::string(raft::RoleName(raft.role())));
    compare("term", absl::StrCat(raft.term()));
    compare("leader", absl::StrCat(raft.leader_id()));
    compare("vote", absl::StrCat(member.raft->voted_for()));
    compare("commit", absl::StrCat(raft.commit_index()));
    compare("applied", absl::StrCat(member.applied));
    compare("durable", absl::StrCat(raft.durable_index()));
    compare("last", absl::StrCat(raft.last_index()));
    compare("uncommitted-bytes", absl::StrCat(raft.uncommitted_bytes()));
    compare("committed-in-term", raft.has_committed_in_term() ? "yes" : "no");
  }
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  if (wrong.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("node ", id, " has ", absl::StrJoin(wrong, " ")));
}

}  // namespace

const Verb kExpect = {
    "expect",
    "ID [role=ROLE] [term=T] [leader=N] [vote=N] [commit=I] [applied=I] [durable=I] [last=I] "
    "[uncommitted-bytes=N] [committed-in-term=yes|no]",
    "Ends the script when the member is in another state. For what a scenario is about: unlike\n"
    "printed output, recording does not accept a difference here. `vote`: 0 is nobody.",
    Expect};

}  // namespace lockd::raft_env
