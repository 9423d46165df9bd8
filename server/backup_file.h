// BackupFile: a snapshot on its way into a file of its own.
//
//   auto file = BackupFile::Create(&file_system, path, BackupFile::Existing::kRefused, head);
//   (*file)->Add(content) ...
//   (*file)->Verify()          // durable, read back from the device, loaded
//   (*file)->Keep()            // gets its name
//
// Until Keep it lies beside `path`, under another name; if it is given up before, nothing is left
// of it. So whatever is found under `path` is whole and was verified.
//
// Threading: pure value (the calls go to the file system).
#ifndef LOCKD_SERVER_BACKUP_FILE_H_
#define LOCKD_SERVER_BACKUP_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "consensus/storage/file_system.h"
#include "consensus/storage/snapshot_format.h"
#include "consensus/storage/snapshot_writer.h"
#include "server/snapshot_file.h"

namespace lockd {

class BackupFile {
 public:
  enum class Existing : uint8_t { kRefused, kReplaced };

  // Whether a backup may be written there. AlreadyExists: a file is there, and is not to be
  // replaced.
  static absl::Status CheckPath(storage::FileSystem* file_system, const std::string& path,
                                Existing existing);
  // CheckPath, and a new file beside it. The file system must outlive it.
  static absl::StatusOr<std::unique_ptr<BackupFile>> Create(storage::FileSystem* file_system,
                                                            const std::string& path,
                                                            Existing existing,
                                                            const storage::SnapshotHead& head);
  ~BackupFile();
  BackupFile(const BackupFile&) = delete;
  BackupFile& operator=(const BackupFile&) = delete;

  // The next bytes of the snapshot's content.
  absl::Status Add(absl::string_view content);
  // After the last of it.
  absl::StatusOr<LoadedSnapshot> Verify();
  // After Verify.
  absl::Status Keep();

 private:
  BackupFile(storage::FileSystem* file_system, std::string path, Existing existing,
             std::string temp_path, std::unique_ptr<storage::File> file,
             const storage::SnapshotHead& head);

  storage::FileSystem* const file_system_;
  const std::string path_;
  const Existing existing_;
  const std::string temp_path_;
  std::unique_ptr<storage::SnapshotWriter> writer_;  // until Verify
  bool is_kept_ = false;
};

}  // namespace lockd

#endif  // LOCKD_SERVER_BACKUP_FILE_H_
