#include "consensus/raft/raft_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kNoLimit = SIZE_MAX;
const Configuration kMembers = MakeConfiguration({1, 2, 3});

std::vector<uint64_t> TermsOf(const RaftLog& log) {
  std::vector<uint64_t> terms;
  for (Index index = log.tail_first_index(); index <= log.last_index(); ++index) {
    terms.push_back(log.At(index).term.value());
  }
  return terms;
}

std::vector<uint64_t> IndexesOf(const std::vector<Entry>& entries) {
  std::vector<uint64_t> indexes;
  for (const Entry& entry : entries) indexes.push_back(entry.index.value());
  return indexes;
}

// A log whose first entries were compacted: base (10, term 3), then 11.. of term 4.
RecoveredLog CompactedLog(uint64_t entries) {
  RecoveredLog recovered;
  recovered.hard_state = {Term{4}, NodeId{0}, Index{10}};
  recovered.base_index = Index{10};
  recovered.base_term = Term{3};
  recovered.base_time = ClusterTime{500};
  recovered.last_index = Index{10 + entries};
  for (uint64_t i = 0; i < entries; ++i) {
    recovered.tail.push_back(MakeEntry(4, 11 + i, {}, 500));
  }
  return recovered;
}

TEST(RaftLog, AnEmptyLogEndsBeforeItsFirstEntry) {
  const RaftLog log(RecoveredLog{}, kNoLimit);
  EXPECT_EQ(log.first_index(), Index{1});
  EXPECT_EQ(log.last_index(), Index{0});
  EXPECT_EQ(log.TermAt(Index{0}), Term{0});
  EXPECT_EQ(log.TermAt(Index{1}), std::nullopt);
}

// the first index follows the base even when no entry is there.
TEST(RaftLog, AFullyCompactedLogGoesOnAfterItsBase) {
  RaftLog log(CompactedLog(0), kNoLimit);
  EXPECT_EQ(log.first_index(), Index{11});
  EXPECT_EQ(log.last_index(), Index{10});
  EXPECT_EQ(log.last_term(), Term{3});
  EXPECT_EQ(log.last_time(), ClusterTime{500});
  EXPECT_EQ(log.durable_index(), Index{10});
  log.Append(MakeEntry(4, 11, {}, 500));
  EXPECT_EQ(log.TermAt(Index{11}), Term{4});
}

// a compacted entry has no term, in particular not term 0.
TEST(RaftLog, ACompactedEntryHasNoTerm) {
  const RaftLog log(CompactedLog(2), kNoLimit);
  EXPECT_EQ(log.TermAt(Index{9}), std::nullopt);
  EXPECT_EQ(log.TermAt(Index{0}), std::nullopt);
  EXPECT_EQ(log.TermAt(Index{10}), Term{3});
  EXPECT_EQ(log.TermAt(Index{12}), Term{4});
}

TEST(RaftLog, WhatIsCommittedMatchesEvenIfItsTermIsForgotten) {
  const RaftLog log(CompactedLog(2), kNoLimit);
  EXPECT_TRUE(log.Matches(Index{5}, Term{2}));
  EXPECT_TRUE(log.Matches(Index{11}, Term{4}));
  EXPECT_FALSE(log.Matches(Index{12}, Term{3}));
  EXPECT_FALSE(log.Matches(Index{13}, Term{4}));
}

TEST(RaftLog, IsNoNewerThanComparesTermsThenIndexes) {
  const RaftLog log(MakeLog({1, 2, 2}), kNoLimit);
  struct {
    uint64_t index, term;
    bool expected;
  } rows[] = {
      {3, 2, true},  {4, 2, true}, {2, 2, false},  // same last term: the longer one
      {9, 1, false}, {1, 3, true},                 // the later last term wins, whatever the length
  };
  for (const auto& row : rows) {
    EXPECT_EQ(log.IsNoNewerThan(Index{row.index}, Term{row.term}), row.expected)
        << row.index << " term " << row.term;
  }
}

