// What a start does with the log and the snapshots that it finds: a table over what was found.
// consensus/README.md has it in words.
//
// The log was recovered, or there is none; each snapshot file was read in full. What remains is
// whether they fit together. A row of the table says which values of which facts it is for; every
// combination has exactly one row.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_STORAGE_START_DECISION_H_
#define LOCKD_CONSENSUS_STORAGE_START_DECISION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "consensus/raft/types.h"
#include "consensus/storage/log_index.h"
#include "consensus/storage/snapshot_survey.h"

namespace lockd::storage {

enum class LogFact : uint8_t {
  kAbsent,
  kFromTheBeginning,  // holds all entries since the state that needs no snapshot: the empty one
  kNeedsSnapshot,     // what came before its base is in a snapshot only
};

// Where the newest snapshot that verifies stands. With `log [====c----]`, c the commit index:
enum class SnapshotFact : uint8_t {
  kNone,
  kBelowBase,    //  s  [====c----]      entries between it and the log are missing
  kInLog,        //     [==s=c----]      the log holds its entry (or begins right after it)
  kConflicts,    //     [====c--x-]      the log has another term there, above the commit index
  kBeyondLog,    //     [====c----]  s   or there is no log
  kContradicts,  //     [==x=c----]      another term where the log is known to be committed
};

struct StartFacts {
  bool unknown_version = false;  // some snapshot file is of a version that we are not
  bool foreign = false;          // some snapshot file belongs to another directory
  LogFact log = LogFact::kAbsent;
  SnapshotFact newest = SnapshotFact::kNone;
  bool newer_damaged = false;  // some file above `newest` does not verify (any file, with kNone)

  friend bool operator==(const StartFacts&, const StartFacts&) = default;
};

enum class StartAction : uint8_t {
  kRefuseVersion,          // 12
  kRefuseOwner,            // 11
  kRefuseLogMissing,       // 14
  kRefuseSnapshotMissing,  // 14
  kRefuseContradiction,    // 14
  kBeginNewLog,            // an empty directory
  kApplyLog,               // from its first entry on, without a snapshot
  kLoadSnapshot,           // then apply what the log has after it
  kReplaceLog,             // load the snapshot; the log becomes one that begins after it
};

// Sets of values, one bit for each.
struct StartRow {
  StartAction action;
  uint8_t unknown_version;
  uint8_t foreign;
  uint8_t log;
  uint8_t newest;
  uint8_t newer_damaged;

  [[nodiscard]] bool Matches(const StartFacts& facts) const;
};
[[nodiscard]] absl::Span<const StartRow> StartTable();
[[nodiscard]] StartAction DecideStart(const StartFacts& facts);

// The log as far as the decision needs it.
struct FoundLog {
  const LogIndex* index = nullptr;  // null: there is no log
  raft::Index commit = {};          // known to be committed
  raft::Index beginning = {};       // a log based here needs no snapshot
};
[[nodiscard]] StartFacts FactsOf(const FoundLog& log, const std::vector<SnapshotFinding>& findings);

struct StartVerdict {
  StartFacts facts;
  StartAction action = StartAction::kBeginNewLog;
  absl::Status refusal = {};                  // with file, offset and what to do
  const SnapshotFinding* snapshot = nullptr;  // kLoadSnapshot, kReplaceLog; one of the findings
  std::vector<std::string> notes = {};        // what an operator may want to read
};
// The decision and the words for it. The directories are for messages only.
[[nodiscard]] StartVerdict JudgeStart(const FoundLog& log,
                                      const std::vector<SnapshotFinding>& findings,
                                      const std::string& wal_directory,
                                      const std::string& snapshot_directory);

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_START_DECISION_H_
