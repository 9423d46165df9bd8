#include "server/restore.h"

#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/storage/data_directory.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/start.h"
#include "protocol/base/text.h"
#include "server/members_file.h"
#include "server/restored_log.h"
#include "server/snapshot_file.h"
#include "server/state/lock_database.h"

namespace lockd {
namespace {

using storage::Failure;
using storage::MakeFailure;

absl::Status CheckIsEmpty(storage::FileSystem* file_system, const std::string& directory) {
  const absl::StatusOr<std::vector<std::string>> names = file_system->List(directory);
  if (absl::IsNotFound(names.status()) || (names.ok() && names->empty())) return absl::OkStatus();
  if (!names.ok()) return MakeFailure(Failure::kUnusable, names.status().message());
  return MakeFailure(Failure::kUnusable,
                     absl::StrCat(directory,
                                  " is not empty: a restore makes a new data directory; give "
                                  "another --data-dir, or move this one away first"));
}

storage::StorageOptions MakeStorageOptions(const storage::DataDirectory& directory,
                                           const Config& config, Incarnation incarnation_draw) {
  storage::StorageOptions options;
  options.log.directory = directory.wal_path();
  options.log.node_id = config.node_id;
  options.log.cluster_name = config.cluster_name;
  options.log.incarnation_draw = incarnation_draw;
  options.log.segment_bytes = config.segment_bytes;
  options.log.tail_bytes_max = config.tail_bytes_max;
  options.snapshot_directory = directory.snapshots_path();
  return options;
}

std::string Report(const Config& config, const std::string& file, const LoadedSnapshot& backup,
                   ClusterId old_cluster, ClusterTime delayed_until) {
  const state::LockDatabase& database = *backup.database;
  return absl::StrCat(
      "restored ", config.data_dir, " for node ", config.node_id, " of a new cluster ",
      config.cluster_name, " from ", file, ": the state of cluster ", old_cluster, " after entry ",
      backup.id.base.index, ", ", database.lock_count(), " held locks\n",
      database.lock_count() == 0
          ? ""
          : absl::StrCat("They cannot be acquired for ",
                         FormatDurationMs(delayed_until - database.time()),
                         " from the founding on, for "
                         "their owners may not know yet that all sessions have ended\n"),
      "Restore the same file for each of the nodes ", FormatPeers(config.peers),
      ", then start them all: lockd --node-id ", config.node_id, " --cluster-name ",
      config.cluster_name, " --data-dir ", config.data_dir, " --client-listen ",
      config.client_listen.ToString(), " --peer-listen ", config.peer_listen.ToString(), "\n");
}

}  // namespace

absl::StatusOr<std::string> Restore(storage::FileSystem* file_system, const Config& config,
                                    const std::string& file, Incarnation incarnation_draw) {
  absl::StatusOr<LoadedSnapshot> backup = LoadSnapshotFile(file_system, file);
  if (absl::IsNotFound(backup.status())) {
    return MakeFailure(Failure::kUnusable, absl::StrCat(file, ": there is no such file"));
  }
  if (!backup.ok()) return backup.status();
  const ClusterId old_cluster = backup->database->cluster_id();
  if (old_cluster.is_zero()) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat(file,
                                    ": is no backup of a cluster, but what a restore made of "
                                    "one; give the backup itself"));
  }
  if (absl::Status status = CheckIsEmpty(file_system, config.data_dir); !status.ok()) return status;
  const absl::StatusOr<storage::DataDirectory> directory = storage::DataDirectory::Open(
      file_system, config.data_dir, absl::StrCat("process ", getpid()));
  if (!directory.ok()) return directory.status();

  const ClusterTime delayed_until = backup->database->PrepareRefounding();
  const storage::StorageOptions options = MakeStorageOptions(*directory, config, incarnation_draw);
  const absl::StatusOr<raft::SnapshotId> made =
      MakeRestoredLog(file_system, options, backup->id.base, *backup->database);
  if (!made.ok()) return made.status();
  const Origin origin{.founders = config.peers, .is_restored = true};
  if (absl::Status status = WriteMembersFile(file_system, config.data_dir, origin); !status.ok()) {
    return MakeFailure(Failure::kWriteFailed, status.message());
  }
  return Report(config, file, *backup, old_cluster, delayed_until);
}

}  // namespace lockd
