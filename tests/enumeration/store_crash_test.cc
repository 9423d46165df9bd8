// One log, crashed at every step of a directed workload, in every way that the disk can end up in:
//
//   step     ... | write batch | sync | write zeros | sync | rename | sync directory | ...
//                ^             ^      ^             ^      ^        ^
//                each gap: all subsets of un-synced sectors and names that AllCrashPlans knows
//
// A gap is at once "after" the step before it and "before" the step after it; what a crash within a
// step can leave is among what a crash behind it can leave, where sectors are lost or torn.
//
// What must hold after each: the log is what the acknowledged writes add up to, or that and the one
// write that was under way. That is everything at once: no acknowledged entry is missing, none is
// made up, no term and no vote went back, the log is contiguous. And it goes on working.
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include "tests/consensus/storage/directed_workload.h"
#include "tests/consensus/storage/log_fixture.h"
#include "tests/enumeration/crash_plans.h"

namespace lockd::storage {
namespace {

using Unsynced = MemFileSystem::Unsynced;

// What the user of a log knows about it.
struct Knowledge {
  LogModel acknowledged;
  LogModel under_way;  // acknowledged and the write that got no answer yet
};

// The directed workload, and behind it writes of every size from one sector to more than a segment
// holds, at ever other places of their segments, with votes, cuts of a suffix, and bases.
std::vector<LogWrite> Workload() {
  std::vector<LogWrite> writes = DirectedWorkload();
  LogModel model;
  for (const LogWrite& write : writes) model.Apply(write);
  for (uint64_t i = 1; i <= 150; ++i) {
    const uint64_t term = 5 + i / 7;
    uint64_t first = model.last() + 1;
    if (i % 11 == 0) first -= 1;
    LogWrite write{.hard_state = MakeHardState(term, i / 7 % 4, model.last() - 2), .entries = {}};
    const uint64_t count = i % 3 + (i % 11 == 0);
    for (uint64_t j = 0; j < count; ++j) {
      write.entries.push_back(MakeEntry(first + j, term, i * 337 % (i % 25 == 0 ? 2500 : 900)));
    }
    if (i % 10 == 0) {
      const raft::Entry& entry = model.entries[model.entries.size() / 2];
      write.base = {.index = entry.index, .term = entry.term, .time = entry.time};
    }
    model.Apply(write);
    writes.push_back(std::move(write));
  }
  return writes;
}

class StoreCrash : public testing::Test {
 protected:
  // Runs the whole workload on a disk and calls `at_crash` in each `stride`-th gap between steps.
  void Run(uint64_t stride, const std::function<void()>& at_crash) {
    disk_ = NewDisk();
    knowledge_ = Knowledge();
    uint64_t step = 0;
    disk_->set_before_step([&] {
      if (++step % stride == 0 && !HasFailure()) at_crash();
    });
    absl::StatusOr<OpenedLog> opened = LogStore::Open(disk_.get(), SmallOptions());
    ASSERT_TRUE(opened.ok()) << opened.status();
    for (const LogWrite& write : Workload()) {
      knowledge_.under_way.Apply(write);
      ASSERT_TRUE(opened->store->Write(write).ok());
      knowledge_.acknowledged = knowledge_.under_way;
      RunFileJobs(disk_.get(), opened->store.get());
    }
    if (!HasFailure()) at_crash();  // after the last step
    EXPECT_GT(step, 500u);
  }

  // Calls `check` with everything that a crash at this moment can leave.
  static void ForEachCrash(const MemFileSystem& disk,
                           const std::function<void(std::unique_ptr<MemFileSystem>)>& check) {
    check(disk.CrashClone(Unsynced::kKept, nullptr));  // of the process only
    for (const MemFileSystem::CrashPlan& plan : AllCrashPlans(disk)) {
      check(disk.CrashClone(plan));
    }
  }

  // Reopens, compares, goes on for one write, and reopens after another power cut.
  void Check(MemFileSystem* left) {
    ++states_;
    absl::StatusOr<OpenedLog> opened = LogStore::Open(left, SmallOptions());
    ASSERT_TRUE(opened.ok()) << opened.status();
    LogModel model = LogModel::Of(&*opened);
    ASSERT_TRUE(model == knowledge_.acknowledged || model == knowledge_.under_way)
        << testing::PrintToString(model) << "\nis neither  "
        << testing::PrintToString(knowledge_.acknowledged) << "\nnor  "
        << testing::PrintToString(knowledge_.under_way);
    const uint64_t term = model.hard_state.term.value() + 1;
    const LogWrite one_more{.hard_state = MakeHardState(term, 1, model.hard_state.commit.value()),
                            .entries = {MakeEntry(model.last() + 1, term, 150)}};
    ASSERT_TRUE(opened->store->Write(one_more).ok());
    model.Apply(one_more);
    opened->store.reset();
    left->Crash(Unsynced::kLost, nullptr);
    absl::StatusOr<OpenedLog> again = LogStore::Open(left, SmallOptions());
    ASSERT_TRUE(again.ok()) << again.status();
    ASSERT_EQ(LogModel::Of(&*again), model);
  }

  // The recovery of what a crash left is crashed too, at each of its steps.
  void CrashTheRecovery(MemFileSystem* left) {
    left->set_before_step([&] {
      ForEachCrash(*left, [this](std::unique_ptr<MemFileSystem> twice) {
        if (!HasFailure()) Check(twice.get());
      });
    });
    EXPECT_TRUE(LogStore::Open(left, SmallOptions()).ok());
  }

  void EnumerateCrashes(uint64_t stride) {
    Run(stride, [this] {
      ForEachCrash(*disk_, [this](std::unique_ptr<MemFileSystem> left) {
        if (!HasFailure()) Check(left.get());
      });
    });
  }
  void EnumerateCrashesOfRecoveries(uint64_t stride) {
    Run(stride, [this] {
      ForEachCrash(*disk_, [this](std::unique_ptr<MemFileSystem> left) {
        if (!HasFailure()) CrashTheRecovery(left.get());
      });
    });
  }

  std::unique_ptr<MemFileSystem> disk_;
  Knowledge knowledge_;
  uint64_t states_ = 0;
};

TEST_F(StoreCrash, NoSampledCrashLosesAnythingAcknowledged) {
  EnumerateCrashes(/*stride=*/17);
  EXPECT_GT(states_, 300u);
}

TEST_F(StoreCrash, NoSampledCrashOfARecoveryLosesAnythingAcknowledged) {
  EnumerateCrashesOfRecoveries(/*stride=*/61);
  EXPECT_GT(states_, 100u);
}

TEST_F(StoreCrash, SlowNoCrashAtAnyStepLosesAnythingAcknowledged) {
  EnumerateCrashes(/*stride=*/1);
  std::printf("crash states: %llu (one log)\n", static_cast<unsigned long long>(states_));
  EXPECT_GE(states_, 10'000u);
}

TEST_F(StoreCrash, SlowNoCrashAtAnyStepOfARecoveryLosesAnythingAcknowledged) {
  EnumerateCrashesOfRecoveries(/*stride=*/3);
  std::printf("crash states: %llu (one log, in a recovery)\n",
              static_cast<unsigned long long>(states_));
  EXPECT_GE(states_, 50'000u);
}

}  // namespace
}  // namespace lockd::storage
