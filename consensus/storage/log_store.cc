#include "consensus/storage/log_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/wal_reader.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::storage {
namespace {

// Retired segments that wait to be recycled; those above it are removed.
constexpr size_t kRetiredKept = 2;
// After a failed prepare (a full disk, say) it is not tried again at once.
constexpr uint64_t kWritesUntilPrepare = 1'000;

absl::Status WriteFailed(absl::string_view what, const absl::Status& cause) {
  return MakeFailure(Failure::kWriteFailed, absl::StrCat(what, ": ", cause.message()));
}

LogBase PositionOf(const raft::Entry& entry) {
  return {.index = entry.index, .term = entry.term, .time = entry.time};
}

// Files that a crash left before they were whole.
absl::Status RemoveUnfinished(FileSystem* file_system, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = file_system->List(directory);
  if (!names.ok()) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat(directory, " cannot be listed: ", names.status().message()));
  }
  for (const std::string& name : *names) {
    if (!ParsePreparingName(name)) continue;
    const std::string path = JoinPath(directory, name);
    absl::Status removed = file_system->Unlink(path);
    if (!removed.ok()) return WriteFailed(absl::StrCat(path, " cannot be removed"), removed);
  }
  return absl::OkStatus();
}

absl::Status CheckOwner(const LogStoreOptions& options, const Identity& identity) {
  if (identity.node_id == options.node_id && identity.cluster_name == options.cluster_name) {
    return absl::OkStatus();
  }
  return MakeFailure(
      Failure::kWrongOwner,
      absl::StrCat(options.directory, " belongs to node ", identity.node_id, " of cluster \"",
                   identity.cluster_name, "\", not to node ", options.node_id, " of \"",
                   options.cluster_name,
                   "\"; start that node with it, or give this one another directory"));
}

// One for each file.
std::vector<std::string> NotesOf(const std::string& directory, const std::vector<Mend>& mends) {
  std::vector<std::string> notes;
  for (auto first = mends.begin(); first != mends.end();) {
    LOCKD_REACH(kBatchMended);
    const auto next = std::find_if(first, mends.end(),
                                   [first](const Mend& mend) { return mend.life != first->life; });
    const auto others = next - first - 1;
    notes.push_back(absl::StrCat("wrote one of a batch's two copies anew from the other: ",
                                 JoinPath(directory, SegmentName(first->life)), " at offset ",
                                 first->copy.offset,
                                 others > 0 ? absl::StrCat(", and ", others, " more") : ""));
    first = next;
  }
  return notes;
}

absl::StatusOr<bool> RunPrepareSlice(FileSystem* file_system, FileJob* job) {
  const std::string path = JoinPath(job->directory, PreparingName(job->life));
  const FileSystem::OpenMode mode =
      job->done_bytes == 0 ? FileSystem::OpenMode::kCreate : FileSystem::OpenMode::kReadWrite;
  absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, mode);
  if (!file.ok()) return file.status();
  const uint64_t bytes =
      std::min<uint64_t>(LogStore::kSliceBytes, job->segment_bytes - job->done_bytes);
  static constexpr char kZeros[LogStore::kSliceBytes] = {};
  const absl::string_view zeros(kZeros, bytes);
  if (absl::Status s = (*file)->Write(job->done_bytes, zeros); !s.ok()) return s;
  job->done_bytes += bytes;
  if (job->in_background || job->done_bytes == job->segment_bytes) {
    if (absl::Status s = (*file)->Sync(); !s.ok()) return s;
  }
  if (job->done_bytes < job->segment_bytes) return false;
  if (!job->head.empty()) {
    if (absl::Status s = (*file)->Write(0, job->head); !s.ok()) return s;
    if (absl::Status s = (*file)->Sync(); !s.ok()) return s;
  }
  const std::string name = JoinPath(job->directory, SegmentName(job->life));
  if (absl::Status s = file_system->Rename(path, name); !s.ok()) return s;
  if (absl::Status s = file_system->SyncDirectory(job->directory); !s.ok()) return s;
  return true;
}

