// lockctl and lockbench against a real node: every exit status, and every key of their JSON.
//
// One single-node cluster serves all tests; each uses lock names of its own.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace lockd::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using Json = nlohmann::json;

// A port of loopback that nobody listens on.
std::string SilentEndpoint() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(fd, generic, size), 0);
  EXPECT_EQ(getsockname(fd, generic, &size), 0);
  close(fd);
  return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

// A lockd process that leads, with a directory of its own, both gone at the end.
class TestNode {
 public:
  TestNode() {
    std::string path = (std::filesystem::temp_directory_path() / "lockd-tools-XXXXXX").string();
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
    process_.emplace(
        Process::Start("lockd", {"--data-dir", path + "/data", "--client-listen", "127.0.0.1:0",
                                 "--peer-listen", "127.0.0.1:0", "--segment-bytes", "1048576"}));
    const std::string line = process_->AwaitError("clients at ");
    const size_t begin = line.find("clients at ") + std::string("clients at ").size();
    endpoint_ = line.substr(begin, line.find(',', begin) - begin);
    // It founds its cluster alone, a moment later.
    process_->AwaitError("serving as leader");
  }
  ~TestNode() {
    process_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;

  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  [[nodiscard]] Words environment() const { return {"LOCKD_ENDPOINTS=" + endpoint_}; }
  [[nodiscard]] const Process& process() const { return *process_; }

 private:
  std::filesystem::path directory_;
  std::optional<Process> process_;
  std::string endpoint_;
};

Words Shell(Words lockctl_words, const std::string& script) {
  lockctl_words.insert(lockctl_words.end(), {"--", "/bin/sh", "-c", script});
  return lockctl_words;
}

class Tools : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { node_ = std::make_unique<TestNode>(); }
  static void TearDownTestSuite() { node_.reset(); }

  static ProcessResult Lockctl(const Words& words) {
    return RunProcess("lockctl", words, {.environment = node_->environment()});
  }
  static Process StartLockctl(const Words& words) {
    return Process::Start("lockctl", words, {.environment = node_->environment()});
  }
  static Json LockctlJson(Words words) {
    words.push_back("--json");
    const ProcessResult result = Lockctl(words);
    EXPECT_EQ(result.exit_status, 0) << result.error;
    return Json::parse(result.output, nullptr, false);
  }
  // A lockctl that holds the lock until it is told to end. Its lease is long: however busy the
  // machine, only tests of danger meet danger.
  static Process Hold(const std::string& name, const std::string& script = "exec sleep 3600",
                      Words options = {}) {
    Words words = {"lock", name, "--ttl", "120s", "--grace", "100s"};
    words.insert(words.end(), options.begin(), options.end());
    Process holder = StartLockctl(Shell(words, "echo $LOCKD_TOKEN; " + script));
    holder.AwaitOutput("");
    return holder;
  }
  static void AwaitWaiters(const std::string& name, int count) {
    const auto until = std::chrono::steady_clock::now() + Process::kPatience;
    while (LockctlJson({"get", name})["waiters"] != count) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << name;
    }
  }

  static std::unique_ptr<TestNode> node_;
};
std::unique_ptr<TestNode> Tools::node_;

// ---- Exit statuses

