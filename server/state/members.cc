#include "server/state/members.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"

namespace lockd::state {
namespace {

bool IsIn(const std::vector<NodeId>& ids, NodeId id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

bool IsIn(const std::vector<Member>& members, NodeId id) {
  const auto at =
      std::lower_bound(members.begin(), members.end(), id,
                       [](const Member& member, NodeId other) { return member.node_id < other; });
  return at != members.end() && at->node_id == id;
}

bool HaveRole(const std::vector<Member>& members, MemberRole role) {
  return std::any_of(members.begin(), members.end(),
                     [role](const Member& member) { return member.role == role; });
}

// Nothing: a member no longer.
std::optional<MemberRole> RoleIn(const ChangeMembers& change, NodeId id) {
  if (IsIn(change.learners, id)) return MemberRole::kLearner;
  const bool is_outgoing = IsIn(change.outgoing, id);
  if (!IsIn(change.voters, id)) {
    return is_outgoing ? std::optional(MemberRole::kOutgoing) : std::nullopt;
  }
  return change.outgoing.empty() || is_outgoing ? MemberRole::kVoter : MemberRole::kIncoming;
}

}  // namespace

const char* RoleName(MemberRole role) {
  switch (role) {
    case MemberRole::kVoter:
      return "voter";
    case MemberRole::kLearner:
      return "learner";
    case MemberRole::kIncoming:
      return "incoming";
    case MemberRole::kOutgoing:
      return "outgoing";
  }
  LOCKD_UNREACHABLE("role ", static_cast<int>(role));
}

ChangeMembers ListsOf(const std::vector<Member>& members) {
  const bool is_joint =
      HaveRole(members, MemberRole::kIncoming) || HaveRole(members, MemberRole::kOutgoing);
  ChangeMembers lists;
  for (const Member& member : members) {
    switch (member.role) {
      case MemberRole::kVoter:
        lists.voters.push_back(member.node_id);
        if (is_joint) lists.outgoing.push_back(member.node_id);
        break;
      case MemberRole::kLearner:
        lists.learners.push_back(member.node_id);
        break;
      case MemberRole::kIncoming:
        lists.voters.push_back(member.node_id);
        break;
      case MemberRole::kOutgoing:
        lists.outgoing.push_back(member.node_id);
        break;
    }
  }
  return lists;
}

absl::Status CheckChange(const ChangeMembers& change, const std::vector<Member>& members,
                         NodeId last_node_id) {
  // Before its Bootstrap a cluster has no members that could change.
  if (members.empty()) return absl::FailedPreconditionError("the cluster has not been founded");
  for (const Member& member : change.added) {
    if (member.node_id > last_node_id) continue;
    return absl::FailedPreconditionError(absl::StrCat("node id ", member.node_id,
                                                      " cannot be added: ids up to ", last_node_id,
                                                      " have been given, and none is used again"));
  }
  for (const auto* list : {&change.voters, &change.outgoing, &change.learners}) {
    for (const NodeId id : *list) {
      if (IsIn(members, id) || IsIn(change.added, id)) continue;
      return absl::FailedPreconditionError(
          absl::StrCat("node ", id, " is not a member, and nothing says who it is"));
    }
  }
  return absl::OkStatus();
}

std::vector<Member> MembersAfter(const ChangeMembers& change, const std::vector<Member>& members) {
  std::vector<Member> after;
  // Who is added has a higher id than all others.
  for (const auto* records : {&members, &change.added}) {
    for (const Member& member : *records) {
      const std::optional<MemberRole> role = RoleIn(change, member.node_id);
      if (!role.has_value()) continue;
      after.push_back(member);
      after.back().role = *role;
    }
  }
  return after;
}

bool HaveVoters(const std::vector<Member>& members) {
  return HaveRole(members, MemberRole::kVoter) ||
         (HaveRole(members, MemberRole::kIncoming) && HaveRole(members, MemberRole::kOutgoing));
}

bool AreAsFounded(const std::vector<Member>& members, NodeId last_node_id) {
  const NodeId highest = members.empty() ? NodeId(0) : members.back().node_id;
  return highest == last_node_id &&
         std::all_of(members.begin(), members.end(),
                     [](const Member& member) { return member.role == MemberRole::kVoter; });
}

}  // namespace lockd::state
