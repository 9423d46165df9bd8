#include "tests/sim/checks/durability_ledger.h"

#include <gtest/gtest.h>

#include "tests/sim/checks/broken.h"

namespace lockd::sim {
namespace {

using raft::Entry;
using raft::Index;
using raft::Term;

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr NodeId kC{3};

// Entries from index `first` on with these terms.
std::vector<Entry> Entries(uint64_t first, const std::vector<uint64_t>& terms) {
  std::vector<Entry> entries;
  for (const uint64_t term : terms) {
    entries.push_back({Term(term), Index(first++), raft::EntryKind::kCommand, ClusterTime(0), ""});
  }
  return entries;
}

raft::HardState Hard(uint64_t term, NodeId vote = NodeId(0)) {
  return {Term(term), vote, Index(0)};
}

raft::RecoveredLog Log(uint64_t term, uint64_t tail_first, const std::vector<uint64_t>& terms) {
  raft::RecoveredLog log;
  log.hard_state = Hard(term);
  log.tail = Entries(tail_first, terms);
  log.last_index = Index(tail_first + terms.size() - 1);
  return log;
}

raft::Message Ack(NodeId from, uint64_t term, uint64_t match) {
  raft::AppendReply reply;
  reply.accepted = true;
  reply.match_index = Index(match);
  return {from, kB, Term(term), reply};
}

class DurabilityLedgerTest : public testing::Test {
 protected:
  void Write(NodeId node, const std::optional<raft::HardState>& hard_state,
             const std::vector<Entry>& entries) {
    EXPECT_THAT(ledger_.WriteBegins(node, hard_state, entries), Holds());
    ledger_.WriteCompleted(node);
  }

  DurabilityLedger ledger_{{kA, kB, kC}};
};

// ---- A restored cluster

// Each node begins after entry 4 of term 3.
class RestoredDurabilityTest : public DurabilityLedgerTest {
 protected:
  static constexpr raft::LogBase kBase{Index(4), Term(3), ClusterTime(0)};
  RestoredDurabilityTest() { ledger_ = DurabilityLedger({kA, kB, kC}, kBase); }
  static raft::RecoveredLog After(uint64_t base, uint64_t last) {
    raft::RecoveredLog log;
    log.hard_state = Hard(3);
    log.base_index = Index(base);
    log.base_term = Term(3);
    log.last_index = Index(last);
    return log;
  }
};

TEST_F(RestoredDurabilityTest, BeginsAfterTheBackupAndNowhereElse) {
  EXPECT_THAT(ledger_.Recovered(kA, After(4, 4)), Holds());
  EXPECT_THAT(ledger_.Recovered(kB, After(3, 4)), Trips("BaseNeverBack"));
  EXPECT_THAT(ledger_.Recovered(kC, After(4, 3)), Trips("DurableSurvives"));
}

TEST_F(RestoredDurabilityTest, GoesOnBehindIt) {
  EXPECT_THAT(ledger_.Committed(Index(5), Term(4)), Trips("AckedOnMajorityDisks"));
  Write(kA, Hard(4), Entries(5, {4}));
  Write(kB, Hard(4), Entries(5, {4}));
  EXPECT_THAT(ledger_.Committed(Index(5), Term(4)), Holds());
  EXPECT_THAT(ledger_.WriteBegins(kC, Hard(4), Entries(4, {4})), Trips("WritesContiguous"));
}

// ---- Commits

TEST_F(DurabilityLedgerTest, AnEntryOnTheDisksOfAMajorityMayBeCommitted) {
  Write(kA, Hard(1), Entries(1, {1, 1}));
  EXPECT_THAT(ledger_.Committed(Index(2), Term(1)), Trips("AckedOnMajorityDisks"));
  Write(kB, Hard(1), Entries(1, {1}));
  EXPECT_THAT(ledger_.Committed(Index(1), Term(1)), Holds());
  EXPECT_THAT(ledger_.Committed(Index(2), Term(1)), Trips("AckedOnMajorityDisks"));
}

TEST_F(DurabilityLedgerTest, AWriteUnderWayCountsForNothing) {
  Write(kA, Hard(1), Entries(1, {1}));
  EXPECT_THAT(ledger_.WriteBegins(kB, Hard(1), Entries(1, {1})), Holds());
  EXPECT_THAT(ledger_.Committed(Index(1), Term(1)), Trips("AckedOnMajorityDisks"));
}

TEST_F(DurabilityLedgerTest, AnotherEntryAtTheIndexCountsForNothing) {
  Write(kA, Hard(2), Entries(1, {2}));
  Write(kB, Hard(1), Entries(1, {1}));
  EXPECT_THAT(ledger_.Committed(Index(1), Term(2)), Trips("AckedOnMajorityDisks"));
}

TEST_F(DurabilityLedgerTest, AConflictingSuffixIsCutByTheWriteThatReplacesIt) {
  Write(kA, Hard(1), Entries(1, {1, 1, 1}));
  Write(kA, Hard(2), Entries(2, {2}));
  EXPECT_EQ(ledger_.durable_index(kA), Index(2));
}

// ---- Promises

TEST_F(DurabilityLedgerTest, AVoteLeavesOnceItIsDurable) {
  const raft::Message vote{kA, kB, Term(2), raft::VoteReply{false, Term(2), true}};
  Write(kA, Hard(2), {});
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(2, kB), {}), Holds());
  EXPECT_THAT(ledger_.Sent(vote), Trips("VoteReplyAfterSync"));
  ledger_.WriteCompleted(kA);
  EXPECT_THAT(ledger_.Sent(vote), Holds());
}

