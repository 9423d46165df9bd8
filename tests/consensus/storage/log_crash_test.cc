// Power cuts at every step of a workload that appends, cuts a conflicting suffix, rolls over
// segments, compacts, recycles and installs a base, with un-synced data lost, kept, torn or
// garbled.
//
// What must hold: the recovered log is exactly what the acknowledged writes add up to, or that and
// the one write that was under way. What one recovery has shown is there at the next one, too.
#include <functional>

#include "tests/consensus/storage/directed_workload.h"
#include "tests/consensus/storage/log_fixture.h"

namespace lockd::storage {
namespace {

using Unsynced = MemFileSystem::Unsynced;

struct Progress {
  LogModel acknowledged;
  LogModel under_way;  // acknowledged and the write that got no answer
};

// Runs the workload until the disk fails or all is done.
Progress RunUntilFailure(MemFileSystem* disk, const std::vector<LogWrite>& writes) {
  Progress progress;
  absl::StatusOr<OpenedLog> opened = LogStore::Open(disk, SmallOptions());
  if (!opened.ok()) return progress;
  for (const LogWrite& write : writes) {
    progress.under_way.Apply(write);
    if (!opened->store->Write(write).ok()) return progress;
    progress.acknowledged = progress.under_way;
    RunFileJobs(disk, opened->store.get());
  }
  return progress;
}

// The number of steps in the whole workload.
uint64_t CountSteps(const std::vector<LogWrite>& writes) {
  std::unique_ptr<MemFileSystem> disk = NewDisk();
  const uint64_t before = disk->counters().steps;
  const Progress progress = RunUntilFailure(disk.get(), writes);
  EXPECT_EQ(progress.acknowledged, progress.under_way);
  return disk->counters().steps - before;
}

LogModel Recovered(MemFileSystem* disk) {
  absl::StatusOr<OpenedLog> opened = LogStore::Open(disk, SmallOptions());
  EXPECT_TRUE(opened.ok()) << opened.status();
  return opened.ok() ? LogModel::Of(&*opened) : LogModel();
}

// Opens what a crash has left, checks it, goes on writing, and checks again after another crash.
void CheckWhatIsLeft(MemFileSystem* disk, const Progress& progress, Random* random) {
  absl::StatusOr<OpenedLog> opened = LogStore::Open(disk, SmallOptions());
  ASSERT_TRUE(opened.ok()) << opened.status();
  LogModel model = LogModel::Of(&*opened);
  ASSERT_TRUE(model == progress.acknowledged || model == progress.under_way)
      << testing::PrintToString(model) << "\nis neither  "
      << testing::PrintToString(progress.acknowledged) << "\nnor  "
      << testing::PrintToString(progress.under_way);
  // What was recovered is on the device, whatever the crash had left in a cache.
  ASSERT_EQ(Recovered(disk->CrashClone(Unsynced::kLost, nullptr).get()), model);
  const uint64_t term = model.hard_state.term.value() + 1;
  for (uint64_t i = 0; i < 12; ++i) {
    LogWrite write{.entries = {MakeEntry(model.last() + 1, term, 150)}};
    if (i == 0) write.hard_state = MakeHardState(term, 1, model.hard_state.commit.value());
    ASSERT_TRUE(opened->store->Write(write).ok());
    model.Apply(write);
    RunFileJobs(disk, opened->store.get());
  }
  ASSERT_EQ(Recovered(disk->CrashClone(Unsynced::kRandomGarbled, random).get()), model);
}

// The power is cut at every step of these writes; each time, what is left is checked several times
// over, with other luck for what was not synced.
void CutPowerAtEachStep(const std::vector<LogWrite>& writes, uint64_t seed) {
  const uint64_t steps = CountSteps(writes);
  Random random(seed);
  for (uint64_t step = 1; step <= steps; ++step) {
    std::unique_ptr<MemFileSystem> disk = NewDisk();
    disk->CutPowerAt(step);
    const Progress progress = RunUntilFailure(disk.get(), writes);
    for (Unsynced unsynced :
         {Unsynced::kKept, Unsynced::kLost, Unsynced::kRandom, Unsynced::kRandom, Unsynced::kRandom,
          Unsynced::kRandomGarbled, Unsynced::kRandomGarbled, Unsynced::kRandomGarbled}) {
      SCOPED_TRACE(testing::Message() << "power cut at step " << step << ", un-synced data mode "
                                      << static_cast<int>(unsynced));
      std::unique_ptr<MemFileSystem> left = disk->CrashClone(unsynced, &random);
      CheckWhatIsLeft(left.get(), progress, &random);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(LogCrash, APowerCutAtAnyStepLosesNothingAcknowledged) {
  const std::vector<LogWrite> writes = DirectedWorkload();
  ASSERT_GT(CountSteps(writes), 150u);
  CutPowerAtEachStep(writes, 7);
}

// Ten entries of 1,000 bytes: two in each segment.
std::vector<LogWrite> WorkloadOverFiveSegments() {
  std::vector<LogWrite> writes;
  writes.push_back({.hard_state = MakeHardState(1, 2, 0)});
  for (uint64_t i = 1; i <= 10; ++i) writes.push_back({.entries = {MakeEntry(i, 1, 1000)}});
  return writes;
}

// S-06: a new leader's entry replaces eight, over several segments. Files that went one by one
// could leave a hole between the front and the back of the log.
TEST(LogCrash, ACutAcrossSegmentsHappensWholeOrNotAtAll) {
  std::vector<LogWrite> writes = WorkloadOverFiveSegments();
  writes.push_back({.hard_state = MakeHardState(2, 0, 2), .entries = {MakeEntry(3, 2, 1000)}});
  writes.push_back({.entries = {MakeEntry(4, 2, 1000), MakeEntry(5, 2, 1000)}});
  CutPowerAtEachStep(writes, 11);
}

// a snapshot of another history, within the log or beyond it, replaces the log; none of its
// entries comes back from disk, neither those below the snapshot's index nor those above it.
TEST(LogCrash, ASnapshotOverADivergentLogReplacesItWholeOrNotAtAll) {
  for (const uint64_t index : {5u, 15u}) {
    std::vector<LogWrite> writes = WorkloadOverFiveSegments();
    writes.push_back({.hard_state = MakeHardState(3, 0, index), .base = MakeBase(index, 3)});
    writes.push_back({.entries = {MakeEntry(index + 1, 3, 1000)}});
    CutPowerAtEachStep(writes, index);
  }
}

// S-04, R-06: of one write, any of its pages may reach the device and any other be lost, the first
// too. Term, vote and entries are then there all together or not at all, and the node starts.
TEST(LogCrash, AWriteWhosePagesReachTheDeviceInAnyOrderIsThereWholeOrNotAtAll) {
  constexpr size_t kPageBytes = 4096;
  LogStoreOptions options = SmallOptions();
  options.segment_bytes = 64 * 1024;
  std::unique_ptr<MemFileSystem> disk = NewDisk();
  absl::StatusOr<OpenedLog> opened = LogStore::Open(disk.get(), options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const std::string path = JoinPath(kWal, SegmentName(1));
  LogModel before;
  const LogWrite first{.hard_state = MakeHardState(1, 2, 0), .entries = {MakeEntry(1, 1, 2000)}};
  ASSERT_TRUE(opened->store->Write(first).ok());
  before.Apply(first);
  const std::string old_bytes = disk->Contents(path);
  const LogWrite second{.hard_state = MakeHardState(2, 3, 1),
                        .entries = {MakeEntry(2, 2, 6000), MakeEntry(3, 2, 6000)}};
  ASSERT_TRUE(opened->store->Write(second).ok());
  LogModel after = before;
  after.Apply(second);
  const std::string new_bytes = disk->Contents(path);

  constexpr size_t kSecondBytes =
      kBatchHeaderBytes + 3 * kRecordHeaderBytes + 2 * 6000;  // without padding
  const size_t first_copy = old_bytes.find_last_not_of('\0') / kSectorBytes * kSectorBytes + 512;
  const size_t second_copy = first_copy + PadToSector(kSecondBytes);
  const auto is_whole = [&](const std::string& bytes, size_t copy) {
    return bytes.compare(copy, kSecondBytes, new_bytes, copy, kSecondBytes) == 0;
  };
  size_t by_second_copy = 0;
  std::vector<size_t> changed;  // offsets of pages
  for (size_t at = 0; at < new_bytes.size(); at += kPageBytes) {
    if (old_bytes.compare(at, kPageBytes, new_bytes, at, kPageBytes) != 0) changed.push_back(at);
  }
  ASSERT_GE(changed.size(), 4u);
  for (size_t kept = 0; kept < size_t{1} << changed.size(); ++kept) {
    std::string bytes = old_bytes;
    for (size_t i = 0; i < changed.size(); ++i) {
      if ((kept >> i & 1) != 0) {
        bytes.replace(changed[i], kPageBytes, new_bytes, changed[i], kPageBytes);
      }
    }
    std::unique_ptr<MemFileSystem> left = disk->CrashClone(Unsynced::kKept, nullptr);
    left->SetContents(path, bytes);
    absl::StatusOr<OpenedLog> recovered = LogStore::Open(left.get(), options);
    ASSERT_TRUE(recovered.ok()) << recovered.status();
    const bool is_there = is_whole(bytes, first_copy) || is_whole(bytes, second_copy);
    EXPECT_EQ(LogModel::Of(&*recovered), is_there ? after : before) << "pages " << kept;
    if (is_there) {
      EXPECT_EQ(left->Contents(path), new_bytes) << "pages " << kept;
    }
    by_second_copy += is_there && !is_whole(bytes, first_copy);
  }
  EXPECT_GT(by_second_copy, 0u);
}

// The recovery itself may be cut off at any of its steps, and is then done again.
TEST(LogCrash, APowerCutDuringRecoveryLosesNothingAcknowledged) {
  const std::vector<LogWrite> writes = DirectedWorkload();
  const uint64_t steps = CountSteps(writes);
  Random random(8);
  for (uint64_t step = 1; step <= steps; ++step) {
    std::unique_ptr<MemFileSystem> disk = NewDisk();
    disk->CutPowerAt(step);
    const Progress progress = RunUntilFailure(disk.get(), writes);
    for (uint64_t second = 1;; ++second) {
      SCOPED_TRACE(testing::Message() << "power cut at step " << step << ", then at step " << second
                                      << " of the recovery");
      std::unique_ptr<MemFileSystem> left = disk->CrashClone(Unsynced::kRandomGarbled, &random);
      left->CutPowerAt(second);
      const bool was_cut = !LogStore::Open(left.get(), SmallOptions()).ok();
      left->Crash(Unsynced::kRandomGarbled, &random);
      CheckWhatIsLeft(left.get(), progress, &random);
      if (HasFatalFailure()) return;
      if (!was_cut) break;
    }
  }
}

// S-01: each call fails once with an input/output error and would succeed when repeated. The log is
// poisoned; only the process ends, and later the power is cut: what the restart recovered stays.
TEST(LogCrash, AnErrorAtAnyStepIsFinalAndWhatTheRestartShowsIsDurable) {
  const std::vector<LogWrite> writes = DirectedWorkload();
  const uint64_t steps = CountSteps(writes);
  Random random(9);
  for (uint64_t step = 1; step <= steps; ++step) {
    SCOPED_TRACE(testing::Message() << "error at step " << step);
    std::unique_ptr<MemFileSystem> disk = NewDisk();
    disk->FailAt(step);
    const Progress progress = RunUntilFailure(disk.get(), writes);
    disk->Crash(Unsynced::kKept, nullptr);
    CheckWhatIsLeft(disk.get(), progress, &random);
    if (HasFatalFailure()) return;
  }
}

// Random writes, cuts, bases and background work done late or not at all, with a crash at a random
// step; many times over in the same directory.
TEST(LogCrash, RandomWorkloadsSurviveRandomCrashes) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    std::unique_ptr<MemFileSystem> disk = NewDisk();
    Progress progress;
    for (int life = 0; life < 12; ++life) {
      absl::StatusOr<OpenedLog> opened = LogStore::Open(disk.get(), SmallOptions());
      ASSERT_TRUE(opened.ok()) << opened.status();
      const LogModel model = LogModel::Of(&*opened);
      ASSERT_TRUE(model == progress.acknowledged || model == progress.under_way)
          << testing::PrintToString(model) << "\nis neither  "
          << testing::PrintToString(progress.acknowledged) << "\nnor  "
          << testing::PrintToString(progress.under_way);
      progress.acknowledged = progress.under_way = model;
      disk->CutPowerAt(random.Between(1, 150));
      while (disk->power_is_on()) {
        const LogModel& now = progress.acknowledged;
        const uint64_t term = now.hard_state.term.value() + random.Below(2);
        uint64_t first = now.last() + 1;
        if (random.Chance(1, 6) && now.last() > now.hard_state.commit.value()) {
          first = random.Between(now.hard_state.commit.value() + 1, now.last());
        }
        LogWrite write;
        if (random.Chance(1, 12) && now.hard_state.commit > now.base.index) {
          const uint64_t index =
              random.Between(now.base.index.value() + 1, now.hard_state.commit.value());
          const raft::Entry& entry = now.entries[index - now.base.index.value() - 1];
          write.base = {.index = entry.index, .term = entry.term, .time = entry.time};
        }
        const uint64_t count = random.Below(4);
        for (uint64_t i = 0; i < count; ++i) {
          const size_t bytes = random.Below(700);
          write.entries.push_back((first + i) % 4 == 0 ? MakeConfiguration(first + i, term, bytes)
                                                       : MakeEntry(first + i, term, bytes));
        }
        const uint64_t last = count > 0 ? first + count - 1 : now.last();
        write.hard_state = MakeHardState(term, random.Below(4),
                                         random.Between(now.hard_state.commit.value(), last));
        progress.under_way.Apply(write);
        if (!opened->store->Write(write).ok()) break;
        progress.acknowledged = progress.under_way;
        if (random.Chance(1, 2)) RunFileJobs(disk.get(), opened->store.get());
      }
      opened->store.reset();
      disk->Crash(static_cast<Unsynced>(random.Below(4)), &random);
    }
  }
}

}  // namespace
}  // namespace lockd::storage
