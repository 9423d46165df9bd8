#include "tests/support/raft_env/verbs.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

using Expectations = std::vector<std::pair<absl::string_view, std::string>>;

Expectations TakeExpectations(datadriven::Arguments& args) {
  Expectations expectations;
  for (const absl::string_view key :
       {"role", "term", "leader", "vote", "commit", "applied", "durable", "last", "base", "targets",
        "uncommitted-bytes", "committed-in-term"}) {
    if (std::optional<std::string> value = args.Text(key)) {
      expectations.emplace_back(key, *std::move(value));
    }
  }
  if (expectations.empty()) args.Fail("nothing is expected");
  return expectations;
}

std::string Actual(const Member& member, absl::string_view key) {
  const raft::Raft& raft = *member.raft;
  if (key == "role") return std::string(raft::RoleName(raft.role()));
  if (key == "term") return absl::StrCat(raft.term());
  if (key == "leader") return absl::StrCat(raft.leader_id());
  if (key == "vote") return absl::StrCat(raft.voted_for());
  if (key == "commit") return absl::StrCat(raft.commit_index());
  if (key == "applied") return absl::StrCat(member.applied);
  if (key == "durable") return absl::StrCat(raft.durable_index());
  if (key == "last") return absl::StrCat(raft.last_index());
  if (key == "base") return absl::StrCat(raft.log().base_index());
  if (key == "targets") return absl::StrCat("(", absl::StrJoin(raft.SnapshotTargets(), ","), ")");
  if (key == "uncommitted-bytes") return absl::StrCat(raft.uncommitted_bytes());
  return raft.has_committed_in_term() ? "yes" : "no";
}

absl::Status Expect(RaftEnv& env, datadriven::Arguments& args) {
  const Expectations expectations = TakeExpectations(args);
  const std::vector<NodeId> ids = TakeRunningMembers(env, args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  std::string wrong;
  for (const NodeId id : ids) {
    for (const auto& [key, expected] : expectations) {
      const std::string actual = Actual(env.member(id), key);
      if (actual != expected) absl::StrAppend(&wrong, "; node ", id, " has ", key, "=", actual);
    }
  }
  if (wrong.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("not met", wrong));
}

}  // namespace

const Verb kExpect = {
    "expect",
    "[IDS...] [role=ROLE] [term=T] [leader=N] [vote=N] [commit=I] [applied=I] [durable=I] [last=I] "
    "[base=I] [targets=(N,...)] [uncommitted-bytes=N] [committed-in-term=yes|no]",
    "Ends the script when one of these members (default: all that are up) is in another state. For "
    "what a scenario is about: unlike "
    "printed output, recording does not accept a difference here. `vote`: 0 is nobody; `base`: the "
    "entry before the log's first; `targets`: who needs a snapshot of this leader.",
    Expect};

}  // namespace lockd::raft_env
