// The group as a whole: it elects, replicates, recovers and makes progress over a bad network.

#include "consensus/raft/raft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "consensus/raft/describe.h"
#include "protocol/base/random.h"
#include "tests/consensus/raft/group.h"

namespace lockd::raft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Raft, ElectsALeaderAndReplicates) {
  Group group(3);
  group.Elect(1);
  group.Propose(1, "a");
  group.Propose(1, "b");
  group.Tick(5);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_THAT(group.commands(id), ElementsAre("a", "b"));
}

TEST(Raft, ElectsALeaderByTimeAlone) {
  Group group(5);
  group.Tick(61);
  EXPECT_NE(group.leader(), 0u);
}

TEST(Raft, TheOnlyMemberLeadsAndCommitsWithItsOwnWrites) {
  Group group(1);
  group.Elect(1);
  group.Propose(1, "a");
  group.Settle();
  EXPECT_THAT(group.commands(1), ElementsAre("a"));
}

TEST(Raft, ANewLeaderTakesOverWhatIsCommitted) {
  Group group(3);
  group.Elect(1);
  group.Propose(1, "a");
  group.Settle();
  group.Crash(1);
  group.Tick(130);
  ASSERT_NE(group.leader(), 0u);
  group.Propose(group.leader(), "b");
  group.Settle();
  group.Restart(1);
  group.Tick(10);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_THAT(group.commands(id), ElementsAre("a", "b"));
}

TEST(Raft, AWholeGroupRestartsFromItsDisks) {
  Group group(3);
  group.Elect(1);
  group.Propose(1, "a");
  group.Settle();
  for (uint64_t id = 1; id <= 3; ++id) group.Crash(id);
  for (uint64_t id = 1; id <= 3; ++id) group.Restart(id);
  group.Tick(130);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_THAT(group.commands(id), ElementsAre("a"));
}

TEST(Raft, SaysWhenItNextHasSomethingToDo) {
  Group group(1);
  const uint64_t until_election = group[1].TicksUntilDue();
  EXPECT_GT(until_election, 30u);
  EXPECT_LE(until_election, 60u);
  group[1].Tick(until_election - 1);
  EXPECT_EQ(group[1].role(), Role::kFollower);
  EXPECT_EQ(group[1].TicksUntilDue(), 1u);
  group[1].Tick(1);
  EXPECT_EQ(group[1].role(), Role::kCandidate);
  group.Settle();
  EXPECT_EQ(group[1].TicksUntilDue(), 5u);  // a leader's next heartbeat
}

// Random schedules: a third of the messages is lost, some are held back (so that they come late and
// out of order) or doubled, members crash with writes under way. Group checks safety at every step;
// here: after the network is whole again, everything proposed and committed is everywhere, soon.
class LossyNetwork : public ::testing::TestWithParam<uint64_t> {};

TEST_P(LossyNetwork, MakesProgressAndNeverDisagrees) {
  Random random(GetParam());
  Group group(GetParam() % 2 == 0 ? 3 : 5, [&](Options& options) {
    options.inflight_appends_max = 4;
    options.append_bytes_max = 200;
    options.tail_bytes_max = 500;
    options.apply_bytes_max = 300;
    options.read_bytes_max = 200;
    options.seed = random.Next();
  });
  std::vector<Message> held;
  group.lose = [&](const Message& message) {
    if (random.Chance(1, 20)) held.push_back(message);
    return random.Chance(30, 100);
  };
  uint64_t proposals = 0;
  for (int step = 0; step < 20000; ++step) {
    const uint64_t id = random.Between(1, group.size());
    switch (random.Below(13)) {
      case 0:
        if (group.leader() == id) {
          for (uint64_t n = random.Below(4); n > 0; --n) {
            group.Propose(id, std::to_string(++proposals), static_cast<int64_t>(step));
          }
        }
        break;
      case 1:
        for (uint64_t other = 1; other <= group.size(); ++other) {
          if (group.is_up(other)) group[other].Tick();
        }
        break;
      case 11:
        if (random.Chance(1, 20) && group.is_up(id)) {
          (void)group[id].TransferLeadership(NodeId{random.Below(group.size() + 1)});
        }
        break;
      case 2:
        if (!held.empty()) {
          std::swap(held[random.Below(held.size())], held.back());
          group.wire.push_back(held.back());
          if (random.Chance(1, 2)) held.pop_back();
        }
        break;
      case 3:
        if (random.Chance(1, 20)) {
          if (group.is_up(id)) group.Crash(id);
          group.Restart(id, random.Below(3));
        }
        break;
      case 4:
      case 5:
        if (group.is_up(id) && !group.disk(id).under_way.empty()) group.CompleteWrite(id);
        break;
      case 6:
      case 7:
        group.DeliverAll();
        break;
      default:
        if (group.is_up(id)) {
          group.Collect(id, random.Chance(1, 2) ? TakeWrite::kYes : TakeWrite::kNo);
        }
    }
  }
  // Still 30 % loss, but time goes on and nobody crashes.
  const auto is_served = [&] {
    return group.leader() != 0 && group[group.leader()].has_committed_in_term();
  };
  for (int ticks = 0; ticks < 600 && !is_served(); ++ticks) group.Tick(1);
  ASSERT_TRUE(is_served());
  group.lose = nullptr;
  group.Tick(130);
  const uint64_t leader = group.leader();
  ASSERT_NE(leader, 0u);
  ASSERT_EQ(group.Propose(leader, "end"), ProposeOutcome::kAccepted);
  group.Tick(10);
  for (uint64_t id = 1; id <= group.size(); ++id) {
    ASSERT_FALSE(group.commands(id).empty());
    EXPECT_EQ(group.commands(id).back(), "end") << Describe(group[id]);
    EXPECT_EQ(group.applied(id), group.applied(leader));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LossyNetwork, ::testing::Range<uint64_t>(1, 41));

}  // namespace
}  // namespace lockd::raft
