#include "consensus/storage/recovery.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "consensus/storage/failure.h"
#include "protocol/base/check.h"

namespace lockd::storage {
namespace {

constexpr absl::string_view kSegmentPrefix = "wal-";
constexpr absl::string_view kPreparingPrefix = "preparing-";

std::optional<uint64_t> ParseName(absl::string_view name, absl::string_view prefix) {
  uint64_t life = 0;
  if (!absl::ConsumePrefix(&name, prefix) || name.size() < 12 ||
      !std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }) ||
      !absl::SimpleAtoi(name, &life) || life == 0) {
    return std::nullopt;
  }
  return life;
}

// Every refusal says where, what, and what an operator can do.
absl::Status Damaged(const std::string& path, uint64_t offset, absl::string_view what) {
  return MakeFailure(
      Failure::kDamaged,
      absl::StrCat(
          path, " at offset ", offset, ": ", what,
          "; nothing was changed. Entries that this node acknowledged may be lost: put back "
          "the missing or original file, or ",
          kComeBackAnew));
}

absl::Status CannotRead(const std::string& path, const absl::Status& error) {
  const Failure kind = absl::IsPermissionDenied(error) ? Failure::kUnusable : Failure::kDamaged;
  return MakeFailure(kind, absl::StrCat(path, " at offset 0: cannot be read: ", error.message(),
                                        "; check the device and the permissions"));
}

// A segment file that has been opened, with what its head says.
struct OpenSegment {
  uint64_t life = 0;
  std::string path;
  std::unique_ptr<File> file;
  HeadReading reading;

  // The head is of the life that the name says, i.e. the file is in use as that segment.
  [[nodiscard]] bool is_begun() const {
    return reading.state == HeadState::kValid && reading.head.life == life;
  }
};

class Recoverer {
 public:
  Recoverer(FileSystem* file_system, std::string directory, RecoveryMode mode)
      : file_system_(file_system), directory_(std::move(directory)), mode_(mode) {}

  absl::StatusOr<std::optional<Recovery>> Run();

 private:
  absl::Status ListFiles();
  absl::StatusOr<OpenSegment> OpenLife(uint64_t life, bool settle);
  absl::Status FindNewest();
  absl::Status FindChain();
  absl::Status CheckHead(const OpenSegment& segment) const;
  absl::Status Replay();
  absl::Status ReplaySegment(size_t position);
  bool NextBatch(const OpenSegment& segment, WalReader* reader);
  absl::Status ReplayRecord(const OpenSegment& segment, uint64_t offset, const Record& record);
  void CollectConfiguration(const Record& record);
  void ForgetConfigurations(const LogBase& base, bool forgets_all);
  absl::Status CheckSealedInto(const OpenSegment& segment, const SegmentHead& next,
                               WalReader* reader);
  absl::Status CheckNewestEnd(const OpenSegment& segment, WalReader* reader);
  absl::Status CheckWhole() const;

  FileSystem* const file_system_;
  const std::string directory_;
  const RecoveryMode mode_;
  std::vector<uint64_t> lives_;     // ascending, of all files with a segment's name
  std::vector<OpenSegment> chain_;  // newest first while it is found, then oldest first
  std::string chain_broken_by_;     // why there is nothing older; empty: the log begins here
  std::string chain_broken_path_;
  uint64_t sealed_into_ = 0;  // the seal met at the newest segment's end
  Recovery result_;
};

absl::Status Recoverer::ListFiles() {
  absl::StatusOr<std::vector<std::string>> names = file_system_->List(directory_);
  if (!names.ok()) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat(directory_, ": cannot be listed: ", names.status().message()));
  }
  for (const std::string& name : *names) {
    if (std::optional<uint64_t> life = ParseSegmentName(name)) {
      lives_.push_back(*life);
      result_.life_max = std::max(result_.life_max, *life);
    }
  }
  std::sort(lives_.begin(), lives_.end());
  return absl::OkStatus();
}