TEST_F(Tools, LockctlExitStatuses) {
  const std::string silent = SilentEndpoint();
  Process holder = Hold("statuses/held");
  struct Row {
    Words words;
    int exit_status;
  };
  const std::vector<Row> rows = {
      {{"--help"}, 0},
      {{"--version"}, 0},
      {{"lock", "--help"}, 0},
      {{"get", "statuses/never-used"}, 0},
      {{"get", "statuses/held"}, 0},
      {{"list"}, 0},
      {{"sessions"}, 0},
      {{"status"}, 0},
      {{"member", "list"}, 0},
      {{"member", "--help"}, 0},
      {{"snapshot", "take"}, 0},
      // Usage.
      {{}, 2},
      {{"frobnicate"}, 2},
      {{"get"}, 2},
      {{"get", R"(\q)"}, 2},
      {{"status", "--endpoints", "nonsense"}, 2},
      {{"member"}, 2},
      {{"snapshot"}, 2},
      {{"snapshot", "save"}, 2},
      {{"snapshot", "save", "."}, 2},
      {{"snapshot", "save", "no/such/directory/file"}, 2},
      {{"member", "add"}, 2},
      {{"lock", "statuses/a"}, 2},
      {{"lock", "statuses/a", "statuses/b", "--", "true"}, 2},
      {{"lock", "statuses/a", "--ttl", "10ms", "--", "true"}, 2},
      // Nobody there.
      {{"get", "a", "--endpoints", silent, "--timeout", "200ms"}, 3},
      {{"list", "--endpoints", silent, "--timeout", "200ms"}, 3},
      {{"sessions", "--endpoints", silent, "--timeout", "200ms"}, 3},
      {{"status", "--endpoints", silent, "--timeout", "200ms"}, 3},
      {{"member", "list", "--endpoints", silent, "--timeout", "200ms"}, 3},
      {{"snapshot", "take", "--endpoints", silent, "--timeout", "200ms"}, 3},
      {{"snapshot", "save", "never", "--endpoints", silent, "--timeout", "200ms"}, 3},
      {{"member", "remove", "1", "--endpoints", silent, "--timeout", "200ms"}, 3},
      // Not there; refused.
      {{"member", "remove", "9"}, 1},
      {{"member", "remove", "1"}, 4},
      {{"lock", "a", "--endpoints", silent, "--timeout", "200ms", "--", "true"}, 123},
      // What the command says.
      {{"lock", "statuses/a", "--", "true"}, 0},
      {Shell({"lock", "statuses/a"}, "exit 7"), 7},
      {Shell({"lock", "statuses/a"}, "kill -KILL $$"), 128 + SIGKILL},
      {{"lock", "statuses/a", "--", "/etc/passwd"}, 126},
      {{"lock", "statuses/a", "--", "no-such-command-anywhere"}, 127},
      // Not acquired.
      {{"lock", "statuses/held", "--try", "--", "true"}, 124},
      {{"lock", "statuses/held", "--wait", "100ms", "--", "true"}, 124},
      // Lost: the maximum hold is over.
      {Shell({"lock", "statuses/a", "--max-hold", "400ms"}, "exec sleep 3600"), 122},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(::testing::PrintToString(row.words));
    const ProcessResult result = Lockctl(row.words);
    EXPECT_EQ(result.exit_status, row.exit_status) << result.error;
    const bool is_told = row.exit_status == 0 || row.exit_status == 7 ||
                         row.exit_status == 128 + SIGKILL || result.error.starts_with("lockctl: ");
    EXPECT_TRUE(is_told) << "no word of explanation: " << result.error;
  }
  holder.Signal(SIGTERM);
  EXPECT_EQ(holder.Await(), 128 + SIGTERM);
}

TEST_F(Tools, LockbenchExitStatuses) {
  struct Row {
    Words words;
    int exit_status;
  };
  const std::vector<Row> rows = {
      {{"--help"}, 0},
      {{"--version"}, 0},
      {{"--in-flight", "2", "--seconds", "1", "--warmup", "0s"}, 0},
      {{"--in-flight", "0"}, 2},
      {{"--endpoints", SilentEndpoint()}, 3},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(::testing::PrintToString(row.words));
    const ProcessResult result =
        RunProcess("lockbench", row.words, {.environment = node_->environment()});
    EXPECT_EQ(result.exit_status, row.exit_status) << result.error;
  }
}

// ---- lock

TEST_F(Tools, TheCommandSeesLockTokenAndSession) {
  const ProcessResult result = Lockctl(
      Shell({"lock", R"(env/\x01)", "--json"}, "echo \"$LOCKD_LOCK $LOCKD_TOKEN $LOCKD_SESSION\""));
  const Json granted = Json::parse(result.error, nullptr, false);
  ASSERT_TRUE(granted.is_object()) << result.error;
  EXPECT_EQ(result.output, granted["lock_id"].get<std::string>() + " " +
                               granted["token"].get<std::string>() + " " +
                               granted["session_id"].get<std::string>() + "\n");
  EXPECT_EQ(granted["lock_id"], R"(env/\x01)");
}

TEST_F(Tools, TheLockIsFreeWhenTheCommandHasEnded) {
  EXPECT_EQ(Lockctl({"lock", "freed", "--", "true"}).exit_status, 0);
  EXPECT_EQ(LockctlJson({"get", "freed"})["status"], "free");
}

