// Prints a log segment, a snapshot, or all of a data directory, and says whether a start would
// accept it. Reads only: a directory in use can be looked at.
//
// Threading: one thread.
#ifndef LOCKD_TOOLS_WAL_DUMP_DUMP_H_
#define LOCKD_TOOLS_WAL_DUMP_DUMP_H_

#include <ostream>
#include <string>

#include "consensus/storage/file_system.h"

namespace lockd::wal_dump {

struct DumpOptions {
  bool json = false;
  bool verify = false;  // one line for each file, no records and blocks
};

enum ExitStatus : int { kClean = 0, kTornTail = 1, kDamagedLog = 2 };

// `path` is a segment or snapshot file, a data directory, or its directory of segments or
// snapshots. What is wrong goes to `errors`, one line with file and offset. A damaged snapshot that
// a start of the data directory can do without is noted and does not change the status.
ExitStatus Dump(storage::FileSystem* file_system, const std::string& path,
                const DumpOptions& options, std::ostream* out, std::ostream* errors);

}  // namespace lockd::wal_dump

#endif  // LOCKD_TOOLS_WAL_DUMP_DUMP_H_
