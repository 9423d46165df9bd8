// A library that is loaded before libc (LD_PRELOAD) into a real lockd, and gives it the disk that a
// test wants: no root and no mount needed. Never linked into anything.
//
//   LOCKD_DISK_SHIM_DIRECTORY   whose files are concerned; all others are left alone
//   LOCKD_DISK_SHIM_CONTROL     a file with one word and one number a line, read anew at each call:
//
//     sync-error N       fsync and fdatasync fail with errno N
//     sync-delay-ms N    they take so much longer, or until the line is gone
//     write-error N      pwrite fails with errno N
//     growth-error N     the same, but only if it would make the file longer
//     free-bytes N       statvfs says that so much is free
//
// tests/e2e/disk_trouble.h is the other end.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>

namespace {

template <typename Function>
Function Original(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

bool IsBelow(const char* path) {
  const char* directory = std::getenv("LOCKD_DISK_SHIM_DIRECTORY");
  return directory != nullptr && std::strncmp(path, directory, std::strlen(directory)) == 0;
}

bool IsConcerned(int fd) {
  char link[64];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  char path[4096];
  const ssize_t length = readlink(link, path, sizeof(path) - 1);
  if (length < 0) return false;
  path[length] = '\0';
  return IsBelow(path);
}

// The number behind this word in the control file.
std::optional<unsigned long long> Setting(const char* word) {
  const char* control = std::getenv("LOCKD_DISK_SHIM_CONTROL");
  std::FILE* file = control == nullptr ? nullptr : std::fopen(control, "re");
  if (file == nullptr) return std::nullopt;
  std::optional<unsigned long long> found;
  char name[64];
  unsigned long long number = 0;
  while (std::fscanf(file, "%63s %llu", name, &number) == 2) {
    if (std::strcmp(name, word) == 0) found = number;
  }
  std::fclose(file);
  return found;
}

void Delay() {
  constexpr long kStepMs = 5;
  unsigned long long delayed_ms = 0;
  while (delayed_ms < Setting("sync-delay-ms").value_or(0)) {
    const timespec step{.tv_sec = 0, .tv_nsec = kStepMs * 1'000'000};
    nanosleep(&step, nullptr);
    delayed_ms += kStepMs;
  }
}

int Sync(const char* name, int fd) {
  if (IsConcerned(fd)) {
    Delay();
    if (const auto error = Setting("sync-error")) {
      errno = static_cast<int>(*error);
      return -1;
    }
  }
  return Original<int (*)(int)>(name)(fd);
}

ssize_t Write(const char* name, int fd, const void* bytes, size_t count, off_t offset) {
  if (IsConcerned(fd)) {
    std::optional<unsigned long long> error = Setting("write-error");
    if (const auto growth_error = Setting("growth-error")) {
      struct stat info {};
      const bool grows = fstat(fd, &info) == 0 && offset + static_cast<off_t>(count) > info.st_size;
      if (grows) error = growth_error;
    }
    if (error) {
      errno = static_cast<int>(*error);
      return -1;
    }
  }
  return Original<ssize_t (*)(int, const void*, size_t, off_t)>(name)(fd, bytes, count, offset);
}

template <typename Info>
int Statvfs(const char* name, const char* path, Info* info) {
  const int result = Original<int (*)(const char*, Info*)>(name)(path, info);
  if (result != 0 || !IsBelow(path)) return result;
  if (const auto free_bytes = Setting("free-bytes")) {
    info->f_bavail = *free_bytes / info->f_frsize;
  }
  return result;
}

}  // namespace

extern "C" {

int fsync(int fd) {
  return Sync("fsync", fd);
}
int fdatasync(int fd) {
  return Sync("fdatasync", fd);
}
ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  return Write("pwrite", fd, bytes, count, offset);
}
ssize_t pwrite64(int fd, const void* bytes, size_t count, off_t offset) {
  return Write("pwrite64", fd, bytes, count, offset);
}
int statvfs(const char* path, struct statvfs* info) noexcept {
  return Statvfs("statvfs", path, info);
}
int statvfs64(const char* path, struct statvfs64* info) noexcept {
  return Statvfs("statvfs64", path, info);
}

}  // extern "C"
