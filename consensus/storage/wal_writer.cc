#include "consensus/storage/wal_writer.h"

#include <algorithm>
#include <limits>

#include "protocol/base/check.h"

namespace lockd::storage {
namespace {

// A buffer that one large write has grown beyond this is given back.
constexpr size_t kBufferBytesKept = 4 * 1024 * 1024;

void StoreBase(char* head, size_t index_at, size_t term_at, size_t time_at, const LogBase& base) {
  StoreLittle<uint64_t>(head + index_at, base.index.value());
  StoreLittle<uint64_t>(head + term_at, base.term.value());
  StoreLittle<uint64_t>(head + time_at, static_cast<uint64_t>(base.time.value()));
}

}  // namespace

std::string EncodeHead(const SegmentHead& head) {
  const std::string& name = head.identity.cluster_name;
  LOCKD_CHECK(name.size() <= kClusterNameBytesMax, "cluster name of ", name.size(), " bytes");
  std::string bytes(kHeadBytes, '\0');
  char* at = bytes.data();
  kWalMagic.copy(at + head_at::kMagic, kWalMagic.size());
  StoreLittle<uint32_t>(at + head_at::kVersion, kWalVersion);
  StoreLittle<uint64_t>(at + head_at::kLife, head.life);
  StoreLittle<uint64_t>(at + head_at::kPreviousLife, head.previous_life);
  StoreLittle<uint64_t>(at + head_at::kPreviousEnd, head.previous_end);
  StoreLittle<uint32_t>(at + head_at::kPreviousChain, head.previous_chain);
  StoreLittle<uint32_t>(at + head_at::kNameBytes, static_cast<uint32_t>(name.size()));
  StoreLittle<uint64_t>(at + head_at::kSegmentBytes, head.segment_bytes);
  StoreLittle<uint64_t>(at + head_at::kSequence, head.sequence);
  StoreLittle<uint64_t>(at + head_at::kNodeId, head.identity.node_id.value());
  StoreLittle<uint64_t>(at + head_at::kIncarnation, head.identity.incarnation.value());
  StoreLittle<uint64_t>(at + head_at::kClusterId, head.identity.cluster_id.value());
  StoreLittle<uint64_t>(at + head_at::kTerm, head.hard_state.term.value());
  StoreLittle<uint64_t>(at + head_at::kVotedFor, head.hard_state.voted_for.value());
  StoreLittle<uint64_t>(at + head_at::kCommit, head.hard_state.commit.value());
  StoreBase(at, head_at::kBaseIndex, head_at::kBaseTerm, head_at::kBaseTime, head.base);
  StoreBase(at, head_at::kLastIndex, head_at::kLastTerm, head_at::kLastTime, head.last);
  name.copy(at + head_at::kName, name.size());
  const absl::string_view covered(at + head_at::kVersion, kHeadBytes - head_at::kVersion);
  StoreLittle<uint32_t>(at + head_at::kChecksum, Crc32c(covered));
  return bytes;
}

WalPosition FirstPosition(const SegmentHead& head, absl::string_view encoded_head) {
  return {.life = head.life,
          .offset = kHeadBytes,
          .sequence = head.sequence,
          .chain = LoadLittle<uint32_t>(encoded_head.data() + head_at::kChecksum)};
}

WalWriter::WalWriter(Incarnation incarnation) : incarnation_(incarnation) {
  Clear();
}

void WalWriter::Clear() {
  if (buffer_.capacity() > kBufferBytesKept) buffer_ = std::string();
  buffer_.assign(kBatchHeaderBytes, '\0');
  record_count_ = 0;
}

void WalWriter::AddEntry(const raft::Entry& entry) {
  AddRecord(RecordKind::kEntry, static_cast<uint8_t>(entry.kind), entry.index.value(),
            entry.term.value(), static_cast<uint64_t>(entry.time.value()), entry.payload);
}

void WalWriter::AddHardState(const raft::HardState& state) {
  AddRecord(RecordKind::kHardState, 0, state.commit.value(), state.term.value(),
            state.voted_for.value(), {});
}

void WalWriter::AddBase(const LogBase& base, bool forgets_all) {
  AddRecord(RecordKind::kBase, forgets_all ? kBaseForgetsAll : uint8_t{0}, base.index.value(),
            base.term.value(), static_cast<uint64_t>(base.time.value()), {});
}

void WalWriter::AddCluster(ClusterId cluster_id) {
  AddRecord(RecordKind::kCluster, 0, 0, 0, cluster_id.value(), {});
}

void WalWriter::AddSeal(uint64_t next_life) {
  LOCKD_CHECK(empty(), "a seal is alone in its batch");
  AddRecord(RecordKind::kSeal, 0, 0, 0, next_life, {});
}

void WalWriter::AddRecord(RecordKind kind, uint8_t detail, uint64_t index, uint64_t term,
                          uint64_t value, absl::string_view payload) {
  LOCKD_CHECK(payload.size() <= std::numeric_limits<uint32_t>::max() / 2, payload.size());
  AppendLittle<uint8_t>(buffer_, static_cast<uint8_t>(kind));
  AppendLittle<uint8_t>(buffer_, detail);
  AppendLittle<uint16_t>(buffer_, 0);  // the one group of today
  AppendLittle<uint32_t>(buffer_, static_cast<uint32_t>(payload.size()));
  AppendLittle<uint64_t>(buffer_, index);
  AppendLittle<uint64_t>(buffer_, term);
  AppendLittle<uint64_t>(buffer_, value);
  buffer_.append(payload.data(), payload.size());
  ++record_count_;
}

absl::Status WalWriter::Append(File* file, WalPosition* position) {
  LOCKD_CHECK(!empty(), "an empty batch");
  LOCKD_CHECK(position->offset % kSectorBytes == 0, position->offset);
  const size_t length = buffer_.size();
  LOCKD_CHECK(length <= std::numeric_limits<uint32_t>::max(), length);
  char* at = buffer_.data();
  StoreLittle<uint32_t>(at + batch_at::kLength, static_cast<uint32_t>(length));
  StoreLittle<uint64_t>(at + batch_at::kLife, position->life);
  StoreLittle<uint64_t>(at + batch_at::kSequence, position->sequence);
  StoreLittle<uint32_t>(at + batch_at::kChain, position->chain);
  StoreLittle<uint32_t>(at + batch_at::kRecordCount, record_count_);
  const uint32_t checksum =
      ExtendCrc32c(LifeSeed(incarnation_, position->life),
                   absl::string_view(at + batch_at::kLength, length - batch_at::kLength));
  StoreLittle<uint32_t>(at + batch_at::kChecksum, checksum);

  const uint64_t padded = PadToSector(length);
  buffer_.resize(2 * padded, '\0');
  std::copy_n(buffer_.data(), length, buffer_.data() + padded);
  absl::Status written = file->Write(position->offset, buffer_);
  buffer_.resize(length);
  if (!written.ok()) return written;
  position->offset += 2 * padded;
  position->sequence += 1;
  position->chain = checksum;
  return absl::OkStatus();
}

}  // namespace lockd::storage
