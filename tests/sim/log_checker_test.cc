// The checks of LogChecker that need no cluster, broken by hand.
#include "tests/sim/log_checker.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "server/state/command.h"

namespace lockd::sim {
namespace {

TEST(LogCheckerDeathTest, AStaleReadOfAnEntryThatNobodyCommittedTripsIt) {
  const LogChecker checker({});
  EXPECT_DEATH(checker.OnStaleRead("a", raft::Index(1), FencingToken(0)),
               "StaleReadsTrue: entry 1 is shown as applied and was never committed");
}

TEST(LogCheckerDeathTest, AStaleReadThatShowsAHolderThatNeverWasTripsIt) {
  const LogChecker checker({});
  checker.OnStaleRead("a", raft::Index(0), FencingToken(0));
  EXPECT_DEATH(checker.OnStaleRead("a", raft::Index(0), FencingToken(5)),
               "StaleReadsTrue: a node shows token 5 for a after entry 0, there it was 0");
}

// Entries 1 and 2 of terms 1 and 3 are committed.
class BaseIsCommittedDeathTest : public testing::Test {
 protected:
  BaseIsCommittedDeathTest() {
    for (const auto& [index, term] : {std::pair{1, 1}, std::pair{2, 3}}) {
      checker_.Append(
          {raft::Term(static_cast<uint64_t>(term)), raft::Index(static_cast<uint64_t>(index)),
           raft::EntryKind::kNoop, ClusterTime(10 * index), /*payload=*/""},
          raft::Term(3));
    }
  }
  void Check(uint64_t index, uint64_t term, int64_t time) {
    checker_.CheckBase(NodeId(7), {raft::Index(index), raft::Term(term), ClusterTime(time)});
  }

  LogChecker checker_{{.on_committed = [](const raft::Entry&) {},
                       .on_session_expired = [](SessionId) {},
                       .on_hold_ended = [](const std::string&, FencingToken) {}}};
};

TEST_F(BaseIsCommittedDeathTest, ALogThatBeginsAfterWhatNobodyCommittedTripsIt) {
  Check(1, 1, 10);
  Check(2, 3, 20);
  EXPECT_DEATH(Check(3, 3, 30),
               "BaseIsCommitted: node 7 begins its log after index 3, which nobody committed");
}

TEST_F(BaseIsCommittedDeathTest, ALogThatBeginsAfterAnotherEntryTripsIt) {
  const std::string message = "BaseIsCommitted: node 7 begins its log after another entry at index";
  EXPECT_DEATH(Check(2, 2, 20), message) << "another term";
  EXPECT_DEATH(Check(2, 3, 19), message) << "another time";
}

// ---- Backups

// Entry 2 opens a session, 3 grants it a lock, 4 ends the session. The backup is of entry 3.
class BackupDeathTest : public testing::Test {
 protected:
  BackupDeathTest() {
    Append(checker_, 1, state::Bootstrap{ClusterId(5), 1, {}, {{NodeId(1)}}});
    Append(checker_, 2, Open('n'));
    Append(checker_, 3, AcquireOf(1, "a"));
    digest_ = checker_.reference().digest();
    Append(checker_, 4, state::CloseSession{SessionId(1), ConnectionEpoch(1)});
  }
  static void Append(LogChecker& checker, uint64_t index, state::Command command) {
    state::BatchBuilder builder;
    builder.Add(command);
    checker.Append({raft::Term(2), raft::Index(index), raft::EntryKind::kCommand, ClusterTime(100),
                    builder.Take(WallTime(1))},
                   raft::Term(2));
  }
  static state::OpenSession Open(char nonce) {
    state::OpenSession open;
    open.nonce = std::string(state::kNonceBytes, nonce);
    open.ttl_ms = 1'000;
    return open;
  }
  static state::Acquire AcquireOf(uint64_t session, const std::string& name) {
    state::Acquire acquire;
    acquire.mutation.session = SessionId(session);
    acquire.mutation.epoch = ConnectionEpoch(1);
    acquire.mutation.sequence = Sequence(1);
    acquire.name = name;
    return acquire;
  }
  static raft::LogBase BaseOf(uint64_t index, uint64_t term = 2) {
    return {raft::Index(index), raft::Term(term), ClusterTime(100)};
  }

