// A start over a log and two snapshots, one of them damaged or lying.
//
//   input: u8 mode | u8 file | n x (u16 offset | u8 value)
//   mode 0, 1: bytes that are replaced; 2, 3: the file ends at the first offset, and then as before
//   mode 1, 3: then all checksums are made right, so that the damage is believed
//
// What must hold: a start is refused with one of the kinds that the decision knows, or it succeeds;
// then the snapshot that it names can be read to its end and is what its id says, and a second
// start decides the same.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "consensus/storage/failure.h"
#include "consensus/storage/snapshot_format.h"
#include "consensus/storage/start.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "tests/support/mem_file_system.h"

namespace lockd::storage {
namespace {

constexpr char kSnapshots[] = "/snapshots";
constexpr uint64_t kIndexes[] = {4, 8};

StorageOptions Options() {
  StorageOptions options;
  options.log.directory = "/wal";
  options.log.node_id = NodeId(1);
  options.log.cluster_name = "fuzz";
  options.log.incarnation_draw = Incarnation(77);
  options.log.segment_bytes = 8192;
  options.snapshot_directory = kSnapshots;
  return options;
}

raft::LogBase BaseAt(uint64_t index) {
  return {.index = raft::Index(index),
          .term = raft::Term(1),
          .time = ClusterTime(static_cast<int64_t>(index))};
}

std::string PathAt(uint64_t index) {
  return JoinPath(kSnapshots, SnapshotName(PlaceOf(BaseAt(index))));
}

SnapshotJobDone Run(SnapshotStore* store, const SnapshotJob& job) {
  std::optional<SnapshotJobDone> done;
  while (!done) done = store->RunSlice(job);
  return *std::move(done);
}

// [4====8==c=10], a snapshot at the base and one within: one block, and a bit more than one.
std::unique_ptr<MemFileSystem> ValidDisk() {
  auto disk = std::make_unique<MemFileSystem>();
  absl::StatusOr<OpenedStorage> opened = OpenStorage(disk.get(), Options());
  LOCKD_CHECK(opened.ok(), opened.status().message());
  LogWrite write;
  write.hard_state = raft::HardState{.term = raft::Term(1), .voted_for = NodeId(1), .commit = {}};
  for (uint64_t i = 1; i <= 10; ++i) {
    write.entries.push_back({.term = raft::Term(1),
                             .index = raft::Index(i),
                             .kind = raft::EntryKind::kCommand,
                             .time = ClusterTime(static_cast<int64_t>(i)),
                             .payload = "command"});
  }
  LOCKD_CHECK(opened->log.store->Write(write).ok());
  write = {
      .hard_state =
          raft::HardState{.term = raft::Term(1), .voted_for = NodeId(1), .commit = raft::Index(9)},
      .base = BaseAt(kIndexes[0])};
  for (const uint64_t index : kIndexes) {
    const std::string content(index == kIndexes[0] ? 300 : kBlockContentBytes + 100, 'c');
    const raft::SnapshotId id{
        .base = BaseAt(index), .bytes = content.size(), .checksum = Crc32c(content)};
    SnapshotStore* const store = opened->snapshots.get();
    LOCKD_CHECK(Run(store, SnapshotWrite{.id = 1, .draft = 1, .base = id.base, .bytes = content})
                    .status.ok());
    LOCKD_CHECK(Run(store, SnapshotFinish{.id = 2, .draft = 1, .snapshot = id}).status.ok());
  }
  LOCKD_CHECK(opened->log.store->Write(write).ok());
  return disk;
}

// As far as the file is long.
void RepairChecksums(std::string& file) {
  if (file.size() < kSnapshotHeadBytes + kFooterBytes) return;
  const absl::string_view bytes(file);
  namespace at = snapshot_head_at;
  const uint32_t seed = Crc32c(bytes.substr(at::kVersion, kSnapshotHeadBytes - at::kVersion));
  StoreLittle<uint32_t>(file.data() + at::kChecksum, seed);
  const size_t end = file.size() - kFooterBytes;
  for (size_t block = kSnapshotHeadBytes; block + kBlockHeaderBytes <= end; block += kBlockBytes) {
    const size_t covered = block + block_at::kContentBytes;
    const size_t block_end = std::min(block + kBlockBytes, end);
    StoreLittle<uint32_t>(file.data() + block + block_at::kChecksum,
                          ExtendCrc32c(seed, bytes.substr(covered, block_end - covered)));
  }
  StoreLittle<uint32_t>(file.data() + end + footer_at::kChecksum,
                        ExtendCrc32c(seed, bytes.substr(end + footer_at::kContentChecksum)));
}

void Damage(ByteReader& reader, bool cuts, std::string& file) {
  if (cuts) file.resize(reader.U16() % (file.size() + 1));
  for (int count = 0; count < 64 && reader.remaining() >= 3 && !file.empty(); ++count) {
    const uint16_t offset = reader.U16();
    // From the front, and from the end: there is the footer.
    const size_t at = (offset & 1) != 0 ? offset / 2 : file.size() - 1 - offset / 2 % file.size();
    file[at % file.size()] = static_cast<char>(reader.U8());
  }
}

void CheckContent(SnapshotStore* store, const raft::SnapshotId& id) {
  uint64_t offset = 0;
  uint32_t checksum = 0;
  while (offset < id.bytes) {
    const SnapshotJobDone done =
        Run(store, SnapshotRead{.id = 1, .snapshot = id, .offset = offset, .bytes_max = 50'000});
    LOCKD_CHECK(done.status.ok() && !done.bytes.empty(), done.status.message());
    checksum = ExtendCrc32c(checksum, done.bytes);
    offset += done.bytes.size();
  }
  LOCKD_CHECK(checksum == id.checksum && offset == id.bytes);
}

void RunOne(absl::string_view input) {
  static const std::unique_ptr<MemFileSystem> valid = ValidDisk();
  std::unique_ptr<MemFileSystem> disk = valid->CrashClone(MemFileSystem::Unsynced::kKept, nullptr);
  ByteReader reader(input);
  const uint8_t mode = reader.U8();
  const std::string path = PathAt(kIndexes[reader.U8() % 2]);
  std::string file = disk->Contents(path);
  RepairChecksums(file);
  LOCKD_CHECK(file == disk->Contents(path), "the repair does not know the format");
  Damage(reader, (mode & 2) != 0, file);
  if ((mode & 1) != 0) RepairChecksums(file);
  disk->SetContents(path, file);

  std::array<std::optional<raft::SnapshotId>, 2> loaded;
  for (std::optional<raft::SnapshotId>& each : loaded) {
    absl::StatusOr<OpenedStorage> opened = OpenStorage(disk.get(), Options());
    if (!opened.ok()) {
      const Failure failure = FailureOf(opened.status());
      LOCKD_CHECK(failure == Failure::kDamaged || failure == Failure::kWrongOwner ||
                      failure == Failure::kUnusable,
                  opened.status().message());
      LOCKD_CHECK(!loaded[0], "refused at the second time");
      return;
    }
    // The log's base is above zero, so it never does without.
    LOCKD_CHECK(opened->snapshot.has_value());
    LOCKD_CHECK(opened->log.log.applied_index == opened->snapshot->base.index);
    each = opened->snapshot;
    CheckContent(opened->snapshots.get(), *each);
  }
  LOCKD_CHECK(loaded[0] == loaded[1]);
}

}  // namespace
}  // namespace lockd::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockd::storage::RunOne(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
