#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace lockd {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ParsedCommandLine Parse(std::vector<std::string> flags) {
  std::vector<const char*> argv = {"lockd"};
  for (const std::string& flag : flags) argv.push_back(flag.c_str());
  return ParseCommandLine(static_cast<int>(argv.size()), argv.data());
}

TEST(Config, WithoutFlagsIsADurableSingleNodeOnLoopback) {
  const ParsedCommandLine parsed = Parse({});
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.config.node_id, NodeId(1));
  EXPECT_EQ(parsed.config.data_dir, "./lockd-data");
  EXPECT_EQ(parsed.config.client_advertise.ToString(), "127.0.0.1:7420");
  EXPECT_EQ(parsed.config.peer_advertise.ToString(), "127.0.0.1:7421");
  EXPECT_EQ(FormatPeers(parsed.config.peers), "1=127.0.0.1:7421");
}

TEST(Config, PeersComeOutAscending) {
  const ParsedCommandLine parsed = Parse({"--node-id", "2", "--peers", "3=c:1,1=a:1,2=[::1]:7421"});
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(FormatPeers(parsed.config.peers), "1=a:1,2=[::1]:7421,3=c:1");
}

TEST(Config, AJoinerNeedsAMembersAddressAndItsOwnNumber) {
  const ParsedCommandLine parsed =
      Parse({"--node-id", "4", "--join", "10.0.0.1:7421", "--peer-listen", "10.0.0.4:7421"});
  ASSERT_TRUE(parsed.run) << parsed.text;
  ASSERT_TRUE(parsed.config.join.has_value());
  EXPECT_EQ(parsed.config.join->ToString(), "10.0.0.1:7421");
  EXPECT_TRUE(parsed.config.peers.empty());
  EXPECT_FALSE(Parse({}).config.join.has_value());
  EXPECT_FALSE(Parse({}).config.peers_given);
  EXPECT_FALSE(parsed.config.rejoin);
  EXPECT_TRUE(Parse({"--node-id", "4", "--join", "10.0.0.1:7421", "--rejoin"}).config.rejoin);
  EXPECT_TRUE(Parse({"--peers", "1=a:1"}).config.peers_given);
}

TEST(Config, ARestoreNamesItsBackup) {
  const ParsedCommandLine parsed =
      Parse({"restore", "monday", "--node-id", "2", "--data-dir", "d", "--peers", "1=a:1,2=b:1"});
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.restore_file, "monday");
  EXPECT_EQ(parsed.config.node_id, NodeId(2));
  EXPECT_EQ(parsed.config.data_dir, "d");
  EXPECT_EQ(FormatPeers(parsed.config.peers), "1=a:1,2=b:1");
  EXPECT_FALSE(Parse({}).restore_file.has_value());
  EXPECT_EQ(Parse({"restore"}).exit_status, 2);
  const ParsedCommandLine joining = Parse({"restore", "monday", "--node-id", "4", "--join", "a:1"});
  EXPECT_EQ(joining.exit_status, 2);
  EXPECT_THAT(joining.text, HasSubstr("not with restore"));
  EXPECT_THAT(Parse({"restore", "--help"}).text, HasSubstr("the same file for every node"));
}

TEST(Config, ASalvageIsAskedForInSoManyWords) {
  const ParsedCommandLine parsed = Parse({"salvage", "d", "saved", "--accept-lost-grants"});
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.salvage_directory, "d");
  EXPECT_EQ(parsed.salvage_file, "saved");
  EXPECT_FALSE(parsed.replaces_salvage_file);
  EXPECT_TRUE(
      Parse({"salvage", "d", "saved", "--accept-lost-grants", "--force"}).replaces_salvage_file);
  const ParsedCommandLine without = Parse({"salvage", "d", "saved"});
  EXPECT_EQ(without.exit_status, 2);
  EXPECT_THAT(without.text, HasSubstr("--accept-lost-grants"));
  EXPECT_EQ(Parse({"salvage", "d", "--accept-lost-grants"}).exit_status, 2);
  ::setenv("LOCKD_RETRY_AFTER", "20ms", 1);
  EXPECT_TRUE(Parse({"salvage", "d", "saved", "--accept-lost-grants"}).run);
  ::unsetenv("LOCKD_RETRY_AFTER");
}

TEST(Config, HelpAndVersionLeaveWithZero) {
  const ParsedCommandLine help = Parse({"--help"});
  EXPECT_FALSE(help.run);
  EXPECT_EQ(help.exit_status, 0);
  EXPECT_THAT(help.text,
              AllOf(HasSubstr("--node-id"), HasSubstr("Exit status"), HasSubstr("--sessions-max")));
  const ParsedCommandLine version = Parse({"--version"});
  EXPECT_EQ(version.exit_status, 0);
  EXPECT_THAT(version.text, HasSubstr(kVersion));
}

