#include "server/snapshot_file.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/snapshot_reader.h"
#include "server/state/snapshot_loader.h"

namespace lockd {
namespace {

using storage::Failure;
using storage::File;
using storage::FileSystem;
using storage::MakeFailure;
using storage::SnapshotDamage;
using storage::SnapshotOutline;
using storage::SnapshotVerifier;

constexpr char kMend[] = "; take another copy of it, or another snapshot";

absl::Status Damaged(const std::string& path, const SnapshotDamage& damage) {
  return MakeFailure(Failure::kDamaged, absl::StrCat(path, " at offset ", damage.offset,
                                                     ": no whole snapshot: ", damage.what, kMend));
}

absl::Status Unreadable(const std::string& path, const absl::Status& status) {
  return MakeFailure(Failure::kDamaged,
                     absl::StrCat(path, ": cannot be read: ", status.message(), kMend));
}

absl::Status Newer(const std::string& path, absl::string_view what) {
  return MakeFailure(Failure::kUnusable,
                     absl::StrCat(path, ": ", what, "; use a newer version of lockd and lockctl"));
}

absl::StatusOr<std::unique_ptr<File>> Open(FileSystem* file_system, const std::string& path) {
  auto file = file_system->Open(path, FileSystem::OpenMode::kRead);
  if (file.ok() || absl::IsNotFound(file.status())) return file;
  return MakeFailure(Failure::kUnusable, file.status().message());
}

absl::StatusOr<SnapshotOutline> ReadOutline(File* file, const std::string& path) {
  absl::StatusOr<SnapshotOutline> outline = storage::ReadSnapshotOutline(file);
  if (!outline.ok()) return Unreadable(path, outline.status());
  switch (outline->state) {
    case SnapshotOutline::State::kReadable:
      return outline;
    case SnapshotOutline::State::kDamaged:
      return Damaged(path, outline->damage);
    case SnapshotOutline::State::kUnknownVersion:
      break;
  }
  return Newer(path, absl::StrCat("a snapshot file of version ", outline->version,
                                  ", this build knows ", storage::kSnapshotVersion));
}

// The content's own bytes are whole where this is called, but not yet known to be all there.
absl::Status RefusedContent(const std::string& path, const absl::Status& status) {
  if (absl::IsFailedPrecondition(status)) return Newer(path, status.message());
  return MakeFailure(Failure::kDamaged,
                     absl::StrCat(path, ": its content is no state: ", status.message(), kMend));
}

}  // namespace

absl::StatusOr<LoadedSnapshot> LoadSnapshotFile(FileSystem* file_system, const std::string& path,
                                                const state::HashKey& hash_key) {
  const absl::StatusOr<std::unique_ptr<File>> file = Open(file_system, path);
  if (!file.ok()) return file.status();
  const absl::StatusOr<SnapshotOutline> outline = ReadOutline(file->get(), path);
  if (!outline.ok()) return outline.status();

  SnapshotVerifier verifier(file->get(), *outline);
  state::SnapshotLoader loader(hash_key);
  for (bool is_last = false; !is_last;) {
    const absl::StatusOr<bool> slice = verifier.RunSlice();
    if (!slice.ok()) return Unreadable(path, slice.status());
    if (verifier.damage()) return Damaged(path, *verifier.damage());
    const absl::Status added = loader.Add(verifier.last_slice());
    if (!added.ok()) return RefusedContent(path, added);
    is_last = *slice;
  }
  absl::StatusOr<std::unique_ptr<state::LockDatabase>> database = loader.Finish();
  if (!database.ok()) return RefusedContent(path, database.status());
  return LoadedSnapshot{.head = outline->head, .id = outline->id, .database = *std::move(database)};
}

}  // namespace lockd
