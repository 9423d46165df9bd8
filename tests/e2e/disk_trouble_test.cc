// Trouble with the disk under real processes: what ends one, what does not, and that no lock is
// lost by it.
#include "tests/e2e/disk_trouble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <filesystem>
#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/raw_connection.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;

constexpr int kExitWriteFailed = 15;

class DiskTroubleTest : public ::testing::Test {
 protected:
  // All nodes run, on disks that are well so far.
  void StartNodes(size_t nodes, const std::vector<std::string>& flags = {}) {
    cluster_.emplace(nodes, flags);
    for (size_t node = 0; node < nodes; ++node) {
      disks_.emplace_back(cluster_->data_dir(node));
      cluster_->set_environment(node, disks_[node].environment());
    }
    leader_ = cluster_->StartAllAlike();
    client_.emplace(cluster_->client_options());
    auto session = client_->OpenSession();
    ASSERT_TRUE(session.ok()) << session.status();
    session_.emplace(*std::move(session));
  }
  size_t Follower() const { return (leader_ + 1) % cluster_->size(); }

  // One node's disk fails while a lock is held. Its process says why and ends; the others go on and
  // the lock stays; and on a disk that is well again the node comes back.
  void EndsAloneAndComesBack(size_t node, const std::string& trouble, int error,
                             const std::string& call, const std::string& reason) {
    const AcquireResult held = session_->Acquire("held");
    ASSERT_TRUE(held.granted()) << held.ToStatus();
    disks_[node].Begin(trouble, static_cast<uint64_t>(error));
    ASSERT_TRUE(session_->Acquire("another").granted());
    EXPECT_EQ(cluster_->process(node).Await(), kExitWriteFailed);
    const std::string segment = (cluster_->data_dir(node) / "wal" / "wal-").string();
    EXPECT_THAT(cluster_->ReadLog(node), HasSubstr(absl::StrCat(call, " ", segment)));
    EXPECT_THAT(cluster_->ReadLog(node), HasSubstr(reason));

    ASSERT_TRUE(session_->Acquire("afterwards").granted());
    EXPECT_TRUE(held.lock.held());
    const auto record = client_->GetLock("held");
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(record->token, held.lock.token());
    disks_[node].End();
    cluster_->Start(node);
    cluster_->WaitUntilAlike();
  }
  NodeStatus Status(size_t node) {
    auto status = client_->GetStatus(cluster_->endpoint(node));
    return status.ok() ? *status : NodeStatus{};
  }

  std::optional<Cluster> cluster_;
  std::deque<DiskTrouble> disks_;
  size_t leader_ = 0;
  std::optional<BlockingClient> client_;
  std::optional<BlockingSession> session_;
};

TEST_F(DiskTroubleTest, AFailedSyncEndsTheLeaderAndNoLockIsLost) {
  StartNodes(3);
  EndsAloneAndComesBack(leader_, "sync-error", EIO, "fdatasync", "Input/output error");
}

TEST_F(DiskTroubleTest, AFailedSyncEndsAFollowerAndTheOthersGoOn) {
  StartNodes(3);
  EndsAloneAndComesBack(Follower(), "sync-error", EIO, "fdatasync", "Input/output error");
}

TEST_F(DiskTroubleTest, AFailedWriteEndsTheLeaderAndNoLockIsLost) {
  StartNodes(3);
  EndsAloneAndComesBack(leader_, "write-error", EIO, "write", "Input/output error");
}

TEST_F(DiskTroubleTest, AFullDiskEndsAFollowerAndTheOthersGoOn) {
  StartNodes(3);
  EndsAloneAndComesBack(Follower(), "write-error", ENOSPC, "write", "No space left on device");
}

// The directory is locked, and its log is being made at a disk that takes its time.
TEST_F(DiskTroubleTest, ASignalThatComesBeforeTheStartIsDoneIsAnOrderlyStop) {
  cluster_.emplace(1);
  disks_.emplace_back(cluster_->data_dir(0));
  cluster_->set_environment(0, disks_[0].environment());
  disks_[0].Begin("sync-delay-ms", 200);
  cluster_->Start(0);
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(cluster_->data_dir(0) / "lock"); }));
  EXPECT_EQ(cluster_->Stop(0), 0) << cluster_->ReadLog(0);
  EXPECT_THAT(cluster_->ReadLog(0), HasSubstr("stopping on signal 15"));
}

