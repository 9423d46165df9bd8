// What a set of voters agrees on: majority arithmetic, for a plain and for a joint configuration.
//
// In a joint configuration (thesis 4.3) every decision needs a majority of both halves. Learners
// never count.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_QUORUM_H_
#define LOCKD_CONSENSUS_RAFT_QUORUM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::raft {

// Voters needed for a decision among `voters`.
[[nodiscard]] constexpr size_t MajoritySize(size_t voters) {
  return voters / 2 + 1;
}

// The greatest number that a majority of `configuration` has reached: with match indexes the
// candidate for the commit index, with confirmed rounds the newest round that proves leadership,
// with ticks the last moment at which a majority had been heard. Zero when there are no voters: an
// empty set decides nothing.
[[nodiscard]] uint64_t ReachedByMajority(const Configuration& configuration,
                                         absl::FunctionRef<uint64_t(NodeId)> reached);

enum class VoteResult : uint8_t { kPending, kWon, kLost };

// `vote` gives a voter's answer, nullopt while there is none. Lost: it can no longer be won.
[[nodiscard]] VoteResult TallyVotes(const Configuration& configuration,
                                    absl::FunctionRef<std::optional<bool>(NodeId)> vote);

[[nodiscard]] bool IsVoter(const Configuration& configuration, NodeId id);
[[nodiscard]] bool IsMember(const Configuration& configuration, NodeId id);
// All voters and learners of both halves, ascending, each once.
[[nodiscard]] std::vector<NodeId> MembersOf(const Configuration& configuration);

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_QUORUM_H_
