#include "consensus/storage/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockd::storage {
namespace {

absl::Status ErrnoStatus(int error, absl::string_view call, absl::string_view path) {
  return absl::ErrnoToStatus(error, absl::StrCat(call, " ", path));
}

// Repeats a call that a signal has interrupted. Not for close (the descriptor is gone either way)
// and not for fdatasync (a failed one is never repeated; EINTR is not among its errors on Linux).
template <typename Call>
auto RetryInterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class PosixFile : public File {
 public:
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override { ::close(descriptor_); }

  absl::Status Write(uint64_t offset, absl::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = RetryInterrupted([&] {
        return ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      });
      if (count < 0) return ErrnoStatus(errno, "write", path_);
      bytes.remove_prefix(static_cast<size_t>(count));
      offset += static_cast<uint64_t>(count);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Read(uint64_t offset, size_t count, char* to) override {
    size_t done = 0;
    while (done < count) {
      const ssize_t got = RetryInterrupted([&] {
        return ::pread(descriptor_, to + done, count - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) return ErrnoStatus(errno, "read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  absl::Status Sync() override {
    if (::fdatasync(descriptor_) != 0) return ErrnoStatus(errno, "fdatasync", path_);
    return absl::OkStatus();
  }

  // Advice only: a kernel that does not follow it leaves us where we were without it.
  void DropCache() override { (void)::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED); }

  absl::StatusOr<uint64_t> Size() override {
    struct stat info;
    if (::fstat(descriptor_, &info) != 0) return ErrnoStatus(errno, "stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  const int descriptor_;
  const std::string path_;
};

class PosixFileLock : public FileLock {
 public:
  explicit PosixFileLock(int descriptor) : descriptor_(descriptor) {}
  ~PosixFileLock() override { ::close(descriptor_); }  // the lock goes with it

 private:
  const int descriptor_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path,
                                                            OpenMode mode) {
  int flags = O_CLOEXEC;
  flags |= mode == OpenMode::kRead ? O_RDONLY : O_RDWR;
  if (mode == OpenMode::kCreate) flags |= O_CREAT | O_EXCL;
  const int descriptor = RetryInterrupted([&] { return ::open(path.c_str(), flags, 0640); });
  if (descriptor < 0) return ErrnoStatus(errno, "open", path);
  return std::make_unique<PosixFile>(descriptor, path);
}

absl::StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& directory) {
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) return ErrnoStatus(errno, "opendir", directory);
  std::vector<std::string> names;
  errno = 0;
  while (const struct dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  const int error = errno;
  ::closedir(stream);
  if (error != 0) return ErrnoStatus(error, "readdir", directory);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<bool> PosixFileSystem::IsDirectory(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  return S_ISDIR(info.st_mode);
}

absl::Status PosixFileSystem::CreateDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) != 0) return ErrnoStatus(errno, "mkdir", path);
  return absl::OkStatus();
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus(errno, "rename", from);
  return absl::OkStatus();
}

absl::Status PosixFileSystem::Unlink(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return ErrnoStatus(errno, "unlink", path);
  return absl::OkStatus();
}

absl::Status PosixFileSystem::SyncDirectory(const std::string& directory) {
  const int descriptor = RetryInterrupted(
      [&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) return ErrnoStatus(errno, "open", directory);
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (error != 0) return ErrnoStatus(error, "fsync", directory);
  return absl::OkStatus();
}

// What is kept back for the superuser does not count.
absl::StatusOr<uint64_t> PosixFileSystem::FreeBytes(const std::string& path) {
  struct statvfs info;
  if (RetryInterrupted([&] { return ::statvfs(path.c_str(), &info); }) != 0) {
    return ErrnoStatus(errno, "statvfs", path);
  }
  return uint64_t{info.f_bavail} * info.f_frsize;
}

// flock rather than fcntl: it belongs to the open file, so that closing some other descriptor of
// the same file does not drop it; O_CLOEXEC keeps children from holding it after us.
absl::StatusOr<std::unique_ptr<FileLock>> PosixFileSystem::LockFile(const std::string& path,
                                                                    absl::string_view note) {
  const int descriptor =
      RetryInterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640); });
  if (descriptor < 0) return ErrnoStatus(errno, "open", path);
  auto lock = std::make_unique<PosixFileLock>(descriptor);
  const int locked = RetryInterrupted([&] { return ::flock(descriptor, LOCK_EX | LOCK_NB); });
  if (locked != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "flock", path);
    char holder[128];
    const ssize_t count = ::pread(descriptor, holder, sizeof(holder), 0);
    return absl::FailedPreconditionError(absl::StrCat(
        path, " is locked by ",
        count > 0 ? absl::string_view(holder, static_cast<size_t>(count)) : "another process"));
  }
  // For people only; the lock is what counts.
  if (::ftruncate(descriptor, 0) != 0 || ::pwrite(descriptor, note.data(), note.size(), 0) < 0) {
    return ErrnoStatus(errno, "write", path);
  }
  return lock;
}

}  // namespace lockd::storage
