#include "server/members_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "consensus/storage/posix_file_system.h"
#include "server/config.h"

namespace lockd {
namespace {

using ::testing::HasSubstr;

Origin Founded(absl::string_view peers) {
  return {.founders = *ParsePeers(peers)};
}
Origin Joined(const std::string& contact) {
  return {.founders = {}, .contact_address = contact};
}

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
  for (const Origin& origin :
       {Founded("1=a:1,2=[::1]:2"), Joined("10.0.0.1:7421"), Joined("[::1]:7421"),
        Origin{.founders = *ParsePeers("1=a:1,2=b:2"), .is_restored = true}}) {
    ASSERT_TRUE(WriteMembersFile(&file_system_, directory_, origin).ok());
    const absl::StatusOr<Origin> read = ReadMembersFile(&file_system_, directory_);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, origin);
  }
}

TEST_F(MembersFile, IsOneLineThatAPersonCanWriteBack) {
  ASSERT_TRUE(WriteMembersFile(&file_system_, directory_, Joined("10.0.0.1:7421")).ok());
  std::string line;
  std::getline(std::ifstream(directory_ / "members"), line);
  EXPECT_EQ(line, "join 10.0.0.1:7421");
  std::ofstream(directory_ / "members") << "1=a:1,2=b:1\n";
  EXPECT_EQ(*ReadMembersFile(&file_system_, directory_), Founded("1=a:1,2=b:1"));
}

TEST_F(MembersFile, ReplacesAnOlderOneAndALeftOverTempFile) {
  std::ofstream(directory_ / "members") << "1=old:1\n";
  std::ofstream(directory_ / "members.tmp") << "half";
  ASSERT_TRUE(WriteMembersFile(&file_system_, directory_, Founded("1=new:1")).ok());
  EXPECT_EQ(*ReadMembersFile(&file_system_, directory_), Founded("1=new:1"));
}

TEST_F(MembersFile, MissingIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadMembersFile(&file_system_, directory_).status()));
}

TEST_F(MembersFile, DamageIsDataLossWithFileAndAdvice) {
  for (const char* text : {"", "1=a:1", "1=a:1,,2=b:1\n", "nonsense\n", "join\n", "join \n",
                           "join a:1", "join a:1,b:1\n", "joins a:1\n"}) {
    std::ofstream(directory_ / "members") << text;
    const absl::Status status = ReadMembersFile(&file_system_, directory_).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("members at offset 0"));
  }
}

// ---- What counts: the flags, or the file

Config Flags(const std::vector<std::string>& flags) {
  std::vector<const char*> argv = {"lockd", "--peer-listen", "own:1", "--client-listen", "own:2"};
  for (const std::string& flag : flags) argv.push_back(flag.c_str());
  const ParsedCommandLine parsed = ParseCommandLine(static_cast<int>(argv.size()), argv.data());
  EXPECT_TRUE(parsed.run) << parsed.text;
  return parsed.config;
}

TEST(Origin, IsWhatTheFlagsSayUntilTheLogHoldsSomething) {
  const Config none = Flags({});
  const Config peers = Flags({"--peers", "1=own:1,2=b:1"});
  const Config join = Flags({"--join", "a:1", "--node-id", "4"});
  const absl::StatusOr<Origin> missing = absl::NotFoundError("D/members");
  const absl::StatusOr<Origin> damaged = absl::DataLossError("D/members at offset 0");
  const Origin alone = Founded("1=own:1");
  const Origin three = Founded("1=own:1,2=b:1,3=c:1");
  const Origin joined = Joined("z:1");
  struct Row {
    const Config& flags;
    absl::StatusOr<Origin> file;
    bool is_unused;
    std::optional<Origin> chosen;  // nothing: DataLoss
  };
  const Row rows[] = {
      // The first start.
      {none, missing, true, alone},
      {peers, missing, true, Founded("1=own:1,2=b:1")},
      {join, missing, true, Joined("a:1")},
      // Once more before anything was promised: the flags, or without flags what was begun.
      {peers, joined, true, Founded("1=own:1,2=b:1")},
      {join, three, true, Joined("a:1")},
      {join, damaged, true, Joined("a:1")},
      {none, three, true, three},
      {none, joined, true, joined},
      {none, damaged, true, std::nullopt},
      // Later: the directory, but for whom to ask first.
      {none, three, false, three},
      {peers, three, false, three},
      {join, three, false, three},
      {none, joined, false, joined},
      {peers, joined, false, joined},
      {join, joined, false, Joined("a:1")},
      {none, missing, false, std::nullopt},
      {join, missing, false, std::nullopt},
      {peers, damaged, false, std::nullopt},
  };
  int number = 0;
  for (const Row& row : rows) {
    SCOPED_TRACE(++number);
    const absl::StatusOr<Origin> chosen = ChooseOrigin(row.flags, row.file, row.is_unused);
    if (row.chosen.has_value()) {
      ASSERT_TRUE(chosen.ok()) << chosen.status();
      EXPECT_EQ(*chosen, *row.chosen);
    } else {
      EXPECT_TRUE(absl::IsDataLoss(chosen.status())) << chosen.status();
      EXPECT_THAT(std::string(chosen.status().message()), HasSubstr("D/members at offset 0"));
    }
  }
}

}  // namespace
}  // namespace lockd
