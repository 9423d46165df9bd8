#include "server/node/member_changes.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "protocol/base/text.h"
#include "server/node/admin.h"
#include "server/node/membership.h"
#include "server/state/command.h"

namespace lockd::node {
namespace {

using Ids = std::vector<NodeId>;

Ids With(Ids ids, NodeId id) {
  ids.insert(std::upper_bound(ids.begin(), ids.end(), id), id);
  return ids;
}

Ids Without(Ids ids, NodeId id) {
  ids.erase(std::remove(ids.begin(), ids.end(), id), ids.end());
  return ids;
}

// What is wrong with the request whatever the members are; empty: nothing.
std::string Flaw(const pb::ChangeMembersRequest& wire) {
  switch (wire.action()) {
    case pb::MEMBER_ACTION_ADD: {
      const absl::StatusOr<HostPort> address = ParseHostPort(wire.peer_address());
      if (!address.ok()) return absl::StrCat("peer_address: ", address.status().message());
      if (!address->is_dialable()) {
        return absl::StrCat("peer_address: others cannot dial ", address->ToString());
      }
      return "";
    }
    case pb::MEMBER_ACTION_REMOVE:
    case pb::MEMBER_ACTION_PROMOTE:
      if (wire.node_id() == 0) return "node_id is 0; name a member";
      if (!wire.peer_address().empty()) return "peer_address goes with an add only";
      return "";
    default:
      return "action is none of add, remove and promote";
  }
}

}  // namespace

// ---- Requests

void MemberChanges::OnRequest(const RequestRef& request, const pb::ChangeMembersRequest& wire) {
  if (!context_.is_serving) {
    connections_.ReplyNotServing(request);
  } else if (const std::string flaw = Flaw(wire); !flaw.empty()) {
    connections_.ReplyError(request, pb::ERROR_CODE_INVALID_ARGUMENT, flaw);
  } else if (waiting_.size() >= kWaitingMax) {
    connections_.ReplyError(request, pb::ERROR_CODE_RESOURCE_EXHAUSTED,
                            absl::StrCat(kWaitingMax, " changes of members wait already"),
                            context_.options.retry_after_ms);
  } else {
    waiting_.push_back({.request = request, .wire = wire});
  }
}

void MemberChanges::FailAll() {
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    connections_.ReplyOutcomeUnknown(waiting.request);
  }
  registering_ = {};  // it may be lost, and the log after it shorter
}

void MemberChanges::Answer(const Waiting& waiting, pb::ChangeMembersResult result) {
  pb::ChangeMembersReply reply;
  FillStamp(context_, reply.mutable_stamp());
  reply.set_result(result);
  reply.set_node_id(waiting.wire.node_id());
  reply.set_cluster_name(context_.options.cluster_name);
  FillMembers(context_, reply.mutable_members());
  connections_.Reply(waiting.request, reply);
}

// ---- Steps

std::optional<raft::ConfigurationChange> MemberChanges::NextChange(WallTime now) {
  const raft::Raft& raft = *context_.raft;
  if (raft.applied_index() < raft.configuration_index()) return std::nullopt;
  if (raft::IsJoint(raft.configuration())) {
    return ChangeFor(raft::LeaveJoint(raft.configuration()), {}, now);
  }
  while (!waiting_.empty()) {
    Waiting& front = waiting_.front();
    Step step = StepOf(front);
    if (std::holds_alternative<Wait>(step)) return std::nullopt;
    if (Change* change = std::get_if<Change>(&step)) {
      const absl::Status status =
          context_.database->CheckChange(CommandFor(change->to, change->added));
      if (status.ok()) {
        front.has_begun = true;
        return ChangeFor(change->to, std::move(change->added), now);
      }
      connections_.ReplyError(front.request, pb::ERROR_CODE_INVALID_ARGUMENT, status.message());
    } else {
      Answer(front, std::get<pb::ChangeMembersResult>(step));
    }
    waiting_.pop_front();
  }
  if (std::optional<Change> change = Promotion()) return ChangeFor(change->to, {}, now);
  return std::nullopt;
}

MemberChanges::Step MemberChanges::StepOf(Waiting& waiting) {
  switch (waiting.wire.action()) {
    case pb::MEMBER_ACTION_ADD:
      return StepOfAdd(waiting);
    case pb::MEMBER_ACTION_REMOVE:
      return StepOfRemove(waiting);
    default:
      return StepOfPromote(waiting);
  }
}