absl::Status RunWholeJob(FileSystem* file_system, FileJob* job) {
  while (true) {
    absl::StatusOr<bool> done = LogStore::RunFileJobSlice(file_system, job);
    if (!done.ok()) return done.status();
    if (*done) return absl::OkStatus();
  }
}

}  // namespace

absl::StatusOr<bool> LogStore::RunFileJobSlice(FileSystem* file_system, FileJob* job) {
  const std::string old_path = JoinPath(job->directory, SegmentName(job->old_life));
  switch (job->kind) {
    case FileJob::Kind::kPrepare: {
      absl::StatusOr<bool> done = RunPrepareSlice(file_system, job);
      if (!done.ok()) {
        // Give the space back; if that fails too, the next start does it.
        (void)file_system->Unlink(JoinPath(job->directory, PreparingName(job->life)));
      }
      return done;
    }
    case FileJob::Kind::kRecycle: {
      absl::Status renamed =
          file_system->Rename(old_path, JoinPath(job->directory, SegmentName(job->life)));
      if (!renamed.ok()) return renamed;
      break;
    }
    case FileJob::Kind::kRemove: {
      absl::Status removed = file_system->Unlink(old_path);
      if (!removed.ok()) return removed;
      break;
    }
  }
  absl::Status synced = file_system->SyncDirectory(job->directory);
  if (!synced.ok()) return synced;
  return true;
}

LogStore::LogStore(FileSystem* file_system, const LogStoreOptions& options,
                   const Identity& identity)
    : file_system_(file_system),
      options_(options),
      identity_(identity),
      writer_(identity.incarnation) {}

absl::StatusOr<OpenedLog> LogStore::Open(FileSystem* file_system, const LogStoreOptions& options) {
  LOCKD_CHECK(
      options.segment_bytes % kSectorBytes == 0 && options.segment_bytes >= kSegmentBytesMin,
      "segment_bytes ", options.segment_bytes);
  LOCKD_CHECK(!options.cluster_name.empty() && options.cluster_name.size() <= kClusterNameBytesMax,
              "cluster name of ", options.cluster_name.size(), " bytes");
  LOCKD_CHECK(!options.incarnation_draw.is_zero(), "no incarnation");
  if (absl::Status s = EnsureDirectory(file_system, options.directory); !s.ok()) return s;
  absl::StatusOr<std::optional<Recovery>> recovery =
      RecoverLog(file_system, options.directory, RecoveryMode::kOwner);
  if (!recovery.ok()) return recovery.status();
  if (recovery->has_value()) {
    absl::Status owned = CheckOwner(options, (*recovery)->identity);
    if (!owned.ok()) return owned;
  }
  if (recovery->has_value()) {
    absl::Status mended = MendLog(file_system, options.directory, (*recovery)->mends);
    if (!mended.ok()) return mended;
  }
  if (absl::Status s = RemoveUnfinished(file_system, options.directory); !s.ok()) return s;
  return recovery->has_value() ? Resume(file_system, options, **std::move(recovery))
                               : Create(file_system, options);
}

// The first segment gets its name only when its head is on the device, so that there is never a
// segment file without any head: such a directory is damaged, not new.
absl::StatusOr<OpenedLog> LogStore::Create(FileSystem* file_system,
                                           const LogStoreOptions& options) {
  SegmentHead head;
  head.life = 1;
  head.segment_bytes = options.segment_bytes;
  head.sequence = 1;
  head.identity = {.node_id = options.node_id,
                   .cluster_name = options.cluster_name,
                   .incarnation = options.incarnation_draw,
                   .cluster_id = {}};
  head.hard_state.term = options.new_log_base.term;
  head.hard_state.commit = options.new_log_base.index;
  head.base = head.last = options.new_log_base;
  FileJob job{.kind = FileJob::Kind::kPrepare,
              .directory = options.directory,
              .life = head.life,
              .old_life = 0,
              .segment_bytes = options.segment_bytes,
              .done_bytes = 0,
              .in_background = false,
              .head = EncodeHead(head)};
  if (absl::Status s = RunWholeJob(file_system, &job); !s.ok()) {
    return WriteFailed(absl::StrCat(options.directory, ": cannot make the first segment"), s);
  }
  absl::StatusOr<std::optional<Recovery>> recovery =
      RecoverLog(file_system, options.directory, RecoveryMode::kOwner);
  if (!recovery.ok()) return recovery.status();
  LOCKD_CHECK(recovery->has_value(), "the segment just made is not there");
  absl::StatusOr<OpenedLog> opened = Resume(file_system, options, **std::move(recovery));
  if (opened.ok()) opened->created = true;
  return opened;
}

