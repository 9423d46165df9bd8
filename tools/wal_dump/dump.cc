#include "tools/wal_dump/dump.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "consensus/storage/data_directory.h"
#include "consensus/storage/recovery.h"
#include "consensus/storage/snapshot_format.h"
#include "consensus/storage/snapshot_survey.h"
#include "consensus/storage/start_decision.h"
#include "consensus/storage/wal_reader.h"
#include "tools/wal_dump/snapshot_dump.h"

namespace lockd::wal_dump {
namespace {

using storage::File;
using storage::FileSystem;
using storage::HeadReading;
using storage::HeadState;
using storage::Record;
using storage::RecordKind;
using storage::RecoveryMode;
using storage::SegmentHead;
using storage::SnapshotFinding;
using storage::WalEnd;
using storage::WalReader;
// Keeps the order in which keys are set, which is the order of reading.
using Json = nlohmann::ordered_json;

std::string Id(uint64_t value) {
  return std::to_string(value);  // 64-bit ids are strings in JSON
}

std::string KindOf(const Record& record) {
  switch (record.kind) {
    case RecordKind::kEntry:
      switch (static_cast<raft::EntryKind>(record.detail)) {
        case raft::EntryKind::kNoop:
          return "noop";
        case raft::EntryKind::kCommand:
          return "command";
        case raft::EntryKind::kConfiguration:
          return "configuration";
      }
      return absl::StrCat("entry of kind ", static_cast<int>(record.detail));
    case RecordKind::kHardState:
      return "hard_state";
    case RecordKind::kBase:
      return record.detail == storage::kBaseForgetsAll ? "base_forgets_all" : "base";
    case RecordKind::kCluster:
      return "cluster";
    case RecordKind::kSeal:
      return "seal";
  }
  return absl::StrCat("unknown kind ", static_cast<int>(record.kind));
}

// One record as JSON; the text form is made from it.
Json RecordJson(uint64_t offset, uint64_t sequence, const Record& record) {
  Json json{{"offset", offset}, {"sequence", Id(sequence)}, {"kind", KindOf(record)}};
  switch (record.kind) {
    case RecordKind::kEntry:
      json["index"] = record.index;
      json["term"] = record.term;
      json["time_ms"] = static_cast<int64_t>(record.value);
      json["payload_bytes"] = record.payload.size();
      break;
    case RecordKind::kHardState:
      json["term"] = record.term;
      json["voted_for"] = Id(record.value);
      json["commit"] = record.index;
      break;
    case RecordKind::kBase:
      json["index"] = record.index;
      json["term"] = record.term;
      json["time_ms"] = static_cast<int64_t>(record.value);
      break;
    case RecordKind::kCluster:
      json["cluster_id"] = Id(record.value);
      break;
    case RecordKind::kSeal:
      json["next_life"] = Id(record.value);
      break;
  }
  return json;
}

Json HeadJson(const SegmentHead& head) {
  return {{"life", Id(head.life)},
          {"previous_life", Id(head.previous_life)},
          {"segment_bytes", head.segment_bytes},
          {"node_id", Id(head.identity.node_id.value())},
          {"cluster_name", head.identity.cluster_name},
          {"incarnation", Id(head.identity.incarnation.value())},
          {"cluster_id", Id(head.identity.cluster_id.value())},
          {"term", head.hard_state.term.value()},
          {"voted_for", Id(head.hard_state.voted_for.value())},
          {"commit", head.hard_state.commit.value()},
          {"base_index", head.base.index.value()},
          {"last_index", head.last.index.value()}};
}

// "key value, key value", without quotes.
std::string Text(const Json& json) {
  std::string text;
  for (const auto& [key, value] : json.items()) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", key, " ",
                    value.is_string() ? value.get<std::string>()
                                      : value.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return text;
}

// What one segment holds, and how it ends.
struct Segment {
  std::string path;
  std::string state;  // in_use, prepared, damaged
  SegmentHead head;   // in_use
  std::vector<Json> records;
  uint64_t record_count = 0;
  std::vector<uint64_t> broken_copies;  // offsets; a start writes them anew
  WalEnd end;
  std::string error;
};

class Dumper {
 public:
  Dumper(FileSystem* file_system, const DumpOptions& options)
      : file_system_(file_system), options_(options) {}

  ExitStatus Run(const std::string& path, std::ostream* out, std::ostream* errors);

