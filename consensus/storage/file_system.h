// FileSystem: the few calls that storage needs, as an interface.
//
// posix_file_system is the real one; tests and the simulator use tests/support/mem_file_system,
// which can cut the power between any two calls.
//
// The three promises are kept apart on purpose, because a crash keeps them apart:
//   Write          the bytes are in the kernel; a process crash keeps them, a power cut may not
//   Sync           what was written to this file, and its size, are on the device
//   SyncDirectory  creations, renames and removals in this directory are on the device
//
// Errors are absl::Status with the path and the call in the message: NotFound, AlreadyExists,
// PermissionDenied, ResourceExhausted (no space), and others as errno says. Nothing here retries a
// failed write or sync: after a failure nobody knows what is on the device (see LogStore).
//
// Threading: implementations say so; the posix one may be used from any thread, one File from one
// thread at a time.
#ifndef LOCKD_CONSENSUS_STORAGE_FILE_SYSTEM_H_
#define LOCKD_CONSENSUS_STORAGE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lockd::storage {

// An open file. Closed when destroyed.
class File {
 public:
  virtual ~File() = default;

  // All of `bytes` at `offset`, or an error (then some of them may be there). Grows the file.
  virtual absl::Status Write(uint64_t offset, absl::string_view bytes) = 0;
  // Up to `count` bytes from `offset` into `to`; fewer only at the end of the file.
  virtual absl::StatusOr<size_t> Read(uint64_t offset, size_t count, char* to) = 0;
  // fdatasync: what was written, and the size, are on the device when this returns OK.
  virtual absl::Status Sync() = 0;
  // Later reads of what has been synced come from the device, not from the page cache. After a
  // failed sync the cache may show bytes that the device never got (Rebello and others, "Can
  // Applications Recover from fsync Failures?", ATC 2020); recovery must not believe them.
  virtual void DropCache() = 0;
  virtual absl::StatusOr<uint64_t> Size() = 0;
};

// Held until destroyed, or until the process ends however it ends.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  enum class OpenMode : uint8_t {
    kRead,       // must exist
    kReadWrite,  // must exist
    kCreate,     // must not exist; made empty, readable and writable
  };
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;

  // Names (not paths) of what is in the directory, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  virtual absl::StatusOr<bool> IsDirectory(const std::string& path) = 0;  // false: a file
  // The parent must exist. AlreadyExists if anything of that name does.
  virtual absl::Status CreateDirectory(const std::string& path) = 0;
  // Within one directory. Replaces `to` if it exists.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Unlink(const std::string& path) = 0;
  virtual absl::Status SyncDirectory(const std::string& directory) = 0;
  // Bytes that files of this process may still grow by, on the device that holds `path`.
  virtual absl::StatusOr<uint64_t> FreeBytes(const std::string& path) = 0;

  // An exclusive lock on the file, made if missing. FailedPrecondition when somebody holds it; its
  // content, `note` of the holder, is then in the message.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path,
                                                             absl::string_view note) = 0;
};

// "a" and "b" give "a/b".
[[nodiscard]] std::string JoinPath(absl::string_view directory, absl::string_view name);
// "a/b" gives "a", "b" gives ".".
[[nodiscard]] std::string ParentPath(absl::string_view path);

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_FILE_SYSTEM_H_