absl::StatusOr<OpenedLog> LogStore::Resume(FileSystem* file_system, const LogStoreOptions& options,
                                           Recovery recovery) {
  std::unique_ptr<LogStore> store(new LogStore(file_system, options, recovery.identity));
  store->hard_state_ = recovery.hard_state;
  store->index_ = std::move(recovery.index);
  store->position_ = recovery.end;
  store->segments_ = std::move(recovery.in_use);
  store->retired_.assign(recovery.spare.begin(), recovery.spare.end());
  store->life_max_ = recovery.life_max;
  OpenedLog opened;
  const std::string path = store->PathOf(recovery.end.life);
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system->Open(path, FileSystem::OpenMode::kReadWrite);
  if (!file.ok()) return MakeFailure(Failure::kUnusable, file.status().message());
  store->file_ = *std::move(file);
  if (recovery.seal_missing) {
    LOCKD_REACH(kSegmentSealFinishedAtOpen);
    // The crash came after the newest segment was begun; nothing in it was acknowledged yet, and
    // nothing may be before the older one says that it is there.
    absl::StatusOr<File*> older = store->FileToRead(recovery.head.previous_life);
    if (!older.ok()) return older.status();
    absl::Status sealed = store->Seal(*older,
                                      {.life = recovery.head.previous_life,
                                       .offset = recovery.head.previous_end,
                                       .sequence = recovery.head.sequence,
                                       .chain = recovery.head.previous_chain},
                                      recovery.head.life);
    if (!sealed.ok()) return WriteFailed("cannot seal the segment before the newest", sealed);
    opened.notes.push_back(absl::StrCat("finished the change to ", path));
  }
  for (std::string& note : NotesOf(options.directory, recovery.mends)) {
    opened.notes.push_back(std::move(note));
  }
  opened.tail_was_torn = recovery.tail_was_torn;
  if (opened.tail_was_torn) {
    LOCKD_REACH(kTornTailCut);
    opened.notes.push_back(absl::StrCat("cut a write that was under way at the last stop: ", path,
                                        " at offset ", recovery.end.offset));
  }
  store->RetireOldSegments();
  absl::StatusOr<raft::RecoveredLog> log = store->Recovered();
  if (!log.ok()) return log.status();
  opened.log = *std::move(log);
  opened.log.configurations = std::move(recovery.configurations);
  opened.identity = store->identity_;
  opened.store = std::move(store);
  return opened;
}

// Reads the newest entries run by run, newest run first, until the limit is reached and nothing
// from the commit index on is left.
absl::StatusOr<raft::RecoveredLog> LogStore::Recovered() {
  raft::RecoveredLog log;
  log.hard_state = hard_state_;
  log.base_index = base().index;
  log.base_term = base().term;
  log.base_time = base().time;
  log.last_index = last_index();
  std::vector<std::vector<raft::Entry>> runs;
  size_t bytes = 0;
  const auto is_enough = [&](raft::Index last) {
    return last <= base().index || (last < hard_state_.commit && bytes >= options_.tail_bytes_max);
  };
  for (raft::Index last = last_index(); !is_enough(last);) {
    const raft::Index first = std::max(index_.Find(last).mark.first, base().index + 1);
    absl::StatusOr<std::vector<raft::Entry>> run =
        Read({.id = 0, .first = first, .last = last, .bytes_max = ~size_t{0}});
    if (!run.ok()) return run.status();
    for (const raft::Entry& entry : *run) bytes += entry.size_bytes();
    runs.push_back(*std::move(run));
    last = first - 1;
  }
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    std::move(run->begin(), run->end(), std::back_inserter(log.tail));
  }
  auto keep = log.tail.begin();
  while (log.tail.end() - keep > 1 && keep->index < hard_state_.commit &&
         bytes > options_.tail_bytes_max) {
    bytes -= keep->size_bytes();
    ++keep;
  }
  log.tail.erase(log.tail.begin(), keep);
  return log;
}

