// What wal_dump says about one snapshot file.
//
// Threading: one thread.
#ifndef LOCKD_TOOLS_WAL_DUMP_SNAPSHOT_DUMP_H_
#define LOCKD_TOOLS_WAL_DUMP_SNAPSHOT_DUMP_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "consensus/storage/file_system.h"
#include "consensus/storage/snapshot_survey.h"

namespace lockd::wal_dump {

struct SnapshotDump {
  std::string path;
  std::string state;            // whole, damaged, foreign, unknown_version, draft
  nlohmann::ordered_json head;  // what head and footer say, as far as they can be read
  std::vector<nlohmann::ordered_json> blocks;
};

// `with_blocks`: also each block, and whether it is what was written.
[[nodiscard]] SnapshotDump DumpSnapshot(storage::FileSystem* file_system,
                                        const storage::SnapshotFinding& finding, bool with_blocks);

}  // namespace lockd::wal_dump

#endif  // LOCKD_TOOLS_WAL_DUMP_SNAPSHOT_DUMP_H_
