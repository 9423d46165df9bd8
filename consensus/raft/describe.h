// Stable one-line texts of what goes into and comes out of the core, for scripts, traces and
// failure messages. Nothing parses them; a change shows up in the diff of the scenario scripts.
//
//   (3,17) command t=250 "payload"                               an entry: (term,index)
//   (3,18) configuration t=250 voters=3,4,5 +91B                 ... and its particulars' size
//   1->2 t3 append prev=(2,16) commit=15 round=4 [(3,17) ...]    a message, with its sender's term
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_DESCRIBE_H_
#define LOCKD_CONSENSUS_RAFT_DESCRIBE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"

namespace lockd::raft {

[[nodiscard]] absl::string_view RoleName(Role role);
[[nodiscard]] std::string Describe(const Configuration& configuration);
[[nodiscard]] std::string Describe(const Entry& entry);
[[nodiscard]] std::string Describe(const Message& message);
[[nodiscard]] std::string Describe(const HardState& hard_state);
[[nodiscard]] std::string Describe(const ReadRequest& read);
[[nodiscard]] std::string Describe(const ReleasedRead& read);
// One line for each part that is there, each ended by a newline; empty for an empty Ready.
[[nodiscard]] std::string Describe(const Ready& ready);
// One line: role, term, vote, leader and the marks of the log; then one line for the configuration
// in force, if its entry is in the log; for a leader, then one line for each follower. Each ended
// by a newline.
[[nodiscard]] std::string Describe(const Raft& raft);

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_DESCRIBE_H_
