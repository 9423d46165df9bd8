// Refounding out of states that random streams of log entries have brought about.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/random.h"
#include "server/state/refounding.h"
#include "tests/support/command_stream.h"
#include "tests/support/naive_lock_database.h"
#include "tests/support/oracle_check.h"
#include "tests/support/snapshot_content.h"

namespace lockd::state {
namespace {

std::vector<std::string> HeldNames(const LockDatabase& database) {
  std::vector<std::string> names;
  std::vector<LockView> page;
  uint64_t cursor = 0;
  do {
    page.clear();
    cursor = database.ListLocks("", cursor, 1'000, &page);
    for (const LockView& view : page) names.push_back(view.name);
  } while (cursor != 0);
  return names;
}

TEST(RefoundingRandom, KeepsWhatIsHeldAndFreesItInTime) {
  uint64_t locks_seen = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    CommandStream stream([&random](uint64_t bound) { return random.Below(bound); });
    LockDatabase database;
    NaiveLockDatabase oracle;
    for (uint64_t entries = random.Below(200); entries > 0; --entries) {
      const LogEntry entry = stream.Next();
      oracle.Apply(entry.time, entry.batch ? &*entry.batch : nullptr);
      stream.Learn(entry, database.Apply(entry.time, Encode(entry)));
    }
    const std::vector<std::string> held = HeldNames(database);
    const uint64_t last = database.last_number();
    const ClusterTime now = database.time();

    database.PrepareRefounding();
    oracle.PrepareRefounding();
    database.CheckInvariants();
    ASSERT_EQ(database.lock_count(), oracle.lock_count());
    ASSERT_EQ(database.session_count(), oracle.session_count());
    ASSERT_EQ(database.NextDeadline(), oracle.NextDeadline());
    ASSERT_EQ(HeldNames(database), held);
    ASSERT_EQ(database.session_count(), 0u);
    ASSERT_EQ(database.waiter_count(), 0u);
    locks_seen += held.size();

    auto loaded = LoadSnapshot(WriteSnapshot(database));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    LockDatabase& next = **loaded;
    ASSERT_EQ(next.digest(), database.digest());
    const Refound refound{
        {ClusterId(1), database.feature_level(), database.settings(), {{NodeId(1)}}}, last + 1};
    BatchBuilder builder;
    builder.Add(refound);
    ASSERT_EQ(next.Apply(now, builder.Take(WallTime(1))).results.at(0).refusal, Refusal::kNone);
    next.CheckInvariants();
    const Batch founding{.wall_time = WallTime(1), .commands = {refound}};
    oracle.Apply(now, &founding);
    // Step by step the same, up to the end of the lock-delay and beyond.
    for (ClusterTime step = now; next.NextDeadline() != kNeverCluster;) {
      step = std::max(step, next.NextDeadline());
      const ApplyResult result = next.Apply(step, "");
      ASSERT_EQ(result.events, oracle.Apply(step, nullptr).events);
      ASSERT_EQ(HeldNames(next).size(), oracle.lock_count());
      ASSERT_EQ(next.NextDeadline(), oracle.NextDeadline());
    }
    // Nothing is left once the lock-delay is over and outcomes need not be kept any more.
    const ClusterTime end = now + ServerDurationMs(kDurationMsMax);
    do {
      next.Apply(end, "");
      next.CheckInvariants();
    } while (next.HasBacklog());
    ASSERT_EQ(next.lock_count(), 0u);
    ASSERT_EQ(next.sessions().kept_count(), 0u);
  }
  EXPECT_GT(locks_seen, 300u);
}

}  // namespace
}  // namespace lockd::state
