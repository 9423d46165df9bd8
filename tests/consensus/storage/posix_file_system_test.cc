// The real file system, and the log on it, in a temporary directory.
#include "consensus/storage/posix_file_system.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/consensus/storage/log_fixture.h"
#include "tests/consensus/storage/snapshot_fixture.h"

namespace lockd::storage {
namespace {

class PosixTest : public testing::Test {
 protected:
  PosixTest() {
    std::string path = testing::TempDir() + "lockd_storage_XXXXXX";
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
  }
  ~PosixTest() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::string At(const std::string& name) const { return JoinPath(directory_, name); }

  std::string directory_;
  PosixFileSystem file_system_;
};

TEST_F(PosixTest, FilesHoldWhatIsWrittenToThem) {
  auto file = file_system_.Open(At("f"), FileSystem::OpenMode::kCreate);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Write(5, "hello").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  (*file)->DropCache();
  EXPECT_EQ((*file)->Size().value(), 10u);
  char bytes[20];
  EXPECT_EQ((*file)->Read(3, 20, bytes).value(), 7u);
  EXPECT_EQ(std::string(bytes, 7), std::string("\0\0hello", 7));
  EXPECT_EQ((*file)->Read(10, 5, bytes).value(), 0u);
}

TEST_F(PosixTest, NamesCanBeListedRenamedAndRemoved) {
  ASSERT_TRUE(file_system_.CreateDirectory(At("d")).ok());
  ASSERT_TRUE(file_system_.Open(At("b"), FileSystem::OpenMode::kCreate).ok());
  ASSERT_TRUE(file_system_.Open(At("c"), FileSystem::OpenMode::kCreate).ok());
  EXPECT_EQ(file_system_.List(directory_).value(), std::vector<std::string>({"b", "c", "d"}));
  ASSERT_TRUE(file_system_.Rename(At("b"), At("c")).ok());
  ASSERT_TRUE(file_system_.SyncDirectory(directory_).ok());
  EXPECT_EQ(file_system_.List(directory_).value(), std::vector<std::string>({"c", "d"}));
  ASSERT_TRUE(file_system_.Unlink(At("c")).ok());
  EXPECT_TRUE(file_system_.IsDirectory(At("d")).value());
  EXPECT_EQ(file_system_.List(directory_).value(), std::vector<std::string>({"d"}));
}

TEST_F(PosixTest, FreeBytesAreThoseOfTheDisk) {
  EXPECT_EQ(file_system_.FreeBytes(directory_).value() > 0,
            std::filesystem::space(directory_).available > 0);
  const absl::Status missing = file_system_.FreeBytes(At("none")).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_NE(missing.message().find(At("none")), absl::string_view::npos) << missing;
}

TEST_F(PosixTest, ErrorsAreTypedAndNameThePath) {
  ASSERT_TRUE(file_system_.Open(At("f"), FileSystem::OpenMode::kCreate).ok());
  const absl::Status missing = file_system_.Open(At("none"), FileSystem::OpenMode::kRead).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_NE(missing.message().find(At("none")), absl::string_view::npos) << missing;
  EXPECT_TRUE(
      absl::IsAlreadyExists(file_system_.Open(At("f"), FileSystem::OpenMode::kCreate).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(file_system_.CreateDirectory(At("f"))));
  EXPECT_TRUE(absl::IsNotFound(file_system_.Unlink(At("none"))));
  EXPECT_FALSE(file_system_.IsDirectory(At("f")).value());
}

TEST_F(PosixTest, ADataDirectoryIsHeldByOneAtATime) {
  absl::StatusOr<DataDirectory> first = DataDirectory::Open(&file_system_, At("data"), "process 7");
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = DataDirectory::Open(&file_system_, At("data"), "process 8").status();
  EXPECT_EQ(ExitStatusOf(second), 10) << second;
  EXPECT_NE(second.message().find("process 7"), absl::string_view::npos) << second;
  first = absl::UnknownError("closed");
  EXPECT_TRUE(DataDirectory::Open(&file_system_, At("data"), "process 8").ok());
}

TEST_F(PosixTest, ADataDirectoryThatCannotBeOneIsUnusable) {
  std::ofstream(At("file")) << "x";
  EXPECT_EQ(ExitStatusOf(DataDirectory::Open(&file_system_, At("file"), "").status()), 12);
  EXPECT_EQ(ExitStatusOf(DataDirectory::Open(&file_system_, At("no/parent"), "").status()), 12);
  if (::geteuid() == 0) return;  // root may write anywhere
  ASSERT_EQ(::mkdir(At("closed").c_str(), 0500), 0);
  EXPECT_EQ(ExitStatusOf(DataDirectory::Open(&file_system_, At("closed"), "").status()), 12);
}

TEST_F(PosixTest, TheLogWorksOnARealDisk) {
  absl::StatusOr<DataDirectory> directory = DataDirectory::Open(&file_system_, At("data"), "test");
  ASSERT_TRUE(directory.ok()) << directory.status();
  LogStoreOptions options = SmallOptions();
  options.directory = directory->wal_path();
  options.segment_bytes = 64 * 1024;
  LogModel model;
  for (uint64_t life = 1; life <= 3; ++life) {
    absl::StatusOr<OpenedLog> opened = LogStore::Open(&file_system_, options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(LogModel::Of(&*opened), model);
    for (uint64_t i = 0; i < 100; ++i) {
      LogWrite write{.hard_state = MakeHardState(life, life, model.last()),
                     .entries = {MakeEntry(model.last() + 1, life, 900)}};
      if (i == 50) write.base = MakeBase(model.last() - 20, model.entries.end()[-21].term.value());
      ASSERT_TRUE(opened->store->Write(write).ok());
      model.Apply(write);
      RunFileJobs(&file_system_, opened->store.get());
    }
  }
  absl::StatusOr<OpenedLog> opened = LogStore::Open(&file_system_, options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(LogModel::Of(&*opened), model);
}

TEST_F(PosixTest, SnapshotsWorkOnARealDisk) {
  absl::StatusOr<DataDirectory> directory = DataDirectory::Open(&file_system_, At("data"), "test");
  ASSERT_TRUE(directory.ok()) << directory.status();
  StorageOptions options;
  options.log = SmallOptions();
  options.log.directory = directory->wal_path();
  options.log.segment_bytes = 64 * 1024;
  options.snapshot_directory = directory->snapshots_path();
  std::vector<raft::SnapshotId> kept;
  for (uint64_t life = 1; life <= 4; ++life) {
    absl::StatusOr<OpenedStorage> opened = OpenStorage(&file_system_, options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(opened->kept, kept);
    EXPECT_EQ(opened->snapshot, life > 1 ? std::optional(kept.back()) : std::nullopt);
    ASSERT_TRUE(
        opened->log.store
            ->Write({.hard_state = MakeHardState(1, 0, life - 1), .entries = {MakeEntry(life, 1)}})
            .ok());
    const std::string content = MakeContent(kSnapshotWriteBytesMax, life);
    const raft::SnapshotId id = IdOfContent(MakeBase(life, 1), content);
    SnapshotStore* const store = opened->snapshots.get();
    const SnapshotWrite write{.id = 1, .draft = 1, .base = id.base, .offset = 0, .bytes = content};
    ASSERT_TRUE(RunJob(store, write).status.ok());
    const SnapshotJobDone done = RunJob(store, SnapshotFinish{.id = 2, .draft = 1, .snapshot = id});
    ASSERT_TRUE(done.status.ok()) << done.status;
    kept = done.kept;
    const SnapshotJobDone read = RunJob(
        store, SnapshotRead{.id = 3, .snapshot = id, .offset = 0, .bytes_max = content.size()});
    EXPECT_EQ(read.bytes, content);
  }
  EXPECT_EQ(kept.size(), 2u);
  EXPECT_EQ(NamesIn(&file_system_, options.snapshot_directory).size(), 2u);
}

}  // namespace
}  // namespace lockd::storage
