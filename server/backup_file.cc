#include "server/backup_file.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"

namespace lockd {

using storage::File;
using storage::FileSystem;

absl::Status BackupFile::CheckPath(FileSystem* file_system, const std::string& path,
                                   Existing existing) {
  const std::string parent = storage::ParentPath(path);
  const absl::StatusOr<bool> parent_is_directory = file_system->IsDirectory(parent);
  if (!parent_is_directory.ok()) return parent_is_directory.status();
  if (!*parent_is_directory) {
    return absl::FailedPreconditionError(absl::StrCat(parent, " is no directory"));
  }
  const absl::StatusOr<bool> is_directory = file_system->IsDirectory(path);
  if (absl::IsNotFound(is_directory.status())) return absl::OkStatus();
  if (!is_directory.ok()) return is_directory.status();
  if (*is_directory) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is a directory; give the name of a file in it"));
  }
  if (existing == Existing::kReplaced) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat(path, " exists; give another name, or --force to replace it"));
}

absl::StatusOr<std::unique_ptr<BackupFile>> BackupFile::Create(FileSystem* file_system,
                                                               const std::string& path,
                                                               Existing existing,
                                                               const storage::SnapshotHead& head) {
  if (absl::Status status = CheckPath(file_system, path, existing); !status.ok()) return status;
  // Of this process alone: two that write the same backup do not meet before they are done.
  std::string temp_path = absl::StrCat(path, ".part-", ::getpid());
  const absl::Status removed = file_system->Unlink(temp_path);  // of one that was killed
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system->Open(temp_path, FileSystem::OpenMode::kCreate);
  if (!file.ok()) return file.status();
  return std::unique_ptr<BackupFile>(
      new BackupFile(file_system, path, existing, std::move(temp_path), *std::move(file), head));
}

BackupFile::BackupFile(FileSystem* file_system, std::string path, Existing existing,
                       std::string temp_path, std::unique_ptr<File> file,
                       const storage::SnapshotHead& head)
    : file_system_(file_system),
      path_(std::move(path)),
      existing_(existing),
      temp_path_(std::move(temp_path)),
      writer_(std::make_unique<storage::SnapshotWriter>(std::move(file), head)) {}

BackupFile::~BackupFile() {
  // If even that fails there is nobody to tell, and the name says that it is none.
  if (!is_kept_) (void)file_system_->Unlink(temp_path_);
}

absl::Status BackupFile::Add(absl::string_view content) {
  return writer_->Add(content);
}

absl::StatusOr<LoadedSnapshot> BackupFile::Verify() {
  if (absl::Status status = writer_->Finish(); !status.ok()) return status;
  writer_->file()->DropCache();
  absl::StatusOr<LoadedSnapshot> loaded = LoadSnapshotFile(file_system_, temp_path_);
  if (loaded.ok() && loaded->id != writer_->id()) {
    return absl::DataLossError(absl::StrCat(temp_path_, " is not what was written to it"));
  }
  writer_.reset();
  return loaded;
}

absl::Status BackupFile::Keep() {
  LOCKD_CHECK(writer_ == nullptr, "a backup is kept that was not verified");
  // Somebody may have come first.
  if (absl::Status status = CheckPath(file_system_, path_, existing_); !status.ok()) return status;
  if (absl::Status status = file_system_->Rename(temp_path_, path_); !status.ok()) return status;
  is_kept_ = true;
  if (absl::Status status = file_system_->SyncDirectory(storage::ParentPath(path_)); !status.ok()) {
    return absl::Status(
        status.code(),
        absl::StrCat(path_, " is whole, but may not outlive a loss of power: ", status.message()));
  }
  return absl::OkStatus();
}

}  // namespace lockd
