// `lockd restore`: what it makes of a backup, and what it refuses.
#include "server/restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "consensus/storage/data_directory.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/snapshot_writer.h"
#include "consensus/storage/start.h"
#include "protocol/base/text.h"
#include "server/members_file.h"
#include "server/snapshot_file.h"
#include "tests/server/state/snapshot_world.h"
#include "tests/support/mem_file_system.h"
#include "tests/support/snapshot_content.h"

namespace lockd {
namespace {

using storage::Failure;
using storage::FailureOf;
using ::testing::HasSubstr;

constexpr char kFile[] = "/backup";

class RestoreTest : public ::testing::Test {
 protected:
  RestoreTest() {
    config_.node_id = NodeId(2);
    config_.cluster_name = "orders";
    config_.data_dir = "/data";
    config_.peers = *ParsePeers("1=a:1,2=b:1");
    config_.segment_bytes = storage::kSegmentBytesMin;
  }

  void WriteBackup() {
    const storage::SnapshotHead head{
        .file_number = 7,
        .identity = {.node_id = NodeId(1),
                     .cluster_name = "orders",
                     .incarnation = Incarnation(0),
                     .cluster_id = ClusterId(5)},
        .base = {.index = raft::Index(1'000), .term = raft::Term(3), .time = world_.db().time()}};
    auto file = disk_.Open(kFile, storage::FileSystem::OpenMode::kCreate);
    ASSERT_TRUE(file.ok());
    storage::SnapshotWriter writer(*std::move(file), head);
    ASSERT_TRUE(writer.Add(state::WriteSnapshot(world_.db())).ok());
    ASSERT_TRUE(writer.Finish().ok());
  }
  absl::StatusOr<std::string> Restored() {
    return Restore(&disk_, config_, kFile, Incarnation(77));
  }
  void ExpectRefused(Failure failure, const std::string& why) {
    const absl::Status status = Restored().status();
    EXPECT_EQ(FailureOf(status), failure) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  }

  storage::MemFileSystem disk_;
  state::SnapshotWorld world_;
  Config config_;
};

TEST_F(RestoreTest, MakesADirectoryThatStartsWithTheState) {
  WriteBackup();
  const absl::StatusOr<std::string> report = Restored();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(*report, HasSubstr("4 held locks"));
  EXPECT_THAT(*report, HasSubstr("1=a:1,2=b:1"));
  // The longest TTL, whatever else is due before.
  EXPECT_THAT(*report, HasSubstr("cannot be acquired for " +
                                 FormatDurationMs(ServerDurationMs(100'000)) + " from"));

  const absl::StatusOr<Origin> origin = ReadMembersFile(&disk_, "/data");
  ASSERT_TRUE(origin.ok()) << origin.status();
  EXPECT_TRUE(origin->is_restored);
  EXPECT_EQ(origin->founders, config_.peers);

  storage::StorageOptions options;
  options.log.directory = storage::DataDirectory::WalPath("/data");
  options.log.node_id = NodeId(2);
  options.log.cluster_name = "orders";
  options.log.incarnation_draw = Incarnation(78);
  options.log.segment_bytes = storage::kSegmentBytesMin;
  options.snapshot_directory = storage::DataDirectory::SnapshotsPath("/data");
  const auto opened = storage::OpenStorage(&disk_, options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->log.identity.incarnation, Incarnation(77));
  EXPECT_TRUE(opened->log.identity.cluster_id.is_zero());
  EXPECT_EQ(opened->log.log.last_index, raft::Index(1'000));
  EXPECT_EQ(opened->log.log.hard_state.term, raft::Term(3));
  ASSERT_TRUE(opened->snapshot.has_value());
  EXPECT_EQ(opened->snapshot->base.index, raft::Index(1'000));
}

TEST_F(RestoreTest, GivesEachNodeTheSameState) {
  WriteBackup();
  ASSERT_TRUE(Restored().ok());
  config_.node_id = NodeId(1);
  config_.data_dir = "/other";
  ASSERT_TRUE(Restored().ok());
  const std::string name =
      storage::SnapshotName({.index = raft::Index(1'000), .term = raft::Term(3)});
  const auto one = LoadSnapshotFile(&disk_, "/data/snapshots/" + name);
  const auto two = LoadSnapshotFile(&disk_, "/other/snapshots/" + name);
  ASSERT_TRUE(one.ok() && two.ok()) << one.status() << two.status();
  EXPECT_EQ(one->id, two->id);
  EXPECT_NE(one->head.identity, two->head.identity);
}

TEST_F(RestoreTest, RefusesADirectoryThatIsNotEmpty) {
  WriteBackup();
  ASSERT_TRUE(Restored().ok());
  ExpectRefused(Failure::kUnusable, "/data is not empty");
}

TEST_F(RestoreTest, RefusesAFileThatIsNotThere) {
  ExpectRefused(Failure::kUnusable, "there is no such file");
  EXPECT_TRUE(absl::IsNotFound(disk_.List("/data").status()));
}

TEST_F(RestoreTest, RefusesADamagedFileBeforeItMakesAnything) {
  WriteBackup();
  auto file = disk_.Open(kFile, storage::FileSystem::OpenMode::kReadWrite);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Write(700, "x").ok());
  ExpectRefused(Failure::kDamaged, kFile);
  EXPECT_TRUE(absl::IsNotFound(disk_.List("/data").status()));
}

// Its sessions have ended once; the tokens of the cluster that came of it are not in it.
TEST_F(RestoreTest, RefusesWhatARestoreHasMade) {
  world_.db().PrepareRefounding();
  WriteBackup();
  ExpectRefused(Failure::kUnusable, "give the backup itself");
}

}  // namespace
}  // namespace lockd
