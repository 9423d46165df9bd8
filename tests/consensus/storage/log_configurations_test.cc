// The configurations of a log are told at its start, wherever in it they stand: a node must know
// who the members are before anything is applied. `C` is an entry of that kind.
//
// (LogModel::Of compares them at every opening of every other test of the log, too.)
#include <algorithm>
#include <vector>

#include "tests/consensus/storage/snapshot_fixture.h"

namespace lockd::storage {
namespace {

using Entries = std::vector<raft::Entry>;

class LogConfigurations : public SnapshotTest {
 protected:
  // Entries [first, last] of term 1, one write each; configurations at these indexes.
  void AppendWith(uint64_t first, uint64_t last, const std::vector<uint64_t>& configurations) {
    if (model_.hard_state.term.is_zero()) SetState(1, 2, 0);
    for (uint64_t i = first; i <= last; ++i) {
      const bool is_one =
          std::find(configurations.begin(), configurations.end(), i) != configurations.end();
      Write({.entries = {is_one ? MakeConfiguration(i, 1) : MakeEntry(i, 1)}});
    }
  }
  void ExpectFound(const Entries& expected) {
    ReopenAndExpectAll();
    EXPECT_EQ(opened_.log.configurations, expected);
  }
};

TEST_F(LogConfigurations, ThereAreNoneInALogWithoutThem) {
  Open();
  EXPECT_TRUE(opened_.log.configurations.empty());
  Append(1, 5, 1);
  ExpectFound({});
}

// 1 C 3 ... 29 C 31 ... 40   over several segments, of which the tail holds the last entry
TEST_F(LogConfigurations, AreFoundAlsoWhereTheTailDoesNotReach) {
  Open();
  AppendWith(1, 40, {2, 30});
  SetState(1, 2, 40);
  options_.tail_bytes_max = 1;
  ExpectFound({MakeConfiguration(2, 1), MakeConfiguration(30, 1)});
  ASSERT_EQ(opened_.log.tail.size(), 1u);
}

// 1 2 3 C 5 C 7     1 2 3 C 5' 6'     1 2 3 4'     1 2 3 C'
TEST_F(LogConfigurations, GoWithAConflictingSuffix) {
  Open();
  AppendWith(1, 7, {4, 6});
  Append(5, 6, 2);
  ExpectFound({MakeConfiguration(4, 1)});
  Append(4, 4, 3);
  ExpectFound({});
  Write({.hard_state = MakeHardState(4, 0, 0), .entries = {MakeConfiguration(4, 4)}});
  ExpectFound({MakeConfiguration(4, 4)});
}

// 1 2 C | C      the power goes within the write of the last one
TEST_F(LogConfigurations, GoWithATornTail) {
  Open();
  AppendWith(1, 3, {3});
  disk_.CutPowerAt(1);
  ASSERT_FALSE(TryWrite({.entries = {MakeConfiguration(4, 1)}}).ok());
  CutPower(MemFileSystem::Unsynced::kLost);
  ExpectFound({MakeConfiguration(3, 1)});
}

// 1 2 C 4 C 6 7 C 9     base 5, then 30: the snapshot says what was in force there
TEST_F(LogConfigurations, AreForgottenUpToABase) {
  Open();
  AppendWith(1, 9, {3, 5, 8});
  SetState(1, 2, 9);
  Write({.base = MakeBase(5, 1)});
  ExpectFound({MakeConfiguration(8, 1)});
  AppendWith(10, 40, {33});
  SetState(1, 2, 40);
  Write({.base = MakeBase(30, 1)});
  Prepare();
  EXPECT_FALSE(disk_.Exists(Path(1)));
  ExpectFound({MakeConfiguration(33, 1)});
}

// 1 2 C 4 C 6     a base of another history at 4, and one beyond the end
TEST_F(LogConfigurations, AreForgottenWithALogThatASnapshotReplaces) {
  for (const uint64_t index : {4u, 20u}) {
    SCOPED_TRACE(index);
    options_.directory = JoinPath("/data", index == 4 ? "conflicts" : "beyond");
    model_ = LogModel();
    Open();
    AppendWith(1, 6, {3, 5});
    Write({.hard_state = MakeHardState(2, 0, index),
           .entries = {MakeConfiguration(index + 1, 2)},
           .base = MakeBase(index, 2)});
    ExpectFound({MakeConfiguration(index + 1, 2)});
  }
}

// 1 2 C 4     and a snapshot of entry 20, whose log write the crash cut off
TEST_F(LogConfigurations, AreForgottenWithALogThatAStartReplaces) {
  Start();
  AppendWith(1, 4, {3});
  Take(20, 2);
  Start();
  EXPECT_EQ(opened_.log.base_index, raft::Index(20));
  EXPECT_TRUE(opened_.log.configurations.empty());
  Start();
  EXPECT_TRUE(opened_.log.configurations.empty());
}

}  // namespace
}  // namespace lockd::storage