//   index 1 2 3 4 5 6 7
//   term  1 1 2 4 4 4 7
TEST(RaftLog, GreatestWithTermAtMostSkipsWholeTerms) {
  const RaftLog log(MakeLog({1, 1, 2, 4, 4, 4, 7}), kNoLimit);
  struct {
    uint64_t index, term, floor, expected;
  } rows[] = {
      {7, 7, 0, 7}, {7, 6, 0, 6}, {5, 4, 0, 5},  {6, 3, 0, 3},
      {7, 1, 0, 2}, {7, 0, 0, 0}, {99, 9, 0, 7},  // beyond the end: from the end
      {7, 1, 4, 4},                               // never below the floor
  };
  for (const auto& row : rows) {
    EXPECT_EQ(log.GreatestWithTermAtMost(Index{row.index}, Term{row.term}, Index{row.floor}),
              Index{row.expected})
        << row.index << " term " << row.term << " floor " << row.floor;
  }
}

// truncation only at the first conflict.
TEST(RaftLog, MergeTruncatesOnlyAtTheFirstConflict) {
  struct {
    const char* what;
    std::vector<Entry> entries;
    std::vector<uint64_t> expected;
  } rows[] = {
      {"nothing", {}, {1, 2, 2, 3}},
      {"a short old append", MakeEntries(2, {2}), {1, 2, 2, 3}},
      {"the same entries", MakeEntries(1, {1, 2, 2, 3}), {1, 2, 2, 3}},
      {"an overlap that goes on", MakeEntries(3, {2, 3, 3}), {1, 2, 2, 3, 3}},
      {"only new ones", MakeEntries(5, {3}), {1, 2, 2, 3, 3}},
      {"a conflict in the middle", MakeEntries(2, {2, 4}), {1, 2, 4}},
      {"a conflict at once", MakeEntries(2, {4}), {1, 4}},
  };
  for (const auto& row : rows) {
    RaftLog log(MakeLog({1, 2, 2, 3}, 1), kNoLimit);
    log.Merge(row.entries);
    EXPECT_EQ(TermsOf(log), row.expected) << row.what;
    EXPECT_EQ(log.last_term().value(), row.expected.back()) << row.what;
  }
}

TEST(RaftLogDeathTest, NeverTruncatesWhatIsCommitted) {
  RaftLog log(MakeLog({1, 2, 2}, 2), kNoLimit);
  EXPECT_DEATH(log.Merge(MakeEntries(2, {3})), "committed entry 2");
}

TEST(RaftLogDeathTest, RefusesAGap) {
  RaftLog log(MakeLog({1}), kNoLimit);
  EXPECT_DEATH(log.Append(MakeEntry(1, 3)), "gap in the log");
}

TEST(RaftLogDeathTest, RefusesTimeThatGoesBack) {
  RaftLog log(RecoveredLog{}, kNoLimit);
  log.Append(MakeEntry(1, 1, "x", 100));
  EXPECT_DEATH(log.Append(MakeEntry(1, 2, "y", 99)), "time goes back");
}

TEST(RaftLogDeathTest, RefusesACommitBeyondItsEnd) {
  RaftLog log(MakeLog({1}), kNoLimit);
  EXPECT_DEATH(log.CommitTo(Index{2}), "beyond the last entry");
}

TEST(RaftLog, CommitNeverGoesBack) {
  RaftLog log(MakeLog({1, 1, 1}), kNoLimit);
  log.CommitTo(Index{2});
  log.CommitTo(Index{1});
  EXPECT_EQ(log.commit_index(), Index{2});
}

// -- writes --

TEST(RaftLog, SeveralWritesMayBeUnderWayAndCompleteInOrder) {
  RaftLog log(RecoveredLog{}, kNoLimit);
  log.Append(MakeEntry(1, 1));
  log.Append(MakeEntry(1, 2));
  EXPECT_THAT(IndexesOf(log.BeginWrite(1, Tick{0})), ElementsAre(1, 2));
  log.Append(MakeEntry(1, 3));
  EXPECT_THAT(IndexesOf(log.BeginWrite(2, Tick{0})), ElementsAre(3));
  EXPECT_EQ(log.WriteHolding(Index{2}), 1u);
  EXPECT_EQ(log.WriteHolding(Index{3}), 2u);
  log.EndWrites(1);
  EXPECT_EQ(log.durable_index(), Index{2});
  EXPECT_EQ(log.WriteHolding(Index{2}), 0u);
  log.EndWrites(2);
  EXPECT_EQ(log.durable_index(), Index{3});
}

