// The command line that starts a node which has just been added to a cluster.
//
// What the cluster cannot know is proposed: the address for clients (the port below the peer port,
// as in all examples of this project) and the directory.
//
// Threading: pure value.
#ifndef LOCKD_TOOLS_LOCKCTL_START_LINE_H_
#define LOCKD_TOOLS_LOCKCTL_START_LINE_H_

#include <string>
#include <vector>

#include "client/records.h"

namespace lockd::lockctl {

// The words; the first one is the program. `members`: all of the cluster.
[[nodiscard]] std::vector<std::string> StartLine(const MemberRecord& joiner,
                                                 const std::vector<MemberRecord>& members,
                                                 const std::string& cluster_name);
// Words as a shell reads them. Bytes that cannot be typed come out as in lock names.
[[nodiscard]] std::string ForShell(const std::vector<std::string>& words);

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_START_LINE_H_
