#include "consensus/raft/quorum.h"

#include <algorithm>
#include <functional>

#include "absl/container/inlined_vector.h"

namespace lockd::raft {
namespace {

uint64_t ReachedByMajorityOf(const std::vector<NodeId>& voters,
                             absl::FunctionRef<uint64_t(NodeId)> reached) {
  absl::InlinedVector<uint64_t, 8> values;
  for (const NodeId voter : voters) values.push_back(reached(voter));
  // Descending: what stands at place m (from 1) has been reached by at least m voters.
  std::sort(values.begin(), values.end(), std::greater<>());
  return values[MajoritySize(values.size()) - 1];
}

VoteResult TallyVotesOf(const std::vector<NodeId>& voters,
                        absl::FunctionRef<std::optional<bool>(NodeId)> vote) {
  size_t granted = 0;
  size_t silent = 0;
  for (const NodeId voter : voters) {
    const std::optional<bool> answer = vote(voter);
    if (!answer.has_value()) {
      ++silent;
    } else if (*answer) {
      ++granted;
    }
  }
  const size_t needed = MajoritySize(voters.size());
  if (granted >= needed) return VoteResult::kWon;
  if (granted + silent >= needed) return VoteResult::kPending;
  return VoteResult::kLost;
}

bool Contains(const std::vector<NodeId>& ids, NodeId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

uint64_t ReachedByMajority(const Configuration& configuration,
                           absl::FunctionRef<uint64_t(NodeId)> reached) {
  if (configuration.voters.empty()) return 0;
  const uint64_t incoming = ReachedByMajorityOf(configuration.voters, reached);
  if (configuration.outgoing_voters.empty()) return incoming;
  return std::min(incoming, ReachedByMajorityOf(configuration.outgoing_voters, reached));
}

VoteResult TallyVotes(const Configuration& configuration,
                      absl::FunctionRef<std::optional<bool>(NodeId)> vote) {
  if (configuration.voters.empty()) return VoteResult::kLost;
  const VoteResult incoming = TallyVotesOf(configuration.voters, vote);
  if (configuration.outgoing_voters.empty()) return incoming;
  const VoteResult outgoing = TallyVotesOf(configuration.outgoing_voters, vote);
  if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) return VoteResult::kLost;
  if (incoming == VoteResult::kWon && outgoing == VoteResult::kWon) return VoteResult::kWon;
  return VoteResult::kPending;
}

bool IsVoter(const Configuration& configuration, NodeId id) {
  return Contains(configuration.voters, id) || Contains(configuration.outgoing_voters, id);
}

bool IsMember(const Configuration& configuration, NodeId id) {
  return IsVoter(configuration, id) || Contains(configuration.learners, id);
}

std::vector<NodeId> MembersOf(const Configuration& configuration) {
  std::vector<NodeId> members = configuration.voters;
  members.insert(members.end(), configuration.outgoing_voters.begin(),
                 configuration.outgoing_voters.end());
  members.insert(members.end(), configuration.learners.begin(), configuration.learners.end());
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  return members;
}

}  // namespace lockd::raft
