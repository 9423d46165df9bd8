// The disk that the crash tests trust: does it forget what it must, and keep what it must?
#include "tests/support/mem_file_system.h"

#include <gtest/gtest.h>

#include <set>

namespace lockd::storage {
namespace {

using Unsynced = MemFileSystem::Unsynced;

std::unique_ptr<File> Create(MemFileSystem* disk, const std::string& path) {
  auto file = disk->Open(path, FileSystem::OpenMode::kCreate);
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

TEST(MemFileSystem, AFileWhoseDirectoryWasNotSyncedIsGoneAfterACrash) {
  MemFileSystem disk;
  auto file = Create(&disk, "/f");
  ASSERT_TRUE(file->Write(0, "x").ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_FALSE(disk.CrashClone(Unsynced::kLost, nullptr)->Exists("/f"));
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  EXPECT_EQ(disk.CrashClone(Unsynced::kLost, nullptr)->Contents("/f"), "x");
}

TEST(MemFileSystem, AnUnsyncedRenameIsUndoneByACrash) {
  MemFileSystem disk;
  Create(&disk, "/a");
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  ASSERT_TRUE(disk.Rename("/a", "/b").ok());
  EXPECT_TRUE(disk.CrashClone(Unsynced::kKept, nullptr)->Exists("/b"));
  EXPECT_TRUE(disk.CrashClone(Unsynced::kLost, nullptr)->Exists("/a"));
}

// The removal of the old file is lost, the renaming of the new one of the same name is not.
TEST(MemFileSystem, ARenameMovesTheFileAndNotWhateverBearsItsName) {
  MemFileSystem disk;
  Create(&disk, "/a");
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  ASSERT_TRUE(disk.Unlink("/a").ok());
  Create(&disk, "/a");
  ASSERT_TRUE(disk.Rename("/a", "/b").ok());
  auto left = disk.CrashClone({.sectors = {}, .name_changes = {false, false, true}});
  EXPECT_TRUE(left->Exists("/a"));
  EXPECT_FALSE(left->Exists("/b"));
  left = disk.CrashClone({.sectors = {}, .name_changes = {true, true, true}});
  EXPECT_FALSE(left->Exists("/a"));
  EXPECT_TRUE(left->Exists("/b"));
}

TEST(MemFileSystem, UnsyncedSectorsAreLostKeptOrGarbledOneByOne) {
  MemFileSystem disk;
  auto file = Create(&disk, "/f");
  ASSERT_TRUE(file->Write(0, std::string(1024, 'o')).ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  ASSERT_TRUE(file->Write(0, std::string(1024, 'n')).ok());
  Random random(1);
  std::set<std::string> outcomes;
  for (int i = 0; i < 100; ++i) {
    std::string bytes = disk.CrashClone(Unsynced::kRandomGarbled, &random)->Contents("/f");
    std::string outcome;
    for (size_t sector = 0; sector < 2; ++sector) {
      const std::string part = bytes.substr(sector * 512, 512);
      outcome += part == std::string(512, 'o') ? 'o' : part == std::string(512, 'n') ? 'n' : 'g';
    }
    outcomes.insert(outcome);
  }
  EXPECT_EQ(outcomes.size(), 9u);
}

// Two un-synced sectors of one file, one of another that the device does not know by name yet.
TEST(MemFileSystem, ACrashPlanTellsTheFateOfEachSectorAndName) {
  MemFileSystem disk;
  auto known = Create(&disk, "/known");
  ASSERT_TRUE(known->Write(0, std::string(1024, 'o')).ok());
  ASSERT_TRUE(known->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  EXPECT_EQ(disk.unsynced_sectors(), 0u);
  ASSERT_TRUE(Create(&disk, "/a")->Write(0, "new").ok());
  ASSERT_TRUE(known->Write(0, std::string(1024, 'n')).ok());
  ASSERT_TRUE(disk.Rename("/known", "/renamed").ok());
  ASSERT_EQ(disk.unsynced_sectors(), 3u);
  ASSERT_EQ(disk.pending_name_changes(), 2u);

  using Fate = MemFileSystem::SectorFate;
  auto left = disk.CrashClone({.sectors = {Fate::kKept, Fate::kTorn}, .name_changes = {true}});
  EXPECT_EQ(left->Contents("/known"), std::string(512 + 256, 'n') + std::string(256, 'o'));
  EXPECT_EQ(left->Contents("/a"), "") << "the file is there, its bytes are not";
  left = disk.CrashClone(
      {.sectors = {Fate::kLost, Fate::kGarbled, Fate::kKept}, .name_changes = {false, true}});
  EXPECT_FALSE(left->Exists("/a"));
  EXPECT_FALSE(left->Exists("/known"));
  EXPECT_EQ(left->Contents("/renamed"),
            std::string(512, 'o') + std::string(512, static_cast<char>('n' ^ 0xa5)));
  left = disk.CrashClone(
      {.sectors = {Fate::kLost, Fate::kLost, Fate::kKept}, .name_changes = {true, true}});
  EXPECT_EQ(left->Contents("/a"), "new");
  left = disk.CrashClone(MemFileSystem::CrashPlan());
  EXPECT_EQ(left->Contents("/known"), std::string(1024, 'o'));
  EXPECT_FALSE(left->Exists("/a"));
}

TEST(MemFileSystem, TheWatcherSeesTheDiskBeforeEachStep) {
  MemFileSystem disk;
  std::vector<uint64_t> unsynced;
  disk.set_before_step([&] { unsynced.push_back(disk.unsynced_sectors()); });
  auto file = Create(&disk, "/f");
  ASSERT_TRUE(file->Write(0, "x").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  EXPECT_EQ(unsynced, (std::vector<uint64_t>{0, 0, 1, 0}));
}

TEST(MemFileSystem, AfterThePowerIsCutNothingWorksUntilTheCrashIsOver) {
  MemFileSystem disk;
  auto file = Create(&disk, "/f");
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  disk.CutPowerAt(2);
  EXPECT_TRUE(file->Write(0, "x").ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_FALSE(file->Write(0, "y").ok());
  EXPECT_FALSE(disk.List("/").ok());
  disk.Crash(Unsynced::kLost, nullptr);
  EXPECT_FALSE(file->Write(0, "y").ok()) << "opened before the crash";
  EXPECT_EQ(disk.Contents("/f"), "");
  EXPECT_TRUE(disk.Open("/f", FileSystem::OpenMode::kReadWrite).ok());
}

TEST(MemFileSystem, AFailedSyncLeavesTheCacheCleanAndTheDeviceBehind) {
  MemFileSystem disk;
  auto file = Create(&disk, "/f");
  ASSERT_TRUE(file->Write(0, "old").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(file->Write(0, "new").ok());
  disk.FailAt(1);
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(file->Sync().ok()) << "the second sync finds nothing to write";
  EXPECT_EQ(disk.Contents("/f"), "new");
  file->DropCache();
  EXPECT_EQ(disk.Contents("/f"), "old");
}

TEST(MemFileSystem, LocksEndWithTheirHolderOrACrash) {
  MemFileSystem disk;
  auto lock = disk.LockFile("/lock", "a");
  ASSERT_TRUE(lock.ok());
  EXPECT_FALSE(disk.LockFile("/lock", "b").ok());
  lock->reset();
  EXPECT_TRUE(disk.LockFile("/lock", "b").ok());
  lock = disk.LockFile("/lock", "c");
  disk.Crash(Unsynced::kKept, nullptr);
  EXPECT_TRUE(disk.LockFile("/lock", "d").ok());
}

}  // namespace
}  // namespace lockd::storage
