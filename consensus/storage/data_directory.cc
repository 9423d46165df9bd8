#include "consensus/storage/data_directory.h"

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"

namespace lockd::storage {

std::string DataDirectory::WalPath(const std::string& path) {
  return JoinPath(path, "wal");
}

std::string DataDirectory::SnapshotsPath(const std::string& path) {
  return JoinPath(path, "snapshots");
}

absl::Status EnsureDirectory(FileSystem* file_system, const std::string& directory) {
  absl::Status made = file_system->CreateDirectory(directory);
  if (absl::IsAlreadyExists(made)) {
    absl::StatusOr<bool> is_directory = file_system->IsDirectory(directory);
    if (!is_directory.ok() || !*is_directory) {
      return MakeFailure(Failure::kUnusable,
                         absl::StrCat(directory, " is not a directory; move it aside"));
    }
  } else if (!made.ok()) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat(directory, " cannot be made: ", made.message()));
  }
  for (const std::string& synced : {ParentPath(directory), directory}) {
    absl::Status status = file_system->SyncDirectory(synced);
    if (!status.ok()) {
      return MakeFailure(Failure::kWriteFailed,
                         absl::StrCat(synced, " cannot be synced: ", status.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<DataDirectory> DataDirectory::Open(FileSystem* file_system, const std::string& path,
                                                  absl::string_view holder) {
  absl::Status made = file_system->CreateDirectory(path);
  if (absl::IsAlreadyExists(made)) {
    absl::StatusOr<bool> is_directory = file_system->IsDirectory(path);
    if (!is_directory.ok() || !*is_directory) {
      return MakeFailure(Failure::kUnusable, absl::StrCat(path,
                                                          " is not a directory; give --data-dir "
                                                          "the path of one, or of none"));
    }
  } else if (!made.ok()) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat("data directory ", path, " cannot be made: ", made.message(),
                                    "; its parent must exist and be writable"));
  }
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      file_system->LockFile(JoinPath(path, "lock"), holder);
  if (absl::IsFailedPrecondition(lock.status())) {
    return MakeFailure(
        Failure::kInUse,
        absl::StrCat("data directory ", path, " is in use: ", lock.status().message(),
                     "; stop that process or give another directory"));
  }
  if (!lock.ok()) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat("data directory ", path, " cannot be written: ",
                                    lock.status().message(), "; check owner and permissions"));
  }
  // Also when it was there already: whoever made it may have died before this.
  absl::Status synced = file_system->SyncDirectory(ParentPath(path));
  if (!synced.ok()) {
    return MakeFailure(Failure::kUnusable, absl::StrCat("the parent of data directory ", path,
                                                        " cannot be synced: ", synced.message()));
  }
  return DataDirectory(path, *std::move(lock));
}

}  // namespace lockd::storage
