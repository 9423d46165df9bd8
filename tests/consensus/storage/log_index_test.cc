// The index of the log, and the drawing in its header.
#include "consensus/storage/log_index.h"

#include "tests/consensus/storage/log_fixture.h"

namespace lockd::storage {
namespace {

// One batch of 512 bytes for each entry, in segment 1.
void AddRange(LogIndex* index, uint64_t first, uint64_t last, uint64_t term, uint64_t* offset) {
  for (uint64_t i = first; i <= last; ++i) {
    index->Add(1, *offset, MakeBase(i, term));
    *offset += 512;
  }
}

TEST(LogIndex, FindsSupersedingEntriesOnly) {
  LogIndex index;
  uint64_t offset = 512;
  AddRange(&index, 1, 8, 1, &offset);  // up to 4608
  AddRange(&index, 6, 9, 2, &offset);
  EXPECT_EQ(index.Find(raft::Index(4)).mark.offset, 512u);
  EXPECT_EQ(index.Find(raft::Index(4)).last, raft::Index(5));
  EXPECT_EQ(index.Find(raft::Index(6)).mark.offset, 4608u);
  EXPECT_EQ(index.Find(raft::Index(6)).last, raft::Index(9));
}

TEST(LogIndex, SetsAMarkForEach64KiB) {
  LogIndex index;
  uint64_t offset = 512;
  AddRange(&index, 1, 300, 1, &offset);
  EXPECT_EQ(index.Find(raft::Index(1)).last, raft::Index(128));
  EXPECT_EQ(index.Find(raft::Index(129)).mark.offset, 512u + 64 * 1024);
}

TEST(LogIndex, KnowsTheTermOfEveryEntryItHolds) {
  LogIndex index;
  uint64_t offset = 512;
  AddRange(&index, 1, 4, 1, &offset);
  AddRange(&index, 5, 6, 3, &offset);
  const struct {
    uint64_t index, term;
    bool holds;
  } rows[] = {{1, 1, true}, {4, 1, true},  {4, 3, false}, {5, 3, true},
              {6, 3, true}, {5, 1, false}, {6, 4, false}, {7, 3, false}};
  for (const auto& row : rows) {
    EXPECT_EQ(index.Holds(MakeBase(row.index, row.term)), row.holds)
        << row.index << " of term " << row.term;
  }
}

TEST(LogIndex, ABaseDropsMarksThatAreNotNeededAnyMore) {
  LogIndex index;
  index.Add(1, 512, MakeBase(1, 1));
  index.Add(2, 512, MakeBase(2, 1));
  index.Add(3, 512, MakeBase(3, 1));
  index.Add(3, 1024, MakeBase(4, 1));
  EXPECT_EQ(index.oldest_life(), 1u);
  index.SetBase(MakeBase(1, 1), false);
  EXPECT_EQ(index.oldest_life(), 2u);
  index.SetBase(MakeBase(3, 1), false);
  EXPECT_EQ(index.oldest_life(), 3u);
  EXPECT_EQ(index.Find(raft::Index(4)).mark.offset, 512u);
  index.SetBase(MakeBase(4, 1), false);
  EXPECT_EQ(index.oldest_life(), std::nullopt);
  EXPECT_EQ(index.last(), MakeBase(4, 1));
  EXPECT_TRUE(index.IsComplete());
}

TEST(LogIndex, IsNotCompleteUntilTheEntriesAfterTheBaseAreFound) {
  LogIndex index(MakeBase(5, 1), MakeBase(9, 2));  // 6..9 are in segments that are gone
  EXPECT_FALSE(index.IsComplete());
  index.Add(4, 512, MakeBase(10, 2));
  EXPECT_FALSE(index.IsComplete());
  index.SetBase(MakeBase(9, 2), false);
  EXPECT_TRUE(index.IsComplete());
}

}  // namespace
}  // namespace lockd::storage
