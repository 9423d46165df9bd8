#include "server/node/group_commit.h"

#include <string>
#include <variant>

#include "gtest/gtest.h"
#include "server/node/keep_alive_collector.h"
#include "server/node/pending_requests.h"
#include "server/state/command.h"

namespace lockd::node {
namespace {

using raft::Index;
using raft::Term;

NodeOptions SmallOptions() {
  NodeOptions options;
  options.batch_bytes_max = 1'000;
  options.pending_command_bytes_max = 1'000;
  options.uncommitted_bytes_max = 1'500;
  return options;
}

state::Command AcquireOf(uint64_t sequence, size_t name_bytes = 10) {
  state::Acquire acquire;
  acquire.mutation = {.session = SessionId{1},
                      .epoch = ConnectionEpoch{1},
                      .sequence = Sequence{sequence},
                      .acknowledged_through = {},
                      .acknowledged_acquires = {}};
  acquire.name = std::string(name_bytes, 'n');
  return acquire;
}

RequestRef RequestOf(uint32_t id) {
  return {.connection = ConnectionId{1},
          .request_id = id,
          .opcode = Opcode::kAcquire,
          .is_counted = true,
          .session = {},
          .target = {}};
}

KeepAliveRef KeepAliveOf(uint32_t id) {
  return {RequestOf(id), id};
}

state::KeepAlives::One OneOf(uint64_t session, uint64_t epoch = 1, size_t acknowledged = 0) {
  return {.session = SessionId{session},
          .epoch = ConnectionEpoch{epoch},
          .acknowledged_acquires = std::vector<Sequence>(acknowledged, Sequence{1})};
}

uint32_t RequestIdOf(const Waiter& waiter) {
  return std::get<RequestRef>(waiter).request_id;
}

TEST(GroupCommit, PutsEverythingThatWaitsIntoOneEntryInOrder) {
  GroupCommit group(NodeOptions{});
  KeepAliveCollector keep_alives(50);
  for (uint32_t i = 1; i <= 5; ++i) group.Add(AcquireOf(i), 100, RequestOf(i));
  const GroupCommit::Draft draft = group.Take(keep_alives, WallTime{77});
  const auto batch = state::DecodeBatch(draft.payload);
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->wall_time, WallTime{77});
  ASSERT_EQ(batch->commands.size(), 5u);
  ASSERT_EQ(draft.waiters.size(), 5u);
  for (uint32_t i = 0; i < 5; ++i) {
    EXPECT_EQ(std::get<state::Acquire>(batch->commands[i]).mutation.sequence, Sequence{i + 1});
    EXPECT_EQ(RequestIdOf(draft.waiters[i]), i + 1);
  }
  EXPECT_TRUE(group.empty());
  EXPECT_EQ(group.pending_bytes(), 0u);
}

TEST(GroupCommit, KeepAlivesGoFirst) {
  GroupCommit group(NodeOptions{});
  KeepAliveCollector keep_alives(50);
  group.Add(AcquireOf(1), 100, RequestOf(1));
  ASSERT_TRUE(keep_alives.Add(OneOf(9), KeepAliveOf(2)));
  const GroupCommit::Draft draft = group.Take(keep_alives, WallTime{0});
  const auto batch = state::DecodeBatch(draft.payload);
  ASSERT_TRUE(batch.ok());
  ASSERT_EQ(batch->commands.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<state::KeepAlives>(batch->commands[0]));
  EXPECT_TRUE(std::holds_alternative<KeepAliveRefs>(draft.waiters[0]));
  EXPECT_EQ(RequestIdOf(draft.waiters[1]), 1u);
}

TEST(GroupCommit, LeavesWhatIsTooMuchForOneEntryForTheNext) {
  GroupCommit group(SmallOptions());
  KeepAliveCollector keep_alives(50);
  for (uint32_t i = 1; i <= 4; ++i) group.Add(AcquireOf(i, 300), 400, RequestOf(i));
  EXPECT_EQ(group.Take(keep_alives, WallTime{0}).waiters.size(), 2u);
  EXPECT_EQ(group.pending_bytes(), 800u);
  EXPECT_EQ(group.Take(keep_alives, WallTime{0}).waiters.size(), 2u);
  EXPECT_TRUE(group.empty());
}

// Otherwise an entry of many closes would be a long turn, wherever it is applied.
TEST(GroupCommit, WhatACommandCleansUpTakesRoomInItsEntry) {
  GroupCommit group(SmallOptions());
  KeepAliveCollector keep_alives(50);
  for (uint32_t i = 1; i <= 5; ++i) {
    group.Add(AcquireOf(i), 100, RequestOf(i), /*clean_up_bytes=*/400);
  }
  EXPECT_EQ(group.Take(keep_alives, WallTime{0}).waiters.size(), 2u);
  EXPECT_EQ(group.Take(keep_alives, WallTime{0}).waiters.size(), 2u);
  EXPECT_EQ(group.Take(keep_alives, WallTime{0}).waiters.size(), 1u);
  EXPECT_TRUE(group.empty());
}

TEST(GroupCommit, TakesACommandThatAloneIsLargerThanABatch) {
  GroupCommit group(SmallOptions());
  KeepAliveCollector keep_alives(50);
  group.Add(AcquireOf(1, 1'024), 5'000, RequestOf(1));
  EXPECT_EQ(group.Take(keep_alives, WallTime{0}).waiters.size(), 1u);
}

TEST(GroupCommit, WithNothingToSayMakesATimeEntry) {
  GroupCommit group(NodeOptions{});
  KeepAliveCollector keep_alives(50);
  const auto batch = state::DecodeBatch(group.Take(keep_alives, WallTime{5}).payload);
  ASSERT_TRUE(batch.ok());
  EXPECT_TRUE(batch->commands.empty());
}

TEST(GroupCommit, ShedsNewWorkFirstThenWindDownNeverItsOwn) {
  GroupCommit group(SmallOptions());
  group.Add(AcquireOf(1), 900, RequestOf(1));
  EXPECT_TRUE(group.Admits(Admission::kNewWork, 100, 0));
  EXPECT_FALSE(group.Admits(Admission::kNewWork, 101, 0)) << "pending bytes";
  EXPECT_TRUE(group.Admits(Admission::kWindDown, 101, 0));
  EXPECT_FALSE(group.Admits(Admission::kWindDown, 1'101, 0));
  EXPECT_TRUE(group.Admits(Admission::kAlways, 1'000'000, 0));
  EXPECT_FALSE(group.Admits(Admission::kNewWork, 100, 501)) << "uncommitted bytes";
  EXPECT_TRUE(group.Admits(Admission::kWindDown, 100, 501));
  EXPECT_FALSE(group.Admits(Admission::kWindDown, 100, 2'001));
}

TEST(KeepAliveCollector, WindowOpensWithTheFirstAndClosesInTime) {
  KeepAliveCollector keep_alives(50);
  EXPECT_EQ(keep_alives.due_at(), kNeverLocal);
  ASSERT_TRUE(keep_alives.Add(OneOf(1), KeepAliveOf(1)));
  keep_alives.OnTime(LocalTime{100});
  ASSERT_TRUE(keep_alives.Add(OneOf(2), KeepAliveOf(2)));
  keep_alives.OnTime(LocalTime{200});
  EXPECT_EQ(keep_alives.due_at(), LocalTime{100 + 50 * kNanosPerMilli});
  EXPECT_EQ(keep_alives.Take(100'000).command.sessions.size(), 2u);
  EXPECT_EQ(keep_alives.due_at(), kNeverLocal);
}

// L-16
TEST(KeepAliveCollector, OneSlotPerSessionAnswersAll) {
  KeepAliveCollector keep_alives(50);
  ASSERT_TRUE(keep_alives.Add(OneOf(1, 3, 2), KeepAliveOf(1)));
  ASSERT_TRUE(keep_alives.Add(OneOf(1, 4, 1), KeepAliveOf(2)));
  const KeepAliveCollector::Taken taken = keep_alives.Take(100'000);
  ASSERT_EQ(taken.command.sessions.size(), 1u);
  EXPECT_EQ(taken.command.sessions[0].epoch, ConnectionEpoch{4}) << "the current binding's";
  EXPECT_EQ(taken.command.sessions[0].acknowledged_acquires.size(), 3u);
  EXPECT_EQ(taken.waiters[0].size(), 2u);
}

TEST(KeepAliveCollector, ASlotHoldsABoundedNumberOfAcknowledgements) {
  KeepAliveCollector keep_alives(50);
  ASSERT_TRUE(keep_alives.Add(OneOf(1, 1, 1'000), KeepAliveOf(1)));
  EXPECT_FALSE(keep_alives.Add(OneOf(1, 1, 25), KeepAliveOf(2)));
  EXPECT_TRUE(keep_alives.Add(OneOf(1, 1, 24), KeepAliveOf(3)));
}

TEST(KeepAliveCollector, WhatDoesNotFitIsDueAtOnce) {
  KeepAliveCollector keep_alives(50);
  for (uint64_t session = 1; session <= 10; ++session) {
    ASSERT_TRUE(keep_alives.Add(OneOf(session), KeepAliveOf(1)));
  }
  keep_alives.OnTime(LocalTime{0});
  EXPECT_EQ(keep_alives.Take(100).command.sessions.size(), 4u);
  EXPECT_LT(keep_alives.due_at(), kNeverLocal);
  ASSERT_TRUE(keep_alives.Add(OneOf(10), KeepAliveOf(2)));
  const KeepAliveCollector::Taken rest = keep_alives.Take(100'000);
  EXPECT_EQ(rest.command.sessions.size(), 6u);
  EXPECT_EQ(rest.waiters.back().size(), 2u) << "still one slot";
}

TEST(PendingRequests, AnswersTheEntryThatWasProposedHere) {
  PendingRequests pending;
  pending.Add(Term{2}, Index{5}, {RequestOf(1)});
  pending.Add(Term{2}, Index{7}, {RequestOf(2), Nobody{}});
  std::vector<Waiter> superseded;
  EXPECT_TRUE(pending.Take(Term{2}, Index{4}, &superseded).empty());
  EXPECT_EQ(pending.Take(Term{2}, Index{5}, &superseded).size(), 1u);
  EXPECT_TRUE(pending.Take(Term{2}, Index{6}, &superseded).empty());
  EXPECT_EQ(pending.Take(Term{2}, Index{7}, &superseded).size(), 2u);
  EXPECT_TRUE(superseded.empty());
}

TEST(PendingRequests, AnotherLeadersEntrySupersedes) {
  PendingRequests pending;
  pending.Add(Term{2}, Index{5}, {RequestOf(1)});
  std::vector<Waiter> superseded;
  EXPECT_TRUE(pending.Take(Term{3}, Index{5}, &superseded).empty());
  ASSERT_EQ(superseded.size(), 1u);
  EXPECT_EQ(RequestIdOf(superseded[0]), 1u);
  EXPECT_TRUE(pending.TakeAll().empty());
}

}  // namespace
}  // namespace lockd::node
