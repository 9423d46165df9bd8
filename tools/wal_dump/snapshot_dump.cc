#include "tools/wal_dump/snapshot_dump.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "consensus/storage/snapshot_format.h"
#include "consensus/storage/snapshot_reader.h"

namespace lockd::wal_dump {
namespace {

using storage::File;
using storage::FileSystem;
using storage::SnapshotDamage;
using storage::SnapshotFinding;
using storage::SnapshotOutline;
using storage::SnapshotReader;
using Json = nlohmann::ordered_json;

const char* StateName(SnapshotFinding::State state) {
  switch (state) {
    case SnapshotFinding::State::kVerified:
      return "whole";
    case SnapshotFinding::State::kDamaged:
      return "damaged";
    case SnapshotFinding::State::kForeign:
      return "foreign";
    case SnapshotFinding::State::kUnknownVersion:
      break;
  }
  return "unknown_version";
}

// 64-bit ids are strings in JSON, as in the heads of segments.
std::string Id(uint64_t value) {
  return std::to_string(value);
}

Json HeadJson(const SnapshotOutline& outline) {
  Json json = Json::object();
  if (outline.has_head) {
    const storage::SnapshotHead& head = outline.head;
    json = {{"index", head.base.index.value()},
            {"term", head.base.term.value()},
            {"time_ms", head.base.time.value()},
            {"file_number", Id(head.file_number)},
            {"node_id", Id(head.identity.node_id.value())},
            {"cluster_name", head.identity.cluster_name},
            {"incarnation", Id(head.identity.incarnation.value())},
            {"cluster_id", Id(head.identity.cluster_id.value())}};
  }
  if (outline.state == SnapshotOutline::State::kReadable) {
    json["content_bytes"] = outline.id.bytes;
    json["content_checksum"] = outline.id.checksum;
    json["block_count"] = storage::BlockCountOf(outline.id.bytes);
  }
  return json;
}

std::vector<Json> ReadBlocks(File* file, const SnapshotOutline& outline) {
  std::vector<Json> blocks;
  SnapshotReader reader(file, outline);
  std::string content;
  const uint64_t count = storage::BlockCountOf(outline.id.bytes);
  for (uint64_t number = 0; number < count; ++number) {
    content.clear();
    const auto damage =
        reader.Read(number * storage::kBlockContentBytes, storage::kBlockContentBytes, &content);
    const bool is_whole = damage.ok() && !damage->has_value();
    const uint64_t rest = outline.id.bytes - number * storage::kBlockContentBytes;
    blocks.push_back({{"offset", storage::BlockOffset(number)},
                      {"block", number},
                      {"content_bytes", std::min<uint64_t>(storage::kBlockContentBytes, rest)},
                      {"state", is_whole ? "whole" : "damaged"}});
  }
  return blocks;
}

}  // namespace

SnapshotDump DumpSnapshot(FileSystem* file_system, const SnapshotFinding& finding,
                          bool with_blocks) {
  SnapshotDump dump;
  dump.path = finding.path;
  dump.state = StateName(finding.state);
  dump.head = HeadJson(finding.outline);
  if (!with_blocks || finding.outline.state != SnapshotOutline::State::kReadable) return dump;
  auto file = file_system->Open(finding.path, FileSystem::OpenMode::kRead);
  if (file.ok()) dump.blocks = ReadBlocks(file->get(), finding.outline);
  return dump;
}

}  // namespace lockd::wal_dump
