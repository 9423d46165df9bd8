#include "server/members_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "consensus/storage/posix_file_system.h"
#include "server/config.h"

namespace lockd {
namespace {

using ::testing::HasSubstr;

class MembersFile : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(::testing::TempDir()) /
                 ("lockd_members_" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  storage::PosixFileSystem file_system_;
  std::filesystem::path directory_;
};

TEST_F(MembersFile, ReadsBackWhatWasWritten) {
  const auto members = *ParsePeers("1=a:1,2=[::1]:2");
  ASSERT_TRUE(WriteMembersFile(&file_system_, directory_, members).ok());
  EXPECT_EQ(*ReadMembersFile(&file_system_, directory_), members);
}

TEST_F(MembersFile, ReplacesAnOlderOneAndALeftOverTempFile) {
  std::ofstream(directory_ / "members") << "1=old:1\n";
  std::ofstream(directory_ / "members.tmp") << "half";
  const auto members = *ParsePeers("1=new:1");
  ASSERT_TRUE(WriteMembersFile(&file_system_, directory_, members).ok());
  EXPECT_EQ(*ReadMembersFile(&file_system_, directory_), members);
}

TEST_F(MembersFile, MissingIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadMembersFile(&file_system_, directory_).status()));
}

TEST_F(MembersFile, DamageIsDataLossWithFileAndAdvice) {
  for (const char* text : {"", "1=a:1", "1=a:1,,2=b:1\n", "nonsense\n"}) {
    std::ofstream(directory_ / "members") << text;
    const absl::Status status = ReadMembersFile(&file_system_, directory_).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("members at offset 0"));
  }
}

}  // namespace
}  // namespace lockd
