// What an answer says is what its record says; what this client does not know is an error, never
// something else that it knows.
#include "client/record_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace lockd::client {
namespace {

pb::ChangeMembersReply DoneReply() {
  pb::ChangeMembersReply reply;
  reply.set_result(pb::CHANGE_MEMBERS_RESULT_DONE);
  reply.set_node_id(4);
  reply.set_cluster_name("demo");
  pb::MemberRecord* const voter = reply.add_members();
  voter->set_node_id(1);
  voter->set_peer_address("a:1");
  voter->set_client_address("a:2");
  voter->set_incarnation(77);
  voter->set_role(pb::MEMBER_ROLE_VOTER);
  pb::MemberRecord* const learner = reply.add_members();
  learner->set_node_id(4);
  learner->set_peer_address("d:1");
  learner->set_role(pb::MEMBER_ROLE_LEARNER);
  return reply;
}

TEST(RecordWire, AChangeOfMembersSaysWhoIsOne) {
  const auto record = ToRecord(DoneReply());
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->status, ChangeMembersStatus::kDone);
  EXPECT_EQ(record->node_id, NodeId(4));
  EXPECT_EQ(record->cluster_name, "demo");
  ASSERT_EQ(record->members.size(), 2u);
  EXPECT_EQ(record->members[0].client_address, "a:2");
  EXPECT_EQ(record->members[0].role, MemberRole::kVoter);
  EXPECT_TRUE(record->members[0].was_seen);
  EXPECT_EQ(record->members[1].node_id, NodeId(4));
  EXPECT_EQ(record->members[1].peer_address, "d:1");
  EXPECT_EQ(record->members[1].role, MemberRole::kLearner);
  EXPECT_FALSE(record->members[1].was_seen);
}

TEST(RecordWire, EveryResultAndRoleOfTheProtocolHasAValueOfItsOwn) {
  std::set<ChangeMembersStatus> statuses;
  const auto* const results = pb::ChangeMembersResult_descriptor();
  for (int i = 1; i < results->value_count(); ++i) {
    pb::ChangeMembersReply reply = DoneReply();
    reply.set_result(static_cast<pb::ChangeMembersResult>(results->value(i)->number()));
    const auto record = ToRecord(reply);
    ASSERT_TRUE(record.ok()) << results->value(i)->name();
    EXPECT_TRUE(statuses.insert(record->status).second) << results->value(i)->name();
  }
  std::set<MemberRole> known;
  const auto* const roles = pb::MemberRole_descriptor();
  for (int i = 1; i < roles->value_count(); ++i) {
    pb::ChangeMembersReply reply = DoneReply();
    reply.mutable_members(0)->set_role(static_cast<pb::MemberRole>(roles->value(i)->number()));
    const auto record = ToRecord(reply);
    ASSERT_TRUE(record.ok()) << roles->value(i)->name();
    EXPECT_TRUE(known.insert(record->members[0].role).second) << roles->value(i)->name();
  }
}

TEST(RecordWire, WhatCameLaterThanThisClientIsAnError) {
  pb::ChangeMembersReply later = DoneReply();
  later.set_result(static_cast<pb::ChangeMembersResult>(99));
  EXPECT_TRUE(absl::IsInternal(ToRecord(later).status()));
  later.set_result(pb::CHANGE_MEMBERS_RESULT_UNSPECIFIED);
  EXPECT_TRUE(absl::IsInternal(ToRecord(later).status()));
  pb::StatusReply status;
  status.add_members()->set_role(static_cast<pb::MemberRole>(99));
  EXPECT_TRUE(absl::IsInternal(ToRecord(status).status()));
  pb::TransferLeadershipReply transfer;
  transfer.set_result(static_cast<pb::TransferResult>(99));
  EXPECT_TRUE(absl::IsInternal(ToRecord(transfer).status()));
  pb::ReadSnapshotReply read;
  read.set_result(static_cast<pb::ReadSnapshotResult>(99));
  EXPECT_TRUE(absl::IsInternal(ToStatus(read)));
}

TEST(RecordWire, AMemberOfAServerWithoutRolesIsAVoter) {
  pb::StatusReply status;
  status.add_members()->set_node_id(1);
  const auto record = ToRecord(status);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->members.at(0).role, MemberRole::kVoter);
}

TEST(RecordWire, ASnapshotIsNamedByWhatItsNodeSaidOfIt) {
  pb::TakeSnapshotReply reply;
  pb::SnapshotDescription& snapshot = *reply.mutable_snapshot();
  snapshot.set_index(1);
  snapshot.set_term(2);
  snapshot.set_cluster_time_ms(3);
  snapshot.set_bytes(4);
  snapshot.set_checksum(5);
  snapshot.set_locks(6);
  snapshot.set_sessions(7);
  snapshot.set_digest("8");
  reply.set_node_id(9);
  reply.set_cluster_id(10);
  reply.set_cluster_name("11");
  const SnapshotRecord record = ToRecord(reply);
  EXPECT_EQ(record.cluster_time_ms, 3);
  EXPECT_EQ(record.bytes, 4u);
  EXPECT_EQ(record.locks, 6u);
  EXPECT_EQ(record.sessions, 7u);
  EXPECT_EQ(record.digest, "8");
  EXPECT_EQ(record.node_id, NodeId(9));
  EXPECT_EQ(record.cluster_id, ClusterId(10));
  EXPECT_EQ(record.cluster_name, "11");
  const pb::ReadSnapshotRequest request = ToWire(record, 12);
  EXPECT_EQ(request.index(), 1u);
  EXPECT_EQ(request.term(), 2u);
  EXPECT_EQ(request.checksum(), 5u);
  EXPECT_EQ(request.offset(), 12u);
}

TEST(RecordWire, WhatBecameOfAReadOfASnapshotIsAStatus) {
  pb::ReadSnapshotReply reply;
  reply.set_result(pb::READ_SNAPSHOT_RESULT_READ);
  EXPECT_TRUE(ToStatus(reply).ok());
  reply.set_result(pb::READ_SNAPSHOT_RESULT_NO_SUCH);
  EXPECT_TRUE(absl::IsNotFound(ToStatus(reply)));
  reply.set_result(pb::READ_SNAPSHOT_RESULT_UNREADABLE);
  EXPECT_TRUE(absl::IsDataLoss(ToStatus(reply)));
}

TEST(RecordWire, AWishSaysWhatIsToBeDoneToWhom) {
  const pb::ChangeMembersRequest add =
      ToWire({.action = MemberAction::kAdd, .node_id = NodeId(7), .peer_address = "d:1"});
  EXPECT_EQ(add.action(), pb::MEMBER_ACTION_ADD);
  EXPECT_EQ(add.node_id(), 7u);
  EXPECT_EQ(add.peer_address(), "d:1");
  EXPECT_EQ(ToWire({.action = MemberAction::kRemove}).action(), pb::MEMBER_ACTION_REMOVE);
  EXPECT_EQ(ToWire({.action = MemberAction::kPromote}).action(), pb::MEMBER_ACTION_PROMOTE);
}

}  // namespace
}  // namespace lockd::client
