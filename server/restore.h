// `lockd restore FILE`: makes the data directory of a node whose cluster begins anew from a backup.
//
//   FILE ─► verified and loaded ─► LockDatabase::PrepareRefounding ─► D/snapshots, D/wal, D/members
//
// Each founder restores the same file into an empty directory; when all of them have been started
// and have met, the first leader founds the new cluster (server/state/refounding.h says what
// becomes of sessions, locks and tokens). The log goes on where the backup's ended: index, term and
// cluster time never go back for who has seen the old cluster. Until the founding the directory
// counts as one that has promised nothing (server/node/formation.h).
//
// D/members is written last: what a restore that was cut off leaves is refused by a start, and by
// another restore.
//
// Threading: the caller's thread does it all.
#ifndef LOCKD_SERVER_RESTORE_H_
#define LOCKD_SERVER_RESTORE_H_

#include <string>

#include "absl/status/statusor.h"
#include "consensus/storage/file_system.h"
#include "protocol/base/ids.h"
#include "server/config.h"

namespace lockd {

// What was made, in words for whoever called it. `incarnation_draw` is a random number other than
// zero. Failures are those of storage (storage::ExitStatusOf): what is wrong with FILE or with the
// directory, and what to do.
[[nodiscard]] absl::StatusOr<std::string> Restore(storage::FileSystem* file_system,
                                                  const Config& config, const std::string& file,
                                                  Incarnation incarnation_draw);

}  // namespace lockd

#endif  // LOCKD_SERVER_RESTORE_H_
