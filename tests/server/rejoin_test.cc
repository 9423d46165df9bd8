#include "server/rejoin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "consensus/storage/failure.h"
#include "consensus/storage/posix_file_system.h"
#include "consensus/storage/start.h"

namespace lockd {
namespace {

using storage::FileSystem;
using ::testing::HasSubstr;

constexpr char kTime[] = "20260102T030405Z";

class Rejoin : public ::testing::Test {
 protected:
  Rejoin() {
    std::string pattern = ::testing::TempDir() + "/lockd_rejoin_XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    data_ = pattern + "/data";
  }
  ~Rejoin() override { std::filesystem::remove_all(root_); }

  // As node 3 of cluster "c" leaves it.
  void MakeDirectory() {
    const auto held = storage::DataDirectory::Open(&disk_, data_, "a test");
    ASSERT_TRUE(held.ok()) << held.status();
    storage::StorageOptions options;
    options.log.directory = held->wal_path();
    options.log.node_id = NodeId(3);
    options.log.cluster_name = "c";
    options.log.incarnation_draw = Incarnation(77);
    options.log.segment_bytes = storage::kSegmentBytesMin;
    options.snapshot_directory = held->snapshots_path();
    ASSERT_TRUE(storage::OpenStorage(&disk_, options).ok());
  }
  absl::StatusOr<MovedAside> Move(uint64_t id = 4, const std::string& cluster = "c") {
    return MoveAside(&disk_, data_, NodeId(id), cluster, kTime, "another test");
  }
  void ExpectRefusal(const absl::Status& status, int exit_status, const std::string& part) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(absl::IsInvalidArgument(status) ? 2 : storage::ExitStatusOf(status), exit_status);
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
  std::vector<std::string> Names(const std::string& directory) {
    return disk_.List(directory).value_or(std::vector<std::string>());
  }

  storage::PosixFileSystem disk_;
  std::filesystem::path root_;
  std::string data_;
};

TEST_F(Rejoin, MovesTheDirectoryAsideWholeAndNamesIt) {
  MakeDirectory();
  const std::vector<std::string> before = Names(data_ + "/wal");
  const absl::StatusOr<MovedAside> moved = Move();
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->to, data_ + ".old-20260102T030405Z");
  EXPECT_THAT(moved->owner, HasSubstr("node 3"));
  EXPECT_TRUE(absl::IsNotFound(disk_.IsDirectory(data_).status()));
  EXPECT_EQ(Names(moved->to + "/wal"), before);
  EXPECT_EQ(OwnerOf(&disk_, moved->to).node_id, NodeId(3));
  // The name is free for a new one, which nobody holds.
  EXPECT_TRUE(storage::DataDirectory::Open(&disk_, data_, "a new node").ok());
}

TEST_F(Rejoin, TakesANameThatIsFree) {
  std::filesystem::create_directory(data_ + ".old-20260102T030405Z");
  std::ofstream(data_ + ".old-20260102T030405Z-2") << "a file";
  MakeDirectory();
  const absl::StatusOr<MovedAside> moved = Move();
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->to, data_ + ".old-20260102T030405Z-3");
}

TEST_F(Rejoin, ASlashAtTheEndOfThePathDoesNoHarm) {
  MakeDirectory();
  const std::string path = data_;
  data_ += "/";
  const absl::StatusOr<MovedAside> moved = Move();
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->to, path + ".old-20260102T030405Z");
}

TEST_F(Rejoin, MovesWhatCannotBeRead) {
  MakeDirectory();
  for (const std::string& name : Names(data_ + "/wal")) {
    std::fstream file(data_ + "/wal/" + name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(20) << "damage";
  }
  EXPECT_TRUE(OwnerOf(&disk_, data_).node_id.is_zero());
  const absl::StatusOr<MovedAside> moved = Move(3);
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_THAT(moved->owner, HasSubstr("cannot be read"));
}

TEST_F(Rejoin, LeavesADirectoryOfTheSameIdAlone) {
  MakeDirectory();
  ExpectRefusal(Move(3).status(), 2, "Ids are never used twice");
  EXPECT_EQ(OwnerOf(&disk_, data_).node_id, NodeId(3));
}

TEST_F(Rejoin, LeavesADirectoryOfAnotherClusterAlone) {
  MakeDirectory();
  ExpectRefusal(Move(4, "another").status(), 11, "named \"c\"");
  EXPECT_EQ(OwnerOf(&disk_, data_).node_id, NodeId(3));
}

TEST_F(Rejoin, LeavesADirectoryThatIsInUseAlone) {
  MakeDirectory();
  const auto held = storage::DataDirectory::Open(&disk_, data_, "a test");
  ASSERT_TRUE(held.ok());
  ExpectRefusal(Move().status(), 10, "a test");
}

TEST_F(Rejoin, SaysThatThereIsNothingToMove) {
  ExpectRefusal(Move().status(), 2, "does not exist");
  std::filesystem::create_directory(data_);
  ExpectRefusal(Move().status(), 2, "is empty");
  ASSERT_TRUE(storage::DataDirectory::Open(&disk_, data_, "a test").ok());
  ExpectRefusal(Move().status(), 2, "is empty");
}

TEST_F(Rejoin, MovesNothingThatIsNotLockds) {
  std::ofstream(data_) << "a file";
  ExpectRefusal(Move().status(), 12, "is not a directory");
  std::filesystem::remove(data_);
  std::filesystem::create_directory(data_);
  std::ofstream(data_ + "/thesis.tex") << "a thesis";
  ExpectRefusal(Move().status(), 12, "does not look like");
  EXPECT_EQ(Names(data_), std::vector<std::string>{"thesis.tex"});
}

}  // namespace
}  // namespace lockd
