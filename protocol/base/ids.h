// The identities that more than one part of lockd speaks of. All are below 2^63 on the wire; zero
// means "none".
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_BASE_IDS_H_
#define LOCKD_PROTOCOL_BASE_IDS_H_

#include <cstdint>

#include "protocol/base/strong_int.h"

namespace lockd {

// A node's number within its cluster, given by the operator (`--node-id`).
using NodeId = StrongInt<struct NodeIdTag>;
// Drawn at random when a node's data directory is made: a wiped directory makes another incarnation
// of the same node id.
using Incarnation = StrongInt<struct IncarnationTag>;
// Drawn once when a cluster forms and replicated; two clusters never have the same.
using ClusterId = StrongInt<struct ClusterIdTag>;
// Which Raft group of a node a frame or log record belongs to. A node hosts one group, number 0,
// today.
using GroupId = StrongInt<struct GroupIdTag, uint16_t>;

using SessionId = StrongInt<struct SessionIdTag>;
// Number of a mutating request within its session, from 1. The sequence of an acquire is also its
// acquire id.
using Sequence = StrongInt<struct SequenceTag>;
// How often a session has been attached to a connection; what an older attachment sent is refused.
using ConnectionEpoch = StrongInt<struct ConnectionEpochTag>;
// Drawn at every grant from one replicated counter; strictly increases in log order over all locks.
using FencingToken = StrongInt<struct FencingTokenTag>;

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_BASE_IDS_H_
