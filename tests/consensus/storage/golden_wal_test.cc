// Segments as each version of the log format wrote them: what a disk of an older lockd holds.
#include "tests/consensus/storage/log_fixture.h"
#include "tests/support/golden.h"

namespace lockd::storage {
namespace {

class GoldenWal : public LogTest {
 protected:
  // Every kind of record that stands in a log that is in use: votes, entries, a suffix that is
  // replaced, the cluster's id, and a seal with the segment that it names.
  void WriteAll() {
    Open();
    Prepare();
    SetState(1, 2, 0);
    Append(1, 3, 1);
    Append(3, 4, 2, 600);
    Write({.cluster_id = ClusterId(0x5555)});
    Write({.hard_state = MakeHardState(2, 0, 4),
           .entries = {MakeEntry(5, 2, 0), MakeEntry(6, 2, 40)}});
    Append(7, 7, 2, 900);
    opened_ = OpenedLog();
  }
  static std::string NameOf(uint64_t life) {
    return absl::StrCat("wal-v", kWalVersion, "-segment-", life, ".hex");
  }
};

TEST_F(GoldenWal, ThePresentCodeWritesTheBytesOfItsVersion) {
  WriteAll();
  for (const uint64_t life : {1u, 2u}) {
    EXPECT_EQ(testing::ToGoldenDump(testing::ReadGolden(NameOf(life), disk_.Contents(Path(life)))),
              testing::ToGoldenDump(disk_.Contents(Path(life))));
  }
}

TEST_F(GoldenWal, ThePresentCodeReadsASegmentOfItsVersion) {
  WriteAll();
  for (const uint64_t life : {1u, 2u}) {
    disk_.SetContents(Path(life), testing::ReadGolden(NameOf(life), ""));
  }
  ReopenAndExpectAll();
  EXPECT_EQ(model_.cluster_id, ClusterId(0x5555));
  EXPECT_EQ(model_.last(), 7u);
}

}  // namespace
}  // namespace lockd::storage