// No file can be made longer any more: the log goes on in the segments that were prepared, ends the
// process when they are used up, and has lost nothing that was answered.
TEST_F(DiskTroubleTest, ALogThatCannotGrowUsesWhatItHasPreparedAndThenEndsTheProcess) {
  StartNodes(1, {"--segment-bytes", "64KiB"});
  const uint64_t before = Status(0).last_index;
  disks_[0].Begin("growth-error", ENOSPC);
  FencingToken last_token{0};
  while (cluster_->process(0).is_running()) {
    AcquireResult result = session_->Acquire("often", {.wait = kTry});
    if (!result.granted()) break;
    last_token = result.lock.token();
    session_->Release(std::move(result.lock));
  }
  EXPECT_EQ(cluster_->process(0).Await(), kExitWriteFailed);
  EXPECT_THAT(cluster_->ReadLog(0), HasSubstr("No space left on device"));
  disks_[0].End();
  cluster_->Start(0);
  cluster_->WaitForLeader();
  // Two segments of 64 KiB hold at least as many batches of at most 2 KiB.
  EXPECT_GE(Status(0).last_index, before + 32);
  const AcquireResult again = client_->OpenSession()->Acquire("often");
  ASSERT_TRUE(again.granted()) << again.ToStatus();
  EXPECT_GT(again.lock.token(), last_token);
}

TEST_F(DiskTroubleTest, ALeaderLowOnSpaceTakesNoNewWorkUntilSpaceIsBack) {
  StartNodes(1, {"--disk-reserve", "16MiB"});
  RawConnection raw(cluster_->client_port(0));
  ASSERT_TRUE(raw.SendHello());
  pb::OpenSessionRequest open;
  open.set_nonce("sixteen bytes...");
  open.set_ttl_ms(60'000);
  ASSERT_TRUE(raw.SendFrame(Opcode::kOpenSession, 1, open));
  const auto opened = raw.ReadMessage<pb::OpenSessionReply>(Opcode::kOpenSession);
  ASSERT_TRUE(opened.has_value());
  AcquireResult held = session_->Acquire("held");
  ASSERT_TRUE(held.granted());

  disks_[0].Begin("free-bytes", 15u << 20);
  ASSERT_TRUE(Eventually([&] { return Status(0).disk_is_low; }));
  EXPECT_EQ(Status(0).disk_free_bytes, 15u << 20);
  pb::AcquireRequest acquire;
  acquire.mutable_mutation()->set_session_id(opened->session_id());
  acquire.mutable_mutation()->set_sequence(1);
  acquire.set_name("refused");
  acquire.set_mode(pb::LOCK_MODE_EXCLUSIVE);
  ASSERT_TRUE(raw.SendFrame(Opcode::kAcquire, 2, acquire));
  const auto refused = raw.ReadMessage<pb::Error>(Opcode::kAcquire);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused->message(), HasSubstr("15 MiB free, less than its reserve of 16 MiB"));
  EXPECT_GE(refused->retry_after_ms(), 1'000u);

  pb::KeepAliveRequest keep_alive;
  keep_alive.set_session_id(opened->session_id());
  keep_alive.set_transmission(1);
  ASSERT_TRUE(raw.SendFrame(Opcode::kKeepAlive, 3, keep_alive));
  const auto kept = raw.ReadMessage<pb::KeepAliveReply>(Opcode::kKeepAlive);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->transmission(), 1u);
  EXPECT_EQ(session_->Release(std::move(held.lock)), ReleaseStatus::kReleased);

  // A client of ours asks again until space is back.
  auto later = std::async(std::launch::async, [&] { return session_->Acquire("later"); });
  disks_[0].End();
  EXPECT_TRUE(later.get().granted());
  EXPECT_THAT(cluster_->ReadLog(0), HasSubstr("disk space is low: 15 MiB free"));
  EXPECT_THAT(cluster_->ReadLog(0), HasSubstr("disk space is back"));
}

TEST_F(DiskTroubleTest, ALeaderWhoseDiskStallsMakesWayAndGrantsGoOn) {
  StartNodes(3);
  const AcquireResult held = session_->Acquire("held");
  ASSERT_TRUE(held.granted());
  disks_[leader_].Begin("sync-delay-ms", 600'000);
  // In flight while nothing becomes durable on the leader; the next leader answers.
  ASSERT_TRUE(session_->Acquire("meanwhile").granted());
  EXPECT_TRUE(held.lock.held());
  const auto leads_elsewhere = [&] {
    for (size_t node = 0; node < cluster_->size(); ++node) {
      if (node != leader_ && Status(node).role == "leader") return true;
    }
    return false;
  };
  EXPECT_TRUE(Eventually(leads_elsewhere));
  EXPECT_TRUE(cluster_->process(leader_).is_running());
  disks_[leader_].End();
  cluster_->WaitUntilAlike();
  EXPECT_EQ(client_->GetLock("held")->token, held.lock.token());
}

}  // namespace
}  // namespace lockd::e2e