TEST_F(Tools, AWaiterGetsTheLockWithAHigherToken) {
  Process holder = Hold("handed-over");
  const std::string first = LockctlJson({"get", "handed-over"})["token"];
  Process waiter = StartLockctl(Shell({"lock", "handed-over"}, "echo $LOCKD_TOKEN"));
  AwaitWaiters("handed-over", 1);
  holder.Signal(SIGTERM);
  EXPECT_EQ(waiter.Await(), 0) << waiter.error();
  EXPECT_GT(std::stoull(waiter.output()), std::stoull(first));
}

TEST_F(Tools, ASignalWhileWaitingGivesUp) {
  Process holder = Hold("given-up");
  Process waiter = StartLockctl({"lock", "given-up", "--", "true"});
  AwaitWaiters("given-up", 1);
  waiter.Signal(SIGTERM);
  EXPECT_EQ(waiter.Await(), 128 + SIGTERM);
  EXPECT_EQ(LockctlJson({"get", "given-up"})["waiters"], 0);
}

TEST_F(Tools, ASignalIsPassedOnToTheCommandWhichDecides) {
  Process holder = Hold("passed-on", "trap 'exit 9' TERM; echo up; sleep 3600 & wait");
  holder.AwaitOutput("up");
  holder.Signal(SIGTERM);
  EXPECT_EQ(holder.Await(), 9);
}

TEST_F(Tools, KillAfterKillsACommandThatIgnoresTerm) {
  Process holder = Hold("stubborn", "trap '' TERM; echo up; sleep 3600", {"--kill-after", "100ms"});
  holder.AwaitOutput("up");
  holder.Signal(SIGTERM);
  EXPECT_EQ(holder.Await(), 128 + SIGKILL);
}

TEST_F(Tools, TheCommandDiesWithLockctl) {
  Process holder = Hold("orphan", "echo pid $$; exec sleep 3600");
  const std::string line = holder.AwaitOutput("pid ");
  ASSERT_FALSE(line.empty());
  const pid_t command = std::stoi(line.substr(4));
  holder.Signal(SIGKILL);
  EXPECT_EQ(holder.Await(), 128 + SIGKILL);
  EXPECT_TRUE(AwaitEndOf(command));
}

// A child that had the connection would keep it open when lockctl has died.
TEST_F(Tools, TheCommandDoesNotInheritTheConnection) {
  const ProcessResult result = Lockctl(Shell({"lock", "descriptors"}, "ls -l /proc/$$/fd"));
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_THAT(result.output, ::testing::Not(HasSubstr("socket:"))) << result.output;
}

// The node stands still: TERM comes, is ignored, and KILL comes, before the lock can be anybody
// else's.
// L-20
TEST_F(Tools, ACommandIsStoppedWhenItsLockIsInDanger) {
  TestNode node;
  Process holder =
      Process::Start("lockctl",
                     Shell({"lock", "lost", "--ttl", "20s", "--grace", "0s", "--timeout", "1s"},
                           "trap 'echo term' TERM; echo up; while :; do sleep 3600 & wait; done"),
                     {.environment = node.environment()});
  holder.AwaitOutput("up");
  node.process().Signal(SIGSTOP);
  EXPECT_EQ(holder.AwaitOutput("term"), "term");
  EXPECT_EQ(holder.Await(), 122);
  EXPECT_THAT(holder.error(), HasSubstr("lost"));
  node.process().Signal(SIGCONT);
}

// ---- JSON

std::vector<std::string> Keys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

const std::vector<std::string>& LockKeys() {
  static const std::vector<std::string> keys = {
      "lock_id", "owner_id", "timestamp",  "expiration_time", "status",
      "token",   "mode",     "session_id", "waiters",         "applied_index"};
  return keys;
}

TEST_F(Tools, GetShowsAHeldLock) {
  Process holder = Hold("json/held", "exec sleep 3600", {"--owner", "me"});
  const std::string token = holder.AwaitOutput("");
  const Json lock = LockctlJson({"get", "json/held"});
  EXPECT_THAT(Keys(lock), IsSupersetOf(LockKeys()));
  EXPECT_EQ(lock["lock_id"], "json/held");
  EXPECT_EQ(lock["owner_id"], "me");
  EXPECT_EQ(lock["status"], "held");
  EXPECT_EQ(lock["token"], token);
  EXPECT_EQ(lock["mode"], "exclusive");
  EXPECT_TRUE(lock["session_id"].is_string());
  EXPECT_EQ(lock["waiters"], 0);
  EXPECT_GT(lock["expiration_time"].get<int64_t>(), lock["timestamp"].get<int64_t>());
}

