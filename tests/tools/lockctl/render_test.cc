// What lockctl prints. The keys are a promise to scripts: none may go.
#include "tools/lockctl/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lockd::lockctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

std::vector<std::string> Keys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

LockRecord HeldLock() {
  LockRecord lock;
  lock.lock_id = "a\n\xff";
  lock.held = true;
  lock.owner_id = "host:1\xfe";
  lock.timestamp = 1'700'000'000'123;
  lock.expiration_time = 1'700'000'010'123;
  lock.token = FencingToken(9'007'199'254'740'993);  // not exact as a double
  lock.session_id = SessionId(17);
  lock.waiters = 3;
  lock.applied_index = 12;
  return lock;
}

TEST(LockctlRender, AHeldLockShowsAllFieldsWithIdsAsStrings) {
  EXPECT_EQ(ToJson(HeldLock()).dump(),
            R"({"lock_id":"a\\x0a\\xff","owner_id":"host:1\\xfe","timestamp":1700000000123,)"
            R"("expiration_time":1700000010123,"status":"held","token":"9007199254740993",)"
            R"("mode":"exclusive","session_id":"17","waiters":3,"applied_index":12})");
}

TEST(LockctlRender, AStaleAnswerShowsItsAge) {
  LockRecord lock = HeldLock();
  lock.age = {.is_stale = true, .ms = 1'250};
  EXPECT_EQ(ToJson(lock)["age_ms"], 1'250);
  EXPECT_THAT(ToText(lock),
              HasSubstr("stale     entry 12, 1250ms after the leader was last heard"));
  EXPECT_THAT(ToText(std::vector{lock}), HasSubstr("stale: entry 12, 1250ms after"));
  SessionRecord session;
  session.applied_index = 9;
  session.age = {.is_stale = true, .ms = std::nullopt};
  EXPECT_TRUE(ToJson(session)["age_ms"].is_null());
  EXPECT_EQ(ToJson(session)["applied_index"], 9);
  EXPECT_THAT(ToText(std::vector{session}),
              HasSubstr("stale: entry 9, the leader has not been heard yet"));
}

TEST(LockctlRender, ANodeShowsTheSpaceOfItsDisk) {
  NodeStatus status;
  status.disk_free_bytes = 99u << 20;
  status.disk_is_low = true;
  const cli::NodeReport report{"127.0.0.1:7430", NodeId(2), status};
  EXPECT_EQ(ToJson(report)["disk_free_bytes"], 99u << 20);
  EXPECT_EQ(ToJson(report)["disk_is_low"], true);
  EXPECT_THAT(ToText(std::vector{report}), HasSubstr("99 MiB, LOW"));
}

TEST(LockctlRender, ATransferShowsItsResultAndWhoLeads) {
  EXPECT_EQ(ToJson(TransferRecord{TransferStatus::kTransferred, NodeId(2)}).dump(),
            R"({"result":"transferred","leader_id":"2"})");
  EXPECT_EQ(ToJson(TransferRecord{TransferStatus::kTimedOut, NodeId(0)}).dump(),
            R"({"result":"timed_out","leader_id":null})");
  EXPECT_EQ(ToText(TransferRecord{TransferStatus::kTransferred, NodeId(2)}), "node 2 leads\n");
  EXPECT_THAT(Explanation(TransferStatus::kTimedOut), HasSubstr("too far behind"));
}

TEST(LockctlRender, ANodeShowsItsSnapshots) {
  NodeStatus status;
  status.snapshot_index = 4'711;
  status.snapshots_taken = 3;
  status.snapshots_received = 1;
  const cli::NodeReport report{"127.0.0.1:7430", NodeId(2), status};
  EXPECT_EQ(ToJson(report)["snapshot_index"], 4'711);
  EXPECT_EQ(ToJson(report)["snapshots_taken"], 3);
  EXPECT_EQ(ToJson(report)["snapshots_received"], 1);
  EXPECT_THAT(ToText(std::vector{report}), HasSubstr(" 4711 "));
}

TEST(LockctlRender, ANodeShowsThatStatesDiffer) {
  NodeStatus status;
  const cli::NodeReport quiet{"127.0.0.1:7430", NodeId(2), status};
  EXPECT_THAT(ToText(std::vector{quiet}), Not(HasSubstr("DIFFER")));
  status.digest_alarms = 3;
  const cli::NodeReport report{"127.0.0.1:7430", NodeId(2), status};
  EXPECT_EQ(ToJson(report)["digest_alarms"], 3);
  EXPECT_THAT(ToText(std::vector{report}), HasSubstr("node 2 found 3 times that the states"));
}

TEST(LockctlRender, AFreeLockHasTheSameKeysAndNulls) {
  LockRecord lock;
  lock.lock_id = "free";
  lock.applied_index = 7;
  EXPECT_EQ(ToJson(lock).dump(),
            R"({"lock_id":"free","owner_id":null,"timestamp":null,"expiration_time":null,)"
            R"("status":"free","token":null,"mode":null,"session_id":null,"waiters":0,)"
            R"("applied_index":7})");
}

TEST(LockctlRender, NothingToListIsAnEmptyArray) {
  EXPECT_EQ(ToJson(std::vector<LockRecord>{}).dump(), "[]");
  EXPECT_EQ(ToJson(std::vector<SessionRecord>{}).dump(), "[]");
}

TEST(LockctlRender, ASessionShowsItsKeys) {
  SessionRecord session;
  session.session_id = SessionId(5);
  const Json json = ToJson(std::vector{session});
  ASSERT_EQ(json.size(), 1u);
  EXPECT_THAT(Keys(json[0]), ElementsAre("session_id", "owner_id", "ttl_ms", "grace_ms",
                                         "remaining_ms", "holds", "waiters", "epoch"));
  EXPECT_EQ(json[0]["session_id"], "5");
}

TEST(LockctlRender, ANodeShowsItsKeysAndIdsAsStrings) {
  NodeStatus status;
  status.node_id = NodeId(2);
  status.role = "follower";
  status.leader_id = NodeId(1);
  status.client_address = "127.0.0.1:7430";
  const Json json = ToJson(cli::NodeReport{"127.0.0.1:7430", NodeId(2), status});
  EXPECT_THAT(Keys(json),
              ::testing::IsSupersetOf({"node_id", "role", "term", "leader_id", "commit_index",
                                       "applied_index", "digest", "longest_turn_cpu_us",
                                       "longest_turn_wall_us", "rss_bytes", "sessions", "locks",
                                       "waiters", "version", "client_address"}));
  EXPECT_EQ(json["node_id"], "2");
  EXPECT_EQ(json["leader_id"], "1");
}

TEST(LockctlRender, ANodeWithoutALeaderSaysNull) {
  const Json json = ToJson(cli::NodeReport{"a:1", NodeId(2), NodeStatus{}});
  EXPECT_TRUE(json["leader_id"].is_null());
}

TEST(LockctlRender, AnUnreachableNodeShowsItsAddressAndTheError) {
  const Json json = ToJson(
      cli::NodeReport{"127.0.0.1:7440", NodeId(0), absl::UnavailableError("connection refused")});
  EXPECT_EQ(json["client_address"], "127.0.0.1:7440");
  EXPECT_EQ(json["error"], "connection refused");
  EXPECT_TRUE(json["node_id"].is_null());
}

// N-08
TEST(LockctlRender, TextShowsTheTokenAndNoRawBytes) {
  const std::string text = ToText(HeldLock());
  EXPECT_THAT(text, HasSubstr("9007199254740993"));
  EXPECT_THAT(text, HasSubstr(R"(a\x0a\xff)"));
  EXPECT_THAT(text, HasSubstr("2023-11-14T22:13:20.123Z"));
}

TEST(LockctlRender, TableColumnsAreAsWideAsTheirWidestCell) {
  LockRecord longer = HeldLock();
  longer.lock_id = "a-rather-long-name";
  longer.owner_id = "x";
  LockRecord shorter = longer;
  shorter.lock_id = "b";
  const std::string text = ToText(std::vector{longer, shorter});
  const size_t second = text.find("\nb ");
  ASSERT_NE(second, std::string::npos);
  // The tokens stand below each other.
  const size_t first = text.find("\na-rather");
  EXPECT_EQ(text.find("9007199254740993", first) - first,
            text.find("9007199254740993", second) - second);
}

TEST(LockctlRender, ANodeThatDoesNotAnswerDoesNotWidenTheColumns) {
  const std::string text =
      ToText(std::vector{cli::NodeReport{"a:1", NodeId(1), NodeStatus{}},
                         cli::NodeReport{"b:1", NodeId(2), absl::UnavailableError("refused")}});
  EXPECT_THAT(text, HasSubstr("2     b:1      no answer: refused\n"));
  EXPECT_THAT(text, HasSubstr("ROLE  LEADER"));
}

}  // namespace
}  // namespace lockd::lockctl