// -- writing --

// What would damage the log is a bug of the caller, and better stopped before it is on disk.
void LogStore::CheckContract(const LogWrite& write) const {
  if (write.hard_state) {
    LOCKD_CHECK(write.hard_state->term >= hard_state_.term, "term ", write.hard_state->term,
                " after ", hard_state_.term);
  }
  LogBase last = index_.last();
  if (write.base && !index_.Holds(*write.base)) {
    last = *write.base;
  } else if (!write.entries.empty() && write.entries.front().index <= last.index) {
    const raft::Index first = write.entries.front().index;
    const raft::Index kept = std::max(
        {hard_state_.commit, base().index, write.base ? write.base->index : raft::Index()});
    LOCKD_CHECK(first > kept, "a cut from entry ", first, ", but up to ", kept, " is committed");
    last = {.index = first - 1, .term = {}, .time = {}};  // its term is not at hand
  }
  for (const raft::Entry& entry : write.entries) {
    LOCKD_CHECK(entry.index == last.index + 1, "entry ", entry.index, " after ", last.index);
    LOCKD_CHECK(entry.term >= last.term, "term ", entry.term, " after ", last.term);
    last = PositionOf(entry);
  }
  const raft::HardState& state = write.hard_state ? *write.hard_state : hard_state_;
  LOCKD_CHECK(state.commit <= last.index, "commit ", state.commit, " of ", last.index);
  LOCKD_CHECK(state.term >= last.term, "entry of term ", last.term, " in term ", state.term);
}

void LogStore::Encode(const LogWrite& write, bool forgets_all) {
  writer_.Clear();
  if (write.base && (forgets_all || write.base->index > base().index)) {
    writer_.AddBase(*write.base, forgets_all);
  }
  if (write.cluster_id) writer_.AddCluster(*write.cluster_id);
  if (write.hard_state) writer_.AddHardState(*write.hard_state);
  for (const raft::Entry& entry : write.entries) writer_.AddEntry(entry);
}

void LogStore::Remember(const LogWrite& write, bool forgets_all, uint64_t life, uint64_t offset) {
  if (write.base) index_.SetBase(*write.base, forgets_all);
  if (write.cluster_id) identity_.cluster_id = *write.cluster_id;
  if (write.hard_state) hard_state_ = *write.hard_state;
  for (const raft::Entry& entry : write.entries) index_.Add(life, offset, PositionOf(entry));
  if (write.base) RetireOldSegments();
}

absl::Status LogStore::Write(const LogWrite& write) {
  if (!failed_.ok()) return failed_;
  CheckContract(write);
  const bool forgets_all = write.base && !index_.Holds(*write.base);
  Encode(write, forgets_all);
  if (writer_.empty()) return absl::OkStatus();
  if (writes_until_prepare_ > 0) --writes_until_prepare_;
  // The seal must still find room after it.
  const uint64_t end = position_.offset + writer_.bytes_on_disk() + kSealBytes;
  const bool fits = end <= segments_.back().bytes;
  const uint64_t offset = fits ? position_.offset : kHeadBytes;
  absl::Status written = fits ? Append() : Roll();
  if (!written.ok()) return Poison(written);
  Remember(write, forgets_all, position_.life, offset);
  return absl::OkStatus();
}

absl::Status LogStore::Append() {
  if (absl::Status s = writer_.Append(file_.get(), &position_); !s.ok()) return s;
  return file_->Sync();
}