TEST_F(Tools, GetShowsAFreeLockWithNulls) {
  const Json lock = LockctlJson({"get", "json/never-used"});
  EXPECT_THAT(Keys(lock), IsSupersetOf(LockKeys()));
  EXPECT_EQ(lock["status"], "free");
  for (const char* key :
       {"owner_id", "timestamp", "expiration_time", "token", "mode", "session_id"}) {
    EXPECT_TRUE(lock[key].is_null()) << key;
  }
}

TEST_F(Tools, ListShowsHeldLocksWithThePrefix) {
  EXPECT_EQ(LockctlJson({"list", "json/list/"}), Json::array());
  Process a = Hold("json/list/a");
  Process b = Hold(R"(json/list/\xff)");
  const Json locks = LockctlJson({"list", "json/list/"});
  ASSERT_EQ(locks.size(), 2u);
  EXPECT_THAT(Keys(locks[0]), IsSupersetOf(LockKeys()));
  EXPECT_EQ(locks[0]["lock_id"], "json/list/a");
  EXPECT_EQ(locks[1]["lock_id"], R"(json/list/\xff)");
  EXPECT_EQ(LockctlJson({"list", "json/list/a"}).size(), 1u);
}

TEST_F(Tools, SessionsShowsWhatTheyHold) {
  Process holder = Hold("json/session");
  const Json lock = LockctlJson({"get", "json/session"});
  for (const Json& session : LockctlJson({"sessions"})) {
    if (session["session_id"] != lock["session_id"]) continue;
    EXPECT_THAT(Keys(session), IsSupersetOf({"session_id", "owner_id", "ttl_ms", "grace_ms",
                                             "remaining_ms", "holds", "waiters"}));
    EXPECT_EQ(session["ttl_ms"], 120'000);
    EXPECT_EQ(session["grace_ms"], 100'000);
    EXPECT_EQ(session["holds"], 1);
    return;
  }
  FAIL() << "the session is not listed";
}

TEST_F(Tools, StatusShowsNodesAndThoseThatDoNotAnswer) {
  const std::string silent = SilentEndpoint();
  const Json nodes = LockctlJson({"status", "--endpoints", node_->endpoint() + "," + silent});
  ASSERT_EQ(nodes.size(), 2u) << nodes.dump();
  EXPECT_THAT(Keys(nodes[0]),
              IsSupersetOf({"node_id", "role", "term", "leader_id", "commit_index", "applied_index",
                            "digest", "longest_turn_cpu_us", "longest_turn_wall_us", "rss_bytes",
                            "sessions", "locks", "waiters", "version", "client_address"}));
  EXPECT_EQ(nodes[0]["node_id"], "1");
  EXPECT_EQ(nodes[0]["role"], "leader");
  EXPECT_EQ(nodes[0]["leader_id"], "1");
  EXPECT_EQ(nodes[1]["client_address"], silent);
  EXPECT_TRUE(nodes[1].contains("error"));
}

TEST_F(Tools, MembersShowTheirKeys) {
  const Json members = LockctlJson({"member", "list"});
  ASSERT_EQ(members.size(), 1u) << members.dump();
  EXPECT_THAT(Keys(members[0]),
              IsSupersetOf({"node_id", "role", "peer_address", "client_address", "seen", "leads"}));
  EXPECT_EQ(members[0]["node_id"], "1");
  EXPECT_EQ(members[0]["role"], "voter");
  EXPECT_EQ(members[0]["leads"], true);
  const Json promoted = LockctlJson({"member", "promote", "1"});
  EXPECT_THAT(Keys(promoted),
              IsSupersetOf({"result", "node_id", "cluster_name", "members", "start"}));
  EXPECT_EQ(promoted["result"], "done");
}

TEST_F(Tools, LockbenchReportsBothWorkloads) {
  for (const std::string workload : {"uncontended", "contended"}) {
    const ProcessResult result =
        RunProcess("lockbench",
                   {"--workload", workload, "--connections", "2", "--in-flight", "4", "--seconds",
                    "3", "--warmup", "100ms", "--json"},
                   {.environment = node_->environment()});
    ASSERT_EQ(result.exit_status, 0) << result.error;
    const Json report = Json::parse(result.output, nullptr, false);
    ASSERT_TRUE(report.is_object()) << result.output;
    EXPECT_THAT(Keys(report),
                IsSupersetOf({"target", "workload", "connections", "in_flight", "keys", "seconds",
                              "cycles_per_s", "errors", "acquire_us", "release_us",
                              "server_cpu_s_per_1000", "server_rss_bytes"}));
    EXPECT_EQ(report["target"], "lockd");
    EXPECT_EQ(report["workload"], workload);
    EXPECT_EQ(report["connections"], 2);
    EXPECT_EQ(report["in_flight"], 4);
    EXPECT_EQ(report["seconds"], 3);
    EXPECT_GT(report["cycles_per_s"], 0);
    EXPECT_EQ(report["errors"], 0);
    for (const char* step : {"acquire_us", "release_us"}) {
      EXPECT_LE(report[step]["p50"], report[step]["p999"]);
      EXPECT_LE(report[step]["p999"], report[step]["max"]);
    }
    EXPECT_GT(report["server_cpu_s_per_1000"], 0);
    EXPECT_GT(report["server_rss_bytes"], 0);
    EXPECT_THAT(result.error, HasSubstr("cycles/s")) << "no progress line";
  }
}

TEST_F(Tools, LockbenchHoldsLocksAndReportsASnapshotByItself) {
  const ProcessResult result = RunProcess("lockbench",
                                          {"--held", "3000", "--snapshot", "--seconds", "3",
                                           "--warmup", "0s", "--in-flight", "4", "--json"},
                                          {.environment = node_->environment()});
  ASSERT_EQ(result.exit_status, 0) << result.error;
  const Json report = Json::parse(result.output, nullptr, false);
  ASSERT_TRUE(report.is_object()) << result.output;
  EXPECT_EQ(report["held"], 3'000);
  EXPECT_EQ(report["errors"], 0);
  ASSERT_TRUE(report["snapshot"].is_object()) << result.error;
  EXPECT_GT(report["snapshot"]["content_bytes"], 3'000 * 20);
  EXPECT_GT(report["snapshot"]["elapsed_s"], 0);
  EXPECT_TRUE(report["snapshot"]["acquire_us"].contains("p99"));
  EXPECT_GT(report["server_longest_turn_wall_us"], 0);
  // Their session is closed at the end; an entry frees so many of them.
  Json status = LockctlJson({"status"});
  EXPECT_GE(status[0]["snapshots_taken"], 1);
  const auto deadline = std::chrono::steady_clock::now() + Process::kPatience;
  while (status[0]["locks"] != 0 && std::chrono::steady_clock::now() < deadline) {
    status = LockctlJson({"status"});
  }
  EXPECT_EQ(status[0]["locks"], 0);
}

TEST_F(Tools, LockbenchSaysThatASnapshotWasCutOff) {
  Process bench =
      Process::Start("lockbench", {"--snapshot", "--seconds", "3600", "--warmup", "0s", "--json"},
                     {.environment = node_->environment()});
  bench.AwaitError("cycles/s");
  bench.Signal(SIGINT);
  EXPECT_EQ(bench.Await(), 0);
  EXPECT_THAT(bench.error(), HasSubstr("no snapshot"));
  const Json report = Json::parse(bench.output(), nullptr, false);
  ASSERT_TRUE(report.is_object()) << bench.output();
  EXPECT_TRUE(report["snapshot"].is_null());
}

TEST_F(Tools, LockbenchPrintsWhatItHasWhenInterrupted) {
  Process bench = Process::Start("lockbench", {"--seconds", "3600", "--warmup", "0s", "--json"},
                                 {.environment = node_->environment()});
  bench.AwaitError("cycles/s");
  bench.Signal(SIGINT);
  EXPECT_EQ(bench.Await(), 0);
  const Json report = Json::parse(bench.output(), nullptr, false);
  ASSERT_TRUE(report.is_object()) << bench.output();
  EXPECT_GT(report["cycles_per_s"], 0);
}

}  // namespace
}  // namespace lockd::testing