TEST(RaftLog, OneCompletionCoversAllWritesBeforeIt) {
  RaftLog log(RecoveredLog{}, kNoLimit);
  for (uint64_t i = 1; i <= 3; ++i) {
    log.Append(MakeEntry(1, i));
    EXPECT_EQ(log.BeginWrite(i, Tick{0}).size(), 1u);
  }
  log.EndWrites(2);
  EXPECT_EQ(log.durable_index(), Index{2});
}

// R-23, the race of a write with truncations:
//
//   write 1 holds (2,2)        2 in flight, then (3,2) replaces it: write 2, then (4,2): write 3
//   completion of write 1      says nothing about (3,2) or (4,2)
//   completion of write 2      nor about (4,2), though index and perhaps even length agree
TEST(RaftLog, ACompletionDoesNotVouchForWhatReplacedItsEntries) {
  RaftLog log(MakeLog({1}), kNoLimit);
  log.Merge(MakeEntries(2, {2}));
  EXPECT_THAT(IndexesOf(log.BeginWrite(1, Tick{0})), ElementsAre(2));
  log.Merge(MakeEntries(2, {3}));
  EXPECT_THAT(IndexesOf(log.BeginWrite(2, Tick{0})), ElementsAre(2));
  log.EndWrites(1);
  EXPECT_EQ(log.durable_index(), Index{1});
  log.Merge(MakeEntries(2, {4}));
  EXPECT_THAT(IndexesOf(log.BeginWrite(3, Tick{0})), ElementsAre(2));
  log.EndWrites(2);
  EXPECT_EQ(log.durable_index(), Index{1});
  log.EndWrites(3);
  EXPECT_EQ(log.durable_index(), Index{2});
}

// The same with the old term coming back: (2,2), (3,2), and again (2,2) could look alike to a
// completion that is matched by term and index only. Terms never go back within a log, so it
// shows with a longer first write that is cut in the middle.
TEST(RaftLog, AWriteCutInTheMiddleVouchesForItsBeginning) {
  RaftLog log(MakeLog({1}), kNoLimit);
  log.Merge(MakeEntries(2, {2, 2, 2}));
  EXPECT_THAT(IndexesOf(log.BeginWrite(1, Tick{0})), ElementsAre(2, 3, 4));
  log.Merge(MakeEntries(4, {3, 3}));
  log.EndWrites(1);
  EXPECT_EQ(log.durable_index(), Index{3});
  EXPECT_THAT(IndexesOf(log.BeginWrite(2, Tick{0})), ElementsAre(4, 5));
}

TEST(RaftLog, TruncationTakesBackWhatWasDurable) {
  RaftLog log(MakeLog({1, 2, 2}, 1), kNoLimit);
  EXPECT_EQ(log.durable_index(), Index{3});
  log.Merge(MakeEntries(2, {3}));
  EXPECT_EQ(log.durable_index(), Index{1});
  EXPECT_THAT(IndexesOf(log.BeginWrite(1, Tick{0})), ElementsAre(2));
}

// -- memory --

TEST(RaftLog, CopyStopsAtItsByteLimitButGivesAtLeastOne) {
  RaftLog log(RecoveredLog{}, kNoLimit);
  for (uint64_t i = 1; i <= 4; ++i) log.Append(MakeEntry(1, i, std::string(52, 'x')));  // 100 each
  EXPECT_THAT(IndexesOf(log.Copy(Index{1}, Index{4}, 250)), ElementsAre(1, 2));
  EXPECT_THAT(IndexesOf(log.Copy(Index{1}, Index{4}, 1)), ElementsAre(1));
  EXPECT_THAT(IndexesOf(log.Copy(Index{2}, Index{3}, 1000)), ElementsAre(2, 3));
}