  LogChecker checker_{{.on_committed = [](const raft::Entry&) {},
                       .on_session_expired = [](SessionId) {},
                       .on_hold_ended = [](const std::string&, FencingToken) {}}};
  state::Digest digest_;
};

TEST_F(BackupDeathTest, OneOfAnotherStateTripsBackupsAreTrue) {
  checker_.CheckBackup(BaseOf(3), digest_);
  EXPECT_DEATH(checker_.CheckBackup(BaseOf(4), digest_), "BackupsAreTrue: that of entry 4");
  EXPECT_DEATH(checker_.CheckBackup(BaseOf(3, 1), digest_), "BackupsAreTrue: that of entry 3");
  EXPECT_DEATH(checker_.CheckBackup(BaseOf(5), digest_), "BackupsAreTrue: one is of entry 5");
}

TEST_F(BackupDeathTest, AMachineThatBeginsWithoutItTripsRestoredIsTheBackup) {
  const LogChecker restored(checker_, raft::Index(3), checker_);
  const state::Digest refounded = restored.reference().digest();
  restored.CheckRestored(NodeId(1), BaseOf(3), refounded);
  EXPECT_DEATH(restored.CheckRestored(NodeId(1), BaseOf(3), digest_), "RestoredIsTheBackup")
      << "not refounded";
  EXPECT_DEATH(restored.CheckRestored(NodeId(1), BaseOf(2), refounded), "RestoredIsTheBackup");
}

TEST_F(BackupDeathTest, ARestoredLogBeginsAfterTheBackup) {
  const LogChecker restored(checker_, raft::Index(3), checker_);
  EXPECT_TRUE(restored.reference().GetLock("a").held);
  EXPECT_EQ(restored.reference().session_count(), 0u);
  EXPECT_TRUE(restored.reference().cluster_id().is_zero());
  const FencingToken held = restored.reference().GetLock("a").token;
  restored.OnStaleRead("a", raft::Index(3), held);
  EXPECT_DEATH(restored.OnStaleRead("a", raft::Index(3), FencingToken(0)), "StaleReadsTrue");
  restored.OnStaleRead("a", raft::Index(2), FencingToken(0));
  EXPECT_DEATH(restored.OnStaleRead("a", raft::Index(2), held), "StaleReadsTrue");
  restored.CheckBase(NodeId(1), BaseOf(3));
  EXPECT_DEATH(restored.CheckBase(NodeId(1), BaseOf(2)), "BaseIsCommitted");
  EXPECT_DEATH(restored.CheckBase(NodeId(1), BaseOf(4)), "BaseIsCommitted");
  restored.CheckDigest(NodeId(1), raft::Index(3), restored.reference().digest());
  EXPECT_DEATH(restored.CheckDigest(NodeId(1), raft::Index(3), digest_), "DigestsAgree");
}

// After the backup, tokens 4 and 6 are granted, in sessions 3 and 5.
TEST_F(BackupDeathTest, TokensThatGoOnFromTheBackupTripTokensIncrease) {
  Append(checker_, 5, Open('m'));
  Append(checker_, 6, AcquireOf(3, "b"));
  Append(checker_, 7, Open('o'));
  Append(checker_, 8, AcquireOf(5, "c"));
  ASSERT_EQ(checker_.last_token(), FencingToken(6));
  LogChecker restored(checker_, raft::Index(3), checker_);
  state::Refound refound;
  refound.bootstrap = {ClusterId(6), 1, {}, {{NodeId(1)}}};
  refound.numbers_from = restored.reference().last_number() + 1;
  Append(restored, 4, refound);
  Append(restored, 5, Open('p'));
  EXPECT_DEATH(Append(restored, 6, AcquireOf(4, "b")), "TokensIncrease: 5 after 6");
}

}  // namespace
}  // namespace lockd::sim
