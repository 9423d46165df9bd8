// What `lockctl snapshot` shows, and whether it believes the node.
#include "tools/lockctl/snapshot_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "server/state/digest_text.h"
#include "tests/server/state/snapshot_world.h"

namespace lockd::lockctl {
namespace {

SnapshotAnswer Saved() {
  return {.snapshot = {.index = 1'045,
                       .term = 4,
                       .cluster_time_ms = 86'400'120,
                       .bytes = 70,
                       .checksum = 0x12345678,
                       .locks = 1,
                       .sessions = 2,
                       .digest = "00112233445566778899aabbccddeeff",
                       .node_id = NodeId(2),
                       .cluster_id = ClusterId(5),
                       .cluster_name = "demo"},
          .address = "b:7420",
          .file = "monday",
          .file_bytes = 630};
}

TEST(SnapshotAnswer, IsALineForEachField) {
  EXPECT_EQ(ToText(Saved()),
            "file      monday, 630 bytes, verified\n"
            "entry     1045 of term 4\n"
            "locks     1\n"
            "sessions  2\n"
            "digest    00112233445566778899aabbccddeeff\n"
            "bytes     70\n"
            "cluster   demo, id 5\n"
            "node      2 at b:7420\n");
  SnapshotAnswer taken = Saved();
  taken.file.clear();
  EXPECT_THAT(ToText(taken), ::testing::StartsWith("entry     1045"));
}

TEST(SnapshotAnswer, InJsonIdsAreStrings) {
  EXPECT_EQ(ToJson(Saved()).dump(),
            R"({"index":1045,"term":4,"cluster_time_ms":86400120,"locks":1,"sessions":2,)"
            R"("digest":"00112233445566778899aabbccddeeff","content_bytes":70,"cluster_id":"5",)"
            R"("cluster_name":"demo","node_id":"2","client_address":"b:7420","file":"monday",)"
            R"("file_bytes":630})");
  SnapshotAnswer taken = Saved();
  taken.file.clear();
  EXPECT_FALSE(ToJson(taken).contains("file"));
  EXPECT_FALSE(ToJson(taken).contains("file_bytes"));
}

TEST(SnapshotAnswer, AStateThatIsNotTheOneTheNodeSpokeOfIsNotBelieved) {
  state::SnapshotWorld world;
  SnapshotRecord said;
  said.digest = state::ToText(world.db().digest());
  said.locks = world.db().lock_count();
  said.sessions = world.db().session_count();
  EXPECT_TRUE(CheckLoaded(world.db(), said).ok());
  for (int field = 0; field < 3; ++field) {
    SnapshotRecord other = said;
    if (field == 0) other.digest[31] = other.digest[31] == '0' ? '1' : '0';
    if (field == 1) ++other.locks;
    if (field == 2) ++other.sessions;
    EXPECT_TRUE(absl::IsDataLoss(CheckLoaded(world.db(), other))) << field;
  }
}

}  // namespace
}  // namespace lockd::lockctl
