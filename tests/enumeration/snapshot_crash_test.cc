// Snapshots and the log together, crashed at every step, in every way that the disk can end up in:
//
//   own snapshot       draft ... | sync | read back | rename | sync directory | purge | base write
//   received snapshot  the same, then the log is replaced:              base write | retirement
//
// What must hold after each: the node starts; the log is what the acknowledged writes add up to, or
// that and the one write that was under way, or (when a received snapshot has its name and the
// write that installs it does not say so yet) the log that this write makes. The state to begin
// from is there: a whole snapshot, or the beginning. No snapshot that was reported as kept is lost,
// but for those that two newer ones replace. And it goes on working.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/consensus/storage/directed_workload.h"
#include "tests/consensus/storage/snapshot_fixture.h"
#include "tests/enumeration/crash_plans.h"

namespace lockd::storage {
namespace {

using Unsynced = MemFileSystem::Unsynced;

std::string ContentOf(uint64_t index) {
  return MakeContent(100 + index * 7, index);
}
raft::SnapshotId IdOf(uint64_t index, uint64_t term) {
  return IdOfContent(MakeBase(index, term), ContentOf(index));
}

class SnapshotCrash : public testing::Test {
 protected:
  // What the user of the storage knows.
  struct Knowledge {
    LogModel acknowledged;
    LogModel under_way;                    // acknowledged and the write that got no answer yet
    std::optional<LogModel> replaced;      // what an install makes of it, from the rename on
    std::vector<raft::SnapshotId> kept;    // by the last answer
    std::vector<raft::SnapshotId> coming;  // not answered yet
  };

  // -- the workload --

  void Write(const LogWrite& write) {
    knowledge_.under_way.Apply(write);
    ASSERT_TRUE(opened_->log.store->Write(write).ok());
    knowledge_.acknowledged = knowledge_.under_way;
    RunFileJobs(disk_.get(), opened_->log.store.get());
  }
  void Append(uint64_t first, uint64_t last, uint64_t term) {
    for (uint64_t i = first; i <= last; ++i) {
      LogWrite write{.hard_state = MakeHardState(term, 1, i - 1),
                     .entries = {MakeEntry(i, term, 100 + i * 37 % 700)}};
      Write(write);
    }
  }
  // A snapshot of this entry, in two writes.
  void Snapshot(uint64_t index, uint64_t term) {
    const raft::SnapshotId id = IdOf(index, term);
    knowledge_.coming = {id};
    const std::string content = ContentOf(index);
    SnapshotStore* const store = opened_->snapshots.get();
    const uint64_t draft = index;
    for (const size_t at : {size_t{0}, content.size() / 2}) {
      const size_t end = at == 0 ? content.size() / 2 : content.size();
      ASSERT_TRUE(RunJob(store, SnapshotWrite{.id = 1,
                                              .draft = draft,
                                              .base = id.base,
                                              .offset = at,
                                              .bytes = content.substr(at, end - at)})
                      .status.ok());
    }
    const SnapshotJobDone done =
        RunJob(store, SnapshotFinish{.id = 2, .draft = draft, .snapshot = id});
    ASSERT_TRUE(done.status.ok()) << done.status;
    knowledge_.kept = done.kept;
    knowledge_.coming.clear();
  }
  // The node's own: then the log is compacted to the older of the two.
  void TakeOwn(uint64_t index, uint64_t term) {
    Snapshot(index, term);
    if (knowledge_.kept.size() < 2) return;
    Write({.base = knowledge_.kept.front().base});
  }
  // From the leader: it replaces what the log does not hold.
  void Install(uint64_t index, uint64_t term) {
    const LogWrite write{
        .hard_state = MakeHardState(term, 0, index), .entries = {}, .base = MakeBase(index, term)};
    knowledge_.replaced = knowledge_.acknowledged;
    knowledge_.replaced->Apply(write);
    Snapshot(index, term);
    Write(write);
    knowledge_.replaced.reset();
  }

