#include "client/record_wire.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "protocol/base/ids.h"

namespace lockd::client {
namespace {

absl::Status UnknownValue(absl::string_view what) {
  return absl::InternalError(
      absl::StrCat("the server gives a ", what, " that this client does not know"));
}

absl::StatusOr<TransferStatus> ToStatus(pb::TransferResult result) {
  switch (result) {
    case pb::TRANSFER_RESULT_TRANSFERRED:
      return TransferStatus::kTransferred;
    case pb::TRANSFER_RESULT_NO_SUCH_MEMBER:
      return TransferStatus::kNoSuchMember;
    case pb::TRANSFER_RESULT_NOT_VOTER:
      return TransferStatus::kNotVoter;
    case pb::TRANSFER_RESULT_NOBODY:
      return TransferStatus::kNobody;
    case pb::TRANSFER_RESULT_BUSY:
      return TransferStatus::kBusy;
    case pb::TRANSFER_RESULT_TIMED_OUT:
      return TransferStatus::kTimedOut;
    case pb::TRANSFER_RESULT_ANOTHER_LEADS:
      return TransferStatus::kAnotherLeads;
    default:
      return UnknownValue("result");
  }
}

absl::StatusOr<ChangeMembersStatus> ToStatus(pb::ChangeMembersResult result) {
  switch (result) {
    case pb::CHANGE_MEMBERS_RESULT_DONE:
      return ChangeMembersStatus::kDone;
    case pb::CHANGE_MEMBERS_RESULT_NO_SUCH_MEMBER:
      return ChangeMembersStatus::kNoSuchMember;
    case pb::CHANGE_MEMBERS_RESULT_LAST_VOTER:
      return ChangeMembersStatus::kLastVoter;
    case pb::CHANGE_MEMBERS_RESULT_NOT_JOINED:
      return ChangeMembersStatus::kNotJoined;
    case pb::CHANGE_MEMBERS_RESULT_ID_USED:
      return ChangeMembersStatus::kIdUsed;
    case pb::CHANGE_MEMBERS_RESULT_ADDRESS_USED:
      return ChangeMembersStatus::kAddressUsed;
    case pb::CHANGE_MEMBERS_RESULT_TOO_MANY:
      return ChangeMembersStatus::kTooMany;
    default:
      return UnknownValue("result");
  }
}

absl::StatusOr<MemberRole> ToRole(pb::MemberRole role) {
  switch (role) {
    // A server from before there were roles has only voters.
    case pb::MEMBER_ROLE_UNSPECIFIED:
    case pb::MEMBER_ROLE_VOTER:
      return MemberRole::kVoter;
    case pb::MEMBER_ROLE_LEARNER:
      return MemberRole::kLearner;
    case pb::MEMBER_ROLE_INCOMING:
      return MemberRole::kIncoming;
    case pb::MEMBER_ROLE_OUTGOING:
      return MemberRole::kOutgoing;
    default:
      return UnknownValue("role of a member");
  }
}

using WireMembers = google::protobuf::RepeatedPtrField<pb::MemberRecord>;

absl::StatusOr<std::vector<MemberRecord>> ToRecords(const WireMembers& members) {
  std::vector<MemberRecord> records;
  for (const pb::MemberRecord& member : members) {
    const absl::StatusOr<MemberRole> role = ToRole(member.role());
    if (!role.ok()) return role.status();
    records.push_back({.node_id = NodeId(member.node_id()),
                       .peer_address = member.peer_address(),
                       .client_address = member.client_address(),
                       .role = *role,
                       .was_seen = member.incarnation() != 0});
  }
  return records;
}

pb::MemberAction ToWire(MemberAction action) {
  switch (action) {
    case MemberAction::kAdd:
      return pb::MEMBER_ACTION_ADD;
    case MemberAction::kRemove:
      return pb::MEMBER_ACTION_REMOVE;
    case MemberAction::kPromote:
      return pb::MEMBER_ACTION_PROMOTE;
  }
  LOCKD_UNREACHABLE("action ", static_cast<int>(action));
}

}  // namespace

Age AgeOf(bool is_stale, int64_t age_ms) {
  if (!is_stale) return {};
  return {.is_stale = true, .ms = age_ms < 0 ? std::nullopt : std::optional(age_ms)};
}

LockRecord ToRecord(const pb::LockRecord& lock, const pb::Stamp& stamp, const Age& age) {
  LockRecord record;
  record.lock_id = lock.lock_id();
  record.held = lock.status() == pb::LOCK_STATUS_HELD;
  record.owner_id = lock.owner_id();
  record.timestamp = lock.timestamp();
  record.expiration_time = lock.expiration_time();
  record.token = FencingToken(lock.token());
  record.session_id = SessionId(lock.session_id());
  record.waiters = lock.waiters();
  record.applied_index = stamp.applied_index();
  record.age = age;
  return record;
}

SessionRecord ToRecord(const pb::SessionRecord& session, const pb::Stamp& stamp, const Age& age) {
  SessionRecord record;
  record.session_id = SessionId(session.session_id());
  record.owner_id = session.owner_id();
  record.ttl_ms = session.ttl_ms();
  record.grace_ms = session.grace_ms();
  record.remaining_ms = session.remaining_ms();
  record.holds = session.holds();
  record.waiters = session.waiters();
  record.epoch = session.epoch();
  record.applied_index = stamp.applied_index();
  record.age = age;
  return record;
}

absl::StatusOr<NodeStatus> ToRecord(const pb::StatusReply& status) {
  absl::StatusOr<std::vector<MemberRecord>> members = ToRecords(status.members());
  if (!members.ok()) return members.status();
  NodeStatus record;
  record.node_id = NodeId(status.node_id());
  record.role = status.role();
  record.term = status.stamp().term();
  record.leader_id = NodeId(status.leader_id());
  record.commit_index = status.commit_index();
  record.applied_index = status.stamp().applied_index();
  record.cluster_time_ms = status.stamp().cluster_time_ms();
  record.digest = status.digest();
  record.longest_turn_cpu_us = status.longest_turn_cpu_us();
  record.longest_turn_wall_us = status.longest_turn_wall_us();
  record.disk_free_bytes = status.disk_free_bytes();
  record.disk_is_low = status.disk_is_low();
  record.rss_bytes = status.rss_bytes();
  record.process_cpu_us = status.process_cpu_us();
  record.sessions = status.sessions();
  record.locks = status.locks();
  record.waiters = status.waiters();
  record.version = status.version();
  record.client_address = status.client_address();
  record.cluster_id = ClusterId(status.cluster_id());
  record.cluster_name = status.cluster_name();
  record.first_index = status.first_index();
  record.last_index = status.last_index();
  record.snapshot_index = status.snapshot_index();
  record.snapshots_taken = status.snapshots_taken();
  record.snapshots_received = status.snapshots_received();
  record.digest_alarms = status.digest_alarms();
  record.members = *std::move(members);
  return record;
}

absl::StatusOr<TransferRecord> ToRecord(const pb::TransferLeadershipReply& reply) {
  const absl::StatusOr<TransferStatus> result = ToStatus(reply.result());
  if (!result.ok()) return result.status();
  return TransferRecord{*result, NodeId(reply.leader_id())};
}

absl::StatusOr<ChangeMembersRecord> ToRecord(const pb::ChangeMembersReply& reply) {
  const absl::StatusOr<ChangeMembersStatus> result = ToStatus(reply.result());
  if (!result.ok()) return result.status();
  absl::StatusOr<std::vector<MemberRecord>> members = ToRecords(reply.members());
  if (!members.ok()) return members.status();
  return ChangeMembersRecord{.status = *result,
                             .node_id = NodeId(reply.node_id()),
                             .members = *std::move(members),
                             .cluster_name = reply.cluster_name()};
}

SnapshotRecord ToRecord(const pb::TakeSnapshotReply& reply) {
  const pb::SnapshotDescription& snapshot = reply.snapshot();
  return {.index = snapshot.index(),
          .term = snapshot.term(),
          .cluster_time_ms = snapshot.cluster_time_ms(),
          .bytes = snapshot.bytes(),
          .checksum = snapshot.checksum(),
          .locks = snapshot.locks(),
          .sessions = snapshot.sessions(),
          .digest = snapshot.digest(),
          .node_id = NodeId(reply.node_id()),
          .cluster_id = ClusterId(reply.cluster_id()),
          .cluster_name = reply.cluster_name()};
}

absl::Status ToStatus(const pb::ReadSnapshotReply& reply) {
  switch (reply.result()) {
    case pb::READ_SNAPSHOT_RESULT_READ:
      return absl::OkStatus();
    case pb::READ_SNAPSHOT_RESULT_NO_SUCH:
      return absl::NotFoundError("the node has taken newer snapshots and dropped this one");
    case pb::READ_SNAPSHOT_RESULT_UNREADABLE:
      return absl::DataLossError("the node cannot read its snapshot; its log says why");
    default:
      return UnknownValue("result of reading a snapshot");
  }
}

pb::ReadSnapshotRequest ToWire(const SnapshotRecord& snapshot, uint64_t offset) {
  pb::ReadSnapshotRequest request;
  request.set_index(snapshot.index);
  request.set_term(snapshot.term);
  request.set_checksum(snapshot.checksum);
  request.set_offset(offset);
  return request;
}

pb::ChangeMembersRequest ToWire(const MemberChange& change) {
  pb::ChangeMembersRequest request;
  request.set_action(ToWire(change.action));
  request.set_node_id(change.node_id.value());
  request.set_peer_address(change.peer_address);
  return request;
}

}  // namespace lockd::client
