#include "consensus/storage/snapshot_store.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"

namespace lockd::storage {
namespace {

// What a purge leaves. The log is compacted to the base of the older one: damage to the newest
// costs nothing.
constexpr int kSnapshotsKept = 2;

absl::Status DamagedAt(const std::string& path, const SnapshotDamage& damage) {
  return absl::DataLossError(absl::StrCat(path, " at offset ", damage.offset, ": ", damage.what));
}

// Is the file at `path` readable, and the snapshot that it should be?
absl::Status CheckIs(const raft::SnapshotId& snapshot, const std::string& path,
                     const SnapshotOutline& outline) {
  if (outline.state != SnapshotOutline::State::kReadable) return DamagedAt(path, outline.damage);
  if (outline.id == snapshot) return absl::OkStatus();
  return DamagedAt(path, {.offset = 0, .what = "not the snapshot that was written here"});
}

absl::Status NoSuchDraft(uint64_t draft) {
  return absl::FailedPreconditionError(absl::StrCat("there is no draft ", draft));
}

}  // namespace

SnapshotStore::SnapshotStore(FileSystem* file_system, const SnapshotStoreOptions& options,
                             const std::vector<SnapshotFinding>& findings)
    : file_system_(file_system), options_(options) {
  for (const SnapshotFinding& finding : findings) {
    std::optional<raft::SnapshotId>& id = files_[finding.place];
    if (finding.state == SnapshotFinding::State::kVerified) id = finding.outline.id;
  }
}

std::optional<SnapshotJobDone> SnapshotStore::RunSlice(const SnapshotJob& job) {
  LOCKD_CHECK(!finish_ || finish_->job_id == IdOf(job), "job ", IdOf(job), " while job ",
              finish_->job_id, " is not done");
  SnapshotJobDone done;
  done.id = IdOf(job);
  if (const auto* write = std::get_if<SnapshotWrite>(&job)) {
    done.status = Write(*write);
  } else if (const auto* abandon = std::get_if<SnapshotAbandon>(&job)) {
    done.status = Abandon(abandon->draft);
  } else if (const auto* read = std::get_if<SnapshotRead>(&job)) {
    absl::StatusOr<std::string> bytes = Read(*read);
    done.status = bytes.status();
    if (bytes.ok()) done.bytes = *std::move(bytes);
  } else {
    const SnapshotFinish& finish = std::get<SnapshotFinish>(job);
    absl::StatusOr<bool> is_done = FinishSlice(finish);
    if (is_done.ok() && !*is_done) return std::nullopt;
    finish_.reset();
    done.status = is_done.status();
    // The space comes back; if that fails too, the next start does it.
    if (!done.status.ok()) (void)Abandon(finish.draft);
    done.kept = kept();
  }
  return done;
}

std::vector<raft::SnapshotId> SnapshotStore::kept() const {
  std::vector<raft::SnapshotId> kept;
  for (const auto& [place, id] : files_) {
    if (id) kept.push_back(*id);
  }
  return kept;
}

// -- drafts --

absl::Status SnapshotStore::Write(const SnapshotWrite& job) {
  LOCKD_CHECK(job.bytes.size() <= kSnapshotWriteBytesMax, job.bytes.size(), " bytes in a write");
  if (job.offset == 0) {
    drafts_.erase(job.draft);
    Draft& draft = drafts_[job.draft];
    draft.failed = BeginDraft(job);
  }
  const auto found = drafts_.find(job.draft);
  if (found == drafts_.end()) return NoSuchDraft(job.draft);
  if (!found->second.failed.ok()) return found->second.failed;
  SnapshotWriter& writer = *found->second.writer;
  if (!writer.status().ok()) return writer.status();
  LOCKD_CHECK(job.offset == writer.id().bytes, "a write at ", job.offset, " of a draft of ",
              writer.id().bytes, " bytes");
  LOCKD_CHECK(job.base == writer.id().base, "a write of another snapshot");
  return writer.Add(job.bytes);
}

absl::Status SnapshotStore::BeginDraft(const SnapshotWrite& job) {
  const std::string path = DraftPath(job.draft);
  absl::Status removed = file_system_->Unlink(path);
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_->Open(path, FileSystem::OpenMode::kCreate);
  if (!file.ok()) return file.status();
  const SnapshotHead head{.file_number = options_.file_number_draw + ++files_made_,
                          .identity = options_.owner,
                          .base = job.base};
  drafts_[job.draft].writer = std::make_unique<SnapshotWriter>(*std::move(file), head);
  return absl::OkStatus();
}

absl::Status SnapshotStore::Abandon(uint64_t draft) {
  drafts_.erase(draft);
  absl::Status removed = file_system_->Unlink(DraftPath(draft));
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

// -- finishing --

absl::StatusOr<bool> SnapshotStore::FinishSlice(const SnapshotFinish& job) {
  if (!finish_) finish_.emplace(job.id);
  switch (finish_->phase) {
    case Finish::Phase::kWrite:
      if (absl::Status s = WriteRest(job); !s.ok()) return s;
      return false;
    case Finish::Phase::kReadBack:
      if (absl::Status s = ReadBackSlice(job); !s.ok()) return s;
      return false;
    case Finish::Phase::kName:
      if (absl::Status s = Name(job); !s.ok()) return s;
      return false;
    case Finish::Phase::kCount:
      return CountSlice(job);
    case Finish::Phase::kRemove:
      return RemoveSlice();
  }
  LOCKD_UNREACHABLE("phase ", static_cast<int>(finish_->phase));
}

absl::Status SnapshotStore::WriteRest(const SnapshotFinish& job) {
  const auto found = drafts_.find(job.draft);
  if (found == drafts_.end()) return NoSuchDraft(job.draft);
  if (!found->second.failed.ok()) return found->second.failed;
  SnapshotWriter& writer = *found->second.writer;
  if (!writer.status().ok()) return writer.status();
  if (writer.id() != job.snapshot) {
    return absl::DataLossError(absl::StrCat(DraftPath(job.draft), ": ", writer.id().bytes,
                                            " bytes with checksum ", writer.id().checksum,
                                            " were written, the snapshot has ", job.snapshot.bytes,
                                            " with ", job.snapshot.checksum));
  }
  if (absl::Status s = writer.Finish(); !s.ok()) return s;
  // What is read from here on is what a start would find, not what this process believes to have
  // written.
  writer.file()->DropCache();
  finish_->phase = Finish::Phase::kReadBack;
  return absl::OkStatus();
}

absl::Status SnapshotStore::ReadBackSlice(const SnapshotFinish& job) {
  const std::string path = DraftPath(job.draft);
  if (!finish_->verifier) {
    File* const file = drafts_.at(job.draft).writer->file();
    absl::StatusOr<SnapshotOutline> outline = ReadSnapshotOutline(file);
    if (!outline.ok()) return outline.status();
    if (absl::Status s = CheckIs(job.snapshot, path, *outline); !s.ok()) return s;
    finish_->verifier.emplace(file, *outline);
  }
  absl::StatusOr<bool> done = finish_->verifier->RunSlice();
  if (!done.ok()) return done.status();
  if (!*done) return absl::OkStatus();
  if (finish_->verifier->damage()) return DamagedAt(path, *finish_->verifier->damage());
  finish_->verifier.reset();
  finish_->phase = Finish::Phase::kName;
  return absl::OkStatus();
}

absl::Status SnapshotStore::Name(const SnapshotFinish& job) {
  const SnapshotPlace place = PlaceOf(job.snapshot.base);
  const auto there = files_.find(place);
  // What does not verify may be replaced: it stands for the same state, and shows none of it.
  if (there != files_.end() && there->second && *there->second != job.snapshot) {
    return absl::AlreadyExistsError(
        absl::StrCat(PathOf(place), " is another snapshot of this entry, and whole"));
  }
  absl::Status renamed = file_system_->Rename(DraftPath(job.draft), PathOf(place));
  if (!renamed.ok()) return renamed;
  drafts_.erase(job.draft);
  Forget(place);
  files_[place] = std::nullopt;
  // Without this the name may be gone after a crash. Whether a sync that failed has done it, nobody
  // knows, nor does one that succeeds later: the file is not counted until a start has read it.
  if (absl::Status s = file_system_->SyncDirectory(options_.directory); !s.ok()) return s;
  files_[place] = job.snapshot;
  finish_->phase = Finish::Phase::kCount;
  return absl::OkStatus();
}

// Goes from the newest file down, until two have been counted.
bool SnapshotStore::CountSlice(const SnapshotFinish& job) {
  Finish& finish = *finish_;
  auto next = finish.below ? files_.lower_bound(*finish.below) : files_.end();
  if (next == files_.begin()) return true;
  --next;
  const SnapshotPlace place = next->first;
  if (place == PlaceOf(job.snapshot.base)) {  // read a moment ago
    EndCount(place, /*is_whole=*/true);
  } else if (!next->second) {
    EndCount(place, /*is_whole=*/false);
  } else if (finish.verifier || BeginCount(place).ok()) {
    absl::StatusOr<bool> done = finish.verifier->RunSlice();
    if (done.ok() && !*done) return false;
    EndCount(place, done.ok() && !finish.verifier->damage());
  } else {
    EndCount(place, /*is_whole=*/false);
  }
  if (finish.counted == kSnapshotsKept) finish.phase = Finish::Phase::kRemove;
  return false;
}

absl::Status SnapshotStore::BeginCount(const SnapshotPlace& place) {
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_->Open(PathOf(place), FileSystem::OpenMode::kRead);
  if (!file.ok()) return file.status();
  (*file)->DropCache();
  absl::StatusOr<SnapshotOutline> outline = ReadSnapshotOutline(file->get());
  if (!outline.ok()) return outline.status();
  if (absl::Status s = CheckIs(*files_.at(place), PathOf(place), *outline); !s.ok()) return s;
  finish_->file = *std::move(file);
  finish_->verifier.emplace(finish_->file.get(), *outline);
  return absl::OkStatus();
}

void SnapshotStore::EndCount(const SnapshotPlace& place, bool is_whole) {
  finish_->verifier.reset();
  finish_->file.reset();
  finish_->below = place;
  if (is_whole) {
    ++finish_->counted;
  } else {
    files_.at(place) = std::nullopt;
  }
}

// What cannot be removed now is found by the next start, and removed by a finish after that; and a
// removal that a crash takes back does no harm. So neither its status nor the directory is of
// interest.
bool SnapshotStore::RemoveSlice() {
  const auto oldest = files_.begin();
  if (oldest->first >= *finish_->below) return true;
  const SnapshotPlace place = oldest->first;
  (void)file_system_->Unlink(PathOf(place));
  Forget(place);
  return false;
}

void SnapshotStore::Forget(const SnapshotPlace& place) {
  files_.erase(place);
  if (reader_ && PlaceOf(read_id_.base) == place) {
    reader_.reset();
    read_file_.reset();
  }
}

// -- reading --

absl::StatusOr<std::string> SnapshotStore::Read(const SnapshotRead& job) {
  const SnapshotPlace place = PlaceOf(job.snapshot.base);
  const auto found = files_.find(place);
  if (found == files_.end() || found->second != job.snapshot) {
    return absl::NotFoundError(absl::StrCat(PathOf(place), ": no such snapshot is kept"));
  }
  if (!reader_ || read_id_ != job.snapshot) {
    if (absl::Status s = OpenToRead(job.snapshot); !s.ok()) return s;
  }
  std::string bytes;
  absl::StatusOr<std::optional<SnapshotDamage>> damage =
      reader_->Read(job.offset, std::min(job.bytes_max, kSnapshotReadBytesMax), &bytes);
  if (!damage.ok()) return damage.status();
  if (!damage->has_value()) return bytes;
  found->second.reset();
  return DamagedAt(PathOf(place), **damage);
}

absl::Status SnapshotStore::OpenToRead(const raft::SnapshotId& snapshot) {
  const SnapshotPlace place = PlaceOf(snapshot.base);
  reader_.reset();
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_->Open(PathOf(place), FileSystem::OpenMode::kRead);
  if (!file.ok()) return file.status();
  absl::StatusOr<SnapshotOutline> outline = ReadSnapshotOutline(file->get());
  if (!outline.ok()) return outline.status();
  if (absl::Status s = CheckIs(snapshot, PathOf(place), *outline); !s.ok()) {
    files_.at(place) = std::nullopt;
    return s;
  }
  read_file_ = *std::move(file);
  reader_.emplace(read_file_.get(), *outline);
  read_id_ = snapshot;
  return absl::OkStatus();
}

std::string SnapshotStore::PathOf(const SnapshotPlace& place) const {
  return JoinPath(options_.directory, SnapshotName(place));
}

std::string SnapshotStore::DraftPath(uint64_t draft) const {
  return JoinPath(options_.directory, DraftName(draft));
}

}  // namespace lockd::storage
