// lockd --rejoin: a replica whose data directory is of no use any more makes room for a new member.
//
// The old directory is moved aside whole, by one rename, and never deleted: D becomes
// D.old-<time>. Nothing of it is used again. It held votes and acknowledged entries that may be
// lost, so the node must not go on under its id; it joins as another one (lockctl member remove,
// lockctl member add), and gets the state from the others.
//
// Threading: before the other threads begin.
#ifndef LOCKD_SERVER_REJOIN_H_
#define LOCKD_SERVER_REJOIN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "consensus/storage/data_directory.h"
#include "consensus/storage/file_system.h"
#include "protocol/base/ids.h"

namespace lockd {

struct MovedAside {
  std::string to;
  std::string owner;  // whose directory it was, as far as that can be read; for people
};

// Whose data directory this is, by the first head of a log segment or of a snapshot that can be
// read; of node id zero if none can be.
[[nodiscard]] storage::Identity OwnerOf(storage::FileSystem* file_system, const std::string& path);

// `id` and `cluster_name`: what the node is to be from now on. `time` becomes part of the name;
// `holder` is for people who find the directory in use. Refusals change nothing: InvalidArgument
// (there is nothing to move, or it is of this very id); storage failures kInUse, kWrongOwner (of
// another cluster), kUnusable (no data directory, or it cannot be moved).
absl::StatusOr<MovedAside> MoveAside(storage::FileSystem* file_system, const std::string& path,
                                     NodeId id, absl::string_view cluster_name,
                                     absl::string_view time, absl::string_view holder);

}  // namespace lockd

#endif  // LOCKD_SERVER_REJOIN_H_
