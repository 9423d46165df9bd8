#include "consensus/storage/start.h"

#include <algorithm>
#include <utility>

#include "consensus/storage/data_directory.h"
#include "consensus/storage/recovery.h"
#include "consensus/storage/snapshot_survey.h"
#include "consensus/storage/start_decision.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::storage {
namespace {

// True also when it cannot be told: then opening the log tells.
bool HasLog(FileSystem* file_system, const std::string& wal_directory) {
  absl::StatusOr<std::vector<std::string>> names = file_system->List(wal_directory);
  if (!names.ok()) return !absl::IsNotFound(names.status());
  return std::any_of(names->begin(), names->end(),
                     [](const std::string& name) { return ParseSegmentName(name).has_value(); });
}

// Makes the log one that is empty and begins after the snapshot. The crash that made this necessary
// came before the log write that would have said so, hence nothing that was promised since is
// forgotten: what the log holds above its commit index and against the snapshot was never
// committed, and all below is in the snapshot.
absl::Status ReplaceLog(const raft::LogBase& base, OpenedLog* opened) {
  LogStore& store = *opened->store;
  raft::HardState state = store.hard_state();
  if (base.term > state.term) {
    state.term = base.term;
    state.voted_for = {};
  }
  state.commit = base.index;
  absl::Status written = store.Write({.hard_state = state, .entries = {}, .base = base});
  if (!written.ok()) return written;
  raft::RecoveredLog& log = opened->log;
  log.hard_state = state;
  log.base_index = log.last_index = base.index;
  log.base_term = base.term;
  log.base_time = base.time;
  log.tail.clear();
  log.configurations.clear();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OpenedStorage> OpenStorage(FileSystem* file_system, const StorageOptions& options) {
  const std::string& directory = options.snapshot_directory;
  if (absl::Status s = EnsureDirectory(file_system, directory); !s.ok()) return s;
  OpenedStorage opened;
  FoundLog found{.beginning = options.log.new_log_base.index};
  Identity owner{.node_id = options.log.node_id,
                 .cluster_name = options.log.cluster_name,
                 .incarnation = {},
                 .cluster_id = {}};
  const auto open_log = [&]() -> absl::Status {
    absl::StatusOr<OpenedLog> log = LogStore::Open(file_system, options.log);
    if (log.ok()) opened.log = *std::move(log);
    return log.status();
  };
  if (HasLog(file_system, options.log.directory)) {
    if (absl::Status s = open_log(); !s.ok()) return s;
    owner = opened.log.identity;
    found.index = &opened.log.store->index();
    found.commit = opened.log.store->hard_state().commit;
  }
  absl::StatusOr<std::vector<SnapshotFinding>> findings =
      SurveySnapshots(file_system, directory, &owner, RecoveryMode::kOwner);
  if (!findings.ok()) return findings.status();
  StartVerdict verdict = JudgeStart(found, *findings, options.log.directory, directory);
  if (!verdict.refusal.ok()) return verdict.refusal;

  if (verdict.action == StartAction::kBeginNewLog) {
    if (absl::Status s = open_log(); !s.ok()) return s;
  }
  if (verdict.snapshot != nullptr) {
    LOCKD_REACH(kStartFromSnapshot);
    opened.snapshot = verdict.snapshot->outline.id;
    if (verdict.action == StartAction::kReplaceLog) {
      if (absl::Status s = ReplaceLog(opened.snapshot->base, &opened.log); !s.ok()) return s;
    }
    opened.log.log.applied_index = opened.snapshot->base.index;
  }
  if (absl::Status s = RemoveDrafts(file_system, directory); !s.ok()) return s;
  opened.snapshots = std::make_unique<SnapshotStore>(
      file_system,
      SnapshotStoreOptions{.directory = directory,
                           .owner = opened.log.identity,
                           .file_number_draw = options.log.incarnation_draw.value()},
      *findings);
  opened.kept = opened.snapshots->kept();
  opened.notes = std::move(verdict.notes);
  return opened;
}

}  // namespace lockd::storage
