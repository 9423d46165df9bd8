#include "tests/sim/checks/vote_ledger.h"

#include <gtest/gtest.h>

#include "tests/sim/checks/broken.h"

namespace lockd::sim {
namespace {

using raft::Term;

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr NodeId kC{3};
constexpr NodeId kNobody{0};

raft::HardState Hard(uint64_t term, NodeId vote) {
  return {Term(term), vote, raft::Index(0)};
}

raft::Message Vote(NodeId from, NodeId to, uint64_t term) {
  return {from, to, Term(term), raft::VoteReply{false, Term(term), true}};
}

raft::Message Campaign(NodeId from, NodeId to, uint64_t term) {
  return {from, to, Term(term), raft::VoteRequest{false, Term(term), raft::Index(0), Term(0)}};
}

raft::Configuration Of(std::vector<NodeId> voters, std::vector<NodeId> outgoing = {}) {
  return {.voters = std::move(voters), .outgoing_voters = std::move(outgoing), .learners = {}};
}

class VoteLedgerTest : public testing::Test {
 protected:
  VoteLedger ledger_;
};

TEST_F(VoteLedgerTest, OneVoteInEachTermIsFine) {
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kB), Holds());
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kB), Holds());
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(2), kNobody), Holds());
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(2), kC), Holds());
}

TEST_F(VoteLedgerTest, ASecondVoteInMemoryTrips) {
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kB), Holds());
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kC), Trips("OneVotePerTerm"));
}

TEST_F(VoteLedgerTest, AVoteTakenBackTrips) {
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kB), Holds());
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kNobody), Trips("OneVotePerTerm"));
}

TEST_F(VoteLedgerTest, AVoteThatWasSentBindsTheNextLife) {
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kB), Holds());
  EXPECT_THAT(ledger_.Sent(Vote(kA, kB, 1)), Holds());
  EXPECT_THAT(ledger_.Restarted(kA, Hard(0, kNobody)), Holds());
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kC), Trips("OneVotePerTerm"));
}

TEST_F(VoteLedgerTest, AVoteThatNeverLeftAndWasNotDurableMayBeGivenAgain) {
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kB), Holds());
  EXPECT_THAT(ledger_.Restarted(kA, Hard(0, kNobody)), Holds());
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(1), kC), Holds());
}

TEST_F(VoteLedgerTest, TwoVotesSentInOneTermTrip) {
  EXPECT_THAT(ledger_.Sent(Vote(kA, kB, 1)), Holds());
  EXPECT_THAT(ledger_.Sent(Vote(kA, kC, 1)), Trips("OneVotePerTerm"));
}

TEST_F(VoteLedgerTest, ACampaignIsAVoteForOneself) {
  EXPECT_THAT(ledger_.Sent(Campaign(kA, kB, 1)), Holds());
  EXPECT_THAT(ledger_.Sent(Vote(kA, kC, 1)), Trips("OneVotePerTerm"));
}

TEST_F(VoteLedgerTest, PreVotesAndRefusalsPromiseNothing) {
  EXPECT_THAT(ledger_.Sent({kA, kB, Term(1), raft::VoteReply{true, Term(2), true}}), Holds());
  EXPECT_THAT(ledger_.Sent({kA, kB, Term(2), raft::VoteReply{false, Term(2), false}}), Holds());
  EXPECT_THAT(ledger_.Sent(Vote(kA, kC, 2)), Holds());
}

TEST_F(VoteLedgerTest, ATermThatGoesBackTrips) {
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(3), kNobody), Holds());
  EXPECT_THAT(ledger_.AfterTurn(kA, Term(2), kNobody), Trips("TermNeverBack"));
}

TEST_F(VoteLedgerTest, ADurableTermThatIsGoneAfterARestartTrips) {
  ledger_.BecameDurable(kA, Hard(3, kNobody));
  EXPECT_THAT(ledger_.Restarted(kA, Hard(2, kNobody)), Trips("TermNeverBackAcrossRestart"));
}

TEST_F(VoteLedgerTest, ADurableVoteThatIsGoneAfterARestartTrips) {
  ledger_.BecameDurable(kA, Hard(3, kB));
  EXPECT_THAT(ledger_.Restarted(kA, Hard(3, kNobody)), Trips("VoteSurvivesRestart"));
}

TEST_F(VoteLedgerTest, ALeaderHasTheVotesOfAMajority) {
  EXPECT_THAT(ledger_.Sent(Campaign(kA, kB, 1)), Holds());
  EXPECT_THAT(ledger_.Leads(kA, Term(1), Of({kA, kB, kC})), Trips("ElectedByMajority"));
  EXPECT_THAT(ledger_.Sent(Vote(kB, kA, 1)), Holds());
  EXPECT_THAT(ledger_.Leads(kA, Term(1), Of({kA, kB, kC})), Holds());
}

TEST_F(VoteLedgerTest, ALeaderHasTheVotesOfBothHalves) {
  const raft::Configuration joint = Of({kA, kB}, {kA, kC});
  EXPECT_THAT(ledger_.Sent(Campaign(kA, kB, 1)), Holds());
  EXPECT_THAT(ledger_.Sent(Vote(kB, kA, 1)), Holds());
  EXPECT_THAT(ledger_.Leads(kA, Term(1), joint), Trips("ElectedByMajority"));
  EXPECT_THAT(ledger_.Sent(Vote(kC, kA, 1)), Holds());
  EXPECT_THAT(ledger_.Leads(kA, Term(1), joint), Holds());
}

TEST(VoteLedger, TheOnlyVoterIsElectedByItsDurableVote) {
  VoteLedger ledger;
  EXPECT_THAT(ledger.Leads(kA, Term(1), Of({kA})), Trips("ElectedByMajority"));
  ledger.BecameDurable(kA, Hard(1, kA));
  EXPECT_THAT(ledger.Leads(kA, Term(1), Of({kA})), Holds());
}

}  // namespace
}  // namespace lockd::sim
