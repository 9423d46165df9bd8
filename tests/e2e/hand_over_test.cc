// Leadership moves while clients work: planned restarts, an operator's wish, the death of a leader.
//
// The gaps are printed; what is asserted leaves room for a busy machine. To measure on a quiet one:
//
//   LOCKD_E2E_ROUNDS=20 build/release/bin/hand_over_test
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/load.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr milliseconds kGapMax{2'000};

int Rounds(int otherwise) {
  const char* const text = std::getenv("LOCKD_E2E_ROUNDS");
  return text == nullptr ? otherwise : std::atoi(text);
}

milliseconds Median(std::vector<milliseconds> gaps) {
  std::sort(gaps.begin(), gaps.end());
  return gaps[gaps.size() / 2];
}

void Report(const std::string& what, const std::vector<milliseconds>& gaps) {
  std::cout << "[ measured ] " << what << ": without a grant for " << Median(gaps).count()
            << " ms (median of " << gaps.size() << "), "
            << std::max_element(gaps.begin(), gaps.end())->count() << " ms (longest)\n";
}

// As an operator waits before the next restart: the node is back, and has what was committed.
void AwaitBack(const Cluster& cluster, size_t node) {
  BlockingClient client(cluster.client_options());
  uint64_t committed = 0;
  for (size_t each = 0; each < cluster.size(); ++each) {
    const auto status = client.GetStatus(cluster.endpoint(each));
    if (status.ok()) committed = std::max(committed, status->commit_index);
  }
  EXPECT_TRUE(Eventually([&] {
    const auto status = client.GetStatus(cluster.endpoint(node));
    return status.ok() && status->applied_index >= committed;
  })) << "node "
      << node + 1;
}

testing::ProcessResult Transfer(const Cluster& cluster, const testing::Words& words) {
  testing::Words all = {"transfer-leadership", "--json",           "--timeout", "30s",
                        "--endpoints",         cluster.endpoints()};
  all.insert(all.end(), words.begin(), words.end());
  return testing::RunProcess("lockctl", all);
}

TEST(HandOver, PlannedRestartsOfEveryNodeFailNoRequest) {
  Cluster cluster(3);
  cluster.StartAll();
  cluster.WaitForLeader();
  Load load(cluster, 6, 3);
  ASSERT_TRUE(load.Goes(50));
  std::vector<milliseconds> of_leaders;
  int handed_over = 0;
  for (int round = 0; round < Rounds(3); ++round) {
    const size_t leader = cluster.WaitForLeader();
    ASSERT_TRUE(load.Goes(50));
    (void)load.TakeLongestGap();
    EXPECT_EQ(cluster.Stop(leader), 0);
    EXPECT_NE(cluster.WaitForLeader(), leader);
    ASSERT_TRUE(load.Goes(50)) << "no progress after the leader was stopped";
    of_leaders.push_back(load.TakeLongestGap());
    // Rarely it led no more when the signal came.
    handed_over +=
        cluster.ReadLog(leader).find("handing leadership over to node") != std::string::npos;
    cluster.Start(leader);
    AwaitBack(cluster, leader);
  }
  for (size_t node = 0; node < cluster.size(); ++node) {
    ASSERT_TRUE(load.Goes(50));
    EXPECT_EQ(cluster.Stop(node), 0);
    cluster.Start(node);
    AwaitBack(cluster, node);
  }
  load.Stop();
  EXPECT_EQ(load.failures(), 0u);
  EXPECT_GT(handed_over, 0);
  Report("planned restart of the leader", of_leaders);
  EXPECT_LT(Median(of_leaders), kGapMax);
  cluster.WaitUntilAlike();
}

TEST(HandOver, AnOperatorMovesTheLeadershipAndNoHoldEnds) {
  Cluster cluster(3, SteadyElections());
  const size_t leader = cluster.StartAllAlike();
  const size_t target = (leader + 1) % cluster.size();
  BlockingClient client(cluster.client_options());
  const auto session = client.OpenSession({.ttl = 2 * kPatience});
  ASSERT_TRUE(session.ok()) << session.status();
  AcquireResult held = session->Acquire("kept");
  ASSERT_TRUE(held.granted()) << held.ToStatus();

  const testing::ProcessResult moved = Transfer(cluster, {"--to", absl::StrCat(target + 1)});
  EXPECT_EQ(moved.exit_status, 0) << moved.error;
  const Json answer = Json::parse(moved.output);
  EXPECT_EQ(answer["result"], "transferred");
  EXPECT_EQ(answer["leader_id"], absl::StrCat(target + 1));
  EXPECT_EQ(cluster.WaitForLeader(), target);
  EXPECT_TRUE(held.lock.held());
  const auto record = client.GetLock("kept");
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->token, held.lock.token());
  EXPECT_EQ(session->Release(std::move(held.lock)), ReleaseStatus::kReleased);

  // To anybody; to nobody that there is.
  EXPECT_EQ(Transfer(cluster, {}).exit_status, 0);
  EXPECT_NE(cluster.WaitForLeader(), target);
  const testing::ProcessResult nobody = Transfer(cluster, {"--to", "9"});
  EXPECT_EQ(nobody.exit_status, 1);
  EXPECT_EQ(Json::parse(nobody.output)["result"], "no_such_member");
  EXPECT_THAT(nobody.error, HasSubstr("no such node"));
}

TEST(HandOver, ToANodeThatIsDownIsRefusedAndTheLeaderGoesOn) {
  Cluster cluster(3, SteadyElections());
  const size_t leader = cluster.StartAllAlike();
  const size_t down = (leader + 1) % cluster.size();
  cluster.Kill(down);
  Load load(cluster, 2, 1);
  ASSERT_TRUE(load.Goes(20));
  const testing::ProcessResult refused = Transfer(cluster, {"--to", absl::StrCat(down + 1)});
  EXPECT_EQ(refused.exit_status, 4) << refused.output;
  EXPECT_EQ(Json::parse(refused.output)["result"], "timed_out");
  EXPECT_EQ(Json::parse(refused.output)["leader_id"], absl::StrCat(leader + 1));
  ASSERT_TRUE(load.Goes(20));
  load.Stop();
  EXPECT_EQ(load.failures(), 0u);
}

TEST(HandOver, TheDeathOfALeaderIsNoticedAtOnce) {
  Cluster cluster(3);
  cluster.StartAll();
  Load load(cluster, 6, 3);
  std::vector<milliseconds> gaps;
  for (int kill = 0; kill < Rounds(5); ++kill) {
    const size_t leader = cluster.WaitForLeader();
    for (size_t node = 0; node < cluster.size(); ++node) AwaitBack(cluster, node);
    ASSERT_TRUE(load.Goes(50));
    (void)load.TakeLongestGap();
    cluster.Kill(leader);
    ASSERT_TRUE(load.Goes(50)) << "no progress after kill " << kill;
    gaps.push_back(load.TakeLongestGap());
    cluster.Start(leader);
  }
  load.Stop();
  EXPECT_EQ(load.failures(), 0u);
  Report("kill -9 of the leader", gaps);
  EXPECT_LT(Median(gaps), kGapMax);
}

}  // namespace
}  // namespace lockd::e2e
