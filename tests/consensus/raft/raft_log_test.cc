#include "consensus/raft/raft_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kNoLimit = SIZE_MAX;

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

}  // namespace
}  // namespace lockd::raft