// Begins the next segment with the batch at hand. The order is what makes it safe:
//   1. head and batch are on the device              a crash here: nobody was told, either way is
//   right
//   2. the older segment's seal is on the device     from here on the new one is known to exist
//   3. the write is acknowledged
absl::Status LogStore::Roll() {
  absl::StatusOr<SegmentFile> next =
      TakeNextSegment(kHeadBytes + writer_.bytes_on_disk() + kSealBytes);
  if (!next.ok()) return next.status();
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_->Open(PathOf(next->life), FileSystem::OpenMode::kReadWrite);
  if (!file.ok()) return file.status();
  const SegmentHead head{.life = next->life,
                         .previous_life = position_.life,
                         .previous_end = position_.offset,
                         .previous_chain = position_.chain,
                         .segment_bytes = next->bytes,
                         .sequence = position_.sequence,
                         .identity = identity_,
                         .hard_state = hard_state_,
                         .base = index_.base(),
                         .last = index_.last()};
  const std::string encoded = EncodeHead(head);
  WalPosition position = FirstPosition(head, encoded);
  if (absl::Status s = (*file)->Write(0, encoded); !s.ok()) return s;
  if (absl::Status s = writer_.Append(file->get(), &position); !s.ok()) return s;
  if (absl::Status s = (*file)->Sync(); !s.ok()) return s;
  if (absl::Status s = Seal(file_.get(), position_, next->life); !s.ok()) return s;
  file_ = *std::move(file);
  position_ = position;
  segments_.push_back(*next);
  // Lives go up along the log; a spare that an oversized segment has overtaken gets a new one.
  while (!spares_.empty() && spares_.front().life < position_.life) {
    retired_.push_back(spares_.front());
    spares_.pop_front();
  }
  return absl::OkStatus();
}

absl::StatusOr<SegmentFile> LogStore::TakeNextSegment(uint64_t bytes_needed) {
  if (bytes_needed <= options_.segment_bytes && !spares_.empty()) {
    LOCKD_REACH(kSegmentRolledIntoSpare);
    const SegmentFile spare = spares_.front();
    spares_.pop_front();
    return spare;
  }
  // The file thread is late, or the write is larger than a segment and gets one of its own size.
  FileJob job{.kind = FileJob::Kind::kPrepare,
              .directory = options_.directory,
              .life = ++life_max_,
              .old_life = 0,
              .segment_bytes = std::max(options_.segment_bytes, PadToSector(bytes_needed)),
              .done_bytes = 0,
              .in_background = false,
              .head = {}};
  if (absl::Status s = RunWholeJob(file_system_, &job); !s.ok()) return s;
  return SegmentFile{.life = job.life, .bytes = job.segment_bytes};
}

absl::Status LogStore::Seal(File* file, WalPosition position, uint64_t next_life) {
  WalWriter seal(identity_.incarnation);
  seal.AddSeal(next_life);
  if (absl::Status s = seal.Append(file, &position); !s.ok()) return s;
  return file->Sync();
}

absl::Status LogStore::Poison(const absl::Status& cause) {
  failed_ = WriteFailed(absl::StrCat(PathOf(position_.life), " at offset ", position_.offset,
                                     ": the log cannot be written"),
                        cause);
  return failed_;
}

// -- background work --

void LogStore::RetireOldSegments() {
  const uint64_t oldest = index_.oldest_life().value_or(position_.life);
  auto keep = std::find_if(segments_.begin(), segments_.end(),
                           [oldest](const SegmentFile& s) { return s.life >= oldest; });
  retired_.insert(retired_.end(), segments_.begin(), keep);
  segments_.erase(segments_.begin(), keep);
  if (read_file_ != nullptr && read_life_ < segments_.front().life) read_file_.reset();
}

std::optional<FileJob> LogStore::TakeFileJob() {
  if (!failed_.ok()) return std::nullopt;
  FileJob job{.kind = FileJob::Kind::kPrepare,
              .directory = options_.directory,
              .life = 0,
              .old_life = 0,
              .segment_bytes = options_.segment_bytes,
              .done_bytes = 0,
              .in_background = true,
              .head = {}};
  const auto fits = [this](const SegmentFile& s) { return s.bytes == options_.segment_bytes; };
  if (spares_.empty() && !preparing_ && writes_until_prepare_ == 0) {
    preparing_ = true;
    job.life = ++life_max_;
    auto recycled = std::find_if(retired_.begin(), retired_.end(), fits);
    if (recycled != retired_.end()) {
      job.kind = FileJob::Kind::kRecycle;
      job.old_life = recycled->life;
      retired_.erase(recycled);
    }
    return job;
  }
  auto removed = std::find_if_not(retired_.begin(), retired_.end(), fits);
  if (removed == retired_.end() && retired_.size() > kRetiredKept) removed = retired_.begin();
  if (removed == retired_.end()) return std::nullopt;
  job.kind = FileJob::Kind::kRemove;
  job.old_life = removed->life;
  retired_.erase(removed);
  return job;
}

