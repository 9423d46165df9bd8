// The bench itself: rules that it says it checks must be able to fail. Forged messages break what
// correct members cannot.
#include "tests/support/raft_env/raft_env.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/datadriven/datadriven.h"
#include "tests/support/raft_env/safety.h"

namespace lockd::raft_env {
namespace {

using datadriven::Command;
using datadriven::Outcome;
using datadriven::Result;
using testing::HasSubstr;

// Runs a script whose outputs do not matter: each line is a command.
Result RunLines(const std::string& lines) {
  std::string script;
  for (const char c : lines) script += c == '\n' ? std::string("\n----\n\n") : std::string(1, c);
  RaftEnv env;
  return datadriven::RunScript("s.txt", script,
                               [&env](const Command& command) { return env.Run(command); });
}

void ExpectRefusal(const std::string& lines, const std::string& reason) {
  const Result result = RunLines(lines);
  EXPECT_EQ(result.outcome, Outcome::kMismatch);
  EXPECT_FALSE(result.may_rewrite);
  EXPECT_THAT(result.report, HasSubstr(reason));
}

void ExpectBadScript(const std::string& lines, const std::string& reason) {
  const Result result = RunLines(lines);
  EXPECT_EQ(result.outcome, Outcome::kBadScript);
  EXPECT_THAT(result.report, HasSubstr(reason));
}

TEST(RaftEnv, TwoLeadersInATermEndTheScript) {
  ExpectRefusal(
      "add-nodes 1..3\n"
      "cut 1-3\n"
      "elect 1 votes-only\n"
      "campaign 3\n"
      "inject 2->3 pre-vote-reply term=0 campaign=1 granted\n"
      "stabilize 3 votes-only\n"
      "inject 2->3 vote-reply term=1 campaign=1 granted\n",
      "two leaders in term 1: 1 and 3");
}

TEST(RaftEnv, ACommitWithoutAMajorityOfDisksEndsTheScript) {
  ExpectRefusal(
      "add-nodes 1..3\n"
      "elect 1\n"
      "propose 1 a\n"
      "ready 1\n"
      "persist 1\n"
      "inject 2->1 append-reply term=1 prev=1 match=2 accepted\n"
      "ready 1\n",
      "1 takes 2 of term 1 for committed, but only 1 of 3 disks hold it");
}

TEST(RaftEnv, AStaleReadEndsTheScript) {
  ExpectRefusal(
      "add-nodes 1..3\n"
      "elect 1\n"
      "partition 1 2,3\n"
      "tick 2..3 count=10\n"
      "elect 2\n"
      "read 1 7\n"
      "ready 1\n"
      "heal\n"
      "inject 2->1 heartbeat-reply term=1 round=1\n"
      "ready 1\n",
      "1 answers read 7 at 1, but 2 was committed when it was asked for");
}

TEST(RaftEnv, AnEntryWithTwoContentsEndsTheScript) {
  ExpectRefusal(
      "add-nodes 1..3\n"
      "elect 1\n"
      "partition 1,2 3\n"
      "propose 1 a\n"
      "stabilize\n"
      "heal\n"
      "inject 1->3 append term=1 prev=(1,1) entries=(1)\n"
      "stabilize 3\n",
      "entry 2 of term 1 has two contents, one at 3");
}

TEST(Safety, AnInstalledSnapshotIsOneThatTheDiskKnows) {
  Safety safety;
  Member sender;
  const raft::LogBase base{raft::Index(5), raft::Term(1), ClusterTime(0)};
  const raft::Message installed{NodeId(3), NodeId(1), raft::Term(1),
                                raft::SnapshotChunkReply{{base, 100, 0}, 100, true}};
  sender.disk.base = base;
  safety.Sent(sender, installed);
  EXPECT_EQ(safety.violation(), std::nullopt);
  sender.disk.base.index = raft::Index(4);
  safety.Sent(sender, installed);
  EXPECT_THAT(safety.violation().value_or(""), HasSubstr("its snapshot of 5 is installed"));
}

// Node 1, alone, has committed (1,1) and (1,2).
class SafetyOfCommitted : public ::testing::Test {
 protected:
  SafetyOfCommitted() {
    Member& member = members_[NodeId(1)];
    member.options.configuration.voters = {NodeId(1)};
    for (const uint64_t index : {1u, 2u}) {
      member.disk.entries.push_back(ScriptedEntry(raft::Term(1), raft::Index(index)));
      safety_.Committed(NodeId(1), member, member.disk.entries.back(), members_);
      member.applied = raft::Index(index);
    }
    EXPECT_EQ(safety_.violation(), std::nullopt);
  }

  Safety::Members members_;
  Safety safety_;
};

TEST_F(SafetyOfCommitted, ASnapshotOfAnotherEntryIsAViolation) {
  safety_.Covered(NodeId(1), {raft::Index(2), raft::Term(1), ClusterTime(0)});
  EXPECT_EQ(safety_.violation(), std::nullopt);
  safety_.Covered(NodeId(1), {raft::Index(2), raft::Term(2), ClusterTime(0)});
  EXPECT_THAT(safety_.violation().value_or(""), HasSubstr("where one of term 1 is committed"));
}

TEST_F(SafetyOfCommitted, ABaseThatMakesTheDiskForgetWhatItDoesNotCoverIsAViolation) {
  raft::WriteRequest write;
  write.base = {raft::Index(1), raft::Term(1), ClusterTime(0)};
  safety_.WriteStarted(NodeId(1), members_[NodeId(1)], write);
  EXPECT_EQ(safety_.violation(), std::nullopt);
  write.base->term = raft::Term(2);
  safety_.WriteStarted(NodeId(1), members_[NodeId(1)], write);
  EXPECT_THAT(safety_.violation().value_or(""), HasSubstr("cuts the committed entry 2"));
}

TEST(RaftEnv, AnUnmetExpectationEndsTheScript) {
  ExpectRefusal("add-nodes 1..3\nexpect 1..2 role=leader term=0\n",
                "not met; node 1 has role=follower; node 2 has role=follower");
}

TEST(RaftEnv, MistakesNameTheLine) {
  ExpectBadScript("add-nodes 1..3\nfly 1\n", "s.txt:4: `fly 1`: unknown verb `fly`");
  ExpectBadScript("add-nodes 1..3\ncampaign 4\n", "there is no node 4");
  ExpectBadScript("add-nodes 1..3\ncrash 2\ncampaign 2\n", "node 2 is down");
  ExpectBadScript("add-nodes 1..3\ntick 1 cuont=3\n", "unknown argument `cuont=3`");
  ExpectBadScript("add-nodes 1..3\npersist 1\n", "no write or read is waiting");
  ExpectBadScript("add-nodes 1..3\ndeliver type=letter\n", "unknown message type `letter`");
  ExpectBadScript("add-nodes 1..3 election=10..10\n", "MIN < MAX");
}

TEST(RaftEnv, AMutedCommandPrintsNothingButWhatItWasAskedFor) {
  RaftEnv env;
  const auto run = [&env](const char* line) {
    return env.Run(datadriven::ParseCommandLine(line).value()).value();
  };
  EXPECT_EQ(run("add-nodes 1..3"), "ok\n");
  EXPECT_EQ(run("elect 1 quiet"), "ok\n");
  EXPECT_EQ(run("propose 1 a quiet"), "1 appends 2 in term 1\n");
  EXPECT_EQ(run("stabilize brief"), "* 2 commits 1\n* 3 commits 1\n* 1 commits 2\n");
}

}  // namespace
}  // namespace lockd::raft_env