struct BadFlags {
  std::vector<std::string> flags;
  std::vector<std::string> message;  // parts of it: the knob, the value, the bound
};

TEST(Config, EveryBadKnobIsOneLineThatNamesKnobValueAndBound) {
  const BadFlags kRows[] = {
      {{"--node-id", "0"}, {"--node-id", "0 is out of range", "1..1000000"}},
      {{"--node-id", "one"}, {"--node-id", "not a whole number"}},
      {{"--cluster-name", ""}, {"--cluster-name", "1..64"}},
      {{"--cluster-name", std::string(65, 'x')}, {"--cluster-name", "65 bytes", "1..64"}},
      {{"--data-dir", ""}, {"--data-dir", "empty"}},
      {{"--client-listen", "localhost"}, {"--client-listen", "host:port"}},
      {{"--client-listen", "h:70000"}, {"--client-listen", "0 to 65535"}},
      {{"--client-listen", "0.0.0.0:7420"}, {"--client-advertise", "required", "0.0.0.0:7420"}},
      {{"--peer-listen", "[::]:7421"}, {"--peer-advertise", "required"}},
      {{"--peer-advertise", "0.0.0.0:1"}, {"--peer-advertise", "wildcard"}},
      {{"--peers", "1"}, {"--peers", "ID=HOST:PORT"}},
      {{"--peers", "0=a:1"}, {"--peers", "0=a:1"}},
      {{"--peers", "1=a:1,1=b:1"}, {"--peers", "node 1 is named twice"}},
      {{"--peers", "2=a:1,3=b:1"}, {"--peers", "does not name this node, 1"}},
      {{"--peers", "1=a:1,2=a:2,3=a:3,4=a:4,5=a:5,6=a:6,7=a:7,8=a:8,9=a:9,10=a:10"},
       {"--peers", "1 to 9"}},
      {{"--join", "a:1"}, {"--join", "needs --node-id"}},
      {{"--join", "a", "--node-id", "4"}, {"--join", "host:port"}},
      {{"--join", "0.0.0.0:7421", "--node-id", "4"},
       {"--join", "0.0.0.0:7421", "no address that can be dialled"}},
      {{"--join", "a:0", "--node-id", "4"}, {"--join", "a:0", "peer address of a member"}},
      {{"--join", "127.0.0.1:7421", "--node-id", "4"}, {"--join", "this node's own address"}},
      {{"--join", "a:1", "--node-id", "1", "--peers", "1=b:1"},
       {"--join", "not together with --peers"}},
      {{"--rejoin"}, {"--rejoin", "needs --join"}},
      {{"--rejoin", "--peers", "1=b:1"}, {"--rejoin", "needs --join"}},
      {{"--rejoin", "--join", "a:1"}, {"--join", "needs --node-id"}},
      {{"--heartbeat", "1ms"}, {"--heartbeat", "1ms is out of range", "5ms..1m"}},
      {{"--heartbeat", "soon"}, {"--heartbeat", "soon", "5ms..1m"}},
      {{"--election-timeout-min", "100ms"}, {"--election-timeout-min", "100ms", "150ms"}},
      {{"--election-timeout-max", "310ms"}, {"--election-timeout-max", "310ms", "400ms"}},
      {{"--client-connections-max", "0"}, {"--client-connections-max", "1..1000000"}},
      {{"--output-bytes-max", "1KiB"},
       {"--output-bytes-max", "1KiB is out of range", "64KiB..1GiB"}},
      {{"--hello-timeout", "0s"}, {"--hello-timeout", "10ms..10m"}},
      {{"--requests-in-flight-max", "-1"}, {"--requests-in-flight-max", "not a whole number"}},
      {{"--pending-bytes-max", "much"}, {"--pending-bytes-max", "not a size"}},
      {{"--uncommitted-bytes-max", "1"}, {"--uncommitted-bytes-max", "1MiB..4GiB"}},
      {{"--retry-after", "2h"}, {"--retry-after", "1ms..1m"}},
      {{"--segment-bytes", "100000"}, {"--segment-bytes", "multiple of 512"}},
      {{"--tail-bytes-max", "0"}, {"--tail-bytes-max", "1MiB..16GiB"}},
      {{"--disk-reserve", "2000GiB"}, {"--disk-reserve", "out of range", "0..1024GiB"}},
      {{"--snapshot-log-bytes", "1KiB"},
       {"--snapshot-log-bytes", "out of range", "64KiB..1024GiB"}},
      {{"--snapshot-bytes-per-s", "0"}, {"--snapshot-bytes-per-s", "out of range", "1MiB..64GiB"}},
      {{"--sessions-max", "0"}, {"--sessions-max", "1..10000000"}},
      {{"--locks-max", "x"}, {"--locks-max", "not a whole number"}},
      {{"--waiters-max", "0"}, {"--waiters-max", "out of range"}},
      {{"--locks-per-session-max", "0"}, {"--locks-per-session-max", "out of range"}},
      {{"--waiters-per-session-max", "0"}, {"--waiters-per-session-max", "out of range"}},
      {{"--log-format", "xml"}, {"--log-format", "xml", "text|json"}},
      {{"--log-level", "loud"}, {"--log-level", "debug|info|warning|error"}},
      {{"--no-such-flag"}, {"--no-such-flag"}},
      {{"--config", "/nonexistent/lockd.conf"}, {"/nonexistent/lockd.conf"}},
  };
  for (const BadFlags& row : kRows) {
    const ParsedCommandLine parsed = Parse(row.flags);
    EXPECT_FALSE(parsed.run) << row.flags[0];
    EXPECT_EQ(parsed.exit_status, 2) << row.flags[0];
    EXPECT_EQ(parsed.text.find('\n'), std::string::npos) << parsed.text;
    for (const std::string& part : row.message) EXPECT_THAT(parsed.text, HasSubstr(part));
  }
}

