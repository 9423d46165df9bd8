#include "server/rejoin.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/recovery.h"
#include "consensus/storage/snapshot_format.h"
#include "consensus/storage/snapshot_reader.h"
#include "consensus/storage/wal_reader.h"

namespace lockd {
namespace {

using storage::Failure;
using storage::JoinPath;
using storage::MakeFailure;

// None where it cannot be listed.
std::vector<std::string> NamesIn(storage::FileSystem* file_system, const std::string& path) {
  absl::StatusOr<std::vector<std::string>> names = file_system->List(path);
  return names.ok() ? *std::move(names) : std::vector<std::string>();
}

std::optional<storage::Identity> OwnerOfSegment(storage::File* file) {
  const absl::StatusOr<storage::HeadReading> reading = storage::ReadHead(file);
  if (!reading.ok() || reading->state != storage::HeadState::kValid) return std::nullopt;
  return reading->head.identity;
}

std::optional<storage::Identity> OwnerOfSnapshot(storage::File* file) {
  const absl::StatusOr<storage::SnapshotOutline> outline = storage::ReadSnapshotOutline(file);
  if (!outline.ok() || !outline->has_head) return std::nullopt;
  return outline->head.identity;
}

// What lockd makes in a data directory; something else must not be moved because of a typing error.
bool LooksLikeOurs(storage::FileSystem* file_system, const std::string& path) {
  constexpr std::array<absl::string_view, 3> kOurs = {"members", "snapshots", "wal"};
  const std::vector<std::string> names = NamesIn(file_system, path);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end();
  });
}

absl::Status CheckIsThere(storage::FileSystem* file_system, const std::string& path) {
  const absl::StatusOr<bool> is_directory = file_system->IsDirectory(path);
  if (absl::IsNotFound(is_directory.status())) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rejoin: ", path,
                     " does not exist, so there is nothing to move aside; start without it"));
  }
  if (!is_directory.ok() || !*is_directory) {
    return MakeFailure(Failure::kUnusable, absl::StrCat(path, " is not a directory"));
  }
  const std::vector<std::string> names = NamesIn(file_system, path);
  if (std::all_of(names.begin(), names.end(), [](const auto& name) { return name == "lock"; })) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--rejoin: ", path, " is empty, so there is nothing to move aside; start without it"));
  }
  if (!LooksLikeOurs(file_system, path)) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat("--rejoin: ", path,
                                    " does not look like a data directory of lockd, and was left "
                                    "alone; check --data-dir"));
  }
  return absl::OkStatus();
}

absl::Status CheckOwner(const storage::Identity& owner, const std::string& path, NodeId id,
                        absl::string_view cluster_name) {
  if (owner.node_id.is_zero()) return absl::OkStatus();
  if (owner.cluster_name != cluster_name) {
    return MakeFailure(Failure::kWrongOwner,
                       absl::StrCat("--rejoin: ", path, " belongs to node ", owner.node_id,
                                    " of a cluster named \"", owner.cluster_name, "\", not \"",
                                    std::string(cluster_name),
                                    "\", and was left alone; check --data-dir and --cluster-name"));
  }
  if (owner.node_id != id) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--rejoin: ", path, " is the directory of node ", id,
      " itself. Ids are never used twice: remove this member (lockctl member remove ", id,
      "), add a new one (lockctl member add), and start with the id that it prints. If node ", id,
      " is that new member, it has joined already: start without --rejoin"));
}

// The first that nothing has; renaming says what is wrong with a name that cannot even be asked
// for.
std::string FreeName(storage::FileSystem* file_system, const std::string& wanted) {
  std::string name = wanted;
  for (int number = 2; file_system->IsDirectory(name).ok(); ++number) {
    name = absl::StrCat(wanted, "-", number);
  }
  return name;
}

}  // namespace

storage::Identity OwnerOf(storage::FileSystem* file_system, const std::string& path) {
  const std::pair<std::string, std::optional<storage::Identity> (*)(storage::File*)> places[] = {
      {storage::DataDirectory::WalPath(path), OwnerOfSegment},
      {storage::DataDirectory::SnapshotsPath(path), OwnerOfSnapshot}};
  for (const auto& [directory, owner_of] : places) {
    for (const std::string& name : NamesIn(file_system, directory)) {
      if (!storage::ParseSegmentName(name) && !storage::ParseSnapshotName(name)) continue;
      absl::StatusOr<std::unique_ptr<storage::File>> file =
          file_system->Open(JoinPath(directory, name), storage::FileSystem::OpenMode::kRead);
      if (!file.ok()) continue;
      if (std::optional<storage::Identity> owner = owner_of(file->get())) return *std::move(owner);
    }
  }
  return {};
}

absl::StatusOr<MovedAside> MoveAside(storage::FileSystem* file_system, const std::string& path,
                                     NodeId id, absl::string_view cluster_name,
                                     absl::string_view time, absl::string_view holder) {
  if (absl::Status s = CheckIsThere(file_system, path); !s.ok()) return s;
  // Whoever uses the directory holds its lock. It goes with the directory, and is let go of at the
  // end.
  const absl::StatusOr<storage::DataDirectory> held =
      storage::DataDirectory::Open(file_system, path, holder);
  if (!held.ok()) return held.status();
  const storage::Identity owner = OwnerOf(file_system, path);
  if (absl::Status s = CheckOwner(owner, path, id, cluster_name); !s.ok()) return s;

  absl::string_view stem = path;
  while (stem.size() > 1 && stem.back() == '/') stem.remove_suffix(1);
  MovedAside moved{.to = FreeName(file_system, absl::StrCat(stem, ".old-", time)), .owner = {}};
  moved.owner = owner.node_id.is_zero() ? "it cannot be read whose it was"
                                        : absl::StrCat("it was of node ", owner.node_id,
                                                       ", incarnation ", owner.incarnation);
  absl::Status status = file_system->Rename(path, moved.to);
  if (!status.ok()) {
    return MakeFailure(
        Failure::kUnusable,
        absl::StrCat("--rejoin: ", path, " cannot be moved to ", moved.to, ": ", status.message(),
                     "; move what is in it elsewhere, and start without --rejoin"));
  }
  status = file_system->SyncDirectory(storage::ParentPath(moved.to));
  if (!status.ok()) {
    return MakeFailure(Failure::kUnusable, absl::StrCat("the directory that holds ", moved.to,
                                                        " cannot be synced: ", status.message()));
  }
  return moved;
}

}  // namespace lockd
