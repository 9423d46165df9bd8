// A cluster of three at rest, all disks intact but one: that one node starts with all that it ever
// acknowledged, or refuses and says where its disk is damaged; the other two go on and keep all
// that was acknowledged.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "consensus/storage/recovery.h"
#include "tests/enumeration/cluster_script.h"
#include "tests/enumeration/crash_cluster.h"

namespace lockd::node {
namespace {

using Unsynced = MemFileSystem::Unsynced;

class ClusterDamage : public testing::Test {
 protected:
  void SetUp() override { Rest(&cluster_, &client_); }

  static void Rest(CrashCluster* cluster, ScriptedClient* client) {
    RunScript(cluster, client);
    cluster->ExpectConverged();
  }

  // What the disks hold, with the one of node `damaged` changed.
  CrashCluster::Disks Disks(int damaged, const std::function<void(MemFileSystem*)>& damage) {
    CrashCluster::Disks disks;
    for (int id = 1; id <= CrashCluster::kCount; ++id) {
      auto& disk = disks.at(static_cast<size_t>(id - 1));
      disk = cluster_.disk(id).CrashClone(Unsynced::kLost, nullptr);
      if (id == damaged) damage(disk.get());
    }
    return disks;
  }

  struct Place {
    std::string path;
    uint64_t bytes = 0;  // of the file
  };
  // The segments in use of a node's log, oldest first.
  std::vector<Place> Segments(int id) {
    const std::string directory = cluster_.env().StorageOptionsOf(id).log.directory;
    auto recovery =
        storage::RecoverLog(&cluster_.disk(id), directory, storage::RecoveryMode::kReadOnly);
    EXPECT_TRUE(recovery.ok() && recovery->has_value());
    std::vector<Place> places;
    for (const storage::SegmentFile& file : (*recovery)->in_use) {
      places.push_back({storage::JoinPath(directory, storage::SegmentName(file.life)), file.bytes});
    }
    return places;
  }

  // Starts all three, one of them on a damaged disk, and checks what becomes of it and of them.
  void Check(int damaged, const std::string& path,
             const std::function<void(MemFileSystem*)>& damage) {
    ++cases_;
    CrashCluster after(Disks(damaged, damage), /*seed=*/5);
    if (after.env().IsUp(damaged)) {
      const storage::LogModel& found = after.ledger(damaged).acknowledged;
      ASSERT_EQ(found, cluster_.ledger(damaged).acknowledged);
    } else {
      ++refused_;
      const std::optional<Fatal>& fatal = after.env().fatal(damaged);
      ASSERT_TRUE(fatal.has_value());
      ASSERT_EQ(fatal->exit_status, 14) << fatal->message;
      ASSERT_NE(fatal->message.find(path + " at offset "), std::string::npos) << fatal->message;
    }
    ScriptedClient client(&after, client_.knowledge());
    client.ExpectNothingForgotten();
    client.Acquire("after");
    after.ExpectConverged();
    const std::vector<raft::Entry>& committed = cluster_.committed();
    ASSERT_GT(after.committed().size(), committed.size());
    ASSERT_TRUE(std::equal(committed.begin(), committed.end(), after.committed().begin()));
  }

  void FlipBytes(int node, uint64_t stride) {
    uint64_t offset = 0;
    for (const Place& place : Segments(node)) {
      for (; offset < place.bytes && !HasFailure(); offset += stride) {
        SCOPED_TRACE(testing::Message()
                     << "node " << node << " " << place.path << " byte " << offset);
        Check(node, place.path, [&](MemFileSystem* disk) {
          disk->FlipByte(place.path, offset, static_cast<uint8_t>(1u << (offset % 8)));
        });
      }
      offset -= place.bytes;
    }
  }