 private:
  void DumpDirectory(const std::string& path);
  // Recovers the log as a start would; nullopt: there is none, or it was judged already.
  std::optional<storage::Recovery> JudgeLog(const std::string& directory);
  void DumpSegments(const std::string& directory);
  std::vector<SnapshotFinding> DumpSnapshots(const std::string& directory,
                                             const storage::Identity* owner);
  [[nodiscard]] bool IsDirectory(const std::string& path) const;
  void DumpFile(const std::string& path);
  void DumpSegmentFile(const std::string& path, const std::string& name);
  [[nodiscard]] bool IsSnapshotFile(const std::string& path, const std::string& name) const;
  // `life`: that a file of this name must be of to be in use; zero: any.
  Segment ReadSegment(const std::string& path, uint64_t life) const;
  void ReadRecords(File* file, const HeadReading& reading, Segment* segment) const;
  void Judge(ExitStatus status, const std::string& error);
  void PrintText(std::ostream* out) const;
  void PrintJson(const std::string& path, std::ostream* out) const;
  [[nodiscard]] const char* StateName() const;

  FileSystem* const file_system_;
  const DumpOptions options_;
  std::vector<Segment> segments_;
  std::vector<SnapshotDump> snapshots_;
  std::vector<std::string> notes_;
  ExitStatus status_ = kClean;
  std::string error_;
};

void Dumper::Judge(ExitStatus status, const std::string& error) {
  if (status <= status_) return;
  status_ = status;
  error_ = error;
}

const char* Dumper::StateName() const {
  switch (status_) {
    case kClean:
      return "clean";
    case kTornTail:
      return "torn";
    case kDamagedLog:
      break;
  }
  return "damaged";
}

Segment Dumper::ReadSegment(const std::string& path, uint64_t life) const {
  Segment segment;
  segment.path = path;
  segment.state = "damaged";
  auto file = file_system_->Open(path, FileSystem::OpenMode::kRead);
  if (!file.ok()) {
    segment.error = std::string(file.status().message());
    return segment;
  }
  absl::StatusOr<HeadReading> reading = ReadHead(file->get());
  if (!reading.ok()) {
    segment.error = std::string(reading.status().message());
    return segment;
  }
  const bool is_valid = reading->state == HeadState::kValid;
  if (is_valid && (life == 0 || reading->head.life == life)) {
    segment.state = "in_use";
    segment.head = reading->head;
    ReadRecords(file->get(), *reading, &segment);
  } else if (is_valid || reading->state == HeadState::kZero) {
    segment.state = "prepared";
  } else if (reading->state == HeadState::kUnknownVersion) {
    segment.error = absl::StrCat(path, " at offset 0: format version ", reading->version,
                                 " is not known to this program");
  } else {
    segment.error = absl::StrCat(path, " at offset 0: the head is damaged");
  }
  return segment;
}

void Dumper::ReadRecords(File* file, const HeadReading& reading, Segment* segment) const {
  const SegmentHead& head = reading.head;
  WalReader reader(file, std::min(head.segment_bytes, reading.file_bytes),
                   head.identity.incarnation,
                   {.life = head.life,
                    .offset = storage::kHeadBytes,
                    .sequence = head.sequence,
                    .chain = reading.chain});
  while (reader.Next()) {
    segment->record_count += reader.records().size();
    if (reader.broken_copy()) segment->broken_copies.push_back(reader.broken_copy()->offset);
    if (options_.verify) continue;
    for (const Record& record : reader.records()) {
      segment->records.push_back(
          RecordJson(reader.batch_offset(), reader.batch_sequence(), record));
    }
  }
  segment->end = reader.end();
  if (!reader.status().ok()) {
    segment->error = absl::StrCat(segment->path, " at offset ", segment->end.offset, ": ",
                                  reader.status().message());
  } else if (segment->end.kind == WalEnd::Kind::kDamaged) {
    segment->error = absl::StrCat(segment->path, " at offset ", segment->end.offset,
                                  ": not the batch that was written here; a valid later one stands "
                                  "at offset ",
                                  segment->end.later_offset);
  } else if (reading.file_bytes < head.segment_bytes) {
    segment->error =
        absl::StrCat(segment->path, " at offset ", reading.file_bytes,
                     ": the file ends here, but was made ", head.segment_bytes, " bytes long");
  }
}

// By its name, or by its first bytes.
bool Dumper::IsSnapshotFile(const std::string& path, const std::string& name) const {
  if (storage::ParseSegmentName(name)) return false;
  if (storage::ParseSnapshotName(name) || storage::ParseDraftName(name)) return true;
  auto file = file_system_->Open(path, FileSystem::OpenMode::kRead);
  char magic[storage::kSnapshotMagic.size()];
  if (!file.ok()) return false;
  absl::StatusOr<size_t> count = (*file)->Read(0, sizeof(magic), magic);
  return count.ok() && absl::string_view(magic, *count) == storage::kSnapshotMagic;
}

void Dumper::DumpFile(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  if (!IsSnapshotFile(path, name)) return DumpSegmentFile(path, name);
  absl::StatusOr<SnapshotFinding> finding =
      storage::ExamineSnapshot(file_system_, path, nullptr, RecoveryMode::kReadOnly);
  if (!finding.ok()) return Judge(kDamagedLog, std::string(finding.status().message()));
  if (finding->state != SnapshotFinding::State::kVerified) Judge(kDamagedLog, finding->problem);
  snapshots_.push_back(DumpSnapshot(file_system_, *finding, !options_.verify));
}

void Dumper::DumpSegmentFile(const std::string& path, const std::string& name) {
  const std::optional<uint64_t> life = storage::ParseSegmentName(name);
  Segment segment = ReadSegment(path, life.value_or(0));
  if (!segment.error.empty()) {
    Judge(kDamagedLog, segment.error);
  } else if (segment.state == "in_use" && segment.end.kind == WalEnd::Kind::kTorn) {
    Judge(kTornTail, absl::StrCat(path, " at offset ", segment.end.offset, ": a torn write"));
  }
  segments_.push_back(std::move(segment));
}

std::optional<storage::Recovery> Dumper::JudgeLog(const std::string& directory) {
  auto recovery = storage::RecoverLog(file_system_, directory, RecoveryMode::kReadOnly);
  if (!recovery.ok()) {
    Judge(kDamagedLog, std::string(recovery.status().message()));
    return std::nullopt;
  }
  if (recovery->has_value() && (*recovery)->tail_was_torn) {
    Judge(kTornTail,
          absl::StrCat(storage::JoinPath(directory, storage::SegmentName((*recovery)->end.life)),
                       " at offset ", (*recovery)->end.offset, ": a torn write"));
  }
  return *std::move(recovery);
}

void Dumper::DumpSegments(const std::string& directory) {
  auto names = file_system_->List(directory);
  if (!names.ok()) return;  // told by JudgeLog
  for (const std::string& name : *names) {
    if (std::optional<uint64_t> life = storage::ParseSegmentName(name)) {
      segments_.push_back(ReadSegment(storage::JoinPath(directory, name), *life));
    }
  }
}

std::vector<SnapshotFinding> Dumper::DumpSnapshots(const std::string& directory,
                                                   const storage::Identity* owner) {
  absl::StatusOr<std::vector<SnapshotFinding>> findings =
      storage::SurveySnapshots(file_system_, directory, owner, RecoveryMode::kReadOnly);
  if (!findings.ok()) {
    Judge(kDamagedLog, std::string(findings.status().message()));
    return {};
  }
  for (const SnapshotFinding& finding : *findings) {
    snapshots_.push_back(DumpSnapshot(file_system_, finding, !options_.verify));
  }
  auto names = file_system_->List(directory);
  if (!names.ok()) return *std::move(findings);
  for (const std::string& name : *names) {
    if (!storage::ParseDraftName(name)) continue;
    snapshots_.push_back({.path = storage::JoinPath(directory, name),
                          .state = "draft",
                          .head = Json::object(),
                          .blocks = {}});
  }
  return *std::move(findings);
}

bool Dumper::IsDirectory(const std::string& path) const {
  absl::StatusOr<bool> is_directory = file_system_->IsDirectory(path);
  return is_directory.ok() && *is_directory;
}

// A data directory, or its directory of segments, or that of snapshots. The verdict is that of a
// start; files are printed as far as they can be read.
void Dumper::DumpDirectory(const std::string& path) {
  const std::string data_wal = storage::DataDirectory::WalPath(path);
  const std::string data_snapshots = storage::DataDirectory::SnapshotsPath(path);
  const bool is_data = IsDirectory(data_wal) || IsDirectory(data_snapshots);
  const std::string wal = is_data ? data_wal : path;
  const std::string snapshots = is_data ? data_snapshots : path;

  std::optional<storage::Recovery> log;
  if (IsDirectory(wal)) log = JudgeLog(wal);
  DumpSegments(wal);
  const std::vector<SnapshotFinding> findings =
      DumpSnapshots(snapshots, log ? &log->identity : nullptr);
  if (status_ == kDamagedLog) return;
  if (!log && !is_data && !findings.empty()) {  // a directory of snapshots alone
    for (const SnapshotFinding& finding : findings) {
      if (finding.state != SnapshotFinding::State::kVerified) Judge(kDamagedLog, finding.problem);
    }
    return;
  }
  if (!log && findings.empty()) {
    return Judge(kDamagedLog, absl::StrCat(wal, " at offset 0: no log segment in this directory"));
  }
  if (!is_data) return;
  storage::FoundLog found;
  if (log) found = {.index = &log->index, .commit = log->hard_state.commit, .beginning = {}};
  storage::StartVerdict verdict = JudgeStart(found, findings, wal, snapshots);
  if (!verdict.refusal.ok()) Judge(kDamagedLog, std::string(verdict.refusal.message()));
  notes_ = std::move(verdict.notes);
}

void Dumper::PrintText(std::ostream* out) const {
  for (const Segment& segment : segments_) {
    *out << segment.path << ": " << segment.state;
    if (segment.state == "in_use") {
      *out << ", records " << segment.record_count << ", end " << segment.end.offset << ", "
           << Text(HeadJson(segment.head));
    }
    *out << "\n";
    for (const Json& record : segment.records) *out << "  " << Text(record) << "\n";
    for (uint64_t offset : segment.broken_copies) {
      *out << "  offset " << offset << ": this copy of a batch is not whole, the other one is; "
           << "a start writes it anew\n";
    }
  }
  for (const SnapshotDump& snapshot : snapshots_) {
    *out << snapshot.path << ": " << snapshot.state;
    if (!snapshot.head.empty()) *out << ", " << Text(snapshot.head);
    *out << "\n";
    for (const Json& block : snapshot.blocks) *out << "  " << Text(block) << "\n";
  }
  for (const std::string& note : notes_) *out << "note: " << note << "\n";
  *out << StateName() << "\n";
}

void Dumper::PrintJson(const std::string& path, std::ostream* out) const {
  Json json{{"path", path},
            {"state", StateName()},
            {"segments", Json::array()},
            {"snapshots", Json::array()},
            {"notes", notes_}};
  json["error"] = error_.empty() ? Json(nullptr) : Json(error_);
  for (const Segment& segment : segments_) {
    Json entry{{"file", segment.path}, {"state", segment.state}};
    if (segment.state == "in_use") {
      entry.update(HeadJson(segment.head));
      entry["end_offset"] = segment.end.offset;
      entry["record_count"] = segment.record_count;
      entry["broken_copies"] = segment.broken_copies;
      if (!options_.verify) entry["records"] = segment.records;
    }
    json["segments"].push_back(std::move(entry));
  }
  for (const SnapshotDump& snapshot : snapshots_) {
    Json entry{{"file", snapshot.path}, {"state", snapshot.state}};
    entry.update(snapshot.head);
    if (!options_.verify) entry["blocks"] = snapshot.blocks;
    json["snapshots"].push_back(std::move(entry));
  }
  *out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

ExitStatus Dumper::Run(const std::string& path, std::ostream* out, std::ostream* errors) {
  absl::StatusOr<bool> is_directory = file_system_->IsDirectory(path);
  if (!is_directory.ok()) {
    Judge(kDamagedLog, std::string(is_directory.status().message()));
  } else if (*is_directory) {
    DumpDirectory(path);
  } else {
    DumpFile(path);
  }
  if (options_.json) {
    PrintJson(path, out);
  } else {
    PrintText(out);
  }
  if (!error_.empty()) *errors << "wal_dump: " << error_ << "\n";
  return status_;
}

}  // namespace

ExitStatus Dump(FileSystem* file_system, const std::string& path, const DumpOptions& options,
                std::ostream* out, std::ostream* errors) {
  return Dumper(file_system, options).Run(path, out, errors);
}

}  // namespace lockd::wal_dump
