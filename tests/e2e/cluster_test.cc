// A three-node cluster does its job: grants, queues, hands over, survives.
#include "tests/e2e/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/load.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;

TEST(ThreeNodes, AWaiterIsGrantedWhenTheOwnerReleases) {
  Cluster cluster(3);
  cluster.StartAll();
  cluster.WaitForLeader();
  BlockingClient client(cluster.client_options());
  const auto first = client.OpenSession();
  const auto second = client.OpenSession();
  ASSERT_TRUE(first.ok() && second.ok());

  AcquireResult owner = first->Acquire("resource1");
  ASSERT_TRUE(owner.granted()) << owner.ToStatus();
  EXPECT_EQ(second->Acquire("resource1", {.wait = kTry}).status, AcquireStatus::kBusy);
  EXPECT_EQ(second->Acquire("resource1", {.wait = milliseconds(50)}).status,
            AcquireStatus::kTimedOut);

  std::thread releaser([&] {
    // When the queue shows the waiter, and not before.
    EXPECT_TRUE(Eventually([&] { return client.GetLock("resource1")->waiters == 1; }));
    first->Release(std::move(owner.lock));
  });
  const FencingToken first_token = owner.lock.token();
  const AcquireResult waiter = second->Acquire("resource1");
  releaser.join();
  ASSERT_TRUE(waiter.granted()) << waiter.ToStatus();
  EXPECT_GT(waiter.lock.token(), first_token);
  EXPECT_TRUE(waiter.lock.held());
}

TEST(ThreeNodes, AnOrderlyStopIsExitZeroAndLosesNothing) {
  Cluster cluster(3);
  cluster.StartAllAlike();
  BlockingClient client(cluster.client_options());
  const auto session = client.OpenSession({.ttl = 4 * kPatience});
  ASSERT_TRUE(session.ok());
  const AcquireResult held = session->Acquire("kept");
  ASSERT_TRUE(held.granted());

  for (size_t node = 0; node < 3; ++node) EXPECT_EQ(cluster.Stop(node), 0);
  cluster.StartAll();
  cluster.WaitForLeader();
  EXPECT_TRUE(held.lock.held());
  const auto record = client.GetLock("kept");
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->token, held.lock.token());
  EXPECT_EQ(record->session_id, session->id());
}

TEST(ThreeNodes, HeldLocksSurviveThatAllNodesAreKilledAtOnce) {
  Cluster cluster(3);
  cluster.StartAll();
  cluster.WaitForLeader();
  BlockingClient client(cluster.client_options());
  const auto session = client.OpenSession({.ttl = 4 * kPatience});
  ASSERT_TRUE(session.ok());
  std::vector<AcquireResult> held;
  for (int i = 0; i < 20; ++i) {
    held.push_back(session->Acquire(absl::StrCat("kept-", i)));
    ASSERT_TRUE(held.back().granted());
  }
  for (size_t node = 0; node < 3; ++node) cluster.process(node).Signal(SIGKILL);
  for (size_t node = 0; node < 3; ++node) cluster.process(node).Await();
  cluster.StartAll();
  cluster.WaitForLeader();
  for (int i = 0; i < 20; ++i) {
    const auto record = client.GetLock(absl::StrCat("kept-", i));
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(record->token, held[static_cast<size_t>(i)].lock.token());
    EXPECT_TRUE(held[static_cast<size_t>(i)].lock.held());
  }
  cluster.WaitUntilAlike();
}