TEST_F(DurabilityLedgerTest, ACandidateAsksOnceItsOwnVoteIsDurable) {
  const raft::Message campaign{kA, kB, Term(2),
                               raft::VoteRequest{false, Term(2), Index(0), Term(0)}};
  EXPECT_THAT(ledger_.Sent(campaign), Trips("CampaignAfterSync"));
  Write(kA, Hard(2, kA), {});
  EXPECT_THAT(ledger_.Sent(campaign), Holds());
}

TEST_F(DurabilityLedgerTest, AnAcknowledgementLeavesOnceItsEntriesAreDurable) {
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(1), Entries(1, {1, 1})), Holds());
  EXPECT_THAT(ledger_.Sent(Ack(kA, 1, 2)), Trips("AppendAckAfterSync"));
  ledger_.WriteCompleted(kA);
  EXPECT_THAT(ledger_.Sent(Ack(kA, 1, 2)), Holds());
  EXPECT_THAT(ledger_.Sent(Ack(kA, 1, 3)), Trips("AppendAckAfterSync"));
}

TEST_F(DurabilityLedgerTest, AnAcknowledgementPromisesItsTermToo) {
  Write(kA, Hard(1), Entries(1, {1}));
  EXPECT_THAT(ledger_.Sent(Ack(kA, 2, 1)), Trips("AppendAckAfterSync"));
}

TEST_F(DurabilityLedgerTest, PreVotesRefusalsAndHeartbeatsPromiseNothing) {
  EXPECT_THAT(ledger_.Sent({kA, kB, Term(1), raft::VoteReply{true, Term(2), true}}), Holds());
  EXPECT_THAT(ledger_.Sent({kA, kB, Term(2), raft::VoteReply{false, Term(2), false}}), Holds());
  EXPECT_THAT(ledger_.Sent({kA, kB, Term(1), raft::VoteRequest{true, Term(2), Index(0), Term(0)}}),
              Holds());
  EXPECT_THAT(ledger_.Sent({kA, kB, Term(2), raft::AppendReply{}}), Holds());
  EXPECT_THAT(ledger_.Sent({kA, kB, Term(2), raft::HeartbeatReply{1}}), Holds());
}

// ---- Bases

constexpr raft::LogBase kBase2{Index(2), Term(1), ClusterTime(0)};
constexpr raft::LogBase kBase4{Index(4), Term(2), ClusterTime(0)};

raft::SnapshotId SnapshotAt(const raft::LogBase& base) {
  return {.base = base, .bytes = 1, .checksum = 1};
}

raft::Message Installed(NodeId from, const raft::LogBase& base) {
  return {from, kB, Term(2), raft::SnapshotChunkReply{SnapshotAt(base), 1, true}};
}

TEST_F(DurabilityLedgerTest, TwoSnapshotsCoverWhatALogForgets) {
  Write(kA, Hard(2), Entries(1, {1, 1, 2, 2}));
  ledger_.SnapshotsKept(kA, {SnapshotAt(kBase2)});
  EXPECT_THAT(ledger_.WriteBegins(kA, {}, {}, kBase2), Trips("BaseIsCovered"));
  ledger_.SnapshotsKept(kA, {SnapshotAt(kBase2), SnapshotAt(kBase4)});
  EXPECT_THAT(ledger_.WriteBegins(kA, {}, {}, kBase4), Trips("BaseIsCovered"));
  EXPECT_THAT(ledger_.WriteBegins(kA, {}, {}, kBase2), Holds());
  ledger_.WriteCompleted(kA);
  EXPECT_EQ(ledger_.durable_index(kA), Index(4));
  Write(kB, Hard(2), Entries(1, {1, 1, 2, 2}));
  EXPECT_THAT(ledger_.Committed(Index(1), Term(1)), Holds());
}

TEST_F(DurabilityLedgerTest, ABaseNeverGoesBack) {
  Write(kA, Hard(2), Entries(1, {1, 1, 2, 2}));
  ledger_.SnapshotsKept(kA, {SnapshotAt(kBase4), SnapshotAt(kBase4)});
  EXPECT_THAT(ledger_.WriteBegins(kA, {}, {}, kBase4), Holds());
  EXPECT_THAT(ledger_.WriteBegins(kA, {}, {}, kBase2), Trips("BaseNeverBack"));
  ledger_.WriteCompleted(kA);
  EXPECT_THAT(ledger_.Recovered(kA, Log(2, 1, {1, 1, 2, 2})), Trips("BaseNeverBack"));
}

