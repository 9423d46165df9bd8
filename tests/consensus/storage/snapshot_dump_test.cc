// What wal_dump says about snapshots, and about a data directory as a whole: the same verdict as a
// start.
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/consensus/storage/snapshot_fixture.h"
#include "tools/wal_dump/dump.h"

namespace lockd::storage {
namespace {

class SnapshotDumpTest : public SnapshotTest {
 protected:
  SnapshotDumpTest() {
    Start();
    Append(1, 30, 1);
    SetState(1, 2, 25);
    Write({.cluster_id = ClusterId(uint64_t{1} << 62)});
    Take(10, 1, 100'000);
    Take(20, 1, 500);
  }
  int Dump(const std::string& path, const wal_dump::DumpOptions& options = {}) {
    out_.str("");
    errors_.str("");
    return wal_dump::Dump(&disk_, path, options, &out_, &errors_);
  }
  [[nodiscard]] bool OutHas(const std::string& text) const {
    return out_.str().find(text) != std::string::npos;
  }
  // wal_dump refuses exactly what a start refuses, in the same words.
  void ExpectVerdictOfAStart() {
    const int status = Dump("/data");
    const absl::Status start = TryStart();
    EXPECT_EQ(status, start.ok() ? 0 : 2) << errors_.str() << start;
    EXPECT_EQ(errors_.str(), start.ok() ? "" : absl::StrCat("wal_dump: ", start.message(), "\n"));
  }

  std::ostringstream out_, errors_;
};

TEST_F(SnapshotDumpTest, PrintsHeadBlocksAndFooterOfEachSnapshot) {
  EXPECT_EQ(Dump("/data"), 0) << errors_.str();
  EXPECT_TRUE(OutHas(SnapshotPath(10, 1) + ": whole, index 10, term 1, time_ms 100")) << out_.str();
  EXPECT_TRUE(OutHas("node_id 2, cluster_name orders")) << out_.str();
  EXPECT_TRUE(OutHas(absl::StrCat("content_bytes 100000, content_checksum ",
                                  Crc32c(MakeContent(100'000, 10)), ", block_count 2\n")))
      << out_.str();
  EXPECT_TRUE(OutHas("  offset 66064, block 1, content_bytes 34464, state whole\n")) << out_.str();
  EXPECT_TRUE(OutHas("wal-000000000001: in_use")) << out_.str();
  EXPECT_TRUE(OutHas("clean\n")) << out_.str();
}

TEST_F(SnapshotDumpTest, JsonHasTheSame) {
  disk_.SetContents(JoinPath(kSnapshots, DraftName(7)), "half");
  EXPECT_EQ(Dump("/data", {.json = true}), 0) << errors_.str();
  const auto json = nlohmann::json::parse(out_.str());
  ASSERT_EQ(json["snapshots"].size(), 3u);
  const auto& first = json["snapshots"][0];
  EXPECT_EQ(first["file"], SnapshotPath(10, 1));
  EXPECT_EQ(first["index"], 10);
  EXPECT_EQ(first["incarnation"], "1234605616436508552");
  EXPECT_EQ(first["content_bytes"], 100'000);
  EXPECT_EQ(first["blocks"].size(), 2u);
  EXPECT_EQ(json["snapshots"][2]["state"], "draft");
  EXPECT_EQ(Dump("/data", {.json = true, .verify = true}), 0);
  EXPECT_FALSE(nlohmann::json::parse(out_.str())["snapshots"][0].contains("blocks"));
}

TEST_F(SnapshotDumpTest, VerifyPrintsOneLineForEachFile) {
  EXPECT_EQ(Dump("/data", {.verify = true}), 0);
  EXPECT_FALSE(OutHas("block 0")) << out_.str();
  EXPECT_TRUE(OutHas("block_count 2")) << out_.str();
}

TEST_F(SnapshotDumpTest, AFileOrItsDirectoryCanBeLookedAtAlone) {
  EXPECT_EQ(Dump(SnapshotPath(20, 1)), 0) << errors_.str();
  EXPECT_TRUE(OutHas("index 20")) << out_.str();
  EXPECT_EQ(Dump(kSnapshots), 0) << errors_.str();
  EXPECT_TRUE(OutHas("index 10")) << out_.str();
  EXPECT_TRUE(OutHas("index 20")) << out_.str();
  disk_.SetContents("/backup", disk_.Contents(SnapshotPath(20, 1)));
  EXPECT_EQ(Dump("/backup"), 0) << errors_.str();
  EXPECT_TRUE(OutHas("index 20")) << out_.str();
}

TEST_F(SnapshotDumpTest, DamageIsShownInItsBlock) {
  disk_.FlipByte(SnapshotPath(10, 1), BlockOffset(1) + 50, 1);
  for (const std::string& path : {SnapshotPath(10, 1), std::string(kSnapshots)}) {
    for (const bool verify : {false, true}) {
      EXPECT_EQ(Dump(path, {.verify = verify}), 2);
      EXPECT_NE(errors_.str().find(SnapshotPath(10, 1) + " at offset 66064: block 1 is damaged"),
                std::string::npos)
          << errors_.str();
      EXPECT_TRUE(OutHas(SnapshotPath(10, 1) + ": damaged")) << out_.str();
    }
  }
  EXPECT_EQ(Dump(SnapshotPath(10, 1)), 2);
  EXPECT_TRUE(OutHas("block 0, content_bytes 65536, state whole")) << out_.str();
  EXPECT_TRUE(OutHas("block 1, content_bytes 34464, state damaged")) << out_.str();
}

TEST_F(SnapshotDumpTest, DamageThatAStartCanDoWithoutIsANote) {
  Write({.base = MakeBase(10, 1)});
  disk_.FlipByte(SnapshotPath(20, 1), 600, 1);
  EXPECT_EQ(Dump("/data"), 0) << errors_.str();
  EXPECT_TRUE(OutHas("note: " + SnapshotPath(20, 1) + " at offset 512: block 0 is damaged"))
      << out_.str();
  EXPECT_TRUE(OutHas(SnapshotPath(10, 1) + " is used instead")) << out_.str();
  ExpectVerdictOfAStart();
}

TEST_F(SnapshotDumpTest, TheVerdictIsThatOfAStart) {
  ExpectVerdictOfAStart();
  Write({.base = MakeBase(15, 1)});
  ExpectVerdictOfAStart();
  const std::string newest = disk_.Contents(SnapshotPath(20, 1));
  disk_.FlipByte(SnapshotPath(20, 1), 600, 1);
  ExpectVerdictOfAStart();
  disk_.Remove(SnapshotPath(20, 1));
  ExpectVerdictOfAStart();
  disk_.SetContents(SnapshotPath(21, 1), newest);
  ExpectVerdictOfAStart();
  disk_.Remove(SnapshotPath(21, 1));
  disk_.SetContents(SnapshotPath(20, 1), newest);
  ExpectVerdictOfAStart();
  opened_ = OpenedLog();
  for (const std::string& name : NamesIn(&disk_, kWal)) disk_.Remove(JoinPath(kWal, name));
  ExpectVerdictOfAStart();
  EXPECT_EQ(Dump("/data"), 2);
  EXPECT_NE(errors_.str().find("there is no log"), std::string::npos) << errors_.str();
}

TEST_F(SnapshotDumpTest, ChangesNothing) {
  disk_.SetContents(JoinPath(kSnapshots, DraftName(7)), "half");
  const uint64_t steps = disk_.counters().steps;
  EXPECT_EQ(Dump("/data"), 0);
  EXPECT_EQ(disk_.counters().steps, steps);
}

}  // namespace
}  // namespace lockd::storage
