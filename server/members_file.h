// D/members: the nodes that a data directory was made to form a cluster with, as `--peers` said at
// its first start.
//
// Written once, whole (temp file, sync, rename, directory sync), before the log holds anything;
// from then on it wins over the flag.
//
// Threading: any (no state).
#ifndef LOCKD_SERVER_MEMBERS_FILE_H_
#define LOCKD_SERVER_MEMBERS_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "consensus/storage/file_system.h"
#include "server/state/types.h"

namespace lockd {

[[nodiscard]] absl::Status WriteMembersFile(storage::FileSystem* file_system,
                                            const std::string& directory,
                                            const std::vector<state::Member>& members);
// NotFound when there is none; DataLoss when it is not what was written.
[[nodiscard]] absl::StatusOr<std::vector<state::Member>> ReadMembersFile(
    storage::FileSystem* file_system, const std::string& directory);

}  // namespace lockd

#endif  // LOCKD_SERVER_MEMBERS_FILE_H_
