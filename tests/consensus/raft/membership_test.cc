// Configurations as values: what an entry holds, which step is safe, which ones stand in a log.
#include "consensus/raft/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "consensus/raft/describe.h"
#include "consensus/raft/quorum.h"
#include "consensus/raft/raft_log.h"
#include "tests/consensus/raft/member.h"

namespace lockd::raft {

inline void PrintTo(const Configuration& configuration, std::ostream* out) {
  *out << Describe(configuration);
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// -- entries --

TEST(ConfigurationChange, ComesBackAsItWasEncoded) {
  for (const Configuration& configuration :
       {MakeConfiguration({1}), MakeConfiguration({1, 2, 3}, {}, {4, 5}),
        MakeConfiguration({2, 3, (uint64_t{1} << 63) - 1}, {1, 2}, {9})}) {
    for (const std::string& particulars : {std::string(), std::string("\0bytes", 6)}) {
      const ConfigurationChange change{configuration, particulars};
      EXPECT_EQ(DecodeConfigurationChange(Encode(change)), change);
    }
  }
}

// version | voters: count, id, id | outgoing: count | learners: count, id | particulars
TEST(ConfigurationChange, HasAFixedLayout) {
  const std::string encoded = Encode({MakeConfiguration({1, 2}, {}, {3}), "p"});
  EXPECT_EQ(encoded, std::string("\x01\0"
                                 "\x02\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"
                                 "\0\0"
                                 "\x01\0\x03\0\0\0\0\0\0\0"
                                 "p",
                                 33));
}

TEST(ConfigurationChange, IsRefusedWhenItIsCutOff) {
  const std::string encoded = Encode({MakeConfiguration({1, 2}, {2, 3}, {4}), ""});
  for (size_t bytes = 0; bytes < encoded.size(); ++bytes) {
    EXPECT_EQ(DecodeConfigurationChange(encoded.substr(0, bytes)), std::nullopt) << bytes;
  }
}

TEST(ConfigurationChange, IsRefusedWhenItsVersionOrCountsAreNot) {
  const std::string encoded = Encode({MakeConfiguration({1, 2}), "particulars of some length"});
  std::string other_version = encoded;
  other_version[0] = 2;
  EXPECT_EQ(DecodeConfigurationChange(other_version), std::nullopt);
  std::string too_many = encoded;
  too_many[3] = '\xff';
  EXPECT_EQ(DecodeConfigurationChange(too_many), std::nullopt);
}

// -- which ones are valid --

TEST(Configuration, IsValidWithVotersInOrderAndLearnersApart) {
  EXPECT_TRUE(IsValid(MakeConfiguration({1})));
  EXPECT_TRUE(IsValid(MakeConfiguration({1, 2, 9}, {1, 3}, {4, 5})));
  const struct {
    const char* what;
    Configuration configuration;
  } rows[] = {
      {"nobody", MakeConfiguration({})},
      {"no voters in the new half", MakeConfiguration({}, {1, 2})},
      {"only learners", MakeConfiguration({}, {}, {1})},
      {"voters out of order", MakeConfiguration({2, 1})},
      {"a voter twice", MakeConfiguration({1, 1})},
      {"an outgoing voter twice", MakeConfiguration({1}, {2, 2})},
      {"learners out of order", MakeConfiguration({1}, {}, {3, 2})},
      {"node 0", MakeConfiguration({0, 1})},
      {"learner 0", MakeConfiguration({1}, {}, {0})},
      {"a voter that is a learner", MakeConfiguration({1, 2}, {}, {2})},
      {"an outgoing voter that is a learner", MakeConfiguration({1}, {1, 2}, {2})},
  };
  for (const auto& row : rows) {
    EXPECT_FALSE(IsValid(row.configuration)) << row.what;
    EXPECT_EQ(DecodeConfigurationChange(Encode({row.configuration, ""})), std::nullopt) << row.what;
    EXPECT_FALSE(IsOneStep(MakeConfiguration({1}), row.configuration)) << row.what;
    EXPECT_FALSE(IsOneStep(row.configuration, MakeConfiguration({1}))) << row.what;
  }
}

// -- steps --

TEST(Steps, GoThroughAJointConfiguration) {
  const Configuration from = MakeConfiguration({1, 2, 3}, {}, {8});
  const Configuration to = MakeConfiguration({3, 4, 5}, {}, {9});
  const Configuration joint = EnterJoint(from, to);
  EXPECT_EQ(joint, MakeConfiguration({3, 4, 5}, {1, 2, 3}, {9}));
  EXPECT_TRUE(IsJoint(joint));
  EXPECT_TRUE(IsOneStep(from, joint));
  EXPECT_EQ(LeaveJoint(joint), to);
  EXPECT_FALSE(IsJoint(to));
  EXPECT_TRUE(IsOneStep(joint, to));
  EXPECT_FALSE(IsOneStep(from, to));
}

TEST(Steps, TableOfAllKinds) {
  const Configuration plain = MakeConfiguration({1, 2, 3}, {}, {8});
  const Configuration joint = MakeConfiguration({1, 4}, {1, 2, 3}, {8});
  const struct {
    const char* what;
    Configuration from;
    Configuration to;
    bool is_one;
  } rows[] = {
      {"nothing but particulars", plain, plain, true},
      {"a learner comes", plain, MakeConfiguration({1, 2, 3}, {}, {8, 9}), true},
      {"a learner goes", plain, MakeConfiguration({1, 2, 3}), true},
      {"into a joint one", plain, joint, true},
      {"into a joint one, with other learners", plain, MakeConfiguration({1}, {1, 2, 3}), true},
      {"a learner becomes one half's voter", plain, MakeConfiguration({1, 8}, {1, 2, 3}), true},
      {"one voter comes", plain, MakeConfiguration({1, 2, 3, 4}, {}, {8}), false},
      {"one voter goes", plain, MakeConfiguration({1, 2}, {}, {8}), false},
      {"a learner becomes a voter at once", plain, MakeConfiguration({1, 2, 3, 8}), false},
      {"the outgoing half is another", plain, MakeConfiguration({1, 4}, {1, 2}), false},
      {"out of the joint one", joint, MakeConfiguration({1, 4}, {}, {8}), true},
      {"back", joint, MakeConfiguration({1, 2, 3}, {}, {8}), false},
      {"out of it, with other learners", joint, MakeConfiguration({1, 4}), false},
      {"to another joint one", joint, MakeConfiguration({1, 5}, {1, 2, 3}, {8}), false},
      {"to the same joint one", joint, joint, false},
  };
  for (const auto& row : rows) EXPECT_EQ(IsOneStep(row.from, row.to), row.is_one) << row.what;
}

// The nodes of `bits`, lowest bit node 1.
std::vector<uint64_t> NodesOf(unsigned bits) {
  std::vector<uint64_t> nodes;
  for (uint64_t node = 1; bits != 0; ++node, bits >>= 1) {
    if ((bits & 1) != 0) nodes.push_back(node);
  }
  return nodes;
}

bool IsQuorum(const Configuration& configuration, unsigned bits) {
  const auto vote = [bits](NodeId id) {
    return std::optional(((bits >> (id.value() - 1)) & 1) != 0);
  };
  return TallyVotes(configuration, vote) == VoteResult::kWon;
}

// over four nodes, every pair of configurations, every pair of sets of nodes. Two sets
// without a common node that decide, one in each configuration, could elect two leaders in one
// term.
TEST(Steps, OneStepNeverLeavesTwoQuorumsApart) {
  constexpr unsigned kAll = 16;
  std::vector<Configuration> all;
  for (unsigned voters = 1; voters < kAll; ++voters) {
    for (unsigned outgoing = 0; outgoing < kAll; ++outgoing) {
      all.push_back(MakeConfiguration(NodesOf(voters), NodesOf(outgoing)));
    }
  }
  // Where a whole set and its complement decide, there are two quorums apart.
  const auto are_apart = [](const Configuration& from, const Configuration& to) {
    for (unsigned bits = 0; bits < kAll; ++bits) {
      if (IsQuorum(from, bits) && IsQuorum(to, kAll - 1 - bits)) return true;
    }
    return false;
  };
  size_t steps = 0;
  for (const Configuration& from : all) {
    for (const Configuration& to : all) {
      if (!IsOneStep(from, to)) continue;
      ++steps;
      ASSERT_FALSE(are_apart(from, to)) << Describe(from) << " and " << Describe(to);
    }
  }
  EXPECT_EQ(steps, 15u + 15 * 15 + 15 * 15);  // the same, into a joint one, out of one
  EXPECT_TRUE(are_apart(MakeConfiguration({1, 2, 3}), MakeConfiguration({3, 4}))) << "no step";
}

// -- the configurations of a log --

constexpr size_t kNoLimit = SIZE_MAX;
const Configuration kBase = MakeConfiguration({1, 2, 3});
const Configuration kSecond = MakeConfiguration({1, 2, 3}, {}, {4});
const Configuration kThird = MakeConfiguration({1, 2, 3, 4}, {1, 2, 3});

std::vector<uint64_t> IndexesOf(const RaftLog& log) {
  std::vector<uint64_t> indexes;
  for (const auto& placed : log.configurations().all()) indexes.push_back(placed.index.value());
  return indexes;
}

// 1 C 3 4 C 6   all of term 1; the second and third configuration at 2 and 5.
RecoveredLog LogWithTwo(uint64_t commit = 0) {
  RecoveredLog log = MakeLog({1, 1, 1, 1, 1, 1}, commit);
  Place(log, 2, kSecond);
  Place(log, 5, kThird);
  return log;
}

TEST(ConfigurationLog, WithoutEntriesTheBaseIsInForce) {
  const RaftLog log(MakeLog({1, 1}), kNoLimit, kBase);
  EXPECT_EQ(log.configurations().newest(), kBase);
  EXPECT_EQ(log.configurations().newest_index(), Index{0});
}

TEST(ConfigurationLog, TheNewestInTheLogIsInForce) {
  const RaftLog log(LogWithTwo(), kNoLimit, kBase);
  EXPECT_EQ(log.configurations().newest(), kThird);
  EXPECT_THAT(IndexesOf(log), ElementsAre(0, 2, 5));
  const std::pair<uint64_t, Configuration> rows[] = {{0, kBase},   {1, kBase},  {2, kSecond},
                                                     {4, kSecond}, {5, kThird}, {9, kThird}};
  for (const auto& [index, configuration] : rows) {
    EXPECT_EQ(log.configurations().At(Index{index}).change.configuration, configuration) << index;
  }
}

TEST(ConfigurationLog, KnowsThoseThatAreOnDiskOnly) {
  RecoveredLog recovered = LogWithTwo(/*commit=*/6);
  recovered.tail.erase(recovered.tail.begin(), recovered.tail.begin() + 3);
  const RaftLog log(std::move(recovered), kNoLimit, kBase);
  EXPECT_EQ(log.tail_first_index(), Index{4});
  EXPECT_THAT(IndexesOf(log), ElementsAre(0, 2, 5));
}

TEST(ConfigurationLog, FollowsAppendsAndTruncations) {
  RaftLog log(MakeLog({1}), kNoLimit, kBase);
  log.Append(MakeConfigurationEntry(1, 2, kSecond));
  log.Merge({MakeConfigurationEntry(1, 3, kThird), MakeEntry(1, 4)});
  EXPECT_EQ(log.configurations().newest(), kThird);
  log.Merge({MakeEntry(2, 4)});
  EXPECT_EQ(log.configurations().newest(), kThird) << "its entry is still there";
  log.Merge({MakeEntry(3, 3)});
  EXPECT_EQ(log.configurations().newest(), kSecond);
  log.Merge({MakeConfigurationEntry(4, 2, kThird)});
  EXPECT_THAT(IndexesOf(log), ElementsAre(0, 2));
  EXPECT_EQ(log.configurations().newest(), kThird);
}

TEST(ConfigurationLog, KeepsWhatWasInForceAtANewBase) {
  RecoveredLog recovered = LogWithTwo(/*commit=*/6);
  recovered.applied_index = Index{6};
  RaftLog log(std::move(recovered), kNoLimit, kBase);
  const auto compact = [&log](uint64_t index) {
    log.CompactTo({Index{index}, Term{1}, ClusterTime{0}});
    return IndexesOf(log);
  };
  EXPECT_THAT(compact(1), ElementsAre(0, 2, 5));
  EXPECT_THAT(compact(2), ElementsAre(2, 5));
  EXPECT_THAT(compact(4), ElementsAre(2, 5));
  EXPECT_THAT(compact(6), ElementsAre(5));
  EXPECT_EQ(log.configurations().newest(), kThird);
}

// what a snapshot says is of its index; it does not replace what stands above that.
TEST(ConfigurationLog, ARestoredOneIsThatOfTheSnapshotsIndex) {
  RaftLog kept(LogWithTwo(), kNoLimit, kBase);
  kept.Restore({Index{3}, Term{1}, ClusterTime{0}}, kSecond);
  EXPECT_THAT(IndexesOf(kept), ElementsAre(3, 5));
  EXPECT_EQ(kept.configurations().At(Index{3}).change.configuration, kSecond);
  EXPECT_EQ(kept.configurations().newest(), kThird);

  RaftLog replaced(LogWithTwo(), kNoLimit, kBase);
  replaced.Restore({Index{3}, Term{2}, ClusterTime{0}}, kSecond);
  EXPECT_THAT(IndexesOf(replaced), ElementsAre(3));
  EXPECT_EQ(replaced.configurations().newest(), kSecond);

  RaftLog at_one(LogWithTwo(), kNoLimit, kBase);
  at_one.Restore({Index{5}, Term{1}, ClusterTime{0}}, kThird);
  EXPECT_THAT(IndexesOf(at_one), ElementsAre(5));
  at_one.Append(MakeEntry(1, 7));
  at_one.Append(MakeConfigurationEntry(1, 8, LeaveJoint(kThird)));
  EXPECT_THAT(IndexesOf(at_one), ElementsAre(5, 8));
}

TEST(ConfigurationLogDeathTest, ARecoveryThatDoesNotTellAllIsABug) {
  RecoveredLog recovered = LogWithTwo();
  recovered.configurations.pop_back();
  EXPECT_DEATH(RaftLog(std::move(recovered), kNoLimit, kBase), "recovered 1 configurations");
}

}  // namespace
}  // namespace lockd::raft