// `settle`: what is read next is on the device, not only in a cache that a failed sync or a crash
// left behind. Needed for the newest segment only: in older ones everything was synced before the
// next one was begun.
absl::StatusOr<OpenSegment> Recoverer::OpenLife(uint64_t life, bool settle) {
  OpenSegment segment;
  segment.life = life;
  segment.path = JoinPath(directory_, SegmentName(life));
  absl::StatusOr<std::unique_ptr<File>> file = file_system_->Open(
      segment.path, mode_ == RecoveryMode::kOwner ? FileSystem::OpenMode::kReadWrite
                                                  : FileSystem::OpenMode::kRead);
  if (!file.ok()) {
    if (absl::IsNotFound(file.status())) return file.status();
    return CannotRead(segment.path, file.status());
  }
  segment.file = *std::move(file);
  if (settle && mode_ == RecoveryMode::kOwner) {
    absl::Status synced = segment.file->Sync();
    if (!synced.ok()) {
      return MakeFailure(Failure::kWriteFailed,
                         absl::StrCat(segment.path, ": sync failed: ", synced.message()));
    }
    segment.file->DropCache();
  }
  absl::StatusOr<HeadReading> reading = ReadHead(segment.file.get());
  if (!reading.ok()) return CannotRead(segment.path, reading.status());
  segment.reading = *std::move(reading);
  return segment;
}

// The newest segment in use is the highest life whose head says so. Files above it were prepared
// and not begun (or begun by a write that the crash cut off, and that nobody was told of: the seal
// that comes before any acknowledgement is looked for in CheckNewestEnd).
absl::Status Recoverer::FindNewest() {
  while (!lives_.empty()) {
    absl::StatusOr<OpenSegment> segment = OpenLife(lives_.back(), /*settle=*/true);
    if (!segment.ok()) return segment.status();
    if (segment->reading.state == HeadState::kUnknownVersion) {
      return MakeFailure(
          Failure::kUnusable,
          absl::StrCat(segment->path, " has log format version ", segment->reading.version,
                       ", this program knows version ", kWalVersion,
                       " only; start it with the lockd version that wrote it",
                       segment->reading.version > kWalVersion ? ", or a newer one" : ""));
    }
    if (segment->is_begun()) {
      chain_.push_back(*std::move(segment));
      return absl::OkStatus();
    }
    result_.spare.push_back({.life = segment->life, .bytes = segment->reading.file_bytes});
    lives_.pop_back();
  }
  const std::string path = JoinPath(directory_, SegmentName(result_.spare.front().life));
  return Damaged(path, 0, "no segment of the log has a head that can be read");
}

// Follows the heads back to the oldest segment there is. Whether what lies before it is missed is
// known only after the replay: a crash may have left some of the segments that compaction removed.
absl::Status Recoverer::FindChain() {
  lives_.pop_back();  // the newest
  while (chain_.back().reading.head.previous_life != 0) {
    const uint64_t life = chain_.back().reading.head.previous_life;
    chain_broken_path_ = JoinPath(directory_, SegmentName(life));
    if (!std::binary_search(lives_.begin(), lives_.end(), life)) {
      chain_broken_by_ = "this segment is missing";
      break;
    }
    absl::StatusOr<OpenSegment> segment = OpenLife(life, /*settle=*/false);
    if (!segment.ok()) return segment.status();
    if (!segment->is_begun()) {
      chain_broken_by_ = "this segment's head is damaged";
      break;
    }
    lives_.erase(std::find(lives_.begin(), lives_.end(), life));
    chain_.push_back(*std::move(segment));
  }
  std::reverse(chain_.begin(), chain_.end());
  for (const OpenSegment& segment : chain_) {
    if (absl::Status status = CheckHead(segment); !status.ok()) return status;
    result_.in_use.push_back({.life = segment.life, .bytes = segment.reading.head.segment_bytes});
  }
  for (uint64_t life : lives_) {  // neither the newest nor in its chain
    absl::StatusOr<OpenSegment> segment = OpenLife(life, /*settle=*/false);
    if (!segment.ok()) return segment.status();
    if (segment->is_begun()) {
      if (absl::Status status = CheckHead(*segment); !status.ok()) return status;
    }
    result_.spare.push_back({.life = life, .bytes = segment->reading.file_bytes});
  }
  return absl::OkStatus();
}

