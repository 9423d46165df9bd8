// Snapshots under real processes: logs stay short, a follower that was away catches up, and all
// that was held is there after everything was killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cluster.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

uint64_t BytesIn(const std::filesystem::path& directory) {
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    std::error_code gone;  // between the listing and here
    const uint64_t size = std::filesystem::file_size(file.path(), gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

class Snapshots : public ::testing::Test {
 protected:
  static constexpr int kHeld = 150;

  void SetUp() override {
    leader_ = cluster_.StartAllAlike();
    auto session = client_.OpenSession({.ttl = 8 * kPatience, .operation_timeout = kPatience});
    ASSERT_TRUE(session.ok()) << session.status();
    session_.emplace(*std::move(session));
    for (int i = 0; i < kHeld; ++i) {
      held_.push_back(session_->Acquire(LongName("held", i)));
      ASSERT_TRUE(held_.back().granted()) << held_.back().ToStatus();
    }
  }
  // About a KiB, in the log and in a snapshot.
  static std::string LongName(const std::string& prefix, int number) {
    return absl::StrCat(prefix, "-", number, "-", std::string(900, 'x'));
  }
  // About so many KiB of log.
  void Churn(int kib) {
    for (int i = 0; i < kib / 2; ++i) {
      AcquireResult result = session_->Acquire(LongName("churned", i % 7));
      ASSERT_TRUE(result.granted()) << result.ToStatus();
      session_->Release(std::move(result.lock));
    }
  }
  void ExpectHeld() {
    for (int i = 0; i < kHeld; ++i) {
      const auto record = client_.GetLock(LongName("held", i));
      ASSERT_TRUE(record.ok()) << record.status();
      EXPECT_EQ(record->token, held_[static_cast<size_t>(i)].lock.token());
      EXPECT_TRUE(held_[static_cast<size_t>(i)].lock.held());
    }
  }
  NodeStatus Status(size_t node) {
    auto status = client_.GetStatus(cluster_.endpoint(node));
    return status.ok() ? *status : NodeStatus{};
  }

  Cluster cluster_{3, {"--snapshot-log-bytes", "128KiB", "--segment-bytes", "64KiB"}};
  size_t leader_ = 0;
  BlockingClient client_{cluster_.client_options()};
  std::optional<BlockingSession> session_;
  std::vector<AcquireResult> held_;
};

TEST_F(Snapshots, AFollowerThatWasAwayCatchesUpWithOneAndAllRestartFromThem) {
  const size_t follower = (leader_ + 1) % 3;
  EXPECT_EQ(cluster_.Stop(follower), 0);
  const uint64_t last = Status(leader_).last_index;
  while (Status(leader_).first_index <= last + 1) Churn(64);
  cluster_.Start(follower);
  cluster_.WaitUntilAlike();
  EXPECT_EQ(Status(follower).snapshots_received, 1u);
  EXPECT_GT(Status(follower).first_index, last);
  EXPECT_THAT(cluster_.ReadLog(follower), HasSubstr("taken over from the leader"));
  Churn(64);
  cluster_.WaitUntilAlike();
  for (size_t node = 0; node < 3; ++node) {
    ASSERT_TRUE(Eventually([&] { return Status(node).snapshot_index > 0; })) << node;
  }

  for (size_t node = 0; node < 3; ++node) cluster_.process(node).Signal(SIGKILL);
  for (size_t node = 0; node < 3; ++node) cluster_.process(node).Await();
  cluster_.StartAll();
  cluster_.WaitForLeader();
  ExpectHeld();
  cluster_.WaitUntilAlike();
  for (size_t node = 0; node < 3; ++node) {
    EXPECT_GT(Status(node).snapshot_index, 0u);
    EXPECT_THAT(cluster_.ReadLog(node), HasSubstr(" loaded: "));
  }
}

TEST_F(Snapshots, TheDiskHoldsTwoOfThemAndALogThatDoesNotGrow) {
  Churn(4 * 1024);
  for (size_t node = 0; node < 3; ++node) {
    SCOPED_TRACE(node);
    // One that stood still takes fewer.
    ASSERT_TRUE(Eventually([&] {
      Churn(64);
      return Status(node).snapshots_taken >= 15;
    }));
  }
  for (size_t node = 0; node < 3; ++node) {
    SCOPED_TRACE(node);
    // What two snapshots do not cover, twice since each batch is written twice, and the segments
    // that are prepared: a quarter of what went through it.
    EXPECT_TRUE(Eventually([&] {
      return BytesIn(cluster_.data_dir(node) / "wal") < 2u * 1024 * 1024;
    })) << BytesIn(cluster_.data_dir(node) / "wal");
    // Names come and go while they are listed.
    size_t whole = 0;
    EXPECT_TRUE(Eventually([&] {
      whole = 0;
      for (const auto& file :
           std::filesystem::directory_iterator(cluster_.data_dir(node) / "snapshots")) {
        const std::string name = file.path().filename();
        if (name.starts_with("snap-")) ++whole;
        EXPECT_THAT(name, ::testing::AnyOf(StartsWith("snap-"), StartsWith("draft-")));
      }
      return whole == 2 || whole == 3;  // the third one goes when the newest is there
    })) << whole;
  }
}

// Each node in turn is killed, at whatever stage of a snapshot it is, and comes back.
TEST_F(Snapshots, ANodeKilledWhileTheyAreTakenComesBack) {
  for (int round = 0; round < 6; ++round) {
    const size_t node = static_cast<size_t>(round) % 3;
    Churn(150 + 10 * round);
    cluster_.Kill(node);
    Churn(round % 2 == 0 ? 20 : 400);
    cluster_.Start(node);
    cluster_.WaitUntilAlike();
  }
  ExpectHeld();
}

}  // namespace
}  // namespace lockd::e2e
