// How the state, the log and the links come to have the same members.
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "server/node/membership.h"
#include "server/node/node_impl.h"
#include "server/state/command.h"

namespace lockd::node {
namespace {

constexpr int kExitWrongDirectory = 11;
constexpr int kExitRemovedOrWiped = 17;

}  // namespace

// What is applied says who the members are, and so does the log; both come from the same entries.
void Node::Impl::AdoptMembership() {
  const ClusterId cluster_id = context.database->cluster_id();
  const std::vector<state::Member>& members = context.database->members();
  if (cluster_id.is_zero() ||
      (cluster_id == context.formation.cluster_id() && members == adopted_members_)) {
    return;
  }
  if (!TakeOverMembers()) return;
  // The log is ahead while a change is under way.
  if (raft().configuration_index() > context.applied.index) return;
  if (ConfigurationOf(adopted_members_) == raft().configuration()) return;
  LOCKD_CHECK(raft().configuration_index().is_zero(), "after entry ", context.applied.index,
              " the state has other members than the configuration of entry ",
              raft().configuration_index());
  // One that joins counts nobody until its log has come to the change that added it.
  if (context.formation.joins()) return;
  context.outbox.Die(
      kExitWrongDirectory,
      absl::StrCat("this node was started with other members than cluster ", cluster_id,
                   " was formed with; start it again, it now uses those"));
}

bool Node::Impl::TakeOverMembers() {
  adopted_members_ = context.database->members();
  const Verdict verdict = context.formation.SetApplied(
      context.database->cluster_id(), adopted_members_, context.database->last_node_id());
  switch (verdict.kind) {
    case Verdict::Kind::kRemoved:
      leaving_ = verdict.message;
      return false;
    case Verdict::Kind::kFatal:
      context.outbox.Die(kExitRemovedOrWiped, verdict.message);
      return false;
    default:
      return true;
  }
}

void Node::Impl::LeaveIfRemoved() {
  if (leaving_) context.outbox.Die(kExitRemovedOrWiped, *leaving_);
}

// A change counts for the core as soon as it stands in the log, and needs the links then: a
// candidate may depend on the vote of a member whose addition it has not applied.
void Node::Impl::FollowConfigurations() {
  std::vector<state::Member> added;
  for (const raft::ConfigurationLog::Placed& placed : raft().configurations().all()) {
    if (placed.index <= context.applied.index) continue;
    for (state::Member& member : AddedBy(placed.change)) added.push_back(std::move(member));
  }
  context.formation.SetAddedInLog(std::move(added));
}

bool Node::Impl::ProposeMembers() {
  if (raft().uncommitted_bytes() > context.options.uncommitted_bytes_max) return false;
  if (const std::optional<raft::ConfigurationChange> change =
          member_changes_.NextChange(wall_now_)) {
    const raft::ChangeOutcome outcome = raft().ProposeConfiguration(*change);
    LOCKD_CHECK(outcome == raft::ChangeOutcome::kAccepted,
                "a leader's own change of members was refused: ", static_cast<int>(outcome));
    return true;
  }
  // To be removed itself, this node may have begun to hand its leadership over.
  if (!raft().transfer_target().is_zero()) return false;
  if (std::optional<state::RegisterMember> news = member_changes_.NextRegistration()) {
    state::BatchBuilder builder;
    builder.Add(*std::move(news));
    ProposeEntry({.payload = builder.Take(wall_now_), .waiters = {Nobody{}}});
    member_changes_.OnRegistering(raft().last_index());
    return true;
  }
  return false;
}

}  // namespace lockd::node
