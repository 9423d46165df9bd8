#include "server/node/context.h"

namespace lockd::node {

void FillStamp(const NodeContext& context, pb::Stamp* stamp) {
  stamp->set_term(context.raft->term().value());
  stamp->set_applied_index(context.raft->applied_index().value());
  stamp->set_cluster_time_ms(context.database->time().value());
}

void FillLeaderHint(const NodeContext& context, pb::LeaderHint* hint) {
  const NodeId leader = context.raft->leader_id();
  if (leader.is_zero() || (leader == context.options.node_id && !context.is_serving)) return;
  hint->set_node_id(leader.value());
  hint->set_client_address(context.formation.ClientAddressOf(leader));
}

}  // namespace lockd::node
