#include "consensus/storage/snapshot_survey.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"

namespace lockd::storage {
namespace {

using State = SnapshotFinding::State;

bool Differ(uint64_t one, uint64_t other) {
  return one != 0 && other != 0 && one != other;
}

bool IsForeign(const Identity& file, const Identity& owner) {
  return file.node_id != owner.node_id || file.cluster_name != owner.cluster_name ||
         Differ(file.incarnation.value(), owner.incarnation.value()) ||
         Differ(file.cluster_id.value(), owner.cluster_id.value());
}

std::string Describe(const Identity& identity) {
  return absl::StrCat("node ", identity.node_id, " of cluster \"", identity.cluster_name, "\" (id ",
                      identity.cluster_id, ", incarnation ", identity.incarnation, ")");
}

void SetDamaged(const SnapshotDamage& damage, SnapshotFinding* finding) {
  finding->state = State::kDamaged;
  finding->problem = absl::StrCat(finding->path, " at offset ", damage.offset, ": ", damage.what);
}

absl::StatusOr<std::optional<SnapshotDamage>> VerifyAll(File* file,
                                                        const SnapshotOutline& outline) {
  SnapshotVerifier verifier(file, outline);
  while (true) {
    absl::StatusOr<bool> done = verifier.RunSlice();
    if (!done.ok()) return done.status();
    if (*done) return verifier.damage();
  }
}

// Everything but what the name says. A status: reading failed.
absl::Status Judge(File* file, const Identity* owner, SnapshotFinding* finding) {
  absl::StatusOr<SnapshotOutline> outline = ReadSnapshotOutline(file);
  if (!outline.ok()) return outline.status();
  finding->outline = *outline;
  if (outline->state == SnapshotOutline::State::kUnknownVersion) {
    finding->state = State::kUnknownVersion;
    finding->problem =
        absl::StrCat(finding->path, " at offset 0: snapshot format version ", outline->version,
                     ", this program knows version ", kSnapshotVersion,
                     " only; start it with the lockd version that wrote it",
                     outline->version > kSnapshotVersion ? ", or a newer one" : "");
    return absl::OkStatus();
  }
  if (outline->has_head && owner != nullptr && IsForeign(outline->head.identity, *owner)) {
    finding->state = State::kForeign;
    finding->problem = absl::StrCat(
        finding->path, " at offset 0: belongs to ", Describe(outline->head.identity),
        ", the directory to ", Describe(*owner), "; move this file away or put back the original");
    return absl::OkStatus();
  }
  if (outline->state == SnapshotOutline::State::kDamaged) {
    SetDamaged(outline->damage, finding);
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<SnapshotDamage>> damage = VerifyAll(file, *outline);
  if (!damage.ok()) return damage.status();
  if (damage->has_value()) {
    SetDamaged(**damage, finding);
  } else {
    finding->state = State::kVerified;
  }
  return absl::OkStatus();
}

// A file that was renamed by hand, say.
void CheckName(SnapshotFinding* finding) {
  const SnapshotPlace written = PlaceOf(finding->outline.head.base);
  const std::optional<SnapshotPlace> named =
      ParseSnapshotName(finding->path.substr(finding->path.rfind('/') + 1));
  finding->place = named.value_or(written);
  if (finding->state != State::kVerified || finding->place == written) return;
  SetDamaged({.offset = snapshot_head_at::kBaseIndex,
              .what = absl::StrCat("the file is the snapshot of entry ", written.index, " of term ",
                                   written.term, ", not what its name says")},
             finding);
}

absl::StatusOr<std::vector<std::string>> ListOrNone(FileSystem* file_system,
                                                    const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = file_system->List(directory);
  if (names.ok()) return names;
  if (absl::IsNotFound(names.status())) return std::vector<std::string>();
  return MakeFailure(Failure::kUnusable,
                     absl::StrCat(directory, " cannot be listed: ", names.status().message(),
                                  "; check what it is and its permissions"));
}

}  // namespace

absl::StatusOr<SnapshotFinding> ExamineSnapshot(FileSystem* file_system, const std::string& path,
                                                const Identity* owner, RecoveryMode mode) {
  SnapshotFinding finding;
  finding.path = path;
  absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, FileSystem::OpenMode::kRead);
  if (absl::IsPermissionDenied(file.status())) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat(path, " cannot be opened: ", file.status().message(),
                                    "; check owner and permissions"));
  }
  absl::Status read = file.status();
  if (read.ok()) {
    // A cache may show what the device never got.
    if (mode == RecoveryMode::kOwner) (*file)->DropCache();
    read = Judge(file->get(), owner, &finding);
  }
  if (!read.ok()) {
    SetDamaged({.offset = 0, .what = absl::StrCat("cannot be read: ", read.message())}, &finding);
  }
  CheckName(&finding);
  return finding;
}

absl::StatusOr<std::vector<SnapshotFinding>> SurveySnapshots(FileSystem* file_system,
                                                             const std::string& directory,
                                                             const Identity* owner,
                                                             RecoveryMode mode) {
  absl::StatusOr<std::vector<std::string>> names = ListOrNone(file_system, directory);
  if (!names.ok()) return names.status();
  std::vector<SnapshotFinding> findings;
  for (const std::string& name : *names) {  // sorted, and their order is that of their places
    if (!ParseSnapshotName(name)) continue;
    absl::StatusOr<SnapshotFinding> finding =
        ExamineSnapshot(file_system, JoinPath(directory, name), owner, mode);
    if (!finding.ok()) return finding.status();
    findings.push_back(*std::move(finding));
  }
  return findings;
}

std::string AsideName(absl::string_view snapshot_name) {
  return absl::StrCat("aside-", snapshot_name);
}

absl::StatusOr<std::vector<std::string>> SetAsideSnapshots(FileSystem* file_system,
                                                           const std::string& directory,
                                                           raft::Index last) {
  absl::StatusOr<std::vector<std::string>> names = ListOrNone(file_system, directory);
  if (!names.ok()) return names.status();
  std::vector<std::string> paths;
  for (const std::string& name : *names) {
    const std::optional<SnapshotPlace> place = ParseSnapshotName(name);
    if (!place || place->index <= last) continue;
    const std::string path = JoinPath(directory, name);
    paths.push_back(JoinPath(directory, AsideName(name)));
    if (absl::Status s = file_system->Rename(path, paths.back()); !s.ok()) {
      return MakeFailure(Failure::kWriteFailed,
                         absl::StrCat(path, " cannot be renamed: ", s.message()));
    }
  }
  if (paths.empty()) return paths;
  if (absl::Status s = file_system->SyncDirectory(directory); !s.ok()) {
    return MakeFailure(Failure::kWriteFailed,
                       absl::StrCat(directory, " cannot be synced: ", s.message()));
  }
  return paths;
}

absl::Status RemoveDrafts(FileSystem* file_system, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = ListOrNone(file_system, directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!ParseDraftName(name)) continue;
    const std::string path = JoinPath(directory, name);
    absl::Status removed = file_system->Unlink(path);
    if (!removed.ok()) {
      return MakeFailure(Failure::kWriteFailed,
                         absl::StrCat(path, " cannot be removed: ", removed.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace lockd::storage
