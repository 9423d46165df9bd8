#include "tools/lockctl/stop_times.h"

#include <gtest/gtest.h>

#include "tools/lockctl/exit_status.h"

namespace lockd::lockctl {
namespace {

using std::chrono::seconds;

BootClock::time_point At(int64_t s) {
  return BootClock::time_point(seconds(s));
}

TEST(StopTimes, TermComesAtHalfAndKillAtThreeQuartersOfWhatRemains) {
  const StopTimes times = ComputeStopTimes(At(100), At(108));
  EXPECT_EQ(times.term, At(104));
  EXPECT_EQ(times.kill, At(106));
}

TEST(StopTimes, AnAnswerPostponesBoth) {
  const StopTimes before = ComputeStopTimes(At(100), At(108));
  const StopTimes after = ComputeStopTimes(At(103), At(111));
  EXPECT_GT(after.term, before.term);
  EXPECT_GT(after.kill, before.kill);
}

// The deadline of a maximum hold stands, whatever the cluster answers: each answer moves TERM
// closer to it, and never beyond.
TEST(StopTimes, ADeadlineThatStandsIsNotOverrun) {
  for (int64_t answer = 100; answer <= 120; ++answer) {
    const StopTimes times = ComputeStopTimes(At(answer), At(108));
    EXPECT_LE(times.term, times.kill);
    EXPECT_LE(times.kill, At(108));
  }
}

TEST(StopTimes, ALostLockIsOverdue) {
  const StopTimes times = ComputeStopTimes(At(100), BootClock::time_point());
  EXPECT_LT(times.kill, At(1));
}

TEST(LockctlExitStatus, SaysWhetherTheClusterWasReached) {
  EXPECT_EQ(ReadExitStatus(absl::OkStatus()), 0);
  EXPECT_EQ(ReadExitStatus(absl::UnavailableError("")), 3);
  EXPECT_EQ(ReadExitStatus(absl::DeadlineExceededError("")), 3);
  EXPECT_EQ(ReadExitStatus(absl::InvalidArgumentError("")), 4);
  EXPECT_EQ(ReadExitStatus(absl::ResourceExhaustedError("")), 4);
}

}  // namespace
}  // namespace lockd::lockctl
