// The bytes on disk are those of the example in consensus/README.md, so that a change of the format
// cannot go unnoticed, nor the page be wrong.
#include "consensus/storage/wal_format.h"

#include "tests/consensus/storage/log_fixture.h"
#include "tests/consensus/storage/readme_example.h"
#include "tests/support/golden.h"

namespace lockd::storage {
namespace {

TEST_F(LogTest, TheExampleInTheReadmeIsWhatIsWritten) {
  Open();
  Write({.hard_state = MakeHardState(3, 2, 0),
         .entries = {{.term = raft::Term(3),
                      .index = raft::Index(1),
                      .kind = raft::EntryKind::kNoop,
                      .time = ClusterTime(0),
                      .payload = ""},
                     {.term = raft::Term(3),
                      .index = raft::Index(2),
                      .kind = raft::EntryKind::kCommand,
                      .time = ClusterTime(1500),
                      .payload = "resource1"}}});
  const std::string segment = disk_.Contents(Path(1));
  EXPECT_EQ(lockd::testing::HexDump(segment.substr(0, 1024), 4),
            ExampleInReadme("<!-- example: segment -->"));
  EXPECT_EQ(segment.substr(1024, 512), segment.substr(512, 512)) << "the copy";
}

}  // namespace
}  // namespace lockd::storage
