// NodeContext: what the parts of one node share.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_CONTEXT_H_
#define LOCKD_SERVER_NODE_CONTEXT_H_

#include <memory>
#include <utility>

#include "consensus/raft/raft.h"
#include "protocol/lock.pb.h"
#include "server/node/disk_space.h"
#include "server/node/formation.h"
#include "server/node/outbox.h"
#include "server/node/types.h"
#include "server/state/lock_database.h"

namespace lockd::node {

struct NodeContext {
  NodeContext(NodeOptions node_options, const raft::RecoveredLog& recovered)
      : options(std::move(node_options)),
        formation(options, recovered),
        disk_space(options.disk_reserve_bytes),
        database(state::HashKey::FromSeed(options.seed), options.numbers_drawn) {}

  const NodeOptions options;
  Outbox outbox;
  Formation formation;
  DiskSpace disk_space;
  state::LockDatabase database;
  std::unique_ptr<raft::Raft> raft;  // never null once the node is made
  RimStatus rim;

  // Leads, has committed in its term, and has applied all that was committed before: only then is
  // anything answered that depends on the leader.
  bool is_serving = false;
  bool is_stopping = false;

  [[nodiscard]] bool is_forming() const { return formation.cluster_id().is_zero(); }
};

// Term, applied index and cluster time of this moment.
void FillStamp(const NodeContext& context, pb::Stamp* stamp);
// The leader's address; nothing when it is unknown, or is this node and does not serve.
void FillLeaderHint(const NodeContext& context, pb::LeaderHint* hint);

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_CONTEXT_H_