  void Workload() {
    Append(1, 6, 1);
    TakeOwn(4, 1);
    Append(7, 12, 1);
    TakeOwn(9, 1);
    Append(13, 20, 2);
    TakeOwn(15, 2);
    Install(40, 3);  // beyond the log
    Append(41, 46, 3);
    TakeOwn(44, 3);
    Append(47, 50, 3);
    LogWrite uncommitted{.hard_state = MakeHardState(4, 1, 50), .entries = {}};
    for (uint64_t i = 51; i <= 56; ++i) uncommitted.entries.push_back(MakeEntry(i, 4, 50));
    Write(uncommitted);
    Install(53, 5);  // against the uncommitted end
    Append(54, 58, 5);
    TakeOwn(56, 5);
  }

  // Runs it all and calls `at_crash` in each `stride`-th gap between steps.
  void Run(uint64_t stride, const std::function<void()>& at_crash) {
    disk_ = NewDisk();
    uint64_t step = 0;
    disk_->set_before_step([&] {
      if (++step % stride == 0 && !HasFailure()) at_crash();
    });
    absl::StatusOr<OpenedStorage> opened = OpenStorage(disk_.get(), SmallStorage());
    ASSERT_TRUE(opened.ok()) << opened.status();
    opened_ = *std::move(opened);
    Workload();
    if (!HasFailure()) at_crash();
    EXPECT_GT(step, 200u);
  }

  static void ForEachCrash(const MemFileSystem& disk,
                           const std::function<void(std::unique_ptr<MemFileSystem>)>& check) {
    check(disk.CrashClone(Unsynced::kKept, nullptr));
    for (const MemFileSystem::CrashPlan& plan : AllCrashPlans(disk)) check(disk.CrashClone(plan));
  }

  // -- the checks --

  // Of everything that was kept, the two newest are there; of what was coming, anything or nothing.
  void CheckKept(const OpenedStorage& opened) {
    std::set<uint64_t> there;
    for (const raft::SnapshotId& id : opened.kept) there.insert(id.base.index.value());
    std::vector<raft::SnapshotId> expected = knowledge_.kept;
    for (const raft::SnapshotId& id : knowledge_.coming) {
      if (there.count(id.base.index.value()) != 0) expected.push_back(id);
    }
    if (expected.size() > 2) expected.erase(expected.begin(), expected.end() - 2);
    for (const raft::SnapshotId& id : expected) {
      EXPECT_EQ(std::count(opened.kept.begin(), opened.kept.end(), id), 1)
          << "the snapshot of entry " << id.base.index.value() << " is lost";
    }
  }
  void CheckState(OpenedStorage* opened, const LogModel& model) {
    const uint64_t base = model.base.index.value();
    const uint64_t applied = opened->log.log.applied_index.value();
    if (!opened->snapshot) {
      EXPECT_EQ(base, 0u) << "no snapshot for a log that begins later";
      EXPECT_EQ(applied, 0u);
      return;
    }
    const uint64_t index = opened->snapshot->base.index.value();
    EXPECT_EQ(index, applied);
    EXPECT_GE(index, base);
    EXPECT_LE(index, model.last());
    const SnapshotJobDone read =
        RunJob(opened->snapshots.get(), SnapshotRead{.id = 1,
                                                     .snapshot = *opened->snapshot,
                                                     .offset = 0,
                                                     .bytes_max = kSnapshotReadBytesMax});
    EXPECT_EQ(read.bytes, ContentOf(index)) << read.status;
  }

