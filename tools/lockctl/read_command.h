// lockctl get, list, sessions, status, transfer-leadership.
//
// Threading: runs everything on the calling thread.
#ifndef LOCKD_TOOLS_LOCKCTL_READ_COMMAND_H_
#define LOCKD_TOOLS_LOCKCTL_READ_COMMAND_H_

#include "tools/lockctl/command_line.h"

namespace lockd::lockctl {

// Each asks, prints to stdout, and returns the exit status.
int RunGet(const Arguments& arguments, const GetArguments& get);
int RunList(const Arguments& arguments, const ListArguments& list);
int RunSessions(const Arguments& arguments);
int RunStatus(const Arguments& arguments);
int RunTransfer(const Arguments& arguments, const TransferArguments& transfer);

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_READ_COMMAND_H_
