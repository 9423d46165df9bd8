#include "consensus/storage/snapshot_writer.h"

#include <algorithm>
#include <utility>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"

namespace lockd::storage {
namespace {

constexpr uint64_t kSyncEveryBytes = 256 * 1024;

std::string EncodeHead(const SnapshotHead& head) {
  namespace at = snapshot_head_at;
  const std::string& name = head.identity.cluster_name;
  LOCKD_CHECK(name.size() <= kClusterNameBytesMax, "cluster name of ", name.size(), " bytes");
  std::string bytes(kSnapshotHeadBytes, '\0');
  char* to = bytes.data();
  kSnapshotMagic.copy(to + at::kMagic, kSnapshotMagic.size());
  StoreLittle<uint32_t>(to + at::kVersion, kSnapshotVersion);
  StoreLittle<uint64_t>(to + at::kFileNumber, head.file_number);
  StoreLittle<uint32_t>(to + at::kBlockBytes, static_cast<uint32_t>(kBlockContentBytes));
  StoreLittle<uint32_t>(to + at::kNameBytes, static_cast<uint32_t>(name.size()));
  StoreLittle<uint64_t>(to + at::kNodeId, head.identity.node_id.value());
  StoreLittle<uint64_t>(to + at::kIncarnation, head.identity.incarnation.value());
  StoreLittle<uint64_t>(to + at::kClusterId, head.identity.cluster_id.value());
  StoreLittle<uint64_t>(to + at::kBaseIndex, head.base.index.value());
  StoreLittle<uint64_t>(to + at::kBaseTerm, head.base.term.value());
  StoreLittle<uint64_t>(to + at::kBaseTime, static_cast<uint64_t>(head.base.time.value()));
  name.copy(to + at::kName, name.size());
  StoreLittle<uint32_t>(to + at::kChecksum, Crc32c(absl::string_view(bytes).substr(at::kVersion)));
  return bytes;
}

}  // namespace

SnapshotWriter::SnapshotWriter(std::unique_ptr<File> file, const SnapshotHead& head)
    : file_(std::move(file)), encoded_(EncodeHead(head)) {
  seed_ = LoadLittle<uint32_t>(encoded_.data() + snapshot_head_at::kChecksum);
  id_.base = head.base;
}

void SnapshotWriter::EncodeBlock(absl::string_view content) {
  const size_t begin = encoded_.size();
  AppendLittle<uint32_t>(encoded_, 0);
  AppendLittle<uint32_t>(encoded_, static_cast<uint32_t>(content.size()));
  AppendLittle<uint64_t>(encoded_, block_count_++);
  encoded_.append(content.data(), content.size());
  const absl::string_view covered =
      absl::string_view(encoded_).substr(begin + block_at::kContentBytes);
  StoreLittle<uint32_t>(encoded_.data() + begin + block_at::kChecksum,
                        ExtendCrc32c(seed_, covered));
}

absl::Status SnapshotWriter::Add(absl::string_view content) {
  if (!failed_.ok()) return failed_;
  id_.bytes += content.size();
  id_.checksum = ExtendCrc32c(id_.checksum, content);
  while (partial_.size() + content.size() >= kBlockContentBytes) {
    const size_t taken = kBlockContentBytes - partial_.size();
    if (partial_.empty()) {
      EncodeBlock(content.substr(0, taken));
    } else {
      partial_.append(content.data(), taken);
      EncodeBlock(partial_);
      partial_.clear();
    }
    content.remove_prefix(taken);
  }
  partial_.append(content.data(), content.size());
  return WriteOut(/*must_sync=*/false);
}

absl::Status SnapshotWriter::Finish() {
  if (!failed_.ok()) return failed_;
  if (!partial_.empty()) EncodeBlock(partial_);
  partial_.clear();
  std::string footer(kFooterBytes, '\0');
  kSnapshotEndMagic.copy(footer.data() + footer_at::kMagic, kSnapshotEndMagic.size());
  StoreLittle<uint32_t>(footer.data() + footer_at::kContentChecksum, id_.checksum);
  StoreLittle<uint64_t>(footer.data() + footer_at::kContentBytes, id_.bytes);
  StoreLittle<uint64_t>(footer.data() + footer_at::kBlockCount, block_count_);
  const absl::string_view covered = absl::string_view(footer).substr(footer_at::kContentChecksum);
  StoreLittle<uint32_t>(footer.data() + footer_at::kChecksum, ExtendCrc32c(seed_, covered));
  encoded_ += footer;
  return WriteOut(/*must_sync=*/true);
}

absl::Status SnapshotWriter::WriteOut(bool must_sync) {
  if (!encoded_.empty()) failed_ = file_->Write(offset_, encoded_);
  if (!failed_.ok()) return failed_;
  offset_ += encoded_.size();
  unsynced_bytes_ += encoded_.size();
  encoded_.clear();
  if (must_sync || unsynced_bytes_ >= kSyncEveryBytes) {
    failed_ = file_->Sync();
    unsynced_bytes_ = 0;
  }
  return failed_;
}

}  // namespace lockd::storage
