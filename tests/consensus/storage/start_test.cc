// What a start makes of a log and the snapshots beside it: every combination of what can be found
// has one row of the table, and each row is seen on a disk.
//
// Drawings: log `[10====c----30]` based at entry 10 with c committed, snapshots s (verified) and x
// (damaged).
#include "consensus/storage/start.h"

#include "consensus/storage/snapshot_survey.h"
#include "consensus/storage/start_decision.h"
#include "protocol/base/bytes.h"
#include "tests/consensus/storage/snapshot_fixture.h"

namespace lockd::storage {
namespace {

constexpr LogFact kLogs[] = {LogFact::kAbsent, LogFact::kFromTheBeginning, LogFact::kNeedsSnapshot};
constexpr SnapshotFact kNewest[] = {SnapshotFact::kNone,      SnapshotFact::kBelowBase,
                                    SnapshotFact::kInLog,     SnapshotFact::kConflicts,
                                    SnapshotFact::kBeyondLog, SnapshotFact::kContradicts};

std::vector<StartFacts> AllFacts() {
  std::vector<StartFacts> all;
  for (const bool unknown_version : {false, true}) {
    for (const bool foreign : {false, true}) {
      for (const LogFact log : kLogs) {
        for (const SnapshotFact newest : kNewest) {
          for (const bool newer_damaged : {false, true}) {
            all.push_back({.unknown_version = unknown_version,
                           .foreign = foreign,
                           .log = log,
                           .newest = newest,
                           .newer_damaged = newer_damaged});
          }
        }
      }
    }
  }
  return all;
}

// The table in other words, as a chain of questions.
StartAction Expected(const StartFacts& facts) {
  if (facts.unknown_version) return StartAction::kRefuseVersion;
  if (facts.foreign) return StartAction::kRefuseOwner;
  const bool is_empty = facts.newest == SnapshotFact::kNone && !facts.newer_damaged;
  if (facts.log == LogFact::kAbsent) {
    return is_empty ? StartAction::kBeginNewLog : StartAction::kRefuseLogMissing;
  }
  switch (facts.newest) {
    case SnapshotFact::kNone:
    case SnapshotFact::kBelowBase:
      return facts.log == LogFact::kNeedsSnapshot ? StartAction::kRefuseSnapshotMissing
                                                  : StartAction::kApplyLog;
    case SnapshotFact::kInLog:
      return StartAction::kLoadSnapshot;
    case SnapshotFact::kConflicts:
    case SnapshotFact::kBeyondLog:
      return StartAction::kReplaceLog;
    case SnapshotFact::kContradicts:
      return StartAction::kRefuseContradiction;
  }
  return StartAction::kRefuseContradiction;
}

TEST(StartTable, EveryCombinationHasExactlyOneRow) {
  const std::vector<StartFacts> all = AllFacts();
  EXPECT_EQ(all.size(), 2u * 2 * 3 * 6 * 2);
  std::vector<int> used(StartTable().size());
  for (const StartFacts& facts : all) {
    SCOPED_TRACE(testing::Message()
                 << "unknown version " << facts.unknown_version << ", foreign " << facts.foreign
                 << ", log " << static_cast<int>(facts.log) << ", newest "
                 << static_cast<int>(facts.newest) << ", newer damaged " << facts.newer_damaged);
    int rows = 0;
    for (size_t i = 0; i < StartTable().size(); ++i) {
      if (!StartTable()[i].Matches(facts)) continue;
      ++rows;
      ++used[i];
      EXPECT_EQ(StartTable()[i].action, Expected(facts));
    }
    EXPECT_EQ(rows, 1);
    EXPECT_EQ(DecideStart(facts), Expected(facts));
  }
  for (size_t i = 0; i < used.size(); ++i) EXPECT_GT(used[i], 0) << "row " << i;
}

class StartTest : public SnapshotTest {
 protected:
  // [1====c----last], all of term 1.
  void MakeLog(uint64_t last, uint64_t commit) {
    Start();
    Append(1, last, 1);
    SetState(1, 2, commit);
  }
  // The same, compacted to this entry.
  void MakeLogBasedAt(uint64_t base, uint64_t last, uint64_t commit) {
    MakeLog(last, commit);
    Write({.base = MakeBase(base, 1)});
  }
  void Damage(uint64_t index) { disk_.FlipByte(SnapshotPath(index, 1), 600, 1); }
  void ExpectLoads(uint64_t snapshot_index, uint64_t last) {
    ASSERT_TRUE(storage_.snapshot.has_value());
    EXPECT_EQ(storage_.snapshot->base.index, raft::Index(snapshot_index));
    EXPECT_EQ(opened_.log.applied_index, raft::Index(snapshot_index));
    EXPECT_EQ(opened_.log.last_index, raft::Index(last));
    EXPECT_FALSE(ReadAll(*storage_.snapshot).empty());
  }
  // A refusal with this exit status that says each of these; and that nothing is changed by it.
  void ExpectRefusal(int exit_status, const std::vector<std::string>& parts) {
    const uint64_t steps_of_opening = 2;  // two directory syncs, before anything is looked at
    const uint64_t names = NamesIn(&disk_, kSnapshots).size();
    const absl::Status status = TryStart();
    EXPECT_EQ(ExitStatusOf(status), exit_status) << status;
    for (const std::string& part : parts) {
      EXPECT_NE(status.message().find(part), std::string::npos)
          << "\"" << part << "\" is not in: " << status;
    }
    EXPECT_NE(status.message().find(" at offset "), std::string::npos) << status;
    EXPECT_EQ(NamesIn(&disk_, kSnapshots).size(), names);
    if (disk_.Exists(kWal)) return;
    const uint64_t before = disk_.counters().steps;
    EXPECT_FALSE(TryStart().ok());
    EXPECT_EQ(disk_.counters().steps - before, steps_of_opening);
  }
};

TEST_F(StartTest, AnEmptyDirectoryGetsANewLog) {
  Start();
  EXPECT_TRUE(opened_.created);
  EXPECT_FALSE(storage_.snapshot.has_value());
  EXPECT_TRUE(storage_.kept.empty());
  EXPECT_TRUE(storage_.notes.empty());
  EXPECT_EQ(opened_.log.applied_index, raft::Index(0));
}

// Without s [1====c----30]
TEST_F(StartTest, AWholeLogNeedsNoSnapshot) {
  MakeLog(30, 15);
  Start();
  EXPECT_FALSE(storage_.snapshot.has_value());
  EXPECT_EQ(opened_.log.applied_index, raft::Index(0));
  EXPECT_EQ(LogModel::Of(&opened_), model_);
}

// [1==s==c====30], and s anywhere in it: also above what was known to be committed.
TEST_F(StartTest, ASnapshotInTheLogIsLoadedAndTheLogGoesOnAfterIt) {
  MakeLog(30, 15);
  uint64_t kept = 0;
  for (const uint64_t index : {1u, 10u, 15u, 29u, 30u}) {
    Take(index, 1);
    Start();
    ExpectLoads(index, 30);
    EXPECT_EQ(storage_.kept.size(), std::min<uint64_t>(++kept, 2));
    EXPECT_TRUE(storage_.notes.empty());
    EXPECT_EQ(LogModel::Of(&opened_), model_) << "the log stays as it is";
  }
}

// s[10===c---30] with s exactly at the base.
TEST_F(StartTest, ASnapshotAtTheBaseIsLoaded) {
  MakeLogBasedAt(10, 30, 15);
  Take(10, 1);
  Start();
  ExpectLoads(10, 30);
}

// s [10==s==c--30]: of two, the newer one.
TEST_F(StartTest, TheNewestOfTwoIsLoaded) {
  MakeLogBasedAt(10, 30, 25);
  Take(10, 1);
  Take(20, 1);
  Start();
  ExpectLoads(20, 30);
  EXPECT_EQ(IndexesOf(storage_.kept), (Indexes{10, 20}));
}

// s[10==x==c--30]: this is why the log is compacted to the older one's entry only.
TEST_F(StartTest, TheOlderOneIsLoadedWhenTheNewestIsDamaged) {
  MakeLogBasedAt(10, 30, 25);
  Take(10, 1);
  Take(20, 1);
  Damage(20);
  Start();
  ExpectLoads(10, 30);
  EXPECT_EQ(IndexesOf(storage_.kept), Indexes{10});
  ASSERT_EQ(storage_.notes.size(), 1u);
  EXPECT_NE(storage_.notes[0].find(SnapshotPath(20, 1) + " at offset "), std::string::npos);
  EXPECT_NE(storage_.notes[0].find(SnapshotPath(10, 1) + " is used instead"), std::string::npos);
  EXPECT_EQ(Files(), (Indexes{10, 20})) << "it stays for whoever looks at it";
}

// s[10==s==s--c--30]: the states of the later ones were found to be wrong.
TEST_F(StartTest, WhatIsSetAsideIsNotUsed) {
  MakeLogBasedAt(10, 30, 25);
  Take(10, 1);
  Take(20, 1);
  const absl::StatusOr<std::vector<std::string>> aside =
      SetAsideSnapshots(&disk_, kSnapshots, raft::Index(10));
  ASSERT_TRUE(aside.ok()) << aside.status();
  ASSERT_EQ(aside->size(), 1u);
  EXPECT_TRUE(disk_.Exists(aside->front())) << "it stays for whoever looks at it";
  CutPower();
  Start();
  ExpectLoads(10, 30);
  EXPECT_EQ(IndexesOf(storage_.kept), Indexes{10});
  EXPECT_EQ(Files(), Indexes{10});
  // None of them is right: then there is none, and nothing else either.
  ASSERT_TRUE(SetAsideSnapshots(&disk_, kSnapshots, raft::Index(0)).ok());
  EXPECT_EQ(Files(), Indexes{});
  ExpectRefusal(14, {"is missing", "after entry 10", "--rejoin"});
}

// x [1==x==c---30]
TEST_F(StartTest, TheWholeLogIsUsedWhenAllSnapshotsAreDamaged) {
  MakeLog(30, 15);
  Take(5, 1);
  Take(10, 1);
  Damage(5);
  Damage(10);
  Start();
  EXPECT_FALSE(storage_.snapshot.has_value());
  EXPECT_EQ(opened_.log.applied_index, raft::Index(0));
  ASSERT_EQ(storage_.notes.size(), 2u);
  EXPECT_NE(storage_.notes[0].find("the whole log is used instead"), std::string::npos);
}

// [1===c---30] s and, with another draw of the base, [10==c--30] s
TEST_F(StartTest, ASnapshotBeyondTheLogReplacesIt) {
  for (const bool has_base : {false, true}) {
    SCOPED_TRACE(has_base);
    options_.directory = absl::StrCat(kWal, has_base);
    disk_ = MemFileSystem();
    ASSERT_TRUE(disk_.CreateDirectory("/data").ok());
    ASSERT_TRUE(disk_.SyncDirectory("/").ok());
    model_ = LogModel();
    if (has_base) {
      MakeLogBasedAt(10, 30, 20);
    } else {
      MakeLog(30, 20);
    }
    Take(50, 4);
    Start();
    for (int start = 0; start < 2; ++start) {  // and it stays so
      ExpectLoads(50, 50);
      EXPECT_EQ(opened_.log.base_index, raft::Index(50));
      EXPECT_EQ(opened_.log.base_term, raft::Term(4));
      EXPECT_EQ(opened_.log.base_time, MakeBase(50, 4).time);
      EXPECT_TRUE(opened_.log.tail.empty());
      // A vote of term 1 says nothing in term 4.
      EXPECT_EQ(opened_.log.hard_state, MakeHardState(4, 0, 50));
      EXPECT_EQ(storage_.notes.size(), start == 0 ? 1u : 0u);
      CutPower();
      Start();
    }
    model_ = LogModel::Of(&opened_);
    Append(51, 55, 4);
    ReopenAndExpectAll();
  }
}

// The vote stays when the term does.
TEST_F(StartTest, ReplacingTheLogDoesNotForgetAVoteOfThisTerm) {
  MakeLog(30, 20);
  SetState(6, 3, 20);
  Take(50, 4);
  Start();
  EXPECT_EQ(opened_.log.hard_state, MakeHardState(6, 3, 50));
}

// [1===c---x---30]  with an entry of term 1 where the snapshot has one of term 2
TEST_F(StartTest, ASnapshotOfAnotherHistoryThanTheUncommittedEndReplacesTheLog) {
  MakeLog(30, 15);
  Take(20, 2);
  Start();
  ExpectLoads(20, 20);
  EXPECT_EQ(opened_.log.base_index, raft::Index(20));
  EXPECT_EQ(opened_.log.hard_state, MakeHardState(2, 0, 20));
  ASSERT_EQ(storage_.notes.size(), 1u);
  EXPECT_NE(storage_.notes[0].find("the log now begins after entry 20"), std::string::npos);
}

// s[10==c--30] s' x: both the newest and the way to it are damaged; the log reaches the older one.
TEST_F(StartTest, ADamagedSnapshotBeyondTheLogIsAnInstallThatNobodyWasToldOf) {
  MakeLogBasedAt(10, 30, 20);
  Take(10, 1);
  Take(50, 1);
  Damage(50);
  Start();
  ExpectLoads(10, 30);
  EXPECT_EQ(storage_.notes.size(), 1u);
}

// -- refusals --

// Without s  [10===c---30]
TEST_F(StartTest, ALogWithABaseAndNoSnapshotIsRefused) {
  MakeLogBasedAt(10, 30, 15);
  ExpectRefusal(14, {SnapshotPath(10, 1) + " at offset 0: ", "is missing", "after entry 10",
                     "Put back", "lockctl member add", "--rejoin"});
}

// s [10===c---30]  with s too old
TEST_F(StartTest, ASnapshotBelowTheBaseDoesNotHelp) {
  MakeLogBasedAt(10, 30, 15);
  Take(9, 1);
  ExpectRefusal(14, {"is missing", "after entry 10"});
}

// x[10===c---30] and s x[10===c---30]
TEST_F(StartTest, ADamagedSnapshotThatTheLogNeedsIsRefusedByItsOwnName) {
  MakeLogBasedAt(10, 30, 15);
  Take(10, 1);
  Damage(10);
  ExpectRefusal(14, {SnapshotPath(10, 1) + " at offset 512: block 0 is damaged", "after entry 10"});
}

TEST_F(StartTest, SnapshotsWithoutALogAreRefused) {
  MakeLog(30, 15);
  Take(10, 1);
  storage_ = OpenedStorage();
  opened_ = OpenedLog();
  for (const std::string& name : NamesIn(&disk_, kWal)) disk_.Remove(JoinPath(kWal, name));
  disk_.Remove(kWal);
  ExpectRefusal(14, {std::string(kWal) + " at offset 0: there is no log", SnapshotPath(10, 1),
                     "forgotten a vote"});
  EXPECT_FALSE(disk_.Exists(kWal));
  Damage(10);
  ExpectRefusal(14, {"there is no log"});
  EXPECT_FALSE(disk_.Exists(kWal));
  // What was never finished says nothing.
  disk_.Remove(SnapshotPath(10, 1));
  disk_.SetContents(JoinPath(kSnapshots, DraftName(1)), "draft");
  Start();
  EXPECT_TRUE(opened_.created);
  EXPECT_EQ(Drafts(), 0u);
}

// [1==x==c---30] and x[10===c--30]: committed, and another term.
TEST_F(StartTest, ASnapshotAgainstWhatIsCommittedIsRefused) {
  MakeLog(30, 15);
  Take(12, 2);
  ExpectRefusal(14, {SnapshotPath(12, 2), "is of entry 12 of term 2", "up to 15"});
  disk_.Remove(SnapshotPath(12, 2));
  Start();
  Write({.base = MakeBase(10, 1)});
  Take(10, 2);
  ExpectRefusal(14, {SnapshotPath(10, 2), "is of entry 10 of term 2", "base 10"});
}

TEST_F(StartTest, ASnapshotOfAnotherDirectoryIsRefused) {
  MakeLog(30, 15);
  Take(10, 1);
  const std::string bytes = disk_.Contents(SnapshotPath(10, 1));
  disk_ = MemFileSystem();
  ASSERT_TRUE(disk_.CreateDirectory("/data").ok());
  ASSERT_TRUE(disk_.SyncDirectory("/").ok());
  options_.incarnation_draw = Incarnation(0x777);
  model_ = LogModel();
  MakeLog(30, 15);
  disk_.SetContents(SnapshotPath(10, 1), bytes);
  ExpectRefusal(11, {SnapshotPath(10, 1), "belongs to node 2 of cluster \"orders\"",
                     "put back the original"});
}

TEST_F(StartTest, ASnapshotOfAnUnknownVersionIsRefusedThoughAnOlderOneWouldDo) {
  MakeLog(30, 15);
  Take(10, 1);
  Take(20, 1);
  std::string bytes = disk_.Contents(SnapshotPath(20, 1));
  StoreLittle<uint32_t>(bytes.data() + snapshot_head_at::kVersion, 2);
  const absl::string_view covered = absl::string_view(bytes).substr(
      snapshot_head_at::kVersion, kSnapshotHeadBytes - snapshot_head_at::kVersion);
  StoreLittle<uint32_t>(bytes.data() + snapshot_head_at::kChecksum, Crc32c(covered));
  disk_.SetContents(SnapshotPath(20, 1), bytes);
  ExpectRefusal(
      12, {SnapshotPath(20, 1), "snapshot format version 2", "version 1 only", "or a newer one"});
}

TEST_F(StartTest, ARefusalOfTheLogItselfComesFirst) {
  MakeLog(30, 15);
  Take(10, 1);
  options_.node_id = NodeId(3);
  EXPECT_EQ(ExitStatusOf(TryStart()), 11);
}

TEST_F(StartTest, ADirectoryOfSnapshotsThatIsNoneIsUnusable) {
  disk_.SetContents(kSnapshots, "a file");
  EXPECT_EQ(ExitStatusOf(TryStart()), 12);
}

// Whoever lets a log begin after entry 10 has the state there.
TEST_F(StartTest, ALogThatBeginsWhereItsOwnerSaysNeedsNoSnapshot) {
  options_.new_log_base = MakeBase(10, 1);
  Start();
  EXPECT_TRUE(opened_.created);
  model_.base = options_.new_log_base;
  model_.hard_state = MakeHardState(1, 0, 10);
  Append(11, 20, 1);
  Start();
  EXPECT_FALSE(storage_.snapshot.has_value());
  EXPECT_EQ(LogModel::Of(&opened_), model_);
  Write({.base = MakeBase(15, 1)});
  ExpectRefusal(14, {"after entry 15"});
}

}  // namespace
}  // namespace lockd::storage