TEST(ThreeNodes, KillingTheLeaderUnderLoadLosesNoGrantAndDoublesNone) {
  Cluster cluster(3);
  cluster.StartAll();
  size_t leader = cluster.WaitForLeader();
  Load load(cluster, 6, 3);
  for (int kill = 0; kill < 3; ++kill) {
    const uint64_t before = load.cycles();
    ASSERT_TRUE(Eventually([&] { return load.cycles() > before + 50; }))
        << "no progress before kill " << kill;
    cluster.Kill(leader);
    const size_t killed = leader;
    leader = cluster.WaitForLeader();
    EXPECT_NE(leader, killed);
    const uint64_t after = load.cycles();
    ASSERT_TRUE(Eventually([&] { return load.cycles() > after + 50; }))
        << "no progress after kill " << kill;
    cluster.Start(killed);
  }
  load.Stop();
  EXPECT_EQ(load.failures(), 0u);
  cluster.WaitUntilAlike();
}

// the leader's disk takes no more; the others' disks do. It does not go on leading with a
// hole in its log: it is gone at once, says why, and comes back when the disk is well again.
TEST(ThreeNodes, ALeaderWhoseDiskFailsLeavesAtOnceAndTheOthersGoOn) {
  Cluster cluster(3);
  cluster.StartAll();
  const size_t broken = cluster.WaitForLeader();
  Load load(cluster, 6, 3);
  ASSERT_TRUE(Eventually([&] { return load.cycles() > 50; }));
  const rlimit no_file_grows{.rlim_cur = 64 * 1024, .rlim_max = RLIM_INFINITY};
  ASSERT_EQ(prlimit(cluster.process(broken).pid(), RLIMIT_FSIZE, &no_file_grows, nullptr), 0);
  EXPECT_EQ(cluster.process(broken).Await(), 15);
  EXPECT_THAT(cluster.ReadLog(broken), HasSubstr("/wal/wal-"));
  EXPECT_NE(cluster.WaitForLeader(), broken);
  const uint64_t after = load.cycles();
  ASSERT_TRUE(Eventually([&] { return load.cycles() > after + 50; }));
  cluster.Start(broken);
  load.Stop();
  EXPECT_EQ(load.failures(), 0u);
  cluster.WaitUntilAlike();
}

// L-26: the leader's machine is suspended for longer than the TTL. The holder goes on at the next
// leader; the old one wakes up and acts on nothing that it believed before.
TEST(ThreeNodes, ASuspendedLeaderEndsNobodyWhenItWakes) {
  Cluster cluster(3);
  cluster.StartAll();
  const size_t suspended = cluster.WaitForLeader();
  BlockingClient client(cluster.client_options());
  const auto session = client.OpenSession({.ttl = milliseconds(12'000)});
  const auto other = client.OpenSession();
  ASSERT_TRUE(session.ok() && other.ok());
  const AcquireResult held = session->Acquire("kept");
  ASSERT_TRUE(held.granted());
  cluster.process(suspended).Signal(SIGSTOP);
  // Longer than the TTL, in which the holder must have found the next leader.
  EXPECT_EQ(other->Acquire("kept", {.wait = milliseconds(14'000)}).status,
            AcquireStatus::kTimedOut);
  cluster.process(suspended).Signal(SIGCONT);
  cluster.WaitUntilAlike();
  EXPECT_EQ(client.GetLock("kept")->token, held.lock.token());
  EXPECT_TRUE(held.lock.held());
}

TEST(ThreeNodes, AWipedNodeIsRefusedAndSaysWhatToDo) {
  Cluster cluster(3);
  cluster.StartAllAlike();
  BlockingClient client(cluster.client_options());
  const auto session = client.OpenSession();
  ASSERT_TRUE(session.ok());
  const AcquireResult held = session->Acquire("kept");
  ASSERT_TRUE(held.granted());

  EXPECT_EQ(cluster.Stop(2), 0);
  std::filesystem::remove_all(cluster.data_dir(2));
  cluster.Start(2);
  EXPECT_EQ(cluster.process(2).Await(), 17);
  EXPECT_THAT(cluster.ReadLog(2), HasSubstr("knows node 3 with another data directory"));
  // The others go on.
  cluster.WaitForLeader();
  EXPECT_EQ(client.GetLock("kept")->token, held.lock.token());
}

}  // namespace
}  // namespace lockd::e2e