  void Check(MemFileSystem* left) {
    ++states_;
    absl::StatusOr<OpenedStorage> opened = OpenStorage(left, SmallStorage());
    ASSERT_TRUE(opened.ok()) << opened.status();
    LogModel model = LogModel::Of(&opened->log);
    const bool was_replaced = knowledge_.replaced && model == *knowledge_.replaced;
    replaced_ += was_replaced && model != knowledge_.under_way;
    ASSERT_TRUE(model == knowledge_.acknowledged || model == knowledge_.under_way || was_replaced)
        << testing::PrintToString(model) << "\nis neither  "
        << testing::PrintToString(knowledge_.acknowledged) << "\nnor  "
        << testing::PrintToString(knowledge_.under_way);
    CheckKept(*opened);
    CheckState(&*opened, model);
    for (const std::string& name : NamesIn(left, kSnapshots)) {
      EXPECT_FALSE(ParseDraftName(name).has_value()) << name;
    }
    // It goes on: one more write and one more snapshot, then another power cut.
    const uint64_t term = model.hard_state.term.value() + 1;
    const uint64_t next = model.last() + 1;
    const LogWrite one_more{.hard_state = MakeHardState(term, 1, next - 1),
                            .entries = {MakeEntry(next, term, 150)}};
    ASSERT_TRUE(opened->log.store->Write(one_more).ok());
    model.Apply(one_more);
    const raft::SnapshotId id = IdOf(next, term);
    SnapshotStore* const store = opened->snapshots.get();
    ASSERT_TRUE(
        RunJob(store, SnapshotWrite{.id = 1, .draft = 1, .base = id.base, .bytes = ContentOf(next)})
            .status.ok());
    const SnapshotJobDone done = RunJob(store, SnapshotFinish{.id = 2, .draft = 1, .snapshot = id});
    ASSERT_TRUE(done.status.ok()) << done.status;
    left->Crash(Unsynced::kLost, nullptr);
    absl::StatusOr<OpenedStorage> again = OpenStorage(left, SmallStorage());
    ASSERT_TRUE(again.ok()) << again.status();
    ASSERT_EQ(LogModel::Of(&again->log), model);
    ASSERT_EQ(again->snapshot, id);
    // A removal that was not durable may have been taken back.
    ASSERT_GE(again->kept.size(), done.kept.size());
    ASSERT_TRUE(std::equal(done.kept.rbegin(), done.kept.rend(), again->kept.rbegin()));
  }

  // The start after a crash is crashed too, at each of its steps.
  void CrashTheStart(MemFileSystem* left) {
    left->set_before_step([&] {
      ForEachCrash(*left, [this](std::unique_ptr<MemFileSystem> twice) {
        if (!HasFailure()) Check(twice.get());
      });
    });
    EXPECT_TRUE(OpenStorage(left, SmallStorage()).ok());
  }

  enum class What : uint8_t { kRuns, kStartsAfterwards };
  void Enumerate(uint64_t stride, What crashes = What::kRuns) {
    Run(stride, [this, crashes] {
      ForEachCrash(*disk_, [this, crashes](std::unique_ptr<MemFileSystem> left) {
        if (HasFailure()) return;
        crashes == What::kRuns ? Check(left.get()) : CrashTheStart(left.get());
      });
    });
    std::printf("crash states: %llu, an install finished by the start: %llu\n",
                static_cast<unsigned long long>(states_),
                static_cast<unsigned long long>(replaced_));
  }

  std::unique_ptr<MemFileSystem> disk_;
  std::optional<OpenedStorage> opened_;
  Knowledge knowledge_;
  uint64_t states_ = 0;
  uint64_t replaced_ = 0;
};

TEST_F(SnapshotCrash, NoSampledCrashLosesASnapshotOrAnythingAcknowledged) {
  Enumerate(/*stride=*/7);
  EXPECT_GT(states_, 200u);
}

TEST_F(SnapshotCrash, SlowNoCrashAtAnyStepLosesASnapshotOrAnythingAcknowledged) {
  Enumerate(/*stride=*/1);
  EXPECT_GT(states_, 2'000u);
  EXPECT_GT(replaced_, 5u);
}

TEST_F(SnapshotCrash, SlowNoCrashOfAStartLosesASnapshotOrAnythingAcknowledged) {
  Enumerate(/*stride=*/5, What::kStartsAfterwards);
  EXPECT_GT(states_, 2'000u);
  EXPECT_GT(replaced_, 20u);
}

}  // namespace
}  // namespace lockd::storage