TEST_F(DurabilityLedgerTest, ASnapshotThatALeaderSentTakesThePlaceOfTheLog) {
  Write(kA, Hard(1), Entries(1, {1}));
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(2), {}, kBase4), Trips("BaseIsCovered"));
  ledger_.Restored(kA, kBase4);
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(2), Entries(5, {2}), kBase4), Holds());
  EXPECT_THAT(ledger_.Sent(Installed(kA, kBase4)), Trips("InstalledAfterSync"));
  ledger_.WriteCompleted(kA);
  EXPECT_THAT(ledger_.Sent(Installed(kA, kBase4)), Holds());
  EXPECT_EQ(ledger_.durable_index(kA), Index(5));
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(2), Entries(4, {2})), Trips("WritesContiguous"));
}

TEST_F(DurabilityLedgerTest, AStartMayPutASnapshotInPlaceOfALogThatDoesNotHoldIt) {
  raft::RecoveredLog log;
  log.hard_state = Hard(2);
  log.base_index = log.last_index = kBase4.index;
  log.base_term = kBase4.term;
  DurabilityLedger other({kA});
  EXPECT_THAT(other.WriteBegins(kA, Hard(2), Entries(1, {1, 1, 2, 2, 2})), Holds());
  other.WriteCompleted(kA);
  EXPECT_THAT(other.Recovered(kA, log), Trips("DurableSurvives"));
  Write(kA, Hard(1), Entries(1, {1, 1, 1, 1, 1}));
  EXPECT_THAT(ledger_.Recovered(kA, log), Holds());
  EXPECT_EQ(ledger_.durable_index(kA), Index(4));
}

// ---- Writes and recovery

TEST_F(DurabilityLedgerTest, AWriteThatLeavesAGapTrips) {
  Write(kA, Hard(1), Entries(1, {1}));
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(1), Entries(3, {1})), Trips("WritesContiguous"));
}

TEST_F(DurabilityLedgerTest, WritesUnderWayFollowEachOther) {
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(1), Entries(1, {1})), Holds());
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(1), {}), Holds());
  EXPECT_THAT(ledger_.WriteBegins(kA, std::nullopt, Entries(2, {1})), Holds());
}

TEST_F(DurabilityLedgerTest, ADurableEntryThatIsGoneAfterACrashTrips) {
  Write(kA, Hard(1), Entries(1, {1, 1}));
  EXPECT_THAT(ledger_.Recovered(kA, Log(1, 1, {1})), Trips("DurableSurvives"));
}

TEST_F(DurabilityLedgerTest, AnotherEntryInPlaceOfADurableOneTrips) {
  Write(kA, Hard(2), Entries(1, {1, 1}));
  EXPECT_THAT(ledger_.Recovered(kA, Log(2, 1, {1, 2})), Trips("DurableSurvives"));
}

TEST_F(DurabilityLedgerTest, AWriteUnderWayMayBeLostOrWholeOrInPart) {
  for (const std::vector<uint64_t>& kept :
       std::vector<std::vector<uint64_t>>{{1, 1, 1}, {1}, {1, 2}, {1, 2, 2}}) {
    DurabilityLedger ledger({kA});
    EXPECT_THAT(ledger.WriteBegins(kA, Hard(1), Entries(1, {1, 1, 1})), Holds());
    ledger.WriteCompleted(kA);
    EXPECT_THAT(ledger.WriteBegins(kA, Hard(2), Entries(2, {2, 2})), Holds());
    EXPECT_THAT(ledger.Recovered(kA, Log(2, 1, kept)), Holds());
    EXPECT_EQ(ledger.durable_index(kA), Index(kept.size()));
  }
}

TEST_F(DurabilityLedgerTest, BelowAShortTailStandsWhatLedToIt) {
  Write(kA, Hard(1), Entries(1, {1, 1, 1}));
  Write(kB, Hard(2), Entries(1, {1, 2, 2}));
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(2), Entries(2, {2, 2})), Holds());
  EXPECT_THAT(ledger_.Recovered(kA, Log(2, 3, {2})), Holds());
  EXPECT_THAT(ledger_.Committed(Index(2), Term(2)), Holds());
}

TEST_F(DurabilityLedgerTest, AnEntryThatWasNeverWrittenTrips) {
  Write(kA, Hard(1), Entries(1, {1}));
  EXPECT_THAT(ledger_.Recovered(kA, Log(1, 1, {1, 1})), Trips("RecoveredWasWritten"));
}

TEST_F(DurabilityLedgerTest, WhatACrashTookAwayCountsNoMore) {
  EXPECT_THAT(ledger_.WriteBegins(kA, Hard(1, kB), Entries(1, {1})), Holds());
  EXPECT_THAT(ledger_.Recovered(kA, raft::RecoveredLog{}), Holds());
  EXPECT_THAT(ledger_.Sent(Ack(kA, 1, 1)), Trips("AppendAckAfterSync"));
}

}  // namespace
}  // namespace lockd::sim
