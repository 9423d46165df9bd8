// `lockd salvage DIR FILE`: forced recovery, its first half. What one stopped node has becomes a
// backup, from which `lockd restore` makes a new cluster.
//
// For when a majority of a cluster is lost for good and there is one node left. Everything in its
// log counts, whether it is known to be committed or not: the lost majority may have acknowledged
// it. What the majority acknowledged and this node never got is lost; the restore's lock-delay and
// its tokens above all (server/state/refounding.h) are there for that, as for an old backup.
//
// The node's directory stays as it is, but for what any start would mend in its log.
//
// Threading: the caller's thread does it all.
#ifndef LOCKD_SERVER_SALVAGE_H_
#define LOCKD_SERVER_SALVAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "consensus/storage/file_system.h"
#include "server/backup_file.h"

namespace lockd {

// What was saved, in words for whoever called it. Failures are those of storage
// (storage::ExitStatusOf): the directory is in use, is none, or is damaged; FILE exists, or cannot
// be written.
[[nodiscard]] absl::StatusOr<std::string> Salvage(storage::FileSystem* file_system,
                                                  const std::string& directory,
                                                  const std::string& file,
                                                  BackupFile::Existing existing);

}  // namespace lockd

#endif  // LOCKD_SERVER_SALVAGE_H_