void LogStore::FileJobDone(const FileJob& job, const absl::Status& status) {
  // A file whose recycling or removal failed is left alone; the next start finds it.
  if (job.kind == FileJob::Kind::kRemove) return;
  LOCKD_CHECK(preparing_, "a job that is not out");
  preparing_ = false;
  if (!status.ok()) {
    writes_until_prepare_ = kWritesUntilPrepare;
    return;
  }
  if (job.kind == FileJob::Kind::kRecycle) LOCKD_REACH(kSegmentRecycled);
  const SegmentFile ready{.life = job.life, .bytes = job.segment_bytes};
  (job.life > position_.life ? spares_ : retired_).push_back(ready);
}

uint64_t LogStore::bytes_on_disk() const {
  uint64_t bytes = 0;
  for (const SegmentFile& segment : segments_) bytes += segment.bytes;
  for (const SegmentFile& segment : spares_) bytes += segment.bytes;
  for (const SegmentFile& segment : retired_) bytes += segment.bytes;
  return bytes;
}

// -- reading --

absl::StatusOr<std::vector<raft::Entry>> LogStore::Read(const LogRead& read) {
  LOCKD_CHECK(read.first > base().index && read.first <= read.last && read.last <= last_index(),
              "entries ", read.first, "..", read.last, " of ", base().index + 1, "..",
              last_index());
  std::vector<raft::Entry> entries;
  size_t bytes = 0;
  bool full = false;
  for (raft::Index next = read.first; next <= read.last && !full;) {
    const LogIndex::Found run = index_.Find(next);
    if (absl::Status s = ReadRun(run, read, &entries, &bytes, &full); !s.ok()) return s;
    next = run.last + 1;
  }
  return entries;
}

// Appends the entries of one run that `read` wants.
absl::Status LogStore::ReadRun(const LogIndex::Found& run, const LogRead& read,
                               std::vector<raft::Entry>* entries, size_t* bytes, bool* full) {
  absl::StatusOr<File*> file = FileToRead(run.mark.life);
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> file_bytes = (*file)->Size();
  if (!file_bytes.ok()) return file_bytes.status();
  WalReader reader(*file, *file_bytes, identity_.incarnation, run.mark.life, run.mark.offset);
  const raft::Index last = std::min(run.last, read.last);
  raft::Index next = entries->empty() ? read.first : entries->back().index + 1;
  while (next <= last && reader.Next()) {
    for (const Record& record : reader.records()) {
      if (record.kind != RecordKind::kEntry || record.index < next.value()) continue;
      if (record.index != next.value() || next > last) break;
      raft::Entry entry = record.ToEntry();
      if (!entries->empty() && *bytes + entry.size_bytes() > read.bytes_max) {
        *full = true;
        return absl::OkStatus();
      }
      *bytes += entry.size_bytes();
      entries->push_back(std::move(entry));
      ++next;
    }
  }
  if (next > last) return absl::OkStatus();
  return MakeFailure(
      Failure::kDamaged,
      absl::StrCat(PathOf(run.mark.life), " at offset ", reader.position().offset, ": entry ", next,
                   " is not there any more", reader.status().ok() ? "" : ": ",
                   reader.status().message(), "; check the device, and ", kComeBackAnew));
}

absl::StatusOr<File*> LogStore::FileToRead(uint64_t life) {
  if (life == position_.life) return file_.get();
  if (read_file_ == nullptr || read_life_ != life) {
    absl::StatusOr<std::unique_ptr<File>> file =
        file_system_->Open(PathOf(life), FileSystem::OpenMode::kReadWrite);
    if (!file.ok()) {
      return MakeFailure(
          Failure::kDamaged,
          absl::StrCat(PathOf(life), " cannot be opened: ", file.status().message()));
    }
    read_file_ = *std::move(file);
    read_life_ = life;
  }
  return read_file_.get();
}

std::string LogStore::PathOf(uint64_t life) const {
  return JoinPath(options_.directory, SegmentName(life));
}

}  // namespace lockd::storage
