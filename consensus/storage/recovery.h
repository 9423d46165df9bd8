// What a start finds in the directory of the log: a decision between "here is the log" and a
// refusal that names file, offset and what to do. The table of all cases is in consensus/README.md.
//
// Threading: WAL only.
#ifndef LOCKD_CONSENSUS_STORAGE_RECOVERY_H_
#define LOCKD_CONSENSUS_STORAGE_RECOVERY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/log_index.h"
#include "consensus/storage/wal_format.h"
#include "consensus/storage/wal_reader.h"

namespace lockd::storage {

// "wal-000000000007", and back; nullopt for any other name.
[[nodiscard]] std::string SegmentName(uint64_t life);
[[nodiscard]] std::optional<uint64_t> ParseSegmentName(absl::string_view name);
// What a file is called until it is whole and synced.
[[nodiscard]] std::string PreparingName(uint64_t life);
[[nodiscard]] std::optional<uint64_t> ParsePreparingName(absl::string_view name);

struct SegmentFile {
  uint64_t life = 0;
  uint64_t bytes = 0;
};

// A copy of a batch that is not whole: damaged, or cut off by a crash.
struct Mend {
  uint64_t life = 0;
  BrokenCopy copy;
};

struct Recovery {
  SegmentHead head;  // of the newest segment in use
  Identity identity;
  raft::HardState hard_state;
  LogIndex index;
  // Who the members are must be known before anything is applied, wherever in the log it stands.
  std::vector<raft::Entry> configurations;  // all of kind kConfiguration, ascending
  WalPosition end;                          // where the next batch goes
  bool tail_was_torn = false;
  std::vector<SegmentFile> in_use;  // ascending; the newest is last
  // The newest segment's predecessor does not name it yet: the crash came between the two writes.
  bool seal_missing = false;
  std::vector<Mend> mends;         // what MendLog has to do, by file
  std::vector<SegmentFile> spare;  // segment files that hold nothing of the log
  uint64_t life_max = 0;           // over all names seen
};

enum class RecoveryMode : uint8_t {
  kOwner,     // before going on with it: first makes sure that what is read is on the device
  kReadOnly,  // for tools: touches nothing
};

// nullopt: there is no log in the directory. Failures: kDamaged, kWrongOwner (segments of different
// logs), kUnusable.
absl::StatusOr<std::optional<Recovery>> RecoverLog(FileSystem* file_system,
                                                   const std::string& directory, RecoveryMode mode);

// Writes each broken copy anew from the whole one, so that what was recovered is there twice again.
// Before anything is told of the log, as the newest batch may not have been durable in either copy
// alone. Failures: kWriteFailed, and those of reading.
absl::Status MendLog(FileSystem* file_system, const std::string& directory,
                     const std::vector<Mend>& mends);

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_RECOVERY_H_
