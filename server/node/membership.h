// How the members of the replicated state and the configurations of the log say the same thing.
//
// A configuration entry holds what the core needs (who votes) and, as particulars, a batch with the
// one ChangeMembers command that tells the state; member_changes.h decides what is proposed when.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_MEMBERSHIP_H_
#define LOCKD_SERVER_NODE_MEMBERSHIP_H_

#include <vector>

#include "consensus/raft/membership.h"
#include "consensus/raft/types.h"
#include "protocol/base/time.h"
#include "server/state/types.h"

namespace lockd::node {

// The configuration in which these members have their roles.
[[nodiscard]] raft::Configuration ConfigurationOf(const std::vector<state::Member>& members);

// What brings `to` about; `added` are the records of those that were no members before.
[[nodiscard]] state::ChangeMembers CommandFor(const raft::Configuration& to,
                                              std::vector<state::Member> added);
[[nodiscard]] raft::ConfigurationChange ChangeFor(const raft::Configuration& to,
                                                  std::vector<state::Member> added, WallTime now);

// The new members that a change in the log comes with.
[[nodiscard]] std::vector<state::Member> AddedBy(const raft::ConfigurationChange& change);

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_MEMBERSHIP_H_
