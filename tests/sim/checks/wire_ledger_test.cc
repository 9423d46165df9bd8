#include "tests/sim/checks/wire_ledger.h"

#include <gtest/gtest.h>

#include "tests/sim/checks/broken.h"

namespace lockd::sim {
namespace {

using raft::Index;
using raft::Term;

constexpr NodeId kLeader{1};
constexpr NodeId kFollower{2};

class WireLedgerTest : public testing::Test {
 protected:
  std::string Append(uint64_t prev, uint64_t count, uint64_t commit = 0, uint64_t round = 0) {
    raft::AppendRequest append;
    append.prev_index = Index(prev);
    append.commit = Index(commit);
    append.round = round;
    append.entries.resize(count);
    return ledger_.Sent({kLeader, kFollower, Term(1), append});
  }
  std::string Ack(uint64_t match, uint64_t round = 0, uint64_t term = 1) {
    raft::AppendReply ack;
    ack.accepted = true;
    ack.match_index = Index(match);
    ack.round = round;
    return ledger_.Sent({kFollower, kLeader, Term(term), ack});
  }
  std::string Heartbeat(uint64_t commit, uint64_t round) {
    return ledger_.Sent({kLeader, kFollower, Term(1), raft::Heartbeat{Index(commit), round}});
  }
  std::string HeartbeatReply(uint64_t round, uint64_t term = 1) {
    return ledger_.Sent({kFollower, kLeader, Term(term), raft::HeartbeatReply{round}});
  }

  WireLedger ledger_;
};

TEST_F(WireLedgerTest, AFollowerMayAcknowledgeWhatWasSent) {
  EXPECT_THAT(Append(3, 2), Holds());
  EXPECT_THAT(Ack(3), Holds());
  EXPECT_THAT(Ack(5), Holds());
}

TEST_F(WireLedgerTest, AnAcknowledgementBeyondWhatWasSentTrips) {
  EXPECT_THAT(Append(3, 2), Holds());
  EXPECT_THAT(Ack(6), Trips("AckWithinSent"));
}

TEST_F(WireLedgerTest, WhatWasSentInAnotherTermDoesNotCount) {
  EXPECT_THAT(Append(3, 2), Holds());
  EXPECT_THAT(Ack(5, 0, 2), Trips("AckWithinSent"));
}

TEST_F(WireLedgerTest, ARefusalAcknowledgesNothing) {
  raft::AppendReply refusal;
  refusal.hint_index = Index(9);
  EXPECT_THAT(ledger_.Sent({kFollower, kLeader, Term(1), refusal}), Holds());
}

TEST_F(WireLedgerTest, ARoundThatNeverBeganTrips) {
  EXPECT_THAT(Append(0, 1, 0, 4), Holds());
  EXPECT_THAT(Ack(1, 4), Holds());
  EXPECT_THAT(Ack(1, 5), Trips("RoundWithinSent"));
  EXPECT_THAT(Heartbeat(0, 6), Holds());
  EXPECT_THAT(HeartbeatReply(6), Holds());
  EXPECT_THAT(HeartbeatReply(7), Trips("RoundWithinSent"));
}

TEST_F(WireLedgerTest, AReplyOfALaterTermMayEchoTheRoundOfAnEarlierOne) {
  EXPECT_THAT(Heartbeat(0, 6), Holds());
  EXPECT_THAT(HeartbeatReply(6, 2), Holds());
}

TEST_F(WireLedgerTest, AnInstalledSnapshotAcknowledgesUpToItsBase) {
  raft::SnapshotChunkReply reply;
  reply.snapshot.base.index = Index(9);
  EXPECT_THAT(ledger_.Sent({kFollower, kLeader, Term(1), reply}), Holds());
  EXPECT_THAT(Heartbeat(9, 1), Trips("HeartbeatWithinAck"));
  reply.installed = true;
  EXPECT_THAT(ledger_.Sent({kFollower, kLeader, Term(1), reply}), Holds());
  EXPECT_THAT(Heartbeat(9, 1), Holds());
  EXPECT_THAT(Heartbeat(10, 2), Trips("HeartbeatWithinAck"));
}

TEST_F(WireLedgerTest, AHeartbeatThatCommitsMoreThanWasAcknowledgedTrips) {
  EXPECT_THAT(Append(0, 2), Holds());
  EXPECT_THAT(Ack(1), Holds());
  EXPECT_THAT(Heartbeat(1, 1), Holds());
  EXPECT_THAT(Heartbeat(2, 2), Trips("HeartbeatWithinAck"));
}

TEST_F(WireLedgerTest, ACommitIndexThatGoesBackTrips) {
  EXPECT_THAT(Append(5, 1, 4), Holds());
  EXPECT_THAT(Append(6, 1, 3), Trips("CommitNeverBack"));
}

TEST_F(WireLedgerTest, AVoteForWhoDidNotAskTrips) {
  const raft::Message vote{kFollower, kLeader, Term(2), raft::VoteReply{false, Term(2), true}};
  EXPECT_THAT(ledger_.Sent({kLeader, kFollower, Term(1),
                            raft::VoteRequest{true, Term(2), Index(0), Term(0)}}),
              Holds());
  EXPECT_THAT(ledger_.Sent(vote), Trips("VoteAnswersRequest"));
  EXPECT_THAT(ledger_.Sent({kLeader, kFollower, Term(2),
                            raft::VoteRequest{false, Term(2), Index(0), Term(0)}}),
              Holds());
  EXPECT_THAT(ledger_.Sent(vote), Holds());
}

}  // namespace
}  // namespace lockd::sim
