// Every invariant of the core trips: a healthy member is broken by hand, in one place, and exactly
// that rule is named.
#include "consensus/raft/invariants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/consensus/raft/corruptor.h"
#include "tests/consensus/raft/member.h"

namespace lockd::raft {
namespace {

using Corrupt = std::function<void(RaftCorruptor&)>;

// Node 1 of three. Its log: terms 1, 1, 2 at 1..3, committed and applied to 2.
RecoveredLog Recovered() {
  RecoveredLog log = MakeLog({1, 1, 2}, /*commit=*/2);
  int64_t time_ms = 0;
  for (Entry& entry : log.tail) entry.time = ClusterTime(time_ms += 10);
  return log;
}

// Node 1 of four, the last of which is a learner: entries 2 and 3 say so.
Member FollowerAfterChanges() {
  RecoveredLog log = MakeLog({1, 1, 2}, /*commit=*/2);
  for (const uint64_t index : {2u, 3u}) Place(log, index, MakeConfiguration({1, 2, 3}, {}, {4}));
  Member member(1, std::move(log));
  member.Take();
  return member;
}

Member FollowerOfTwo() {
  Member member(1, Recovered());
  member.Take();
  member.Receive(2, 3, Heartbeat{Index{2}, 1});
  member.Take();
  return member;
}

Member PreCandidate() {
  Member member(1, Recovered());
  member.Take();
  member.raft.Campaign();
  return member;
}

Member RealCandidate() {
  Member member = PreCandidate();
  member.Receive(2, 2, VoteReply{true, Term{3}, true});
  member.Take();
  return member;
}

// Leads in term 3: no-op at 4, acknowledged by node 2 and committed; entries 5 and 6 proposed, in a
// write that is under way, and sent to node 2.
Member LeaderWithWork() {
  Member member(1, Recovered());
  member.Lead();
  member.Receive(2, 3, MakeAccepted(3, 4));
  member.Take();
  for (const char* payload : {"a", "b"}) {
    member.Propose(payload);
    const Ready ready = member.TakeReady();
    LOCKD_CHECK(ready.write.has_value());
  }
  return member;
}

// As above, and all of it acknowledged by node 2, to which it hands over: TimeoutNow has left.
Member LeaderHandingOver() {
  Member member = LeaderWithWork();
  member.Receive(2, 3, MakeAccepted(4, 6));
  LOCKD_CHECK(member.raft.TransferLeadership(NodeId{2}) == TransferOutcome::kStarted);
  member.TakeReady(TakeWrite::kNo);
  return member;
}

// A snapshot of entry 9 has replaced its log.
Member Restored() {
  Member member = FollowerOfTwo();
  LOCKD_CHECK(member.raft.RestoreSnapshot({Index{9}, Term{3}, ClusterTime{90}},
                                          member.raft.configuration()));
  return member;
}

// As LeaderWithWork, and the log begins after entry 2; node 3 needs a snapshot.
Member LeaderWithTarget() {
  Member member = LeaderWithWork();
  member.raft.Compact({Index{2}, Term{1}, ClusterTime{20}});
  member.Receive(3, 3, MakeRefused(3, 0, 0));
  LOCKD_CHECK(member.follower(3).state() == Progress::State::kSnapshot);
  return member;
}

struct Case {
  const char* name;
  Member (*member)();
  Corrupt corrupt;
};

Message AckOf(Term term) {
  return {NodeId{1}, NodeId{2}, term, MakeAccepted(3, 3)};
}

const std::vector<Case>& Cases() {
  using C = RaftCorruptor;
  static const auto* const kCases = new std::vector<Case>{
      // -- the log --
      {"LogContiguous", FollowerOfTwo, [](C& c) { c.entry(2).index = Index{7}; }},
      {"TermsNeverDecrease", FollowerOfTwo, [](C& c) { c.entry(2).term = Term{9}; }},
      {"TermsNeverDecrease", FollowerOfTwo, [](C& c) { c.term() = Term{1}; }},
      {"TimeNeverDecreases", FollowerOfTwo, [](C& c) { c.entry(1).time = ClusterTime(99); }},
      {"LastEntryExact", FollowerOfTwo, [](C& c) { c.last_time() = ClusterTime(31); }},
      {"LastEntryExact", Restored, [](C& c) { c.last_time() = ClusterTime(91); }},
      {"MarksOrdered", FollowerOfTwo, [](C& c) { c.commit_index() = Index{4}; }},
      {"MarksOrdered", LeaderWithTarget, [](C& c) { c.applied_index() = Index{1}; }},
      {"MarksOrdered", FollowerOfTwo, [](C& c) { c.applied_index() = Index{3}; }},
      {"DurableOrdered", FollowerOfTwo, [](C& c) { c.durable_index() = Index{4}; }},
      {"DurableOrdered", Restored, [](C& c) { c.durable_index() = Index{8}; }},
      {"BaseExact", Restored,
       [](C& c) {
         c.Tell({Index{8}, Term{3}, ClusterTime{90}});
       }},
      {"BaseExact", LeaderWithTarget, [](C& c) { c.first_run() = Index{1}; }},
      {"UncommittedInMemory", FollowerOfTwo,
       [](C& c) {
         c.DropFirstInMemory();
         c.DropFirstInMemory();
       }},
      {"TailAccounted", FollowerOfTwo, [](C& c) { ++c.tail_bytes(); }},
      {"ApplyContinues", FollowerOfTwo, [](C& c) { c.apply_entries().push_back(MakeEntry(1, 2)); }},
      // -- promises --
      {"WritesExact", LeaderWithWork, [](C& c) { c.last_of_write(1) = Index{5}; }},
      {"WritesExact", LeaderWithWork, [](C& c) { c.last_of_write(0) = Index{3}; }},
      {"WritesOrdered", FollowerOfTwo, [](C& c) { c.vote_write() = 99; }},
      {"WritesOrdered", FollowerOfTwo, [](C& c) { c.handed().term = Term{4}; }},
      {"WritesOrdered", FollowerOfTwo, [](C& c) { c.handed().commit = Index{3}; }},
      {"PromisesWait", FollowerOfTwo, [](C& c) { c.with_next_write().push_back(AckOf(Term{3})); }},
      {"PromisesWait", LeaderWithWork, [](C& c) { c.Defer(1, AckOf(Term{3})); }},
      // -- terms, votes, members --
      {"ConfigurationInForce", FollowerOfTwo,
       [](C& c) { c.entry(3).kind = EntryKind::kConfiguration; }},
      {"ConfigurationInForce", FollowerAfterChanges, [](C& c) { c.configurations().pop_back(); }},
      {"ConfigurationInForce", FollowerAfterChanges,
       [](C& c) { c.configurations()[1].index = Index{1}; }},
      {"ConfigurationInForce", FollowerAfterChanges,
       [](C& c) { c.configurations()[2].index = Index{2}; }},
      {"ConfigurationInForce", FollowerAfterChanges,
       [](C& c) { c.configurations()[2].index = Index{4}; }},
      {"ConfigurationInForce", FollowerAfterChanges,
       [](C& c) { c.configurations()[1].change.configuration.learners.clear(); }},
      {"ConfigurationInForce", FollowerAfterChanges,
       [](C& c) {
         c.configurations()[2].change.configuration.voters = {NodeId{2}, NodeId{1}};
       }},
      {"CampaignOfItsTerm", PreCandidate, [](C& c) { C::campaign_term(c.candidate()) = Term{2}; }},
      {"CampaignOfItsTerm", RealCandidate, [](C& c) { c.voted_for() = NodeId{2}; }},
      {"KnownLeaderIsOther", FollowerOfTwo, [](C& c) { C::leader_id(c.follower()) = NodeId{1}; }},
      {"TimersWithinBounds", FollowerOfTwo, [](C& c) { C::election_at(c.follower()) = Tick{999}; }},
      // -- a leader --
      {"LeaderVotedForItself", LeaderWithWork, [](C& c) { c.voted_for() = NodeId{2}; }},
      {"LeaderIsVoter", PreCandidate,
       [](C& c) {
         c.configurations()[0].change.configuration = MakeConfiguration({2, 3}, {}, {1});
       }},
      {"NoopInLog", LeaderWithWork, [](C& c) { C::noop_index(c.leader()) = Index{5}; }},
      {"UncommittedAccounted", LeaderWithWork, [](C& c) { ++C::uncommitted_bytes(c.leader()); }},
      {"FollowersAreTheOthers", LeaderWithWork, [](C& c) { C::followers(c.leader()).pop_back(); }},
      {"FollowersAreTheOthers", LeaderWithWork,
       [](C& c) { C::followers(c.leader()).emplace_back(NodeId{4}, Index{6}, Tick{0}); }},
      {"MatchBelowNext", LeaderWithWork, [](C& c) { C::next_index(c.progress(0)) = Index{8}; }},
      {"InflightAccounted", LeaderWithWork, [](C& c) { ++C::inflight_bytes(c.progress(0)); }},
      {"SnapshotWhereCompacted", LeaderWithWork,
       [](C& c) { C::state(c.progress(1)) = Progress::State::kSnapshot; }},
      {"SnapshotWhereCompacted", LeaderWithTarget,
       [](C& c) { C::state(c.progress(1)) = Progress::State::kProbe; }},
      {"MatchWithinLog", LeaderWithWork, [](C& c) { C::match_index(c.progress(0)) = Index{7}; }},
      {"RoundsOrdered", LeaderWithWork, [](C& c) { C::confirmed_round(c.progress(0)) = 1'000; }},
      {"CommitHasQuorum", LeaderWithWork, [](C& c) { C::match_index(c.progress(0)) = Index{3}; }},
      // -- a leader that hands over --
      {"TimersWithinBounds", LeaderHandingOver,
       [](C& c) { C::deadline(*C::transfer(c.leader())) = Tick{999}; }},
      {"TransferToOtherVoter", LeaderHandingOver,
       [](C& c) { C::to(*C::transfer(c.leader())) = NodeId{9}; }},
      {"TransferToOtherVoter", LeaderHandingOver,
       [](C& c) { C::to(*C::transfer(c.leader())) = NodeId{1}; }},
      {"TransferTargetHasAll", LeaderHandingOver,
       [](C& c) { C::to(*C::transfer(c.leader())) = NodeId{3}; }},
  };
  return *kCases;
}

class RaftInvariants : public testing::TestWithParam<Case> {};

TEST_P(RaftInvariants, Trips) {
  Member member = GetParam().member();
  ASSERT_EQ(FirstBrokenInvariant(member.raft), "");
  RaftCorruptor corruptor(member.raft);
  GetParam().corrupt(corruptor);
  EXPECT_THAT(FirstBrokenInvariant(member.raft),
              testing::StartsWith(absl::StrCat(GetParam().name, ": ")));
}

INSTANTIATE_TEST_SUITE_P(All, RaftInvariants, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& test) {
                           return absl::StrCat(test.param.name, "_", test.index);
                         });

TEST(RaftInvariantNames, EachOneHasATestThatTripsIt) {
  for (const absl::string_view name : InvariantNames()) {
    EXPECT_TRUE(std::any_of(Cases().begin(), Cases().end(), [name](const Case& c) {
      return c.name == name;
    })) << std::string(name);
  }
}

TEST(RaftInvariantNames, AWalkFromAnIndexLooksAtNothingBelowIt) {
  Member member = FollowerOfTwo();
  RaftCorruptor corruptor(member.raft);
  corruptor.entry(1).index = Index{7};
  EXPECT_EQ(FirstBrokenInvariant(member.raft, Index{2}), "");
  EXPECT_THAT(FirstBrokenInvariant(member.raft, Index{1}), testing::StartsWith("LogContiguous: "));
}

TEST(RaftInvariantNames, ABrokenOneEndsTheProcess) {
  Member member = FollowerOfTwo();
  RaftCorruptor(member.raft).tail_bytes() = 0;
  EXPECT_DEATH(CheckInvariants(member.raft), "node 1: TailAccounted");
}

}  // namespace
}  // namespace lockd::raft
