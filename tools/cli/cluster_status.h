// CollectStatus: the status of every node of a cluster, from any of its addresses.
//
// Asks all endpoints of the client at once, then the members that their answers name and that were
// not among them. A node that is listed under two addresses is reported once.
//
// Threading: loop only.
#ifndef LOCKD_TOOLS_CLI_CLUSTER_STATUS_H_
#define LOCKD_TOOLS_CLI_CLUSTER_STATUS_H_

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/options.h"
#include "client/records.h"
#include "protocol/base/ids.h"

namespace lockd::cli {

struct NodeReport {
  std::string address;  // that was asked; empty: a member whose client address nobody knows
  NodeId node_id;       // zero: unknown
  absl::StatusOr<NodeStatus> status;
};

// `done` runs on the loop, with reports in order of node id, unknown ids last. The client must live
// until then.
void CollectStatus(Client& client, ReadOptions options,
                   absl::AnyInvocable<void(std::vector<NodeReport>)> done);

}  // namespace lockd::cli

#endif  // LOCKD_TOOLS_CLI_CLUSTER_STATUS_H_
