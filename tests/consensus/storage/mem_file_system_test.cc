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
