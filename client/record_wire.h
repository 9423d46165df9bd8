// What a server's answers say, as the records that calls return; and requests whose content is a
// record.
//
// A value of an enum that came after this client is an Internal error: what it means for the caller
// is not known here.
//
// Threading: pure value.
#ifndef LOCKD_CLIENT_RECORD_WIRE_H_
#define LOCKD_CLIENT_RECORD_WIRE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/records.h"
#include "protocol/lock.pb.h"

namespace lockd::client {

// Of a reply to a read that was `is_stale` or not.
[[nodiscard]] Age AgeOf(bool is_stale, int64_t age_ms);

[[nodiscard]] LockRecord ToRecord(const pb::LockRecord& lock, const pb::Stamp& stamp,
                                  const Age& age);
[[nodiscard]] SessionRecord ToRecord(const pb::SessionRecord& session, const pb::Stamp& stamp,
                                     const Age& age);
[[nodiscard]] absl::StatusOr<NodeStatus> ToRecord(const pb::StatusReply& status);
[[nodiscard]] absl::StatusOr<TransferRecord> ToRecord(const pb::TransferLeadershipReply& reply);
[[nodiscard]] absl::StatusOr<ChangeMembersRecord> ToRecord(const pb::ChangeMembersReply& reply);
[[nodiscard]] SnapshotRecord ToRecord(const pb::TakeSnapshotReply& reply);
// Whether it has what was asked for. NotFound: the node has that snapshot no more. DataLoss: it
// cannot read it.
[[nodiscard]] absl::Status ToStatus(const pb::ReadSnapshotReply& reply);

[[nodiscard]] pb::ChangeMembersRequest ToWire(const MemberChange& change);
[[nodiscard]] pb::ReadSnapshotRequest ToWire(const SnapshotRecord& snapshot, uint64_t offset);

}  // namespace lockd::client

#endif  // LOCKD_CLIENT_RECORD_WIRE_H_
