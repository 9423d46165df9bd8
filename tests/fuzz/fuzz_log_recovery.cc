// Recovery of a damaged log.
//
//   input: n x (u8 file | u16 offset | u8 value): bytes of a small valid log that are replaced
//
// What must hold: a start is refused with one of the kinds that the recovery table knows, or it
// succeeds, and then a second start finds the very same log (recovery repairs once and for all).
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
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "tests/support/mem_file_system.h"

namespace lockd::storage {
namespace {

constexpr char kDirectory[] = "/wal";

LogStoreOptions Options() {
  LogStoreOptions options;
  options.directory = kDirectory;
  options.node_id = NodeId(1);
  options.cluster_name = "fuzz";
  options.incarnation_draw = Incarnation(77);
  options.segment_bytes = 4096;
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

void RunOne(absl::string_view input) {
  static const Files valid = ValidLog();
  Files files = valid;
  ByteReader reader(input);
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
