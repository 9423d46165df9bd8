#include "consensus/storage/wal_reader.h"

#include <algorithm>

#include "protocol/base/check.h"

namespace lockd::storage {
namespace {

// Read ahead this much at once.
constexpr uint64_t kWindowBytes = 256 * 1024;

LogBase LoadBase(const char* head, size_t index_at, size_t term_at, size_t time_at) {
  return {.index = raft::Index(LoadLittle<uint64_t>(head + index_at)),
          .term = raft::Term(LoadLittle<uint64_t>(head + term_at)),
          .time = ClusterTime(static_cast<int64_t>(LoadLittle<uint64_t>(head + time_at)))};
}

// The fields of a head whose checksum is right.
SegmentHead DecodeHead(const char* at, uint32_t name_bytes) {
  const auto u64 = [at](size_t offset) { return LoadLittle<uint64_t>(at + offset); };
  SegmentHead head;
  head.life = u64(head_at::kLife);
  head.previous_life = u64(head_at::kPreviousLife);
  head.previous_end = u64(head_at::kPreviousEnd);
  head.previous_chain = LoadLittle<uint32_t>(at + head_at::kPreviousChain);
  head.segment_bytes = u64(head_at::kSegmentBytes);
  head.sequence = u64(head_at::kSequence);
  head.identity.node_id = NodeId(u64(head_at::kNodeId));
  head.identity.incarnation = Incarnation(u64(head_at::kIncarnation));
  head.identity.cluster_id = ClusterId(u64(head_at::kClusterId));
  head.identity.cluster_name = std::string(at + head_at::kName, name_bytes);
  head.hard_state.term = raft::Term(u64(head_at::kTerm));
  head.hard_state.voted_for = NodeId(u64(head_at::kVotedFor));
  head.hard_state.commit = raft::Index(u64(head_at::kCommit));
  head.base = LoadBase(at, head_at::kBaseIndex, head_at::kBaseTerm, head_at::kBaseTime);
  head.last = LoadBase(at, head_at::kLastIndex, head_at::kLastTerm, head_at::kLastTime);
  return head;
}

}  // namespace

absl::StatusOr<HeadReading> ReadHead(File* file) {
  HeadReading reading;
  absl::StatusOr<uint64_t> size = file->Size();
  if (!size.ok()) return size.status();
  reading.file_bytes = *size;
  char bytes[kHeadBytes] = {};
  absl::StatusOr<size_t> count = file->Read(0, kHeadBytes, bytes);
  if (!count.ok()) return count.status();
  if (*count < kHeadBytes) return reading;
  if (std::all_of(bytes, bytes + kHeadBytes, [](char byte) { return byte == 0; })) {
    reading.state = HeadState::kZero;
    return reading;
  }
  if (absl::string_view(bytes + head_at::kMagic, kWalMagic.size()) != kWalMagic) return reading;
  reading.chain = LoadLittle<uint32_t>(bytes + head_at::kChecksum);
  const absl::string_view covered(bytes + head_at::kVersion, kHeadBytes - head_at::kVersion);
  if (Crc32c(covered) != reading.chain) return reading;
  reading.version = LoadLittle<uint32_t>(bytes + head_at::kVersion);
  if (reading.version != kWalVersion) {
    reading.state = HeadState::kUnknownVersion;
    return reading;
  }
  const uint32_t name_bytes = LoadLittle<uint32_t>(bytes + head_at::kNameBytes);
  if (name_bytes > kClusterNameBytesMax) return reading;
  reading.state = HeadState::kValid;
  reading.head = DecodeHead(bytes, name_bytes);
  return reading;
}

raft::Entry Record::ToEntry() const {
  return {.term = raft::Term(term),
          .index = raft::Index(index),
          .kind = static_cast<raft::EntryKind>(detail),
          .time = ClusterTime(static_cast<int64_t>(value)),
          .payload = std::string(payload)};
}

raft::HardState Record::ToHardState() const {
  return {.term = raft::Term(term), .voted_for = NodeId(value), .commit = raft::Index(index)};
}

LogBase Record::ToBase() const {
  return {.index = raft::Index(index),
          .term = raft::Term(term),
          .time = ClusterTime(static_cast<int64_t>(value))};
}

WalReader::WalReader(File* file, uint64_t file_bytes, Incarnation incarnation,
                     const WalPosition& position)
    : file_(file),
      file_bytes_(file_bytes),
      seed_(LifeSeed(incarnation, position.life)),
      position_(position) {}

WalReader::WalReader(File* file, uint64_t file_bytes, Incarnation incarnation, uint64_t life,
                     uint64_t offset)
    : WalReader(file, file_bytes, incarnation,
                WalPosition{.life = life, .offset = offset, .sequence = 0, .chain = 0}) {
  believes_first_ = true;
}

absl::StatusOr<absl::string_view> WalReader::Bytes(uint64_t offset, uint64_t count) {
  if (offset > file_bytes_ || count > file_bytes_ - offset) return absl::string_view();
  if (offset < window_offset_ || offset + count > window_offset_ + window_.size()) {
    const uint64_t wanted = std::min(std::max(count, kWindowBytes), file_bytes_ - offset);
    window_.resize(wanted);
    window_offset_ = offset;
    absl::StatusOr<size_t> got = file_->Read(offset, wanted, window_.data());
    if (!got.ok()) {
      window_.clear();
      return got.status();
    }
    window_.resize(*got);
    if (*got < count) return absl::string_view();
  }
  return absl::string_view(window_).substr(offset - window_offset_, count);
}

absl::StatusOr<std::optional<WalReader::BatchHeader>> WalReader::BatchAt(uint64_t offset) {
  absl::StatusOr<absl::string_view> bytes = Bytes(offset, kBatchHeaderBytes);
  if (!bytes.ok()) return bytes.status();
  if (bytes->empty()) return std::nullopt;
  const char* at = bytes->data();
  BatchHeader header;
  header.life = LoadLittle<uint64_t>(at + batch_at::kLife);
  if (header.life != position_.life) return std::nullopt;
  header.checksum = LoadLittle<uint32_t>(at + batch_at::kChecksum);
  header.length = LoadLittle<uint32_t>(at + batch_at::kLength);
  header.sequence = LoadLittle<uint64_t>(at + batch_at::kSequence);
  header.chain = LoadLittle<uint32_t>(at + batch_at::kChain);
  header.record_count = LoadLittle<uint32_t>(at + batch_at::kRecordCount);
  // The length is checked against the file before anything is read or allocated for it.
  const uint64_t rest = file_bytes_ - offset;
  if (header.length < kBatchHeaderBytes || header.length > rest) return std::nullopt;
  bytes = Bytes(offset, std::min(PadToSector(header.length) + header.length, rest));
  if (!bytes.ok()) return bytes.status();
  if (bytes->empty()) return std::nullopt;
  const absl::string_view covered =
      bytes->substr(batch_at::kLength, header.length - batch_at::kLength);
  if (ExtendCrc32c(seed_, covered) != header.checksum) return std::nullopt;
  return header;
}

bool WalReader::DecodeRecords(const BatchHeader& header, absl::string_view body) {
  records_.clear();
  ByteReader reader(body);
  for (uint32_t i = 0; i < header.record_count && reader.ok(); ++i) {
    Record record;
    record.kind = static_cast<RecordKind>(reader.U8());
    record.detail = reader.U8();
    record.group = reader.U16();
    const uint32_t payload_bytes = reader.U32();
    record.index = reader.U64();
    record.term = reader.U64();
    record.value = reader.U64();
    record.payload = reader.Bytes(payload_bytes);
    records_.push_back(record);
  }
  return reader.AtEnd();
}

bool WalReader::Belongs(const BatchHeader& header, uint64_t offset) const {
  const bool is_a_place =
      offset == position_.offset || offset == position_.offset + PadToSector(header.length);
  return is_a_place && (believes_first_ ||
                        (header.sequence == position_.sequence && header.chain == position_.chain));
}

// A batch is written only after the one before it was synced. So a valid batch of this life at or
// beyond a place to which none belongs proves that something acknowledged was damaged.
absl::StatusOr<std::optional<WalReader::Copy>> WalReader::FindCopy() {
  end_ = WalEnd{.offset = position_.offset};
  for (uint64_t offset = position_.offset; offset < file_bytes_; offset += kSectorBytes) {
    absl::StatusOr<std::optional<BatchHeader>> found = BatchAt(offset);
    if (!found.ok()) return found.status();
    if (!found->has_value()) continue;
    if (Belongs(**found, offset)) return Copy{.header = **found, .offset = offset};
    if (end_.kind != WalEnd::Kind::kDamaged) end_.later_offset = offset;
    end_.kind = WalEnd::Kind::kDamaged;
  }
  if (end_.kind == WalEnd::Kind::kDamaged) return std::nullopt;
  absl::StatusOr<absl::string_view> bytes = Bytes(end_.offset, kBatchHeaderBytes);
  if (!bytes.ok()) return bytes.status();
  // The number, too: the second copy of a longer one that was cut may begin right here.
  if (!bytes->empty() && LoadLittle<uint64_t>(bytes->data() + batch_at::kLife) == position_.life &&
      LoadLittle<uint64_t>(bytes->data() + batch_at::kSequence) == position_.sequence) {
    end_.kind = WalEnd::Kind::kTorn;
  }
  return std::nullopt;
}

absl::Status WalReader::CompareCopies(const Copy& whole) {
  const uint64_t length = whole.header.length;
  const uint64_t second_offset = position_.offset + PadToSector(length);
  broken_copy_.reset();
  if (whole.offset == second_offset) {
    broken_copy_ = {.offset = position_.offset, .whole_offset = second_offset, .bytes = length};
    return absl::OkStatus();
  }
  absl::StatusOr<absl::string_view> both = Bytes(position_.offset, PadToSector(length) + length);
  if (!both.ok()) return both.status();
  if (both->empty() || both->substr(0, length) != both->substr(PadToSector(length))) {
    broken_copy_ = {.offset = second_offset, .whole_offset = position_.offset, .bytes = length};
  }
  return absl::OkStatus();
}

bool WalReader::Next() {
  if (!status_.ok()) return false;
  absl::StatusOr<std::optional<Copy>> found = FindCopy();
  if (!found.ok()) {
    status_ = found.status();
    return false;
  }
  if (!found->has_value()) return false;
  const BatchHeader& header = (*found)->header;
  status_ = CompareCopies(**found);
  if (!status_.ok()) return false;
  absl::StatusOr<absl::string_view> bytes = Bytes((*found)->offset, header.length);
  LOCKD_CHECK(bytes.ok() && bytes->size() == header.length, "BatchAt left it in the window");
  if (!DecodeRecords(header, bytes->substr(kBatchHeaderBytes))) {
    end_.kind = WalEnd::Kind::kDamaged;
    end_.later_offset = (*found)->offset;
    return false;
  }
  believes_first_ = false;
  batch_offset_ = position_.offset;
  position_.offset += 2 * PadToSector(header.length);
  position_.sequence = header.sequence + 1;
  position_.chain = header.checksum;
  return true;
}

}  // namespace lockd::storage
