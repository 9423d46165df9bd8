// NodeContext: what the parts of one node share.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_CONTEXT_H_
#define LOCKD_SERVER_NODE_CONTEXT_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "consensus/raft/raft.h"
#include "protocol/lock.pb.h"
#include "server/node/disk_space.h"
#include "server/node/formation.h"
#include "server/node/outbox.h"
#include "server/node/snapshot_files.h"
#include "server/node/types.h"
#include "server/state/lock_database.h"

namespace lockd::node {

struct NodeContext {
  NodeContext(NodeOptions node_options, const raft::RecoveredLog& recovered,
              std::vector<raft::SnapshotId> kept_snapshots)
      : options(std::move(node_options)),
        formation(options, recovered),
        disk_space(options.disk_reserve_bytes),
        snapshots(outbox, std::move(kept_snapshots)),
        database(std::make_unique<state::LockDatabase>(hash_key(), options.numbers_drawn)) {}

  const NodeOptions options;
  Outbox outbox;
  Formation formation;
  DiskSpace disk_space;
  SnapshotFiles snapshots;
  std::unique_ptr<state::LockDatabase> database;  // never null
  raft::LogBase applied;                          // the entry that `database` is the state after
  std::unique_ptr<raft::Raft> raft;               // never null once the node is made
  RimStatus rim;
  uint64_t digest_alarms = 0;  // since the process began, see digest_watch.h

  // Leads, has committed in its term, and has applied all that was committed before: only then is
  // anything answered that depends on the leader.
  bool is_serving = false;
  bool is_stopping = false;
  // Leadership is on its way to another node (hand_over.h), on which clients wait.
  bool is_handing_over = false;
  // The state of before the start is being read from its snapshot: `database` is nothing yet, and
  // the node takes part in nothing.
  bool is_loading = false;

  [[nodiscard]] bool is_forming() const { return formation.cluster_id().is_zero(); }
  // Of every database that this node has.
  [[nodiscard]] state::HashKey hash_key() const { return state::HashKey::FromSeed(options.seed); }
};

// Term, applied index and cluster time of this moment.
void FillStamp(const NodeContext& context, pb::Stamp* stamp);
// The leader's address; nothing when it is unknown, or is this node and does not serve.
void FillLeaderHint(const NodeContext& context, pb::LeaderHint* hint);

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_CONTEXT_H_