// The id of a member that has been chosen, or was there, stands in the request from then on.
MemberChanges::Step MemberChanges::StepOfAdd(Waiting& waiting) const {
  const std::vector<state::Member>& members = context_.database->members();
  const NodeId last = context_.database->last_node_id();
  const NodeId wanted{waiting.wire.node_id()};
  const auto there = std::find_if(members.begin(), members.end(), [&](const auto& member) {
    return member.peer_address == waiting.wire.peer_address();
  });
  if (there != members.end()) {
    if (!wanted.is_zero() && wanted != there->node_id) {
      waiting.wire.set_node_id(there->node_id.value());
      return pb::CHANGE_MEMBERS_RESULT_ADDRESS_USED;
    }
    waiting.wire.set_node_id(there->node_id.value());
    return pb::CHANGE_MEMBERS_RESULT_DONE;
  }
  if (!wanted.is_zero() && wanted <= last) return pb::CHANGE_MEMBERS_RESULT_ID_USED;
  if (members.size() >= state::kMembersMax) return pb::CHANGE_MEMBERS_RESULT_TOO_MANY;
  const NodeId id = wanted.is_zero() ? last + 1 : wanted;
  raft::Configuration to = context_.raft->configuration();
  to.learners = With(std::move(to.learners), id);
  return Change{std::move(to),
                {state::Member{.node_id = id, .peer_address = waiting.wire.peer_address()}}};
}

MemberChanges::Step MemberChanges::StepOfRemove(Waiting& waiting) {
  const NodeId id{waiting.wire.node_id()};
  const state::Member* const member = MemberOf(id);
  if (member == nullptr) {
    return waiting.has_begun ? pb::CHANGE_MEMBERS_RESULT_DONE
                             : pb::CHANGE_MEMBERS_RESULT_NO_SUCH_MEMBER;
  }
  const raft::Configuration& now = context_.raft->configuration();
  raft::Configuration to = now;
  if (member->role == state::MemberRole::kLearner) {
    to.learners = Without(std::move(to.learners), id);
    return Change{std::move(to), {}};
  }
  if (now.voters.size() == 1) return pb::CHANGE_MEMBERS_RESULT_LAST_VOTER;
  // Once: if nobody takes over, the core hands it over when the change is committed.
  if (id == context_.options.node_id && !std::exchange(waiting.has_handed_over, true) &&
      hand_over_.Begin()) {
    return Wait{};
  }
  to.voters = Without(std::move(to.voters), id);
  return Change{raft::EnterJoint(now, to), {}};
}

MemberChanges::Step MemberChanges::StepOfPromote(const Waiting& waiting) const {
  const NodeId id{waiting.wire.node_id()};
  const state::Member* const member = MemberOf(id);
  if (member == nullptr) return pb::CHANGE_MEMBERS_RESULT_NO_SUCH_MEMBER;
  if (member->role != state::MemberRole::kLearner) return pb::CHANGE_MEMBERS_RESULT_DONE;
  if (member->incarnation.is_zero()) return pb::CHANGE_MEMBERS_RESULT_NOT_JOINED;
  const raft::Configuration& now = context_.raft->configuration();
  raft::Configuration to = now;
  to.learners = Without(std::move(to.learners), id);
  to.voters = With(std::move(to.voters), id);
  return Change{raft::EnterJoint(now, to), {}};
}

// All that are ready at once: that is one change instead of several.
std::optional<MemberChanges::Change> MemberChanges::Promotion() const {
  const raft::Raft& raft = *context_.raft;
  raft::Configuration to = raft.configuration();
  for (const NodeId id : raft.configuration().learners) {
    const state::Member* const member = MemberOf(id);
    const raft::Index match = raft.MatchIndexOf(id);
    // One that waits for a snapshot is behind by all of the state, however few entries that is.
    const bool has_state = match + 1 >= raft.first_index();
    const bool is_ready = member != nullptr && !member->incarnation.is_zero() &&
                          raft.HasHeardOf(id) && has_state &&
                          match + kCaughtUpEntries >= raft.last_index();
    if (!is_ready) continue;
    to.learners = Without(std::move(to.learners), id);
    to.voters = With(std::move(to.voters), id);
  }
  if (to == raft.configuration()) return std::nullopt;
  return Change{raft::EnterJoint(raft.configuration(), to), {}};
}

// ---- Joining

std::optional<state::RegisterMember> MemberChanges::NextRegistration() const {
  if (context_.raft->applied_index() < registering_) return std::nullopt;
  for (const state::Member& member : context_.database->members()) {
    if (!member.incarnation.is_zero()) continue;
    const PeerClaim* const claim = context_.formation.ClaimOf(member.node_id);
    // One that does not understand what the log may hold is left outside.
    if (claim == nullptr || claim->feature_level_max < context_.database->feature_level()) continue;
    // The peer address stays the one that it was added with: an add asked again finds it by that.
    state::RegisterMember news{{.node_id = member.node_id,
                                .client_address = claim->client_address,
                                .incarnation = claim->incarnation}};
    // What apply would refuse would be proposed for ever.
    if (state::ValidateCommand(news, context_.database->settings()).ok()) return news;
  }
  return std::nullopt;
}

const state::Member* MemberChanges::MemberOf(NodeId node) const {
  for (const state::Member& member : context_.database->members()) {
    if (member.node_id == node) return &member;
  }
  return nullptr;
}

}  // namespace lockd::node
