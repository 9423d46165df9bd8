// What a start (or a tool) finds in the directory of snapshots: each file read in full and judged.
//
// Threading: before the file thread begins, or one thread of a tool.
#ifndef LOCKD_CONSENSUS_STORAGE_SNAPSHOT_SURVEY_H_
#define LOCKD_CONSENSUS_STORAGE_SNAPSHOT_SURVEY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/recovery.h"
#include "consensus/storage/snapshot_format.h"
#include "consensus/storage/snapshot_reader.h"

namespace lockd::storage {

struct SnapshotFinding {
  enum class State : uint8_t {
    kVerified,        // every byte is what was written, and it is ours
    kDamaged,         // it is not, or cannot be read
    kForeign,         // of another node, cluster or incarnation; its blocks were not looked at
    kUnknownVersion,  // written by a version that we are not
  };
  State state = State::kDamaged;
  SnapshotPlace place = {};  // as the file's name says; without such a name as its head does
  std::string path;
  SnapshotOutline outline = {};
  // Not kVerified: a sentence with path and offset.
  std::string problem = {};
};

// All files with a snapshot's name, ascending; none when there is no such directory. `owner`: whose
// they have to be (an incarnation or cluster id of zero fits any); nullptr: anybody's. An error
// (kUnusable) is not about a file's content: no permission, not a directory.
absl::StatusOr<std::vector<SnapshotFinding>> SurveySnapshots(FileSystem* file_system,
                                                             const std::string& directory,
                                                             const Identity* owner,
                                                             RecoveryMode mode);
// One file of any name; if it is a snapshot's, then it has to be the right one.
absl::StatusOr<SnapshotFinding> ExamineSnapshot(FileSystem* file_system, const std::string& path,
                                                const Identity* owner, RecoveryMode mode);

// Gives the snapshots of entries after `last` names that no start looks at (AsideName): their files
// are whole, but the state in them is not to be used. kWriteFailed. Returns their new paths.
absl::StatusOr<std::vector<std::string>> SetAsideSnapshots(FileSystem* file_system,
                                                           const std::string& directory,
                                                           raft::Index last);
[[nodiscard]] std::string AsideName(absl::string_view snapshot_name);

// Files that were never finished. For a start that has decided to go on; kWriteFailed.
absl::Status RemoveDrafts(FileSystem* file_system, const std::string& directory);

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_SNAPSHOT_SURVEY_H_
