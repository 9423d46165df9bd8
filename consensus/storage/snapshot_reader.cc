#include "consensus/storage/snapshot_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"

namespace lockd::storage {
namespace {

// Far above what a device holds; keeps sums of what a footer says from overflowing.
constexpr uint64_t kContentBytesMax = uint64_t{1} << 56;

// Is the head valid? Fills in what it says. The footer is not looked at.
void DecodeHead(absl::string_view bytes, SnapshotOutline* outline) {
  namespace at = snapshot_head_at;
  outline->damage = {.offset = 0, .what = "the head is damaged"};
  if (bytes.size() < kSnapshotHeadBytes || bytes.substr(0, kSnapshotMagic.size()) != kSnapshotMagic)
    return;
  const auto u64 = [bytes](size_t offset) { return LoadLittle<uint64_t>(bytes.data() + offset); };
  const auto u32 = [bytes](size_t offset) { return LoadLittle<uint32_t>(bytes.data() + offset); };
  outline->seed = u32(at::kChecksum);
  if (Crc32c(bytes.substr(at::kVersion)) != outline->seed) return;
  outline->version = u32(at::kVersion);
  if (outline->version != kSnapshotVersion) {
    outline->state = SnapshotOutline::State::kUnknownVersion;
    return;
  }
  const uint32_t name_bytes = u32(at::kNameBytes);
  if (u32(at::kBlockBytes) != kBlockContentBytes || name_bytes > kClusterNameBytesMax) return;
  SnapshotHead& head = outline->head;
  head.file_number = u64(at::kFileNumber);
  head.identity.node_id = NodeId(u64(at::kNodeId));
  head.identity.incarnation = Incarnation(u64(at::kIncarnation));
  head.identity.cluster_id = ClusterId(u64(at::kClusterId));
  head.identity.cluster_name = std::string(bytes.substr(at::kName, name_bytes));
  head.base = {.index = raft::Index(u64(at::kBaseIndex)),
               .term = raft::Term(u64(at::kBaseTerm)),
               .time = ClusterTime(static_cast<int64_t>(u64(at::kBaseTime)))};
  outline->has_head = true;
}

// After a valid head.
void DecodeFooter(absl::string_view bytes, SnapshotOutline* outline) {
  outline->damage = {.offset = outline->file_bytes - bytes.size(),
                     .what = "the file does not end with its footer"};
  if (bytes.size() < kFooterBytes ||
      bytes.substr(0, kSnapshotEndMagic.size()) != kSnapshotEndMagic) {
    return;
  }
  const uint32_t checksum = LoadLittle<uint32_t>(bytes.data() + footer_at::kChecksum);
  if (ExtendCrc32c(outline->seed, bytes.substr(footer_at::kContentChecksum)) != checksum) return;
  outline->id = {.base = outline->head.base,
                 .bytes = LoadLittle<uint64_t>(bytes.data() + footer_at::kContentBytes),
                 .checksum = LoadLittle<uint32_t>(bytes.data() + footer_at::kContentChecksum)};
  const uint64_t blocks = LoadLittle<uint64_t>(bytes.data() + footer_at::kBlockCount);
  if (outline->id.bytes > kContentBytesMax || blocks != BlockCountOf(outline->id.bytes) ||
      outline->file_bytes != SnapshotFileBytes(outline->id.bytes)) {
    outline->damage.what = absl::StrCat("the file has ", outline->file_bytes,
                                        " bytes, which is not what its footer says");
    return;
  }
  outline->state = SnapshotOutline::State::kReadable;
  outline->damage = {};
}

// A block of `count` bytes of content.
std::optional<absl::string_view> DecodeBlock(absl::string_view block, uint64_t number,
                                             uint64_t count, uint32_t seed) {
  if (block.size() != kBlockHeaderBytes + count) return std::nullopt;
  const absl::string_view covered = block.substr(block_at::kContentBytes);
  if (ExtendCrc32c(seed, covered) != LoadLittle<uint32_t>(block.data() + block_at::kChecksum) ||
      LoadLittle<uint64_t>(block.data() + block_at::kNumber) != number ||
      LoadLittle<uint32_t>(block.data() + block_at::kContentBytes) != count) {
    return std::nullopt;
  }
  return block.substr(kBlockHeaderBytes);
}

absl::StatusOr<absl::string_view> ReadAt(File* file, uint64_t offset, size_t count,
                                         std::string* bytes) {
  bytes->resize(count);
  absl::StatusOr<size_t> got = file->Read(offset, count, bytes->data());
  if (!got.ok()) return got.status();
  return absl::string_view(*bytes).substr(0, *got);
}

}  // namespace

absl::StatusOr<SnapshotOutline> ReadSnapshotOutline(File* file) {
  SnapshotOutline outline;
  absl::StatusOr<uint64_t> size = file->Size();
  if (!size.ok()) return size.status();
  outline.file_bytes = *size;
  std::string bytes;
  absl::StatusOr<absl::string_view> head = ReadAt(file, 0, kSnapshotHeadBytes, &bytes);
  if (!head.ok()) return head.status();
  DecodeHead(*head, &outline);
  if (!outline.has_head) return outline;
  const uint64_t rest = std::min<uint64_t>(kFooterBytes, outline.file_bytes - kSnapshotHeadBytes);
  absl::StatusOr<absl::string_view> footer =
      ReadAt(file, outline.file_bytes - rest, static_cast<size_t>(rest), &bytes);
  if (!footer.ok()) return footer.status();
  DecodeFooter(*footer, &outline);
  return outline;
}

SnapshotReader::SnapshotReader(File* file, const SnapshotOutline& outline)
    : file_(file), seed_(outline.seed), content_bytes_(outline.id.bytes) {
  LOCKD_CHECK(outline.state == SnapshotOutline::State::kReadable, "not a readable snapshot");
}

absl::StatusOr<std::optional<SnapshotDamage>> SnapshotReader::Read(uint64_t offset, uint64_t count,
                                                                   std::string* content) {
  if (offset >= content_bytes_ || count == 0) return std::nullopt;
  const uint64_t first = offset / kBlockContentBytes;
  const uint64_t end = std::min({content_bytes_, (first + kBlocksAtOnce) * kBlockContentBytes,
                                 offset + std::min(count, content_bytes_ - offset)});
  const uint64_t last = (end - 1) / kBlockContentBytes;
  const auto content_of = [this](uint64_t number) {
    return std::min<uint64_t>(kBlockContentBytes, content_bytes_ - number * kBlockContentBytes);
  };
  const uint64_t file_end = BlockOffset(last) + kBlockHeaderBytes + content_of(last);
  absl::StatusOr<absl::string_view> bytes = ReadAt(
      file_, BlockOffset(first), static_cast<size_t>(file_end - BlockOffset(first)), &window_);
  if (!bytes.ok()) return bytes.status();
  const size_t size_before = content->size();
  for (uint64_t number = first; number <= last; ++number) {
    const absl::string_view block =
        bytes->substr(std::min<size_t>((number - first) * kBlockBytes, bytes->size()),
                      kBlockHeaderBytes + content_of(number));
    std::optional<absl::string_view> decoded =
        DecodeBlock(block, number, content_of(number), seed_);
    if (!decoded) {
      content->resize(size_before);
      return SnapshotDamage{.offset = BlockOffset(number),
                            .what = absl::StrCat("block ", number, " is damaged")};
    }
    const uint64_t block_begin = number * kBlockContentBytes;
    const uint64_t from = std::max(offset, block_begin) - block_begin;
    const uint64_t to = std::min(end - block_begin, decoded->size());
    content->append(decoded->data() + from, to - from);
  }
  return std::nullopt;
}

SnapshotVerifier::SnapshotVerifier(File* file, const SnapshotOutline& outline)
    : reader_(file, outline), id_(outline.id) {}

absl::StatusOr<bool> SnapshotVerifier::RunSlice() {
  if (damage_) return true;
  content_.clear();
  absl::StatusOr<std::optional<SnapshotDamage>> damage =
      reader_.Read(offset_, std::numeric_limits<uint64_t>::max(), &content_);
  if (!damage.ok()) return damage.status();
  damage_ = *std::move(damage);
  if (damage_) return true;
  checksum_ = ExtendCrc32c(checksum_, content_);
  offset_ += content_.size();
  if (offset_ < id_.bytes) return false;
  if (checksum_ != id_.checksum) {
    damage_ = SnapshotDamage{.offset = SnapshotFileBytes(id_.bytes) - kFooterBytes,
                             .what = "the content's checksum is not the one in the footer"};
  }
  return true;
}

}  // namespace lockd::storage
