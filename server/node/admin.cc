#include "server/node/admin.h"

#include "consensus/raft/types.h"
#include "server/state/digest_text.h"

namespace lockd::node {
namespace {

const char* RoleName(const NodeContext& context) {
  if (context.is_loading) return "loading";
  if (context.is_forming() || !context.formation.participates()) return "forming";
  switch (context.raft->role()) {
    case raft::Role::kFollower:
      return "follower";
    case raft::Role::kPreCandidate:
      return "pre-candidate";
    case raft::Role::kCandidate:
      return "candidate";
    case raft::Role::kLeader:
      return "leader";
  }
  return "";
}

pb::MemberRole WireOf(state::MemberRole role) {
  switch (role) {
    case state::MemberRole::kVoter:
      return pb::MEMBER_ROLE_VOTER;
    case state::MemberRole::kLearner:
      return pb::MEMBER_ROLE_LEARNER;
    case state::MemberRole::kIncoming:
      return pb::MEMBER_ROLE_INCOMING;
    case state::MemberRole::kOutgoing:
      return pb::MEMBER_ROLE_OUTGOING;
  }
  return pb::MEMBER_ROLE_UNSPECIFIED;
}

}  // namespace

void FillMembers(const NodeContext& context,
                 google::protobuf::RepeatedPtrField<pb::MemberRecord>* members) {
  for (const state::Member& member : context.formation.members()) {
    pb::MemberRecord* record = members->Add();
    record->set_node_id(member.node_id.value());
    record->set_peer_address(member.peer_address);
    record->set_client_address(context.formation.ClientAddressOf(member.node_id));
    record->set_incarnation(member.incarnation.value());
    record->set_role(WireOf(member.role));
  }
}

pb::StatusReply StatusOf(const NodeContext& context) {
  const raft::Raft& raft = *context.raft;
  pb::StatusReply status;
  FillStamp(context, status.mutable_stamp());
  status.set_node_id(context.options.node_id.value());
  status.set_role(RoleName(context));
  status.set_leader_id(raft.leader_id().value());
  status.set_commit_index(raft.commit_index().value());
  status.set_first_index(raft.first_index().value());
  status.set_last_index(raft.last_index().value());
  status.set_digest(state::ToText(context.database->digest()));
  status.set_longest_turn_cpu_us(context.rim.longest_turn_cpu_us);
  status.set_longest_turn_wall_us(context.rim.longest_turn_wall_us);
  status.set_rss_bytes(context.rim.rss_bytes);
  status.set_process_cpu_us(context.rim.process_cpu_us);
  status.set_sessions(context.database->session_count());
  status.set_locks(context.database->lock_count());
  status.set_waiters(context.database->waiter_count());
  status.set_version(context.options.version);
  status.set_client_address(context.options.client_address);
  status.set_cluster_id(context.formation.cluster_id().value());
  status.set_cluster_name(context.options.cluster_name);
  status.set_disk_free_bytes(context.disk_space.free_bytes().value_or(0));
  status.set_disk_is_low(context.disk_space.is_low());
  status.set_snapshot_index(context.snapshots.newest_index().value());
  status.set_snapshots_taken(context.snapshots.taken);
  status.set_snapshots_received(context.snapshots.received);
  status.set_digest_alarms(context.digest_alarms);
  FillMembers(context, status.mutable_members());
  return status;
}

}  // namespace lockd::node