TEST(RaftLog, OnlyWhatIsDurableCommittedAndAppliedLeavesMemory) {
  RaftLog log(RecoveredLog{}, 0);
  for (uint64_t i = 1; i <= 4; ++i) log.Append(MakeEntry(1, i));
  EXPECT_EQ(log.BeginWrite(1, Tick{0}).size(), 4u);
  EXPECT_EQ(log.tail_first_index(), Index{1});
  log.EndWrites(1);
  EXPECT_EQ(log.tail_first_index(), Index{1});
  log.CommitTo(Index{3});
  EXPECT_EQ(log.tail_first_index(), Index{1});
  log.AppliedTo(Index{3});
  // The last applied one stays: what follows may be truncated, and its term must be known then.
  EXPECT_EQ(log.tail_first_index(), Index{3});
  EXPECT_EQ(log.TermAt(Index{1}), Term{1});  // terms are remembered
}

TEST(RaftLog, BehindAReaderFromDiskMemoryIsBoundedToo) {
  RecoveredLog recovered;
  recovered.hard_state = {Term{1}, NodeId{0}, Index{9}};
  recovered.last_index = Index{10};
  recovered.tail = MakeEntries(9, {1, 1});
  RaftLog log(std::move(recovered), 0);
  for (uint64_t i = 11; i <= 20; ++i) log.Append(MakeEntry(1, i));
  EXPECT_EQ(log.BeginWrite(1, Tick{0}).size(), 10u);
  log.EndWrites(1);
  log.CommitTo(Index{20});
  EXPECT_EQ(log.applied_index(), Index{0});
  EXPECT_EQ(log.tail_first_index(), Index{20});
}

TEST(RaftLog, BelowTheRecoveredTailTermsAreUnknown) {
  RecoveredLog recovered;
  recovered.hard_state = {Term{2}, NodeId{0}, Index{9}};
  recovered.last_index = Index{10};
  recovered.tail = MakeEntries(9, {2, 2});
  const RaftLog log(std::move(recovered), kNoLimit);
  EXPECT_EQ(log.TermAt(Index{8}), std::nullopt);
  EXPECT_EQ(log.TermAt(Index{0}), Term{0});
  EXPECT_EQ(log.TermAt(Index{9}), Term{2});
  EXPECT_FALSE(log.InMemory(Index{8}));
  EXPECT_EQ(log.commit_index(), Index{9});
}

// -- forgetting --

LogBase MakeBase(uint64_t term, uint64_t index) {
  return {Index{index}, Term{term}, ClusterTime{0}};
}

// Terms 1 1 2 2 3, all durable, committed up to `commit` and applied.
RaftLog FiveEntries(uint64_t commit) {
  RaftLog log(MakeLog({1, 1, 2, 2, 3}, commit), kNoLimit);
  log.AppliedTo(Index{commit});
  return log;
}

TEST(RaftLogCompact, ForgetsUpToTheBaseAndNothingElse) {
  RaftLog log = FiveEntries(4);
  log.CompactTo(MakeBase(2, 3));
  EXPECT_EQ(log.first_index(), Index{4});
  EXPECT_EQ(log.last_index(), Index{5});
  EXPECT_THAT(TermsOf(log), ElementsAre(2, 3));
  EXPECT_EQ(log.tail_bytes(), 2 * Entry::kOverheadBytes);
  EXPECT_EQ(log.TermAt(Index{2}), std::nullopt);
  EXPECT_EQ(log.TermAt(Index{3}), Term{2});
  EXPECT_EQ(log.TermAt(Index{5}), Term{3});
  EXPECT_TRUE(log.AreWritesExact());
  log.CompactTo(MakeBase(2, 4));
  EXPECT_EQ(log.TermAt(Index{3}), std::nullopt);
  EXPECT_EQ(log.TermAt(Index{4}), Term{2});
}

TEST(RaftLogCompact, OfAllEntriesLeavesWhatTheLastOneSaid) {
  RaftLog log = FiveEntries(5);
  log.CompactTo(MakeBase(3, 5));
  EXPECT_EQ(log.last_index(), Index{5});
  EXPECT_EQ(log.last_term(), Term{3});
  EXPECT_THAT(TermsOf(log), IsEmpty());
  log.Append(MakeEntry(4, 6));
  EXPECT_THAT(IndexesOf(log.BeginWrite(1, Tick{0})), ElementsAre(6));
}

