// lockctl snapshot take, save.
//
// Threading: runs everything on the calling thread.
#ifndef LOCKD_TOOLS_LOCKCTL_SNAPSHOT_COMMAND_H_
#define LOCKD_TOOLS_LOCKCTL_SNAPSHOT_COMMAND_H_

#include "tools/lockctl/command_line.h"

namespace lockd::lockctl {

// Each asks the endpoints in turn until one has done it, prints to stdout, and returns the exit
// status.
int RunSnapshotTake(const Arguments& arguments);
int RunSnapshotSave(const Arguments& arguments, const SnapshotSaveArguments& save);

}  // namespace lockd::lockctl

#endif  // LOCKD_TOOLS_LOCKCTL_SNAPSHOT_COMMAND_H_