absl::Status Recoverer::CheckHead(const OpenSegment& segment) const {
  const Identity& newest = chain_.back().reading.head.identity;
  const Identity& identity = segment.reading.head.identity;
  if (identity.node_id != newest.node_id || identity.cluster_name != newest.cluster_name ||
      identity.incarnation != newest.incarnation) {
    return MakeFailure(
        Failure::kWrongOwner,
        absl::StrCat(segment.path, " belongs to node ", identity.node_id, " of cluster \"",
                     identity.cluster_name, "\" (incarnation ", identity.incarnation,
                     "), the newest segment to node ", newest.node_id, " of \"",
                     newest.cluster_name, "\" (incarnation ", newest.incarnation,
                     "); put back the original file"));
  }
  if (segment.reading.file_bytes < segment.reading.head.segment_bytes) {
    return Damaged(segment.path, segment.reading.file_bytes,
                   absl::StrCat("the file ends here, but was made ",
                                segment.reading.head.segment_bytes, " bytes long"));
  }
  return absl::OkStatus();
}

absl::Status Recoverer::Replay() {
  const SegmentHead& oldest = chain_.front().reading.head;
  result_.index = LogIndex(oldest.base, oldest.last);
  result_.hard_state = oldest.hard_state;
  result_.identity = oldest.identity;
  for (size_t i = 0; i < chain_.size(); ++i) {
    if (absl::Status status = ReplaySegment(i); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Recoverer::ReplaySegment(size_t position) {
  const OpenSegment& segment = chain_[position];
  const SegmentHead& head = segment.reading.head;
  const SegmentHead* next =
      position + 1 < chain_.size() ? &chain_[position + 1].reading.head : nullptr;
  // What the head repeats must be what the segments before it added up to.
  if (head.hard_state != result_.hard_state || head.last != result_.index.last() ||
      head.base != result_.index.base() || head.identity != result_.identity) {
    return Damaged(segment.path, 0, "the head does not continue the segment before it");
  }
  WalReader reader(segment.file.get(), head.segment_bytes, head.identity.incarnation,
                   WalPosition{.life = head.life,
                               .offset = kHeadBytes,
                               .sequence = head.sequence,
                               .chain = segment.reading.chain});
  sealed_into_ = 0;
  while ((next == nullptr || reader.position().offset < next->previous_end) && sealed_into_ == 0) {
    if (!NextBatch(segment, &reader)) break;
    for (const Record& record : reader.records()) {
      absl::Status status = ReplayRecord(segment, reader.batch_offset(), record);
      if (!status.ok()) return status;
    }
  }
  if (!reader.status().ok()) return CannotRead(segment.path, reader.status());
  result_.end = reader.position();
  return next != nullptr ? CheckSealedInto(segment, *next, &reader)
                         : CheckNewestEnd(segment, &reader);
}

bool Recoverer::NextBatch(const OpenSegment& segment, WalReader* reader) {
  if (!reader->Next()) return false;
  if (reader->broken_copy()) {
    result_.mends.push_back({.life = segment.life, .copy = *reader->broken_copy()});
  }
  return true;
}

absl::Status Recoverer::ReplayRecord(const OpenSegment& segment, uint64_t offset,
                                     const Record& record) {
  LogIndex& index = result_.index;
  if (record.group != 0) {
    return MakeFailure(Failure::kUnusable,
                       absl::StrCat(segment.path, " at offset ", offset, ": a record of group ",
                                    record.group, ", which this version does not know"));
  }
  switch (record.kind) {
    case RecordKind::kEntry: {
      const LogBase entry = record.ToBase();
      if (entry.index <= index.base().index || entry.index > index.last().index + 1) {
        return Damaged(segment.path, offset,
                       absl::StrCat("entry ", entry.index, " after entry ", index.last().index,
                                    " of a log based on ", index.base().index));
      }
      index.Add(segment.life, offset, entry);
      CollectConfiguration(record);
      return absl::OkStatus();
    }
    case RecordKind::kHardState:
      result_.hard_state = record.ToHardState();
      return absl::OkStatus();
    case RecordKind::kBase: {
      const LogBase base = record.ToBase();
      const bool forgets_all = record.detail == kBaseForgetsAll;
      if (!forgets_all && base.index > index.last().index) {
        return Damaged(segment.path, offset,
                       absl::StrCat("base ", base.index, " beyond entry ", index.last().index));
      }
      index.SetBase(base, forgets_all);
      ForgetConfigurations(base, forgets_all);
      return absl::OkStatus();
    }
    case RecordKind::kCluster:
      result_.identity.cluster_id = ClusterId(record.value);
      return absl::OkStatus();
    case RecordKind::kSeal:
      sealed_into_ = record.value;
      return absl::OkStatus();
  }
  return MakeFailure(
      Failure::kUnusable,
      absl::StrCat(segment.path, " at offset ", offset, ": a record of kind ",
                   static_cast<int>(record.kind), ", which this version does not know"));
}

// In step with the index: an entry cuts the log before it if its index is not above the last.
void Recoverer::CollectConfiguration(const Record& record) {
  std::vector<raft::Entry>& found = result_.configurations;
  while (!found.empty() && found.back().index.value() >= record.index) found.pop_back();
  if (record.detail == static_cast<uint8_t>(raft::EntryKind::kConfiguration)) {
    found.push_back(record.ToEntry());
  }
}

void Recoverer::ForgetConfigurations(const LogBase& base, bool forgets_all) {
  std::vector<raft::Entry>& found = result_.configurations;
  const auto kept =
      forgets_all ? found.end() : std::find_if(found.begin(), found.end(), [&base](const auto& e) {
        return e.index > base.index;
      });
  found.erase(found.begin(), kept);
}

// An older segment must be whole up to where the next one says that it ended.
absl::Status Recoverer::CheckSealedInto(const OpenSegment& segment, const SegmentHead& next,
                                        WalReader* reader) {
  const WalPosition& position = reader->position();
  if (sealed_into_ != 0 || position.offset != next.previous_end ||
      position.chain != next.previous_chain || position.sequence != next.sequence) {
    return Damaged(segment.path, position.offset,
                   absl::StrCat("not the batch that was written here; segment ", next.life,
                                " continues at offset ", next.previous_end));
  }
  result_.seal_missing = true;
  if (NextBatch(segment, reader) && reader->records().front().kind == RecordKind::kSeal) {
    if (reader->records().front().value != next.life) {
      return Damaged(segment.path, position.offset,
                     absl::StrCat("sealed into segment ", reader->records().front().value,
                                  ", but continued by segment ", next.life));
    }
    result_.seal_missing = false;
  }
  if (!reader->status().ok()) return CannotRead(segment.path, reader->status());
  return absl::OkStatus();
}

absl::Status Recoverer::CheckNewestEnd(const OpenSegment& segment, WalReader* reader) {
  if (sealed_into_ != 0) {
    return Damaged(JoinPath(directory_, SegmentName(sealed_into_)), 0,
                   absl::StrCat("this segment is missing or its head is damaged; ", segment.path,
                                " says that the log goes on in it"));
  }
  const WalEnd& end = reader->end();
  if (end.kind == WalEnd::Kind::kDamaged) {
    return Damaged(segment.path, end.offset,
                   absl::StrCat("not the batch that was written here; a valid later one stands at "
                                "offset ",
                                end.later_offset));
  }
  result_.tail_was_torn = end.kind == WalEnd::Kind::kTorn;
  return absl::OkStatus();
}

// What must be true of any log that was written by LogStore.
absl::Status Recoverer::CheckWhole() const {
  const LogIndex& index = result_.index;
  if (!index.IsComplete()) {
    return Damaged(
        chain_broken_by_.empty() ? chain_.front().path : chain_broken_path_, 0,
        absl::StrCat(chain_broken_by_.empty() ? "the log's oldest segment" : chain_broken_by_,
                     "; the log needs entries from ", index.base().index + 1,
                     " on, the first one found is ", index.first_found()));
  }
  if (result_.hard_state.commit > index.last().index) {
    return Damaged(chain_.back().path, result_.end.offset,
                   absl::StrCat("the log ends with entry ", index.last().index, ", but entry ",
                                result_.hard_state.commit, " was known to be committed"));
  }
  if (result_.hard_state.term < index.last().term) {
    return Damaged(chain_.back().path, result_.end.offset,
                   absl::StrCat("an entry of term ", index.last().term,
                                ", but the term on record is ", result_.hard_state.term));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Recovery>> Recoverer::Run() {
  if (absl::Status status = ListFiles(); !status.ok()) return status;
  if (lives_.empty()) return std::nullopt;
  if (absl::Status status = FindNewest(); !status.ok()) return status;
  if (absl::Status status = FindChain(); !status.ok()) return status;
  if (absl::Status status = Replay(); !status.ok()) return status;
  if (absl::Status status = CheckWhole(); !status.ok()) return status;
  result_.head = chain_.back().reading.head;
  return std::move(result_);
}

}  // namespace

std::string SegmentName(uint64_t life) {
  return absl::StrFormat("%s%012d", kSegmentPrefix, life);
}
std::optional<uint64_t> ParseSegmentName(absl::string_view name) {
  return ParseName(name, kSegmentPrefix);
}
std::string PreparingName(uint64_t life) {
  return absl::StrFormat("%s%012d", kPreparingPrefix, life);
}
std::optional<uint64_t> ParsePreparingName(absl::string_view name) {
  return ParseName(name, kPreparingPrefix);
}

absl::Status MendLog(FileSystem* file_system, const std::string& directory,
                     const std::vector<Mend>& mends) {
  std::unique_ptr<File> file;
  for (size_t i = 0; i < mends.size(); ++i) {
    const Mend& mend = mends[i];
    const std::string path = JoinPath(directory, SegmentName(mend.life));
    if (i == 0 || mends[i - 1].life != mend.life) {
      absl::StatusOr<std::unique_ptr<File>> opened =
          file_system->Open(path, FileSystem::OpenMode::kReadWrite);
      if (!opened.ok()) return CannotRead(path, opened.status());
      file = *std::move(opened);
    }
    std::string batch(PadToSector(mend.copy.bytes), '\0');
    absl::StatusOr<size_t> read = file->Read(mend.copy.whole_offset, mend.copy.bytes, batch.data());
    if (!read.ok()) return CannotRead(path, read.status());
    if (*read < mend.copy.bytes) {
      return Damaged(path, mend.copy.whole_offset, "the file ends within a batch");
    }
    absl::Status written = file->Write(mend.copy.offset, batch);
    const bool is_last_of_file = i + 1 == mends.size() || mends[i + 1].life != mend.life;
    if (written.ok() && is_last_of_file) written = file->Sync();
    if (!written.ok()) {
      return MakeFailure(Failure::kWriteFailed,
                         absl::StrCat(path, " at offset ", mend.copy.offset,
                                      ": cannot be written anew: ", written.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Recovery>> RecoverLog(FileSystem* file_system,
                                                   const std::string& directory,
                                                   RecoveryMode mode) {
  return Recoverer(file_system, directory, mode).Run();
}

}  // namespace lockd::storage
