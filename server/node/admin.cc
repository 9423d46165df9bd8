#include "server/node/admin.h"

#include "absl/strings/str_format.h"
#include "consensus/raft/types.h"

namespace lockd::node {
namespace {

const char* RoleName(const NodeContext& context) {
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

void FillMembers(const NodeContext& context, pb::StatusReply* status) {
  for (const state::Member& member : context.formation.members()) {
    pb::MemberRecord* record = status->add_members();
    record->set_node_id(member.node_id.value());
    record->set_peer_address(member.peer_address);
    record->set_client_address(context.formation.ClientAddressOf(member.node_id));
    record->set_incarnation(member.incarnation.value());
  }
}

}  // namespace

pb::StatusReply StatusOf(const NodeContext& context) {
  const raft::Raft& raft = *context.raft;
  const state::Digest digest = context.database.digest();
  pb::StatusReply status;
  FillStamp(context, status.mutable_stamp());
  status.set_node_id(context.options.node_id.value());
  status.set_role(RoleName(context));
  status.set_leader_id(raft.leader_id().value());
  status.set_commit_index(raft.commit_index().value());
  status.set_first_index(raft.first_index().value());
  status.set_last_index(raft.last_index().value());
  status.set_digest(absl::StrFormat("%016x%016x", digest.high, digest.low));
  status.set_longest_turn_cpu_us(context.rim.longest_turn_cpu_us);
  status.set_longest_turn_wall_us(context.rim.longest_turn_wall_us);
  status.set_rss_bytes(context.rim.rss_bytes);
  status.set_process_cpu_us(context.rim.process_cpu_us);
  status.set_sessions(context.database.session_count());
  status.set_locks(context.database.lock_count());
  status.set_waiters(context.database.waiter_count());
  status.set_version(context.options.version);
  status.set_client_address(context.options.client_address);
  status.set_cluster_id(context.formation.cluster_id().value());
  status.set_cluster_name(context.options.cluster_name);
  status.set_disk_free_bytes(context.disk_space.free_bytes().value_or(0));
  status.set_disk_is_low(context.disk_space.is_low());
  FillMembers(context, &status);
  return status;
}

}  // namespace lockd::node
