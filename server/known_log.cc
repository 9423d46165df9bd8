#include "server/known_log.h"

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"

namespace lockd {

absl::Status CheckMembersAreKnown(const raft::RecoveredLog& log, const std::string& wal_path) {
  for (const raft::Entry& entry : log.configurations) {
    if (raft::IsWellFormed(entry)) continue;
    return storage::MakeFailure(
        storage::Failure::kUnusable,
        absl::StrCat(wal_path, ": entry ", entry.index,
                     " changes the members in a way that this version does not know; use the lockd "
                     "version that wrote it, or a newer one"));
  }
  return absl::OkStatus();
}

}  // namespace lockd
