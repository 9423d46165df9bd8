// What wal_dump says about a log: its records, and the same verdict as a start.
#include <nlohmann/json.hpp>
#include <sstream>

#include "consensus/storage/wal_format.h"
#include "tests/consensus/storage/log_fixture.h"
#include "tools/wal_dump/dump.h"

namespace lockd::storage {
namespace {

class WalDumpTest : public LogTest {
 protected:
  WalDumpTest() {
    Open();
    SetState(1, 3, 0);
    for (uint64_t i = 1; i <= 8; ++i) Append(i, i, 1);
    Write({.cluster_id = ClusterId(uint64_t{1} << 62)});
    Append(9, 9, 1, 700);
    Prepare();
  }
  int Dump(const std::string& path, const wal_dump::DumpOptions& options = {}) {
    out_.str("");
    errors_.str("");
    return wal_dump::Dump(&disk_, path, options, &out_, &errors_);
  }
  // The last batch of two sectors, in its last byte.
  void FlipInLastBatch(bool in_first_copy = false) {
    const uint64_t last = disk_.Contents(Path(2)).find_last_not_of('\0');
    disk_.FlipByte(Path(2), in_first_copy ? last - 1024 : last, 1);
  }
  [[nodiscard]] bool OutHas(const std::string& text) const {
    return out_.str().find(text) != std::string::npos;
  }

  std::ostringstream out_, errors_;
};

TEST_F(WalDumpTest, PrintsEveryRecordOfADataDirectory) {
  EXPECT_EQ(Dump("/data"), 0);
  EXPECT_TRUE(OutHas("/data/wal/wal-000000000001: in_use")) << out_.str();
  EXPECT_TRUE(OutHas("kind hard_state, term 1, voted_for 3, commit 0")) << out_.str();
  EXPECT_TRUE(OutHas("kind command, index 9, term 1, time_ms 90, payload_bytes 700")) << out_.str();
  EXPECT_TRUE(OutHas("kind seal, next_life 2")) << out_.str();
  EXPECT_TRUE(OutHas("/data/wal/wal-000000000003: prepared")) << out_.str();
  EXPECT_TRUE(OutHas("clean\n")) << out_.str();
  EXPECT_EQ(errors_.str(), "");
}

TEST_F(WalDumpTest, JsonHasIdsAsStrings) {
  EXPECT_EQ(Dump("/data/wal", {.json = true}), 0);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["state"], "clean");
  EXPECT_EQ(json["error"], nullptr);
  ASSERT_EQ(json["segments"].size(), 3u);
  const auto& first = json["segments"][0];
  EXPECT_EQ(first["cluster_name"], "orders");
  EXPECT_EQ(first["incarnation"], "1234605616436508552");
  EXPECT_EQ(first["records"][1]["index"], 1);
  EXPECT_EQ(json["segments"][1]["records"].back()["payload_bytes"], 700);
}

TEST_F(WalDumpTest, VerifyPrintsNoRecords) {
  EXPECT_EQ(Dump("/data", {.verify = true}), 0);
  EXPECT_FALSE(OutHas("hard_state")) << out_.str();
  EXPECT_TRUE(OutHas("records 7")) << out_.str();
}

TEST_F(WalDumpTest, ASegmentFileCanBeLookedAtAlone) {
  EXPECT_EQ(Dump(Path(1)), 0);
  EXPECT_TRUE(OutHas("index 5")) << out_.str();
  EXPECT_EQ(Dump(Path(3)), 0);
  EXPECT_TRUE(OutHas("prepared")) << out_.str();
}

// As a start would, which goes on with the other copy.
TEST_F(WalDumpTest, OneBrokenCopyIsShownAndIsNoDamage) {
  FlipInLastBatch();
  disk_.FlipByte(Path(1), 512 + 1024 + 20, 1);
  EXPECT_EQ(Dump("/data"), 0) << errors_.str();
  EXPECT_TRUE(OutHas("  offset 1536: this copy of a batch is not whole")) << out_.str();
  EXPECT_TRUE(OutHas("payload_bytes 700")) << out_.str();
  EXPECT_EQ(Dump("/data", {.json = true}), 0);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["segments"][0]["broken_copies"], nlohmann::json::array({1536}));
  EXPECT_EQ(json["segments"][1]["broken_copies"].size(), 1u);
}

TEST_F(WalDumpTest, ATornTailIsStatusOne) {
  FlipInLastBatch();
  FlipInLastBatch(/*in_first_copy=*/true);
  for (const std::string& path : {std::string("/data"), Path(2)}) {
    EXPECT_EQ(Dump(path), 1);
    EXPECT_NE(errors_.str().find("wal-000000000002 at offset "), std::string::npos)
        << errors_.str();
    EXPECT_TRUE(OutHas("torn\n"));
  }
}

TEST_F(WalDumpTest, DamageIsStatusTwoWithFileAndOffset) {
  disk_.FlipByte(Path(1), 512 + 1024 + 20, 1);
  disk_.FlipByte(Path(1), 512 + 1024 + 512 + 20, 1);
  for (const std::string& path : {std::string("/data"), Path(1)}) {
    EXPECT_EQ(Dump(path), 2);
    EXPECT_NE(errors_.str().find("wal-000000000001 at offset 1536"), std::string::npos)
        << errors_.str();
  }
  EXPECT_EQ(Dump("/data", {.json = true}), 2);
  EXPECT_EQ(nlohmann::json::parse(out_.str())["state"], "damaged");
}

TEST_F(WalDumpTest, WhatIsNotALogIsStatusTwo) {
  EXPECT_EQ(Dump("/nowhere"), 2);
  disk_.SetContents("/data/wal/readme", std::string(1000, 'x'));
  EXPECT_EQ(Dump("/data/wal/readme"), 2);
  EXPECT_EQ(Dump("/"), 2);
}

TEST_F(WalDumpTest, ChangesNothing) {
  const uint64_t steps = disk_.counters().steps;
  EXPECT_EQ(Dump("/data"), 0);
  EXPECT_EQ(disk_.counters().steps, steps);
}

}  // namespace
}  // namespace lockd::storage