TEST(RaftLogCompact, ASnapshotThatContradictsTheLogIsABug) {
  RaftLog log = FiveEntries(5);
  EXPECT_DEATH(log.CompactTo(MakeBase(1, 3)), "says term 1, the log 2");
  EXPECT_DEATH(log.CompactTo({Index{3}, Term{2}, ClusterTime{9}}), "says time 9, the log 0");
}

TEST(RaftLogRestore, KeepsASuffixOnlyAfterTheVeryEntry) {
  struct {
    const char* what;
    uint64_t base_term, base_index;
    uint64_t last;
    std::vector<uint64_t> terms;
  } rows[] = {
      {"same index and term", 2, 4, 5, {3}},     {"same, the last one", 3, 5, 5, {}},
      {"same index, a later term", 3, 4, 4, {}}, {"same index, an earlier term", 2, 5, 5, {}},
      {"the index after the last", 3, 6, 6, {}}, {"far beyond", 9, 50, 50, {}},
  };
  for (const auto& row : rows) {
    RaftLog log = FiveEntries(2);
    log.Restore(MakeBase(row.base_term, row.base_index), kMembers);
    EXPECT_EQ(log.last_index(), Index{row.last}) << row.what;
    EXPECT_EQ(TermsOf(log), row.terms) << row.what;
    EXPECT_EQ(log.TermAt(Index{row.base_index}), Term{row.base_term}) << row.what;
    EXPECT_EQ(log.TermAt(Index{row.base_index - 1}), std::nullopt) << row.what;
    EXPECT_EQ(log.commit_index(), Index{row.base_index}) << row.what;
    EXPECT_EQ(log.applied_index(), Index{row.base_index}) << row.what;
    EXPECT_EQ(log.tail_bytes(), row.terms.size() * Entry::kOverheadBytes) << row.what;
    EXPECT_TRUE(log.AreWritesExact()) << row.what;
  }
}

// -- freeing --

constexpr uint64_t kMany = 5 * RaftLog::kFreedAtOnce;

// kMany + 3 entries of term 1, all durable, committed up to `commit` and applied.
RaftLog ManyEntries(uint64_t commit, size_t tail_bytes_max = kNoLimit) {
  RaftLog log(MakeLog(std::vector<uint64_t>(kMany + 3, 1), commit), tail_bytes_max);
  log.AppliedTo(Index{commit});
  return log;
}

// Frees until only so many entries are left, a few at a time.
void FreeAll(RaftLog& log, size_t left) {
  while (log.held_entries() > left) {
    const size_t before = log.held_entries();
    log.FreeForgotten();
    ASSERT_EQ(before - log.held_entries(), std::min(RaftLog::kFreedAtOnce, before - left));
    ASSERT_EQ(log.tail_bytes(), log.CountTailBytes());
  }
  log.FreeForgotten();
  EXPECT_EQ(log.held_entries(), left);
}

TEST(RaftLogFree, WhatIsForgottenAtOnceIsFreedLittleByLittle) {
  RaftLog log = ManyEntries(kMany + 3);
  log.CompactTo(MakeBase(1, kMany));
  EXPECT_EQ(log.held_entries(), kMany + 3 - RaftLog::kFreedAtOnce);
  EXPECT_EQ(log.tail_first_index(), Index{kMany + 1});
  EXPECT_FALSE(log.InMemory(Index{kMany}));
  EXPECT_EQ(log.TermAt(Index{kMany - 1}), std::nullopt);
  // The log goes on meanwhile: it grows, is read, and loses a suffix.
  log.Merge(MakeEntries(kMany + 4, {2, 2}));
  EXPECT_EQ(log.At(Index{kMany + 2}).index, Index{kMany + 2});
  EXPECT_THAT(IndexesOf(log.Copy(Index{kMany + 3}, Index{kMany + 5}, kNoLimit)),
              ElementsAre(kMany + 3, kMany + 4, kMany + 5));
  log.Merge(MakeEntries(kMany + 4, {3}));
  EXPECT_THAT(TermsOf(log), ElementsAre(1, 1, 1, 3));
  FreeAll(log, 4);
  EXPECT_THAT(TermsOf(log), ElementsAre(1, 1, 1, 3));
}