TEST(Config, BoundsThemselvesAreAllowed) {
  EXPECT_TRUE(Parse({"--heartbeat", "5ms", "--election-timeout-min", "20ms"}).run);
  EXPECT_TRUE(
      Parse({"--heartbeat", "60s", "--election-timeout-min", "3m", "--election-timeout-max", "10m"})
          .run);
  EXPECT_TRUE(Parse({"--output-bytes-max", "64KiB"}).run);
}

class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::path(::testing::TempDir()) /
            ("lockd_config_" + std::to_string(::getpid()) + ".conf");
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void Write(const std::string& text) { std::ofstream(path_) << text; }

  std::filesystem::path path_;
};

TEST_F(ConfigFile, SaysTheSameAsFlags) {
  Write("node-id = 2\npeers = \"1=a:1,2=b:1\"\nheartbeat = 100ms\n");
  const ParsedCommandLine parsed = Parse({"--config", path_.string()});
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.config.node_id, NodeId(2));
  EXPECT_EQ(FormatPeers(parsed.config.peers), "1=a:1,2=b:1");
  EXPECT_EQ(parsed.config.heartbeat_ms, 100);
}

TEST_F(ConfigFile, MaySayHowToJoin) {
  Write("node-id = 4\njoin = 10.0.0.1:7421\n");
  const ParsedCommandLine parsed = Parse({"--config", path_.string()});
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.config.node_id, NodeId(4));
  ASSERT_TRUE(parsed.config.join.has_value());
  // --peers of the file counts against it too.
  Write("node-id = 1\npeers = \"1=a:1\"\n");
  EXPECT_EQ(Parse({"--config", path_.string(), "--join", "b:1"}).exit_status, 2);
}

TEST_F(ConfigFile, LosesAgainstTheEnvironmentWhichLosesAgainstAFlag) {
  Write("heartbeat = 10ms\nretry-after = 10ms\nhello-timeout = 10ms\n");
  ::setenv("LOCKD_HEARTBEAT", "20ms", 1);
  ::setenv("LOCKD_RETRY_AFTER", "20ms", 1);
  const ParsedCommandLine parsed = Parse({"--config", path_.string(), "--heartbeat", "30ms"});
  ::unsetenv("LOCKD_HEARTBEAT");
  ::unsetenv("LOCKD_RETRY_AFTER");
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.config.heartbeat_ms, 30);
  EXPECT_EQ(parsed.config.retry_after_ms, 20);
  EXPECT_EQ(parsed.config.hello_timeout_ms, 10);
}

// It would be done again at every start.
TEST_F(ConfigFile, DoesNotSayToRejoin) {
  Write("node-id = 4\njoin = 10.0.0.1:7421\nrejoin = true\n");
  EXPECT_EQ(Parse({"--config", path_.string()}).exit_status, 2);
}

TEST_F(ConfigFile, UnknownNamesAndBadValuesAreRefused) {
  Write("hartbeat = 10ms\n");
  EXPECT_EQ(Parse({"--config", path_.string()}).exit_status, 2);
  Write("heartbeat = 10\n");
  const ParsedCommandLine parsed = Parse({"--config", path_.string()});
  EXPECT_EQ(parsed.exit_status, 2);
  EXPECT_THAT(parsed.text, HasSubstr("--heartbeat"));
}

}  // namespace
}  // namespace lockd
