// DataDirectory: the directory given by --data-dir, held by one process at a time.
//
//   D/lock         locked while a process uses D; holds its process id, for people
//   D/wal/         segments of the log (LogStore)
//   D/snapshots/   snapshots of the state (SnapshotStore)
//
// Whose directory it is (node id, cluster name, incarnation, cluster id) is decided by the head of
// each log segment and nothing else: two files that must agree are two files that can disagree.
// (Snapshots repeat it, so that one of another directory is not mistaken for ours.)
//
// Threading: constant after Open.
#ifndef LOCKD_CONSENSUS_STORAGE_DATA_DIRECTORY_H_
#define LOCKD_CONSENSUS_STORAGE_DATA_DIRECTORY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "consensus/storage/file_system.h"
#include "protocol/base/ids.h"

namespace lockd::storage {

inline constexpr size_t kClusterNameBytesMax = 128;

// Whose log it is.
struct Identity {
  NodeId node_id;
  std::string cluster_name;   // 1..kClusterNameBytesMax bytes
  Incarnation incarnation;    // drawn when the directory was made
  ClusterId cluster_id = {};  // zero until the node has learned it (LogWrite::cluster_id)

  friend bool operator==(const Identity&, const Identity&) = default;
};

// Makes a directory within the data directory if it is missing. Its parent is synced also when it
// is not: the process that made it may have died before it did. Failures: kUnusable, kWriteFailed.
absl::Status EnsureDirectory(FileSystem* file_system, const std::string& directory);

class DataDirectory {
 public:
  // Makes the directory if it is missing (its parent must exist) and takes its lock. Failures:
  // kInUse (exit status 10), kUnusable (12). `holder` is written into the lock file, for people.
  static absl::StatusOr<DataDirectory> Open(FileSystem* file_system, const std::string& path,
                                            absl::string_view holder);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string wal_path() const { return WalPath(path_); }
  [[nodiscard]] static std::string WalPath(const std::string& path);
  [[nodiscard]] std::string snapshots_path() const { return SnapshotsPath(path_); }
  [[nodiscard]] static std::string SnapshotsPath(const std::string& path);

 private:
  DataDirectory(std::string path, std::unique_ptr<FileLock> lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_DATA_DIRECTORY_H_