  CrashCluster cluster_{CrashCluster::NewDisks(), /*seed=*/2};
  ScriptedClient client_{&cluster_};
  uint64_t cases_ = 0;
  uint64_t refused_ = 0;
};

TEST_F(ClusterDamage, SampledDamageOfOneDiskCostsTheClusterNothing) {
  FlipBytes(/*node=*/2, /*stride=*/701);
  EXPECT_GT(cases_, 10u);
  EXPECT_GT(refused_, 0u);
}

TEST_F(ClusterDamage, SlowDamageOfOneDiskCostsTheClusterNothing) {
  for (int node = 1; node <= CrashCluster::kCount; ++node) {
    FlipBytes(node, /*stride=*/37);
    for (const Place& place : Segments(node)) {
      for (uint64_t begin = 0; begin < place.bytes && !HasFailure(); begin += 512) {
        Check(node, place.path, [&](MemFileSystem* disk) {
          std::string bytes = disk->Contents(place.path);
          bytes.replace(begin, 512, std::string(512, '\0'));
          disk->SetContents(place.path, bytes);
        });
        Check(node, place.path,
              [&](MemFileSystem* disk) { disk->Truncate(place.path, begin + 99); });
      }
    }
  }
  std::printf("corruption cases: %llu (one disk of three; %llu refused)\n",
              static_cast<unsigned long long>(cases_), static_cast<unsigned long long>(refused_));
  EXPECT_GE(cases_, 1'000u);
  EXPECT_GT(refused_, 100u);
}

// The hard case: an entry is on two disks of three, one of the two is damaged, and the other one is
// away. A node that cut the damaged part would elect the third one, and the entry would be lost. So
// it starts with that entry, also when it is the very last one on its disk, or not at all.
class LaggingThird : public ClusterDamage {
 protected:
  void SetUp() override {
    RunScript(&cluster_, &client_);
    NodeEnv& env = cluster_.env();
    leader_ = env.leader();
    damaged_ = leader_ % CrashCluster::kCount + 1;
    lagging_ = damaged_ % CrashCluster::kCount + 1;
    env.Isolate(lagging_);
    for (const char* name : {"majority-1", "majority-2", "majority-3"}) client_.Acquire(name);
    (void)cluster_.committed();
    for (int id = 1; id <= CrashCluster::kCount; ++id) env.Crash(id);
  }

  // The damaged one and the lagging one start, then the third one comes back.
  void CheckWithoutTheThird(const std::string& path, uint64_t offset) {
    ++cases_;
    CrashCluster after(
        Disks(damaged_, [&](MemFileSystem* disk) { disk->FlipByte(path, offset, 4); }),
        /*seed=*/5, {damaged_, lagging_});
    refused_ += !after.env().IsUp(damaged_);
    if (after.env().IsUp(damaged_)) {
      ASSERT_EQ(after.ledger(damaged_).acknowledged, cluster_.ledger(damaged_).acknowledged);
    }
    after.env().RunFor(3'000);
    after.env().Start(leader_);
    ScriptedClient client(&after, client_.knowledge());
    client.ExpectNothingForgotten();
    client.Acquire("after");
  }

  void FlipBytesWithoutTheThird(uint64_t stride) {
    for (const Place& place : Segments(damaged_)) {
      for (uint64_t offset = 0; offset < place.bytes && !HasFailure(); offset += stride) {
        SCOPED_TRACE(testing::Message() << place.path << " byte " << offset);
        CheckWithoutTheThird(place.path, offset);
      }
    }
  }

  int leader_ = 0;
  int damaged_ = 0;
  int lagging_ = 0;
};

TEST_F(LaggingThird, ADamagedNodeElectsNobodyWhoLacksWhatItHadSampled) {
  FlipBytesWithoutTheThird(/*stride=*/211);
  EXPECT_GT(refused_, 0u);
  EXPECT_GT(cases_, 50u);
}

TEST_F(LaggingThird, SlowADamagedNodeElectsNobodyWhoLacksWhatItHad) {
  FlipBytesWithoutTheThird(/*stride=*/17);
  std::printf("corruption cases: %llu (one of two disks that hold an entry)\n",
              static_cast<unsigned long long>(cases_));
  EXPECT_GT(refused_, 20u);
  EXPECT_GT(cases_, 500u);
}

}  // namespace
}  // namespace lockd::node
