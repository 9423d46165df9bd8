// lockctl lock: acquires a lock, runs a command under it, releases it.
//
// Threading: runs everything on the calling thread, which must be the process's main thread.
#ifndef LOCKD_TOOLS_LOCKCTL_LOCK_COMMAND_H_
#define LOCKD_TOOLS_LOCKCTL_LOCK_COMMAND_H_

#include "tools/lockctl/command_line.h"

namespace lockd::lockctl {

// Returns the exit status.
int RunLock(const Arguments& arguments, const LockArguments& lock);

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_LOCK_COMMAND_H_
