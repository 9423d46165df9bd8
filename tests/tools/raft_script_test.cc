// raft_script as its user meets it: exit statuses, and what it prints where.
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockd {
namespace {

using testing::HasSubstr;

struct Ended {
  int status;
  std::string output;  // stdout and stderr
};

class RaftScript : public testing::Test {
 protected:
  RaftScript() {
    directory_ = testing::TempDir() + "raft_script_" +
                 testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(directory_);
  }
  ~RaftScript() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  std::string File(const std::string& text) const {
    std::ofstream(Path("s.txt")) << text;
    return Path("s.txt");
  }
  static std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  Ended Call(const std::string& arguments) const {
    const std::string command =
        "LOCKD_REWRITE= " LOCKD_RAFT_SCRIPT " " + arguments + " >" + Path("out") + " 2>&1";
    const int status = std::system(command.c_str());
    return {WEXITSTATUS(status), Read(Path("out"))};
  }

  static constexpr char kGood[] = "add-nodes 1..3\n----\nok\n";
  static constexpr char kDiffers[] = "# story\nadd-nodes 1..3\n----\nfine\n";

 private:
  std::string directory_;
};

TEST_F(RaftScript, ExitsWith0OnAMatch) {
  const Ended run = Call(File(kGood));
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.output, "");
}

TEST_F(RaftScript, ExitsWith1AndADiffOnADifference) {
  const Ended run = Call(File(kDiffers));
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.output, HasSubstr("s.txt:2: `add-nodes 1..3` printed something else"));
  EXPECT_THAT(run.output, HasSubstr("- fine\n+ ok\n"));
}

TEST_F(RaftScript, ExitsWith1OnABrokenRuleEvenWhenRecording) {
  const std::string file = File("add-nodes 1\n----\nok\n\nexpect 1 term=3\n----\nok\n");
  const Ended run = Call("--rewrite " + file);
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.output, HasSubstr("s.txt:5: `expect 1 term=3`: not met; node 1 has term=0"));
}

TEST_F(RaftScript, ExitsWith2OnABadScriptOrUsage) {
  EXPECT_EQ(Call(File("add-nodes 1..3\n")).status, 2);
  EXPECT_EQ(Call(File("fly\n----\n")).status, 2);
  EXPECT_EQ(Call(Path("missing.txt")).status, 2);
  EXPECT_EQ(Call("").status, 2);
  EXPECT_EQ(Call("--fly " + File(kGood)).status, 2);
  EXPECT_EQ(Call(File(kGood) + " " + File(kGood)).status, 2);
}

TEST_F(RaftScript, RecordsOnRequest) {
  const std::string file = File(kDiffers);
  EXPECT_EQ(Call("--rewrite " + file).status, 0);
  EXPECT_EQ(Read(file), "# story\nadd-nodes 1..3\n----\nok\n");
}

TEST_F(RaftScript, PrintsWhatEachCommandPrinted) {
  const Ended run = Call("--print " + File(kGood));
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.output, "add-nodes 1..3\n----\nok\n\n");
}

TEST_F(RaftScript, HelpListsVerbsAndTheirArguments) {
  const Ended run = Call("--help");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.output, HasSubstr("\npersist ID [all | count=K | stall | resume]\n"));
  EXPECT_EQ(Call("--version").status, 0);
}

}  // namespace
}  // namespace lockd
