#include "consensus/raft/read_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/consensus/raft/member.h"

namespace lockd::raft {

inline void PrintTo(const ReleasedRead& read, std::ostream* out) {
  *out << Describe(read);
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ReadIndex, AConfirmedRoundReleasesItselfAndAllBefore) {
  ReadIndex reads;
  std::vector<ReleasedRead> released;
  reads.Add(1);
  reads.Add(2);
  reads.StartRound(5, Index{10});
  reads.Add(3);
  reads.StartRound(6, Index{11});
  reads.Add(4);
  reads.StartRound(7, Index{12});
  reads.Confirm(4, released);
  EXPECT_THAT(released, IsEmpty());
  reads.Confirm(6, released);
  EXPECT_THAT(released,
              ElementsAre(ReleasedRead{1, true, Index{10}}, ReleasedRead{2, true, Index{10}},
                          ReleasedRead{3, true, Index{11}}));
  EXPECT_EQ(reads.size(), 1u);
}

TEST(ReadIndex, WhenTheLeaderEndsAllAreAnswered) {
  ReadIndex reads;
  std::vector<ReleasedRead> released;
  reads.Add(1);
  reads.StartRound(5, Index{10});
  reads.Add(2);
  reads.FailAll(released);
  EXPECT_THAT(released,
              ElementsAre(ReleasedRead{1, false, Index{0}}, ReleasedRead{2, false, Index{0}}));
  EXPECT_EQ(reads.size(), 0u);
}

uint64_t RoundOf(const std::vector<Message>& sent) {
  const auto heartbeats = Only<Heartbeat>(sent);
  LOCKD_CHECK(!heartbeats.empty());
  return heartbeats.back().round;
}

// A leader of term 2, with its no-op at index 2 committed.
Member CommittedLeader() {
  Member member(1, std::vector<uint64_t>{1});
  member.Lead();
  member.Receive(2, 2, MakeAccepted(1, 2));
  member.Take();
  LOCKD_CHECK(member.raft.has_committed_in_term());
  return member;
}

TEST(Reads, OneRoundForAllThatWereAskedBeforeIt) {
  Member member = CommittedLeader();
  member.raft.RequestRead(7);
  member.raft.RequestRead(8);
  const auto sent = member.Take();
  EXPECT_EQ(Only<Heartbeat>(sent).size(), 2u);
  member.Receive(3, 2, HeartbeatReply{RoundOf(sent)});
  member.Take();
  EXPECT_THAT(member.released,
              ElementsAre(ReleasedRead{7, true, Index{2}}, ReleasedRead{8, true, Index{2}}));
}

// the commit index of a new leader may be behind what earlier leaders committed.
TEST(Reads, WaitUntilAnEntryOfTheTermIsCommitted) {
  Member member(1, std::vector<uint64_t>{1});
  member.Lead();
  member.raft.RequestRead(7);
  EXPECT_FALSE(member.raft.HasReady());
  member.Propose("x");  // something else to take
  EXPECT_THAT(Only<Heartbeat>(member.Take()), IsEmpty());
  EXPECT_THAT(member.released, IsEmpty());
  member.Receive(2, 2, MakeAccepted(1, 2));
  const auto sent = member.Take();
  member.Receive(2, 2, HeartbeatReply{RoundOf(sent)});
  member.Take();
  // Not the index at which it was asked, but one that covers all earlier terms.
  EXPECT_THAT(member.released, ElementsAre(ReleasedRead{7, true, Index{2}}));
}

// answers to an earlier round prove nothing about the time after this read was asked.
TEST(Reads, AnOldAnswerDoesNotConfirmANewRound) {
  Member member = CommittedLeader();
  member.raft.Tick(5);
  const uint64_t old_round = RoundOf(member.Take());
  member.raft.RequestRead(7);
  const uint64_t new_round = RoundOf(member.Take());
  EXPECT_GT(new_round, old_round);
  member.Receive(2, 2, HeartbeatReply{old_round});
  member.Receive(3, 2, HeartbeatReply{old_round});
  member.Take();
  EXPECT_THAT(member.released, IsEmpty());
  member.Receive(2, 2, HeartbeatReply{new_round});
  member.Take();
  EXPECT_THAT(member.released, ElementsAre(ReleasedRead{7, true, Index{2}}));
}

TEST(Reads, AnAcknowledgedAppendConfirmsARoundToo) {
  Member member = CommittedLeader();
  member.raft.RequestRead(7);
  const uint64_t round = RoundOf(member.Take());
  member.Propose("x");
  const auto appends = Only<AppendRequest>(member.Take(), 2);
  ASSERT_EQ(appends.size(), 1u);
  EXPECT_EQ(appends[0].round, round);
  member.Receive(2, 2, MakeAccepted(2, 3, round));
  member.Take();
  EXPECT_THAT(member.released, ElementsAre(ReleasedRead{7, true, Index{2}}));
}

TEST(Reads, ALostRoundIsConfirmedByALaterHeartbeat) {
  Member member = CommittedLeader();
  member.raft.RequestRead(7);
  member.Take();  // lost
  member.raft.Tick(5);
  member.Receive(2, 2, HeartbeatReply{RoundOf(member.Take())});
  member.Take();
  EXPECT_THAT(member.released, ElementsAre(ReleasedRead{7, true, Index{2}}));
}

TEST(Reads, AreRefusedWhenTheLeaderIsDeposed) {
  Member member = CommittedLeader();
  member.raft.RequestRead(7);
  member.Take();
  member.raft.RequestRead(8);
  member.Receive(2, 3, Heartbeat{});
  member.Take();
  EXPECT_THAT(member.released,
              ElementsAre(ReleasedRead{7, false, Index{0}}, ReleasedRead{8, false, Index{0}}));
}

TEST(Reads, AreRefusedByAFollowerAtOnce) {
  Member member(2, std::vector<uint64_t>{1});
  member.raft.RequestRead(7);
  member.Take();
  EXPECT_THAT(member.released, ElementsAre(ReleasedRead{7, false, Index{0}}));
}

TEST(Reads, TheOnlyMemberConfirmsItsOwn) {
  Member member(1, std::vector<uint64_t>{1}, 1);
  member.Lead();
  member.raft.RequestRead(7);
  member.Take();
  EXPECT_THAT(member.released, ElementsAre(ReleasedRead{7, true, Index{2}}));
}

}  // namespace
}  // namespace lockd::raft
