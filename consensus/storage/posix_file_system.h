// The real file system: POSIX calls with EINTR and short transfers handled, errors as absl::Status.
//
// Threading: any (it has no state); one File from one thread at a time.
#ifndef LOCKD_CONSENSUS_STORAGE_POSIX_FILE_SYSTEM_H_
#define LOCKD_CONSENSUS_STORAGE_POSIX_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <vector>

#include "consensus/storage/file_system.h"

namespace lockd::storage {

class PosixFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::StatusOr<bool> IsDirectory(const std::string& path) override;
  absl::Status CreateDirectory(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path,
                                                     absl::string_view note) override;
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_POSIX_FILE_SYSTEM_H_
