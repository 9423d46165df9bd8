#include "tools/lockctl/member_command.h"

#include <iostream>
#include <tuple>
#include <utility>
#include <vector>

#include "client/client.h"
#include "tools/cli/cluster_status.h"
#include "tools/lockctl/call.h"
#include "tools/lockctl/exit_status.h"
#include "tools/lockctl/render.h"

namespace lockd::lockctl {
namespace {

int ChangeExitStatus(ChangeMembersStatus status) {
  switch (status) {
    case ChangeMembersStatus::kDone:
      return kExitOk;
    case ChangeMembersStatus::kNoSuchMember:
      return kExitNoSuch;
    default:
      return kExitRefused;
  }
}

// Who knows best who is a member: the leader, else who has heard of the newest one and has applied
// most. Null: nobody answers.
const NodeStatus* BestInformed(const std::vector<cli::NodeReport>& reports) {
  const NodeStatus* best = nullptr;
  const auto rank = [](const NodeStatus& node) {
    return std::tuple(node.role == "leader", node.term, node.applied_index);
  };
  for (const cli::NodeReport& report : reports) {
    if (!report.status.ok()) continue;
    if (best == nullptr || rank(*best) < rank(*report.status)) best = &*report.status;
  }
  return best;
}

}  // namespace

int RunMemberList(const Arguments& arguments) {
  const auto reports =
      Await<std::vector<cli::NodeReport>>(arguments, [&](Client& client, auto done) {
        cli::CollectStatus(client, MakeReadOptions(arguments), std::move(done));
      });
  const NodeStatus* const best = BestInformed(reports);
  if (best == nullptr) {
    std::cerr << "lockctl: no node of the cluster answers\n";
    return kExitUnavailable;
  }
  Print(arguments, MemberList{*best});
  return kExitOk;
}

int RunMemberChange(const Arguments& arguments, const MemberArguments& member) {
  const auto record =
      Await<absl::StatusOr<ChangeMembersRecord>>(arguments, [&](Client& client, auto done) {
        client.ChangeMembers(member.change, MakeReadOptions(arguments), std::move(done));
      });
  if (!record.ok()) return Report(arguments, record.status());
  const MemberAnswer answer{member.change, *record};
  Print(arguments, answer);
  if (record->status != ChangeMembersStatus::kDone) {
    std::cerr << "lockctl: the members were not changed: " << Explanation(answer) << '\n';
  }
  return ChangeExitStatus(record->status);
}

}  // namespace lockd::lockctl
