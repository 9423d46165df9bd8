// A cluster of three, crashed at every step of every disk in a scripted workload:
//
//   one node     it loses power at the step, the others go on, it comes back with what its disk has
//   all nodes    all lose power at the step, and all come back
//
// What must hold after each: every log is what its acknowledged writes add up to, or that and the
// one write under way (so no term and no vote went back); all that was committed is in every log;
// all that the client was told is still so; and the cluster goes on working.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <utility>
#include <vector>

#include "tests/enumeration/cluster_script.h"
#include "tests/enumeration/crash_cluster.h"
#include "tests/enumeration/crash_plans.h"

namespace lockd::node {
namespace {

using Unsynced = MemFileSystem::Unsynced;

class ClusterCrash : public testing::Test {
 protected:
  // Everything is at rest and whole, or the test fails.
  static void ExpectWhole(CrashCluster* cluster, ScriptedClient* client) {
    client->ExpectNothingForgotten();
    client->Acquire("after");
    cluster->ExpectConverged();
    if (HasFailure()) return;
    for (int id = 1; id <= CrashCluster::kCount; ++id) {
      cluster->env().Crash(id);
      cluster->disk(id).Crash(Unsynced::kLost, nullptr);
      const auto found = cluster->ReadLog(id, &cluster->disk(id));
      ASSERT_TRUE(found && *found == cluster->ledger(id).acknowledged) << "node " << id;
    }
  }

  // -- all nodes --

  void CheckAllStart(CrashCluster* before, const ScriptedClient::Knowledge& knowledge,
                     CrashCluster::Disks left) {
    ++states_;
    CrashCluster after(std::move(left), /*seed=*/77);
    for (int id = 1; id <= CrashCluster::kCount; ++id) {
      ASSERT_TRUE(after.env().IsUp(id)) << after.env().fatal(id)->message;
      ASSERT_TRUE(before->ledger(id).Allows(after.ledger(id).acknowledged)) << "node " << id;
    }
    ScriptedClient client(&after, knowledge);
    ExpectWhole(&after, &client);
    const std::vector<raft::Entry>& committed = before->committed();
    const std::vector<raft::Entry>& entries = after.committed();
    ASSERT_GE(entries.size(), committed.size());
    ASSERT_TRUE(std::equal(committed.begin(), committed.end(), entries.begin()));
  }

  // The power goes while `id` is between two steps; the other disks are at rest.
  void CrashAll(CrashCluster* cluster, const ScriptedClient& client, int id) {
    const auto crash = [&](std::unique_ptr<MemFileSystem> own) {
      CrashCluster::Disks left;
      for (int other = 1; other <= CrashCluster::kCount; ++other) {
        left.at(static_cast<size_t>(other - 1)) =
            other == id ? std::move(own)
                        : cluster->disk(other).CrashClone(Unsynced::kLost, nullptr);
      }
      if (!HasFailure()) CheckAllStart(cluster, client.knowledge(), std::move(left));
    };
    crash(cluster->disk(id).CrashClone(Unsynced::kKept, nullptr));
    for (const auto& plan : storage::AllCrashPlans(cluster->disk(id))) {
      crash(cluster->disk(id).CrashClone(plan));
    }
  }

  void EnumerateCrashesOfAll(uint64_t seed, uint64_t stride) {
    CrashCluster cluster(CrashCluster::NewDisks(), seed);
    ScriptedClient client(&cluster);
    uint64_t step = 0;
    for (int id = 1; id <= CrashCluster::kCount; ++id) {
      cluster.disk(id).set_before_step([&, id] {
        if (++step % stride == 0 && !HasFailure()) CrashAll(&cluster, client, id);
      });
    }
    RunScript(&cluster, &client);
    for (int id = 1; id <= CrashCluster::kCount; ++id) {
      cluster.disk(id).set_before_step(nullptr);
      if (!HasFailure()) CrashAll(&cluster, client, id);
    }
    ExpectWhole(&cluster, &client);
    EXPECT_GT(step, 200u);
  }

  // -- one node --

  // False: the workload has no such step. `choice` picks what the disk keeps.
  bool CrashOne(uint64_t seed, int id, uint64_t step, uint64_t choice) {
    CrashCluster cluster(CrashCluster::NewDisks(), seed);
    ScriptedClient client(&cluster);
    MemFileSystem& disk = cluster.disk(id);
    disk.CutPowerAt(step);
    bool was_cut = false;
    const auto mend = [&] {
      if (disk.power_is_on()) return;
      was_cut = true;
      if (cluster.env().IsUp(id)) cluster.env().Crash(id);
      const auto plans = storage::AllCrashPlans(disk);
      const uint64_t chosen = choice % (plans.size() + 1);
      if (chosen == plans.size()) {
        disk.Crash(Unsynced::kKept, nullptr);
      } else {
        disk.Crash(plans[chosen]);
      }
      cluster.Restart(id);
    };
    client.set_when_stuck(mend);
    // It stays away while one more part of the script goes by.
    bool was_down = false;
    RunScript(&cluster, &client, [&] {
      if (std::exchange(was_down, !disk.power_is_on())) mend();
    });
    mend();
    if (!was_cut) return false;
    ++states_;
    client.ExpectNothingForgotten();
    ExpectWhole(&cluster, &client);
    return true;
  }

  void EnumerateCrashesOfOne(uint64_t seed, uint64_t stride, uint64_t choices) {
    for (int id = 1; id <= CrashCluster::kCount; ++id) {
      uint64_t step = 1;
      for (bool has_step = true; has_step; step += stride) {
        for (uint64_t choice = 0; choice < choices && has_step; ++choice) {
          SCOPED_TRACE(testing::Message() << "node " << id << " step " << step << " choice "
                                          << step * choices + choice);
          has_step = CrashOne(seed, id, step, step * choices + choice);
          if (HasFailure()) return;
        }
      }
      EXPECT_GT(step, 50u);
    }
  }

  uint64_t states_ = 0;
};

TEST_F(ClusterCrash, NoSampledCrashOfAllNodesLosesAnythingAcknowledged) {
  EnumerateCrashesOfAll(/*seed=*/1, /*stride=*/47);
  EXPECT_GT(states_, 10u);
}

TEST_F(ClusterCrash, NoSampledCrashOfOneNodeLosesAnythingAcknowledged) {
  EnumerateCrashesOfOne(/*seed=*/1, /*stride=*/37, /*choices=*/1);
  EXPECT_GT(states_, 5u);
}

TEST_F(ClusterCrash, SlowNoCrashOfAllNodesLosesAnythingAcknowledged) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    EnumerateCrashesOfAll(seed, /*stride=*/1);
    if (HasFailure()) return;
  }
  std::printf("crash states: %llu (all nodes)\n", static_cast<unsigned long long>(states_));
  EXPECT_GE(states_, 3'000u);
}

TEST_F(ClusterCrash, SlowNoCrashOfOneNodeLosesAnythingAcknowledged) {
  EnumerateCrashesOfOne(/*seed=*/1, /*stride=*/1, /*choices=*/6);
  std::printf("crash states: %llu (one node of three)\n", static_cast<unsigned long long>(states_));
  EXPECT_GE(states_, 1'000u);
}

}  // namespace
}  // namespace lockd::node
