// What operators ask a node: its status. Answered from this node alone, whatever its role.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_ADMIN_H_
#define LOCKD_SERVER_NODE_ADMIN_H_

#include "protocol/lock.pb.h"
#include "server/node/context.h"

namespace lockd::node {

// As this node has applied them, with the client addresses that they announce now.
void FillMembers(const NodeContext& context,
                 google::protobuf::RepeatedPtrField<pb::MemberRecord>* members);
[[nodiscard]] pb::StatusReply StatusOf(const NodeContext& context);

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_ADMIN_H_
