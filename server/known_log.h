// Whether this program knows what a recovered log says before anything of it is used: the log's own
// format is checked when it is read, commands when they are applied; changes of members count from
// the start on, so they are looked at here.
//
// Threading: stateless.
#ifndef LOCKD_SERVER_KNOWN_LOG_H_
#define LOCKD_SERVER_KNOWN_LOG_H_

#include <string>

#include "absl/status/status.h"
#include "consensus/raft/types.h"

namespace lockd {

// Failure::kUnusable, with the log's directory and the entry: a newer lockd wrote it.
[[nodiscard]] absl::Status CheckMembersAreKnown(const raft::RecoveredLog& log,
                                                const std::string& wal_path);

}  // namespace lockd

#endif  // LOCKD_SERVER_KNOWN_LOG_H_
