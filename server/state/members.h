// The cluster's members as a table, and what ChangeMembers does to it. Raft's core decides which
// changes are safe (consensus/raft); what is checked here is that the records fit.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_MEMBERS_H_
#define LOCKD_SERVER_STATE_MEMBERS_H_

#include <vector>

#include "absl/status/status.h"
#include "server/state/types.h"

namespace lockd::state {

// "voter", "learner", "incoming", "outgoing".
[[nodiscard]] const char* RoleName(MemberRole role);

// The lists that say of each member what its role says; `added` is empty. The other way round than
// MembersAfter: the configuration that a state's members stand for.
[[nodiscard]] ChangeMembers ListsOf(const std::vector<Member>& members);

// Whether a change that is valid in itself (ValidateCommand) fits these members, which ascend by
// node id: who is named is known or added, and who is added has an id above `last_node_id`, the
// highest ever given. FailedPrecondition, with the id.
[[nodiscard]] absl::Status CheckChange(const ChangeMembers& change,
                                       const std::vector<Member>& members, NodeId last_node_id);

// The members after a change that fits.
[[nodiscard]] std::vector<Member> MembersAfter(const ChangeMembers& change,
                                               const std::vector<Member>& members);

// Somebody can be elected: there is a voter; or there are two halves, and each has one.
[[nodiscard]] bool HaveVoters(const std::vector<Member>& members);

// Nothing tells these members from those that a Bootstrap makes: all vote, and no id above theirs
// was ever given. Such members look to digest and snapshot as they did before there were roles.
[[nodiscard]] bool AreAsFounded(const std::vector<Member>& members, NodeId last_node_id);

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_MEMBERS_H_