TEST(RaftLogFree, ALogThatASnapshotReplacesIsFreedLittleByLittle) {
  RaftLog log = ManyEntries(2);
  log.Restore(MakeBase(4, kMany), kMembers);
  EXPECT_GT(log.held_entries(), 3 * RaftLog::kFreedAtOnce);
  EXPECT_THAT(TermsOf(log), IsEmpty());
  EXPECT_EQ(log.tail_bytes(), 0u);
  log.Append(MakeEntry(4, kMany + 1));
  log.Restore(MakeBase(5, kMany + 9), kMembers);
  log.Append(MakeEntry(5, kMany + 10));
  EXPECT_THAT(TermsOf(log), ElementsAre(5));
  FreeAll(log, 1);
  EXPECT_THAT(TermsOf(log), ElementsAre(5));
}

// It counts for the limit of memory, and goes before what followers may still need.
TEST(RaftLogFree, WhatIsForgottenGoesFirstWhenMemoryIsShort) {
  RaftLog log = ManyEntries(kMany + 3, (kMany + 3) * Entry::kOverheadBytes);
  log.CompactTo(MakeBase(1, kMany));
  for (uint64_t i = kMany + 4; i <= 3 * kMany; ++i) {
    log.Append(MakeEntry(1, i));
    (void)log.BeginWrite(i, Tick{0});
    log.EndWrites(i);
    log.CommitTo(Index{i});
    log.AppliedTo(Index{i});
    const bool is_full = i > kMany + kMany + 3;
    ASSERT_EQ(log.tail_first_index(), is_full ? Index{i - kMany - 2} : Index{kMany + 1});
    ASSERT_LE(log.held_entries(), kMany + 3);
  }
}

// a write that completes later must not vouch for what the snapshot made the log forget.
TEST(RaftLogRestore, WritesUnderWayVouchForNothingThatIsGone) {
  RaftLog log = FiveEntries(2);
  log.Merge(MakeEntries(6, {3, 3}));
  (void)log.BeginWrite(1, Tick{0});
  log.Merge(MakeEntries(8, {3}));
  (void)log.BeginWrite(2, Tick{0});
  log.Restore(MakeBase(4, 7), kMembers);
  log.Merge(MakeEntries(8, {4, 4}));
  EXPECT_TRUE(log.AreWritesExact());
  log.EndWrites(2);
  EXPECT_EQ(log.durable_index(), Index{7});
  EXPECT_THAT(IndexesOf(log.BeginWrite(3, Tick{0})), ElementsAre(8, 9));
  log.EndWrites(3);
  EXPECT_EQ(log.durable_index(), Index{9});
}

// What is kept after the base is durable when its write completes, and not earlier.
TEST(RaftLogRestore, WritesUnderWayVouchForWhatIsKept) {
  RaftLog log = FiveEntries(2);
  log.Merge(MakeEntries(6, {3, 3}));
  (void)log.BeginWrite(1, Tick{0});
  log.Merge(MakeEntries(8, {3}));
  (void)log.BeginWrite(2, Tick{0});
  log.Merge(MakeEntries(9, {3}));
  log.Restore(MakeBase(3, 7), kMembers);
  EXPECT_TRUE(log.AreWritesExact());
  EXPECT_EQ(log.durable_index(), Index{7});
  EXPECT_EQ(log.WriteHolding(Index{8}), 2u);
  log.EndWrites(2);
  EXPECT_EQ(log.durable_index(), Index{8});
  EXPECT_THAT(IndexesOf(log.BeginWrite(3, Tick{0})), ElementsAre(9));
}

// Entries up to the base that were never handed to the disk need not be.
TEST(RaftLogRestore, UnwrittenEntriesUpToTheBaseAreNotWritten) {
  RaftLog log = FiveEntries(2);
  log.Merge(MakeEntries(6, {3, 3, 3}));
  log.Restore(MakeBase(3, 7), kMembers);
  EXPECT_EQ(log.written_index(), Index{7});
  EXPECT_THAT(IndexesOf(log.BeginWrite(1, Tick{0})), ElementsAre(8));
}

TEST(RaftLogRestore, OfWhatIsCommittedIsABug) {
  RaftLog log = FiveEntries(4);
  EXPECT_DEATH(log.Restore(MakeBase(2, 4), kMembers), "does not replace");
}

}  // namespace
}  // namespace lockd::raft
