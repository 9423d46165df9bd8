// A cluster that is lost begins anew from a backup, more than once, and what it grants then is
// above all that was granted before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/blocking_client.h"
#include "tests/e2e/cluster.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr milliseconds kTtl{10'000};

// A cluster of three from its first start to its end.
class Era {
 public:
  Era() = default;
  // Each node's directory is made from this backup.
  explicit Era(const std::string& backup) {
    for (size_t node = 0; node < cluster_.size(); ++node) {
      testing::Words words = {"restore", backup};
      const std::vector<std::string> flags = cluster_.Flags(node);
      words.insert(words.end(), flags.begin(), flags.end());
      const testing::ProcessResult restored = testing::RunProcess("lockd", words);
      EXPECT_EQ(restored.exit_status, 0) << restored.error;
      EXPECT_THAT(restored.output, HasSubstr("Restore the same file"));
    }
  }

  void Start() {
    start_ = Clock::now();
    cluster_.StartAll();
    cluster_.WaitForLeader();
    client_.emplace(cluster_.client_options());
    auto session = client_->OpenSession({.ttl = kTtl, .operation_timeout = kPatience});
    ASSERT_TRUE(session.ok()) << session.status();
    session_.emplace(*std::move(session));
  }
  void End() {
    for (size_t node = 0; node < cluster_.size(); ++node) cluster_.Kill(node);
    session_.reset();  // too late to say goodbye
    client_.reset();
  }

  // Since its start, by a clock that cannot be behind the cluster's.
  [[nodiscard]] Clock::duration age() const { return Clock::now() - start_; }

  [[nodiscard]] Cluster& cluster() { return cluster_; }
  [[nodiscard]] BlockingSession& session() { return *session_; }

  // Grants and releases some locks, each with a token above all before; the last of them.
  FencingToken Grant(FencingToken floor) {
    for (int i = 0; i < 5; ++i) {
      const AcquireResult result = session_->Acquire(absl::StrCat("free-", i));
      EXPECT_TRUE(result.granted()) << result.ToStatus();
      EXPECT_GT(result.lock.token(), floor);
      floor = std::max(floor, result.lock.token());
    }
    return floor;
  }
  std::string Save(const std::string& path) {
    const testing::ProcessResult saved = testing::RunProcess(
        "lockctl", {"snapshot", "save", path, "--json", "--endpoints", cluster_.endpoints()});
    EXPECT_EQ(saved.exit_status, 0) << saved.error;
    return Json::parse(saved.output, nullptr, false).value("cluster_id", "");
  }

 private:
  Cluster cluster_{3};
  std::optional<BlockingClient> client_;
  std::optional<BlockingSession> session_;
  Clock::time_point start_;
};

// P1 across a restore, and across a second one of the same backup (catalogue L-42).
TEST(RestoreCluster, TwiceFromOneBackupTokensGoOnAboveAll) {
  const TempDirectory directory;
  const std::string backup = directory.path() / "monday";

  Era first;
  first.Start();
  FencingToken last = first.Grant(FencingToken(0));
  const AcquireResult held = first.session().Acquire("held");
  ASSERT_TRUE(held.granted()) << held.ToStatus();
  const std::string first_cluster = first.Save(backup);
  last = first.Grant(held.lock.token());
  first.End();

  std::vector<std::string> clusters = {first_cluster};
  for (int time = 1; time <= 2; ++time) {
    SCOPED_TRACE(time);
    Era next(backup);
    next.Start();
    last = next.Grant(last);
    // Its owner may not know yet: it stays held for a whole TTL from the new cluster's beginning.
    const AcquireResult held_before = next.session().Acquire("held");
    ASSERT_TRUE(held_before.granted()) << held_before.ToStatus();
    EXPECT_GE(next.age(), kTtl);
    EXPECT_GT(held_before.lock.token(), last);
    last = held_before.lock.token();
    next.cluster().WaitUntilAlike();

    // What was granted since is in the next backup, and in no older one.
    const std::string cluster = next.Save(directory.path() / absl::StrCat("restored-", time));
    EXPECT_EQ(std::count(clusters.begin(), clusters.end(), cluster), 0) << cluster;
    clusters.push_back(cluster);
    next.End();
  }
}

TEST(RestoreCluster, RunsOnLikeAnyOther) {
  const TempDirectory directory;
  const std::string backup = directory.path() / "monday";
  Era first;
  first.Start();
  FencingToken last = first.Grant(FencingToken(0));
  first.Save(backup);
  first.End();

  Era next(backup);
  next.Start();
  last = next.Grant(last);
  for (size_t node = 0; node < 3; ++node) {
    next.cluster().Kill(node);
    next.cluster().Start(node);
    next.cluster().WaitForLeader();
    last = next.Grant(last);
  }
  next.cluster().WaitUntilAlike();
}

// Forced recovery: two of three nodes are lost.
TEST(RestoreCluster, WhatOneNodeHasBecomesANewCluster) {
  const TempDirectory directory;
  const std::string backup = directory.path() / "saved";
  Era first;
  first.Start();
  FencingToken last = first.Grant(FencingToken(0));
  const AcquireResult held = first.session().Acquire("held");
  ASSERT_TRUE(held.granted()) << held.ToStatus();
  first.cluster().WaitUntilAlike();
  const std::string survivor = first.cluster().data_dir(2);
  const testing::Words salvage = {"salvage", survivor, backup, "--accept-lost-grants"};
  EXPECT_EQ(testing::RunProcess("lockd", salvage).exit_status, 10);  // it runs
  first.End();
  EXPECT_EQ(testing::RunProcess("lockd", {"salvage", survivor, backup}).exit_status, 2);
  const testing::ProcessResult saved = testing::RunProcess("lockd", salvage);
  ASSERT_EQ(saved.exit_status, 0) << saved.error;
  EXPECT_THAT(saved.output, HasSubstr("1 held locks"));

  Era next(backup);
  next.Start();
  last = next.Grant(std::max(last, held.lock.token()));
  const AcquireResult held_before = next.session().Acquire("held");
  ASSERT_TRUE(held_before.granted()) << held_before.ToStatus();
  EXPECT_GE(next.age(), kTtl);
  EXPECT_GT(held_before.lock.token(), last);
  EXPECT_EQ(testing::RunProcess("lockd", salvage).exit_status, 12);  // the file is there
}

TEST(RestoreCluster, IsRefusedWhereSomethingIs) {
  const TempDirectory directory;
  Era first;
  first.Start();
  const std::string backup = directory.path() / "monday";
  first.Save(backup);
  first.End();
  const testing::ProcessResult refused = testing::RunProcess(
      "lockd", {"restore", backup, "--data-dir", first.cluster().data_dir(0).string()});
  EXPECT_EQ(refused.exit_status, 12);
  EXPECT_THAT(refused.error, HasSubstr("is not empty"));
  const testing::ProcessResult missing = testing::RunProcess(
      "lockd", {"restore", backup + "-x", "--data-dir", (directory.path() / "new").string()});
  EXPECT_EQ(missing.exit_status, 12);
  EXPECT_THAT(missing.error, HasSubstr("there is no such file"));
  EXPECT_EQ(testing::RunProcess("lockd", {"restore"}).exit_status, 2);
}

}  // namespace
}  // namespace lockd::e2e
