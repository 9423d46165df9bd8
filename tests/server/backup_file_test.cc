// A backup is under its name whole and verified, or not at all.
#include "server/backup_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/state/snapshot_world.h"
#include "tests/support/mem_file_system.h"
#include "tests/support/snapshot_content.h"

namespace lockd {
namespace {

using storage::MemFileSystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPath[] = "/backups/monday";

class Backups : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(disk_.CreateDirectory("/backups").ok());
    ASSERT_TRUE(disk_.SyncDirectory("/").ok());
  }

  absl::StatusOr<std::unique_ptr<BackupFile>> Create(
      BackupFile::Existing existing = BackupFile::Existing::kRefused) {
    return BackupFile::Create(&disk_, kPath, existing, head_);
  }
  // All steps; the first failure.
  absl::Status Save(BackupFile::Existing existing = BackupFile::Existing::kRefused) {
    const auto file = Create(existing);
    if (!file.ok()) return file.status();
    for (const std::string& record : state::CutIntoRecords(content_)) {
      if (absl::Status status = (*file)->Add(record); !status.ok()) return status;
    }
    const absl::StatusOr<LoadedSnapshot> loaded = (*file)->Verify();
    if (!loaded.ok()) return loaded.status();
    return (*file)->Keep();
  }
  std::vector<std::string> Names() { return *disk_.List("/backups"); }

  MemFileSystem disk_;
  state::SnapshotWorld world_;
  const std::string content_ = state::WriteSnapshot(world_.db());
  storage::SnapshotHead head_{
      .file_number = 7,
      .identity = {.node_id = NodeId(2),
                   .cluster_name = "orders",
                   .incarnation = Incarnation(0),
                   .cluster_id = ClusterId(5)},
      .base = {.index = raft::Index(1'000), .term = raft::Term(3), .time = ClusterTime(1'500)}};
};

TEST_F(Backups, OneThatWasKeptIsLoadedAndOutlivesALossOfPower) {
  ASSERT_TRUE(Save().ok());
  EXPECT_THAT(Names(), ElementsAre("monday"));
  disk_.Crash(MemFileSystem::Unsynced::kLost, nullptr);
  const auto loaded = LoadSnapshotFile(&disk_, kPath);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->head, head_);
  EXPECT_EQ(loaded->database->digest(), world_.db().digest());
}

TEST_F(Backups, OneThatIsGivenUpLeavesNothing) {
  {
    const auto file = Create();
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Add(content_.substr(0, 100)).ok());
    EXPECT_FALSE(disk_.Exists(kPath));
  }
  EXPECT_THAT(Names(), IsEmpty());
  {
    const auto file = Create();
    ASSERT_TRUE((*file)->Add(content_).ok());
    ASSERT_TRUE((*file)->Verify().ok());
    EXPECT_FALSE(disk_.Exists(kPath)) << "verified is not kept";
  }
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(Backups, AFileThatIsThereIsReplacedOnlyIfThatIsWanted) {
  disk_.SetContents(kPath, "the old one");
  const absl::Status refused = Save();
  EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--force"));
  EXPECT_EQ(disk_.Contents(kPath), "the old one");
  ASSERT_TRUE(Save(BackupFile::Existing::kReplaced).ok());
  EXPECT_THAT(Names(), ElementsAre("monday"));
  EXPECT_TRUE(LoadSnapshotFile(&disk_, kPath).ok());
}

TEST_F(Backups, OneThatCameMeanwhileIsNotReplaced) {
  const auto file = Create();
  ASSERT_TRUE((*file)->Add(content_).ok());
  ASSERT_TRUE((*file)->Verify().ok());
  disk_.SetContents(kPath, "somebody else's");
  EXPECT_TRUE(absl::IsAlreadyExists((*file)->Keep()));
  EXPECT_EQ(disk_.Contents(kPath), "somebody else's");
}

TEST_F(Backups, APathThatCannotBeIsRefused) {
  const auto check = [&](const std::string& path) {
    return BackupFile::CheckPath(&disk_, path, BackupFile::Existing::kReplaced);
  };
  EXPECT_THAT(std::string(check("/backups").message()), HasSubstr("is a directory"));
  EXPECT_FALSE(check("/elsewhere/monday").ok());
  disk_.SetContents("/file", "");
  EXPECT_FALSE(check("/file/monday").ok());
  EXPECT_TRUE(check("/file").ok());
}

// At any call: either all of it is there, or the old one is as it was and nothing else is left.
TEST_F(Backups, AFailureAnywhereLeavesTheOldOne) {
  int failures = 0;
  for (uint64_t step = 1;; ++step) {
    disk_.SetContents(kPath, "the old one");
    const uint64_t steps = disk_.counters().steps;
    disk_.FailAt(step);
    const absl::Status status = Save(BackupFile::Existing::kReplaced);
    disk_.ForgetFaults();
    EXPECT_THAT(Names(), ElementsAre("monday")) << step;
    if (status.ok()) {
      EXPECT_TRUE(LoadSnapshotFile(&disk_, kPath).ok());
      if (disk_.counters().steps - steps < step) break;
      continue;
    }
    ++failures;
    const bool is_last_sync = status.message().find("loss of power") != std::string::npos;
    EXPECT_EQ(disk_.Contents(kPath) == "the old one", !is_last_sync) << step << ": " << status;
  }
  EXPECT_GE(failures, 4) << "create, write, sync, rename, directory sync";
}

TEST_F(Backups, WhatDoesNotComeBackFromTheDiskIsFound) {
  disk_.FailReadAt(2);
  EXPECT_FALSE(Save().ok());
  EXPECT_THAT(Names(), IsEmpty());
  // What came from the node was no state.
  const auto file = Create();
  ASSERT_TRUE((*file)->Add("resource1 is held").ok());
  EXPECT_TRUE(absl::IsDataLoss((*file)->Verify().status()));
}

}  // namespace
}  // namespace lockd
