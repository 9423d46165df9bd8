#include "server/salvage.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "consensus/raft/membership.h"
#include "consensus/storage/data_directory.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/recovery.h"
#include "consensus/storage/start.h"
#include "server/known_log.h"
#include "server/snapshot_file.h"
#include "server/state/digest_text.h"
#include "server/state/lock_database.h"

namespace lockd {
namespace {

using storage::Failure;
using storage::FileSystem;
using storage::MakeFailure;

// What storage does not mark is about the directory.
absl::Status Marked(const absl::Status& status) {
  if (status.ok() || storage::FailureOf(status) != Failure::kNone) return status;
  return MakeFailure(Failure::kUnusable, status.message());
}

absl::StatusOr<storage::DataDirectory> OpenDirectory(FileSystem* file_system,
                                                     const std::string& path) {
  const absl::StatusOr<bool> is_directory = file_system->IsDirectory(path);
  if (!is_directory.ok() || !*is_directory) {
    return MakeFailure(Failure::kUnusable, absl::StrCat(path, " is no directory of a node"));
  }
  return storage::DataDirectory::Open(file_system, path, absl::StrCat("process ", getpid()));
}

absl::StatusOr<storage::OpenedStorage> OpenAsItsNode(FileSystem* file_system,
                                                     const storage::DataDirectory& directory) {
  const auto no_log = [&directory] {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat(directory.path(), " holds no log of a node"));
  };
  if (absl::IsNotFound(file_system->IsDirectory(directory.wal_path()).status())) return no_log();
  const absl::StatusOr<std::optional<storage::Recovery>> found =
      storage::RecoverLog(file_system, directory.wal_path(), storage::RecoveryMode::kReadOnly);
  if (!found.ok()) return Marked(found.status());
  if (!found->has_value()) return no_log();
  const storage::Identity& identity = (*found)->identity;
  storage::StorageOptions options;
  options.log.directory = directory.wal_path();
  options.log.node_id = identity.node_id;
  options.log.cluster_name = identity.cluster_name;
  options.log.incarnation_draw = identity.incarnation;
  options.log.tail_bytes_max = 0;  // it is read in pieces
  options.snapshot_directory = directory.snapshots_path();
  return storage::OpenStorage(file_system, options);
}

absl::StatusOr<std::unique_ptr<state::LockDatabase>> LoadState(
    FileSystem* file_system, const storage::DataDirectory& directory,
    const std::optional<raft::SnapshotId>& snapshot) {
  if (!snapshot) return std::make_unique<state::LockDatabase>();
  const std::string name = storage::SnapshotName(storage::PlaceOf(snapshot->base));
  absl::StatusOr<LoadedSnapshot> loaded =
      LoadSnapshotFile(file_system, storage::JoinPath(directory.snapshots_path(), name));
  if (!loaded.ok()) return Marked(loaded.status());
  return std::move(loaded->database);
}

void Apply(const raft::Entry& entry, state::LockDatabase& database) {
  std::string change;
  absl::string_view payload;
  if (entry.kind == raft::EntryKind::kCommand) payload = entry.payload;
  if (entry.kind == raft::EntryKind::kConfiguration) {
    change = raft::DecodeConfigurationChange(entry.payload)->particulars;  // is known
    payload = change;
  }
  database.Apply(entry.time, payload);
}

absl::Status ApplyLog(storage::LogStore& log, raft::Index applied, state::LockDatabase& database) {
  constexpr size_t kBytesMax = 1024 * 1024;
  while (applied < log.last_index()) {
    const absl::StatusOr<std::vector<raft::Entry>> entries =
        log.Read({.id = 0, .first = applied + 1, .last = log.last_index(), .bytes_max = kBytesMax});
    if (!entries.ok()) return entries.status();
    for (const raft::Entry& entry : *entries) Apply(entry, database);
    applied = entries->back().index;
  }
  return absl::OkStatus();
}

absl::Status WriteBackup(FileSystem* file_system, const std::string& path,
                         BackupFile::Existing existing, const storage::SnapshotHead& head,
                         state::LockDatabase& database) {
  constexpr size_t kPieceBytes = 256 * 1024;
  const auto file = BackupFile::Create(file_system, path, existing, head);
  if (!file.ok()) return file.status();
  database.BeginSnapshot();
  std::string piece;
  for (bool is_last = false; !is_last;) {
    is_last = database.NextSnapshotPiece(kPieceBytes, &piece);
    if (absl::Status status = (*file)->Add(piece); !status.ok()) return status;
  }
  const absl::StatusOr<LoadedSnapshot> verified = (*file)->Verify();
  if (!verified.ok()) return verified.status();
  return (*file)->Keep();
}

}  // namespace

absl::StatusOr<std::string> Salvage(FileSystem* file_system, const std::string& directory_path,
                                    const std::string& file, BackupFile::Existing existing) {
  const absl::Status path_is_free = BackupFile::CheckPath(file_system, file, existing);
  if (!path_is_free.ok()) return Marked(path_is_free);
  const absl::StatusOr<storage::DataDirectory> directory =
      OpenDirectory(file_system, directory_path);
  if (!directory.ok()) return directory.status();
  absl::StatusOr<storage::OpenedStorage> opened = OpenAsItsNode(file_system, *directory);
  if (!opened.ok()) return opened.status();
  const absl::Status known = CheckMembersAreKnown(opened->log.log, directory->wal_path());
  if (!known.ok()) return known;
  absl::StatusOr<std::unique_ptr<state::LockDatabase>> database =
      LoadState(file_system, *directory, opened->snapshot);
  if (!database.ok()) return database.status();
  storage::LogStore& log = *opened->log.store;
  const raft::Index applied = std::max(opened->log.log.applied_index, log.base().index);
  if (absl::Status status = ApplyLog(log, applied, **database); !status.ok()) return status;
  if ((*database)->cluster_id().is_zero()) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat(directory_path, " has not been part of a cluster yet"));
  }

  const raft::LogBase base{
      .index = log.last_index(), .term = log.index().last().term, .time = (*database)->time()};
  storage::SnapshotHead head{.identity = opened->log.identity, .base = base};
  head.identity.incarnation = {};
  head.identity.cluster_id = (*database)->cluster_id();
  if (absl::Status status = WriteBackup(file_system, file, existing, head, **database);
      !status.ok()) {
    return MakeFailure(Failure::kWriteFailed, status.message());
  }
  return absl::StrCat("saved what node ", head.identity.node_id, " of cluster ",
                      head.identity.cluster_name, " (", head.identity.cluster_id, ") has, in ",
                      file, ": entry ", base.index, " of term ", base.term, ", of which ",
                      log.hard_state().commit, " are known to be committed; ",
                      (*database)->lock_count(), " held locks, ", (*database)->session_count(),
                      " sessions, digest ", state::ToText((*database)->digest()), "\n",
                      "Make a new cluster of it: lockd restore --help. Never start a node of the "
                      "old cluster again\n");
}

}  // namespace lockd
