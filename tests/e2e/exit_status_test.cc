// Each way in which lockd refuses to run, with its exit status and a line that says what to do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cluster.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;

class ExitStatus : public ::testing::Test {
 protected:
  void StartNode() {
    cluster_.Start(0);
    cluster_.WaitForLeader();
  }
  // Runs lockd as the cluster's node, with these flags behind, to its end.
  int RunToEnd(const std::vector<std::string>& flags) {
    std::vector<std::string> all = cluster_.Flags(0);
    all.insert(all.end(), flags.begin(), flags.end());
    return RunLockd(all);
  }
  int RunLockd(const std::vector<std::string>& flags) {
    const testing::ProcessResult result = testing::RunProcess("lockd", flags);
    log_ = result.error;
    return result.exit_status;
  }
  // What the last one said.
  const std::string& Log() const { return log_; }

  TempDirectory directory_;
  std::string log_;
  Cluster cluster_{1};
};

TEST_F(ExitStatus, TwoForABadFlag) {
  EXPECT_EQ(RunToEnd({"--heartbeat", "1ms"}), 2);
  EXPECT_THAT(Log(), HasSubstr("--heartbeat"));
}

TEST_F(ExitStatus, TenForADirectoryInUse) {
  StartNode();
  EXPECT_EQ(RunToEnd({}), 10);
}

TEST_F(ExitStatus, ElevenForTheDirectoryOfAnotherNodeOrCluster) {
  StartNode();
  EXPECT_EQ(cluster_.Stop(0), 0);
  const std::string peers = absl::StrCat("7=127.0.0.1:", cluster_.peer_port(0));
  EXPECT_EQ(RunLockd({"--node-id", "7", "--data-dir", cluster_.data_dir(0).string(),
                      "--client-listen", cluster_.endpoint(0), "--peer-listen",
                      absl::StrCat("127.0.0.1:", cluster_.peer_port(0)), "--peers", peers}),
            11);
  EXPECT_EQ(RunToEnd({"--cluster-name", "another"}), 11);
}

TEST_F(ExitStatus, TwelveForADirectoryThatIsNone) {
  std::ofstream(cluster_.data_dir(0)) << "a file";
  EXPECT_EQ(RunToEnd({}), 12);
}

TEST_F(ExitStatus, ThirteenForAPortInUse) {
  StartNode();
  std::vector<std::string> flags = cluster_.Flags(0);
  flags[3] = (directory_.path() / "another-directory").string();
  EXPECT_EQ(RunLockd(flags), 13);
  EXPECT_THAT(Log(), HasSubstr("port in use"));
}

TEST_F(ExitStatus, FourteenForADamagedLogWithFileAndOffset) {
  StartNode();
  {
    BlockingClient client(cluster_.client_options());
    const auto session = client.OpenSession();
    ASSERT_TRUE(session.ok());
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(session->Acquire(absl::StrCat("lock-", i)).granted());
  }
  EXPECT_EQ(cluster_.Stop(0), 0);
  ASSERT_NO_FATAL_FAILURE(cluster_.DamageLog(0));
  EXPECT_EQ(RunToEnd({}), 14);
  EXPECT_THAT(Log(), HasSubstr("wal-000000000001"));
}

TEST_F(ExitStatus, ZeroForHelpAndVersion) {
  EXPECT_EQ(RunToEnd({"--help"}), 0);
  EXPECT_EQ(RunToEnd({"--version"}), 0);
}

}  // namespace
}  // namespace lockd::e2e
