// lockctl member add, remove, promote, list.
//
// Threading: runs everything on the calling thread.
#ifndef LOCKD_TOOLS_LOCKCTL_MEMBER_COMMAND_H_
#define LOCKD_TOOLS_LOCKCTL_MEMBER_COMMAND_H_

#include "tools/lockctl/command_line.h"

namespace lockd::lockctl {

// Each asks, prints to stdout, and returns the exit status.
int RunMemberList(const Arguments& arguments);
int RunMemberChange(const Arguments& arguments, const MemberArguments& member);

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_MEMBER_COMMAND_H_
