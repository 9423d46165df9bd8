#include "consensus/raft/quorum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

namespace lockd::raft {
namespace {

using ::testing::ElementsAre;

std::vector<NodeId> Ids(const std::vector<uint64_t>& numbers) {
  std::vector<NodeId> ids;
  for (const uint64_t number : numbers) ids.push_back(NodeId{number});
  return ids;
}

// All subsets of the numbers 1..count, the empty one too.
std::vector<std::vector<NodeId>> Subsets(uint64_t count) {
  std::vector<std::vector<NodeId>> subsets;
  for (uint64_t bits = 0; bits < (uint64_t{1} << count); ++bits) {
    std::vector<NodeId> subset;
    for (uint64_t i = 0; i < count; ++i) {
      if ((bits >> i & 1) != 0) subset.push_back(NodeId{i + 1});
    }
    subsets.push_back(subset);
  }
  return subsets;
}

// The definition, word by word: more than half of the voters.
bool MoreThanHalf(const std::vector<NodeId>& voters, absl::FunctionRef<bool(NodeId)> agrees) {
  size_t count = 0;
  for (const NodeId voter : voters) count += agrees(voter) ? 1 : 0;
  return 2 * count > voters.size();
}
bool Decides(const Configuration& configuration, absl::FunctionRef<bool(NodeId)> agrees) {
  return MoreThanHalf(configuration.voters, agrees) &&
         (configuration.outgoing_voters.empty() ||
          MoreThanHalf(configuration.outgoing_voters, agrees));
}

// Every pair of voter sets among four members, every assignment of values 0..2.
TEST(Quorum, ReachedByMajorityAgreesWithTheDefinition) {
  constexpr uint64_t kMembers = 4;
  for (const auto& voters : Subsets(kMembers)) {
    for (const auto& outgoing : Subsets(kMembers)) {
      const Configuration configuration{voters, outgoing, {}};
      for (uint64_t code = 0; code < 81; ++code) {  // 3^4
        std::map<NodeId, uint64_t> values;
        uint64_t rest = code;
        for (uint64_t id = 1; id <= kMembers; ++id, rest /= 3) values[NodeId{id}] = rest % 3;
        uint64_t naive = 0;
        for (uint64_t value = 1; value <= 2; ++value) {
          if (Decides(configuration, [&](NodeId id) { return values[id] >= value; })) naive = value;
        }
        ASSERT_EQ(ReachedByMajority(configuration, [&](NodeId id) { return values[id]; }), naive);
      }
    }
  }
}

// Likewise for votes: granted, refused, silent. Won is decided now; lost when not even all silent
// ones could win it.
TEST(Quorum, TallyVotesAgreesWithTheDefinition) {
  constexpr uint64_t kMembers = 4;
  for (const auto& voters : Subsets(kMembers)) {
    for (const auto& outgoing : Subsets(kMembers)) {
      const Configuration configuration{voters, outgoing, {}};
      for (uint64_t code = 0; code < 81; ++code) {
        std::map<NodeId, std::optional<bool>> votes;
        uint64_t rest = code;
        for (uint64_t id = 1; id <= kMembers; ++id, rest /= 3) {
          if (rest % 3 != 0) votes[NodeId{id}] = rest % 3 == 1;
        }
        const bool won =
            Decides(configuration, [&](NodeId id) { return votes[id].value_or(false); });
        const bool can_win =
            Decides(configuration, [&](NodeId id) { return votes[id].value_or(true); });
        const VoteResult naive = won       ? VoteResult::kWon
                                 : can_win ? VoteResult::kPending
                                           : VoteResult::kLost;
        ASSERT_EQ(TallyVotes(configuration, [&](NodeId id) { return votes[id]; }), naive);
      }
    }
  }
}

TEST(Quorum, FiveVotersReachTheThirdGreatestValue) {
  const Configuration configuration{Ids({1, 2, 3, 4, 5}), {}, {}};
  const auto value = [](NodeId id) { return id.value() * 10; };
  EXPECT_EQ(ReachedByMajority(configuration, value), 30u);
}

// learners are asked nothing.
TEST(Quorum, LearnersDoNotCount) {
  const Configuration configuration{Ids({1, 2, 3}), {}, Ids({4, 5})};
  const auto value = [](NodeId id) { return id.value() >= 3 ? uint64_t{7} : uint64_t{0}; };
  EXPECT_EQ(ReachedByMajority(configuration, value), 0u);
  EXPECT_FALSE(IsVoter(configuration, NodeId{4}));
  EXPECT_TRUE(IsMember(configuration, NodeId{4}));
}

TEST(Quorum, MembersAreAllHalvesAscendingAndOnce) {
  const Configuration configuration{Ids({2, 3, 5}), Ids({1, 2, 3}), Ids({4})};
  EXPECT_THAT(MembersOf(configuration),
              ElementsAre(NodeId{1}, NodeId{2}, NodeId{3}, NodeId{4}, NodeId{5}));
  EXPECT_TRUE(IsVoter(configuration, NodeId{1}));
  EXPECT_FALSE(IsMember(configuration, NodeId{6}));
}

}  // namespace
}  // namespace lockd::raft
