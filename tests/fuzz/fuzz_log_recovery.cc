// Recovery of a damaged log.
//
//   input: u8 mode | what is done to a small valid log
//   mode 0, 1: n x (u8 file | u16 offset | u8 value): bytes that are replaced
//   mode 1: then all checksums and chains are made right, so that the damage is believed
//   mode 2: u8 file | bytes: the contents of one segment
//   mode 3: the same, the checksums made right
//
// What must hold: a start is refused with one of the kinds that the recovery table knows, or it
// succeeds, and then a second start finds the very same log (recovery repairs once and for all).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/log_store.h"
#include "consensus/storage/wal_format.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "tests/support/mem_file_system.h"

namespace lockd::storage {
namespace {

constexpr char kDirectory[] = "/wal";
constexpr size_t kSegmentBytes = 8192;

LogStoreOptions Options() {
  LogStoreOptions options;
  options.directory = kDirectory;
  options.node_id = NodeId(1);
  options.cluster_name = "fuzz";
  options.incarnation_draw = Incarnation(77);
  options.segment_bytes = kSegmentBytes;
  return options;
}

using Files = std::map<std::string, std::string>;

// Two segments with hard state, entries, and a suffix that was cut and written anew.
Files ValidLog() {
  MemFileSystem disk;
  absl::StatusOr<OpenedLog> opened = LogStore::Open(&disk, Options());
  LOCKD_CHECK(opened.ok(), opened.status().message());
  LogStore& store = *opened->store;
  uint64_t id = 0;
  const auto write = [&](uint64_t first, uint64_t last, uint64_t term) {
    LogWrite job;
    job.id = ++id;
    raft::HardState state = store.hard_state();
    state.term = raft::Term(term);
    job.hard_state = state;
    for (uint64_t index = first; index <= last; ++index) {
      raft::Entry entry;
      entry.index = raft::Index(index);
      entry.term = raft::Term(term);
      entry.payload = std::string(100 + index, static_cast<char>('a' + index % 26));
      job.entries.push_back(std::move(entry));
    }
    LOCKD_CHECK(store.Write(job).ok());
  };
  for (uint64_t index = 1; index <= 10; ++index) write(index, index, 1);
  write(9, 12, 2);
  Files files;
  const absl::StatusOr<std::vector<std::string>> names = disk.List(kDirectory);
  LOCKD_CHECK(names.ok());
  for (const std::string& name : *names) {
    const std::string path = JoinPath(kDirectory, name);
    files[path] = disk.Contents(path);
  }
  return files;
}

// What a caller of Open gets to see of the log.
std::string Fingerprint(const OpenedLog& opened) {
  std::string text = absl::StrCat(opened.log.hard_state.term.value(), " ",
                                  opened.log.hard_state.commit.value(), ":");
  for (const raft::Entry& entry : opened.log.tail) {
    absl::StrAppend(&text, " ", entry.index.value(), "/", entry.term.value(), "=", entry.payload);
  }
  return text;
}

// One segment: its head and its batches, as far as their lengths make sense. `chain` is the
// checksum of the last batch of the segment before, then of this one; a seal is not counted.
void RepairSegment(std::string& segment, uint32_t* chain) {
  if (segment.size() < kHeadBytes) return;
  char* const head = segment.data();
  const auto life = LoadLittle<uint64_t>(head + head_at::kLife);
  if (LoadLittle<uint64_t>(head + head_at::kPreviousLife) != 0) {
    StoreLittle<uint32_t>(head + head_at::kPreviousChain, *chain);
  }
  const absl::string_view bytes(segment);
  uint32_t last = Crc32c(bytes.substr(head_at::kVersion, kHeadBytes - head_at::kVersion));
  StoreLittle<uint32_t>(head + head_at::kChecksum, last);
  const uint32_t seed =
      LifeSeed(Incarnation(LoadLittle<uint64_t>(head + head_at::kIncarnation)), life);
  *chain = last;
  for (size_t at = kHeadBytes; at + kBatchHeaderBytes + kRecordHeaderBytes <= segment.size();) {
    char* const batch = segment.data() + at;
    const auto length = LoadLittle<uint32_t>(batch + batch_at::kLength);
    if (length < kBatchHeaderBytes || length > segment.size() - at) return;
    StoreLittle<uint32_t>(batch + batch_at::kChain, last);
    last = ExtendCrc32c(seed, bytes.substr(at + batch_at::kLength, length - batch_at::kLength));
    StoreLittle<uint32_t>(batch + batch_at::kChecksum, last);
    const auto kind = static_cast<RecordKind>(batch[kBatchHeaderBytes + record_at::kKind]);
    if (kind != RecordKind::kSeal) *chain = last;
    at += PadToSector(length);
    if (at + length > segment.size()) return;
    std::copy_n(batch, length, segment.data() + at);
    at += PadToSector(length);
  }
}

void RepairChecksums(Files& files) {
  uint32_t chain = 0;
  for (auto& [path, contents] : files) RepairSegment(contents, &chain);  // names ascend by life
}

void ReplaceBytes(ByteReader& reader, Files& files) {
  for (int count = 0; count < 64 && reader.remaining() >= 4; ++count) {
    const uint8_t file = reader.U8();
    const uint16_t offset = reader.U16();
    const uint8_t value = reader.U8();
    auto chosen = files.begin();
    std::advance(chosen, file % files.size());
    if (!chosen->second.empty()) {
      chosen->second[offset % chosen->second.size()] = static_cast<char>(value);
    }
  }
}

void ReplaceSegment(ByteReader& reader, Files& files) {
  auto chosen = files.begin();
  std::advance(chosen, reader.U8() % files.size());
  std::string contents(reader.Bytes(std::min<size_t>(reader.remaining(), kSegmentBytes)));
  // The rest stays: a whole segment is long for a fuzzer.
  if (contents.size() < chosen->second.size()) {
    contents.append(chosen->second, contents.size(), std::string::npos);
  }
  chosen->second = std::move(contents);
}

void RunOne(absl::string_view input) {
  static const Files valid = ValidLog();
  Files files = valid;
  RepairChecksums(files);
  LOCKD_CHECK(files == valid, "the repair does not know the format");
  ByteReader reader(input);
  const uint8_t mode = reader.U8();
  if ((mode & 2) == 0) ReplaceBytes(reader, files);
  if ((mode & 2) != 0) ReplaceSegment(reader, files);
  if ((mode & 1) != 0) RepairChecksums(files);

  MemFileSystem disk;
  LOCKD_CHECK(disk.CreateDirectory(kDirectory).ok());
  for (auto& [path, contents] : files) disk.SetContents(path, std::move(contents));
  std::string first;
  {
    const absl::StatusOr<OpenedLog> opened = LogStore::Open(&disk, Options());
    if (!opened.ok()) {
      const Failure failure = FailureOf(opened.status());
      LOCKD_CHECK(failure == Failure::kDamaged || failure == Failure::kWrongOwner ||
                      failure == Failure::kUnusable,
                  opened.status().message());
      return;
    }
    first = Fingerprint(*opened);
  }
  const absl::StatusOr<OpenedLog> again = LogStore::Open(&disk, Options());
  LOCKD_CHECK(again.ok(), again.status().message());
  LOCKD_CHECK(Fingerprint(*again) == first);
}

}  // namespace
}  // namespace lockd::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::storage::RunOne(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
