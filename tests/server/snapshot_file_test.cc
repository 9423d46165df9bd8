// Snapshots as files of any name: what is loaded is what was written, and damage anywhere is found.
#include "server/snapshot_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "consensus/storage/failure.h"
#include "consensus/storage/snapshot_reader.h"
#include "consensus/storage/snapshot_writer.h"
#include "tests/server/state/snapshot_world.h"
#include "tests/support/mem_file_system.h"
#include "tests/support/snapshot_content.h"

namespace lockd {
namespace {

using storage::Failure;
using storage::FailureOf;
using ::testing::HasSubstr;

constexpr char kPath[] = "/backup";

class SnapshotFile : public ::testing::Test {
 protected:
  void Write(absl::string_view content) {
    auto file = disk_.Open(kPath, storage::FileSystem::OpenMode::kCreate);
    ASSERT_TRUE(file.ok()) << file.status();
    storage::SnapshotWriter writer(*std::move(file), head_);
    ASSERT_TRUE(writer.Add(content).ok());
    ASSERT_TRUE(writer.Finish().ok());
    id_ = writer.id();
  }
  void ExpectRefused(Failure failure, const std::string& why) {
    const absl::Status status = LoadSnapshotFile(&disk_, kPath).status();
    EXPECT_EQ(FailureOf(status), failure) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(kPath));
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  }

  storage::MemFileSystem disk_;
  state::SnapshotWorld world_;
  storage::SnapshotHead head_{
      .file_number = 7,
      .identity = {.node_id = NodeId(2),
                   .cluster_name = "orders",
                   .incarnation = Incarnation(0),
                   .cluster_id = ClusterId(5)},
      .base = {.index = raft::Index(1'000), .term = raft::Term(3), .time = ClusterTime(1'500)}};
  raft::SnapshotId id_;
};

TEST_F(SnapshotFile, IsLoadedAsItWasWritten) {
  Write(state::WriteSnapshot(world_.db()));
  const auto loaded = LoadSnapshotFile(&disk_, kPath);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->head, head_);
  EXPECT_EQ(loaded->id, id_);
  EXPECT_EQ(loaded->database->digest(), world_.db().digest());
  EXPECT_EQ(loaded->database->lock_count(), world_.db().lock_count());
}

TEST_F(SnapshotFile, OfManyBlocksIsLoadedWhole) {
  state::Settings settings = world_.SomeSettings();
  settings.locks_max = settings.locks_per_session_max = 1'000;
  world_.d.Do(state::SetSettings{settings});
  for (int i = 0; i < 600; ++i) {
    world_.d.Acquire(world_.ann, std::to_string(i) + std::string(1'000, 'x'));
  }
  const std::string content = state::WriteSnapshot(world_.db());
  ASSERT_GT(content.size(), 2 * storage::SnapshotReader::kBlocksAtOnce * 64 * 1024);
  Write(content);
  const auto loaded = LoadSnapshotFile(&disk_, kPath);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->database->digest(), world_.db().digest());
}

TEST_F(SnapshotFile, EveryDamagedByteIsFound) {
  Write(state::WriteSnapshot(world_.db()));
  const size_t size = disk_.Contents(kPath).size();
  for (size_t offset = 0; offset < size; ++offset) {
    disk_.FlipByte(kPath, offset, 0x40);
    EXPECT_EQ(FailureOf(LoadSnapshotFile(&disk_, kPath).status()), Failure::kDamaged) << offset;
    disk_.FlipByte(kPath, offset, 0x40);
  }
  disk_.FlipByte(kPath, storage::kSnapshotHeadBytes + 20, 1);
  ExpectRefused(Failure::kDamaged, "at offset 512: no whole snapshot: block 0 is damaged; take");
}

TEST_F(SnapshotFile, AFileThatIsCutOrGoesOnIsNone) {
  Write(state::WriteSnapshot(world_.db()));
  const std::string contents = disk_.Contents(kPath);
  for (size_t size = 0; size < contents.size(); size += 97) {
    disk_.SetContents(kPath, contents.substr(0, size));
    EXPECT_EQ(FailureOf(LoadSnapshotFile(&disk_, kPath).status()), Failure::kDamaged) << size;
  }
  disk_.SetContents(kPath, contents + '\0');
  ExpectRefused(Failure::kDamaged, "does not end with its footer");
}

TEST_F(SnapshotFile, WholeBlocksOfWhatIsNoStateAreRefused) {
  Write("resource1 is held");
  ExpectRefused(Failure::kDamaged, "its content is no state");
  disk_.Remove(kPath);
  std::string content = state::WriteSnapshot(world_.db());
  Write(content.substr(0, content.size() - 1));
  ExpectRefused(Failure::kDamaged, "before its end");
  disk_.Remove(kPath);
  content[8] = 99;  // the version
  Write(content);
  ExpectRefused(Failure::kUnusable, "use a newer version of lockd");
}

TEST_F(SnapshotFile, WhatCannotBeReadIsSaidToBeSo) {
  EXPECT_TRUE(absl::IsNotFound(LoadSnapshotFile(&disk_, kPath).status()));
  Write(state::WriteSnapshot(world_.db()));
  disk_.MakeUnreadable(kPath, 2);
  ExpectRefused(Failure::kDamaged, "cannot be read");
}

}  // namespace
}  // namespace lockd
