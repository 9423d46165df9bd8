#include "server/state/snapshot_loader.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "server/state/command.h"

namespace lockd::state {
namespace {

constexpr uint64_t kNumberMax = std::numeric_limits<int64_t>::max();
// Far above any cluster time, and no sum with a duration overflows.
constexpr ClusterTime kTimeMax{std::numeric_limits<int64_t>::max() / 4};

bool IsNumber(uint64_t number, uint64_t last) {
  return number >= 1 && number <= last;
}
bool IsTime(ClusterTime time, ClusterTime latest) {
  return time >= ClusterTime(0) && time <= latest;
}
bool IsDuration(int64_t ms) {
  return ms >= 0 && ms <= kDurationMsMax;
}
bool IsMode(LockMode mode) {
  return mode == LockMode::kExclusive;
}

// ---- Values whose enums all have a name

template <typename E>
bool IsBetween(E value, E first, E last) {
  return value >= first && value <= last;
}
bool IsKnown(const AcquireResult& r) {
  return IsBetween(r.kind, AcquireOutcomeKind::kQueued, AcquireOutcomeKind::kLimit) &&
         IsBetween(r.limit, LimitKind::kNone, LimitKind::kWaitersPerSessionMax) &&
         IsMode(r.grant.mode);
}
bool IsKnown(const ReleaseResult& r) {
  return IsBetween(r.outcome, ReleaseOutcome::kReleased, ReleaseOutcome::kStale);
}
bool IsKnown(const CancelResult& r) {
  return IsBetween(r.outcome, CancelOutcome::kCancelled, CancelOutcome::kEnded) &&
         IsKnown(r.acquire);
}
bool IsKnown(const ReconcileResult&) {
  return true;
}

// Of one of the alternatives; nothing, if it is not all there.
template <typename Result>
std::optional<ReplyValue> ReadReply(FieldReader& io) {
  Result result;
  ReplyValueFields(io, result);
  if (!io.AtEnd() || !IsKnown(result)) return std::nullopt;
  return ReplyValue(std::in_place_type<Result>, result);
}

std::optional<ReplyValue> ReadReply(ReplyKind kind, FieldReader& io) {
  switch (kind) {
    case ReplyKind::kAcquire:
      return ReadReply<AcquireResult>(io);
    case ReplyKind::kRelease:
      return ReadReply<ReleaseResult>(io);
    case ReplyKind::kCancel:
      return ReadReply<CancelResult>(io);
    case ReplyKind::kReconcile:
      return ReadReply<ReconcileResult>(io);
  }
  return std::nullopt;
}

}  // namespace

SnapshotLoader::SnapshotLoader(const HashKey& hash_key)
    : database_(std::make_unique<LockDatabase>(hash_key)) {}

// ---- Bytes into records

absl::Status SnapshotLoader::Add(absl::string_view bytes) {
  while (status_.ok() && !bytes.empty()) {
    if (partial_.empty() && bytes.size() >= part_bytes_) {
      const absl::string_view part = bytes.substr(0, part_bytes_);
      bytes.remove_prefix(part.size());
      status_ = OnPart(part);
      continue;
    }
    const size_t taken = std::min(bytes.size(), part_bytes_ - partial_.size());
    partial_.append(bytes.data(), taken);
    bytes.remove_prefix(taken);
    if (partial_.size() < part_bytes_) break;
    const std::string part = std::exchange(partial_, std::string());
    status_ = OnPart(part);
  }
  return status_;
}

absl::Status SnapshotLoader::OnPart(absl::string_view part) {
  absl::Status status;
  switch (part_) {
    case Part::kHead:
      status = OnHead(part);
      break;
    case Part::kRecordHead:
      status = OnRecordHead(part);
      break;
    case Part::kPayload:
      status = OnRecord(part);
      break;
  }
  offset_ += part.size();
  return status;
}

absl::Status SnapshotLoader::OnHead(absl::string_view head) {
  if (head.substr(0, kSnapshotMagic.size()) != kSnapshotMagic) {
    return absl::DataLossError("this is not a snapshot of lockd: it begins with other bytes");
  }
  version_ = LoadLittle<uint16_t>(head.data() + kSnapshotMagic.size());
  if (version_ == 0 || version_ > kSnapshotVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a snapshot has version ", version_, ", this build knows up to ", kSnapshotVersion,
        ": run a version of lockd at least as new as the newest that this cluster has run"));
  }
  ExpectPart(Part::kRecordHead, kRecordHeadBytes);
  return absl::OkStatus();
}

absl::Status SnapshotLoader::OnRecordHead(absl::string_view head) {
  ByteReader reader(head);
  kind_ = static_cast<RecordKind>(reader.U8());
  const size_t length = reader.U16();
  if (!MayFollow(kind_)) {
    return Damaged(absl::StrCat("it may not follow kind ", static_cast<int>(last_kind_)));
  }
  if (length == 0 || length > kRecordPayloadBytesMax) {
    return Damaged(absl::StrCat("it has ", length, " bytes"));
  }
  ExpectPart(Part::kPayload, length);
  return absl::OkStatus();
}

bool SnapshotLoader::MayFollow(RecordKind kind) const {
  const bool has_begun = last_kind_ != RecordKind{};
  switch (kind) {
    case RecordKind::kCluster:
      return !has_begun;
    case RecordKind::kMember:
      return last_kind_ == RecordKind::kCluster || last_kind_ == RecordKind::kMember;
    case RecordKind::kSession:
      return has_begun && last_kind_ <= RecordKind::kOutcome;
    case RecordKind::kReply:
      return last_kind_ == RecordKind::kSession || last_kind_ == RecordKind::kReply;
    case RecordKind::kOutcome:
      return IsBetween(last_kind_, RecordKind::kSession, RecordKind::kOutcome);
    case RecordKind::kWaiter:
      return IsBetween(last_kind_, RecordKind::kLock, RecordKind::kWaiter);
    case RecordKind::kLock:
    case RecordKind::kEnd:
      return has_begun && last_kind_ <= RecordKind::kWaiter;
  }
  return false;
}

absl::Status SnapshotLoader::OnRecord(absl::string_view payload) {
  FieldReader io(payload);
  absl::Status status;
  switch (kind_) {
    case RecordKind::kCluster:
      status = OnCluster(io);
      break;
    case RecordKind::kMember:
      status = OnMember(io);
      break;
    case RecordKind::kSession:
      status = OnSession(io);
      break;
    case RecordKind::kReply:
      status = OnReply(io);
      break;
    case RecordKind::kOutcome:
      status = OnOutcome(io);
      break;
    case RecordKind::kLock:
      status = OnLock(io);
      break;
    case RecordKind::kWaiter:
      status = OnWaiter(io);
      break;
    case RecordKind::kEnd:
      status = OnEnd(io);
      break;
  }
  last_kind_ = kind_;
  ExpectPart(Part::kRecordHead, kRecordHeadBytes);
  return status;
}

absl::Status SnapshotLoader::Damaged(absl::string_view why) const {
  return absl::DataLossError(
      absl::StrCat("a snapshot is damaged: its record at byte ",
                   offset_ - (part_ == Part::kPayload ? kRecordHeadBytes : 0), ", of kind ",
                   static_cast<int>(kind_), ": ", why));
}

// ---- The cluster's own record

absl::Status SnapshotLoader::OnCluster(FieldReader& io) {
  ClusterRecord cluster;
  ClusterFields(io, cluster, version_);
  if (!io.AtEnd()) return Damaged("it cannot be decoded");
  if (cluster.feature_level > kFeatureLevelMax) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a snapshot is of feature level ", cluster.feature_level,
        ", this build knows levels up to ", kFeatureLevelMax, ": run a newer version of lockd"));
  }
  const absl::Status settings = ValidateCommand(SetSettings{cluster.settings}, cluster.settings);
  if (!settings.ok()) return Damaged(settings.message());
  if (cluster.feature_level == 0 || cluster.last_number > kNumberMax ||
      cluster.last_node_id.value() > kNumberMax || !IsTime(cluster.time, kTimeMax)) {
    return Damaged("a number is out of range");
  }
  database_->time_ = cluster.time;
  database_->wall_time_ = cluster.wall_time;
  database_->counter_ = cluster.last_number;
  database_->cluster_id_ = cluster.cluster_id;
  database_->feature_level_ = cluster.feature_level;
  database_->settings_ = cluster.settings;
  database_->last_node_id_ = cluster.last_node_id;
  return absl::OkStatus();
}

absl::Status SnapshotLoader::OnMember(FieldReader& io) {
  Member member;
  MemberRecordFields(io, member, version_);
  if (!io.AtEnd()) return Damaged("it cannot be decoded");
  const absl::Status valid = ValidateCommand(RegisterMember{member}, database_->settings_);
  if (!valid.ok()) return Damaged(valid.message());
  if (!IsBetween(member.role, MemberRole::kVoter, MemberRole::kOutgoing)) {
    return Damaged(absl::StrCat("node ", member.node_id, " has an unknown role"));
  }
  std::vector<Member>& members = database_->members_;
  if (!members.empty() && members.back().node_id >= member.node_id) {
    return Damaged("members do not ascend by node id");
  }
  if (members.size() == kMembersMax) return Damaged("there are too many members");
  if (version_ == 1) database_->last_node_id_ = member.node_id;
  if (member.node_id > database_->last_node_id_) {
    return Damaged(absl::StrCat("node id ", member.node_id, " was never given"));
  }
  members.push_back(std::move(member));
  return absl::OkStatus();
}

absl::Status SnapshotLoader::CheckMembers() const {
  const std::vector<Member>& members = database_->members_;
  if (!members.empty() && !HaveVoters(members)) return Damaged("nobody could be elected");
  // Each state has one content.
  const uint16_t version = SnapshotVersionOf(members, database_->last_node_id_);
  if (version == version_) return absl::OkStatus();
  return Damaged(absl::StrCat("what is there is of version ", version, ", not ", version_));
}

// ---- Sessions

absl::Status SnapshotLoader::OnSession(FieldReader& io) {
  Session session;
  SessionFields(io, session);
  if (!io.AtEnd()) return Damaged("it cannot be decoded");
  const ClusterTime now = database_->time_;
  if (!IsNumber(session.id.value(), database_->counter_) ||
      database_->sessions_.Find(session.id) != kNoRecord) {
    return Damaged(absl::StrCat("session ", session.id, " is there twice or was never opened"));
  }
  if (!IsDuration(session.ttl_ms) || !IsDuration(session.grace_ms)) {
    return Damaged("a duration is out of range");
  }
  const bool is_refounded = session.ended && session.end_reason == SessionEndReason::kRefounded;
  // Its end is put off by the TTL of another one.
  const int64_t lease_ms = ServerDurationMs(is_refounded ? kDurationMsMax : session.ttl_ms);
  const bool is_in_range =
      session.owner_id.size() <= kOwnerIdBytesMax && session.epoch.value() >= 1 &&
      session.acknowledged_through.value() <= kNumberMax &&
      IsTime(session.deadline, now + lease_ms) &&
      (session.grace_deadline == kNeverCluster ||
       IsTime(session.grace_deadline, now + ServerDurationMs(session.grace_ms))) &&
      IsTime(session.kept_until, now + kEndedSessionKeptMs) &&
      IsBetween(session.end_reason, SessionEndReason::kClosed, SessionEndReason::kRefounded);
  if (!is_in_range) return Damaged("a number is out of range");
  const bool is_whole = session.ended ? session.grace_deadline == kNeverCluster
                                      : !session.settled && session.kept_until.is_zero() &&
                                            session.end_reason == SessionEndReason::kClosed;
  if (!is_whole) return Damaged(absl::StrCat("session ", session.id, " is half ended"));
  slot_ = database_->sessions_.Restore(std::move(session));
  database_->ArmSession(slot_);
  return absl::OkStatus();
}

absl::Status SnapshotLoader::OnReply(FieldReader& io) {
  const Session& session = database_->sessions_[slot_];
  Sequence sequence;
  ReplyKind kind{};
  io.Number(sequence);
  io.Enum(kind);
  const std::optional<ReplyValue> value = ReadReply(kind, io);
  if (!value.has_value()) return Damaged("it cannot be decoded");
  const Sequence last = session.replies.empty() ? session.acknowledged_through
                                                : (session.replies.end() - 1)->sequence;
  if (sequence <= last || sequence - session.acknowledged_through > kSequenceWindow) {
    return Damaged(absl::StrCat("reply ", sequence, " of session ", session.id,
                                " is out of order or outside the window"));
  }
  database_->sessions_.AddReply(slot_, sequence, *value);
  return absl::OkStatus();
}

absl::Status SnapshotLoader::OnOutcome(FieldReader& io) {
  const Session& session = database_->sessions_[slot_];
  Sequence acquire;
  AcquireResult result;
  io.Number(acquire);
  AcquireResultFields(io, result);
  if (!io.AtEnd() || !IsKnown(result)) return Damaged("it cannot be decoded");
  if (result.kind == AcquireOutcomeKind::kQueued) return Damaged("an outcome is not final");
  if (!session.outcomes.empty() && acquire <= session.outcomes.rbegin()->first) {
    return Damaged(
        absl::StrCat("outcome ", acquire, " of session ", session.id, " is out of order"));
  }
  database_->sessions_.RestoreOutcome(slot_, acquire, result);
  return absl::OkStatus();
}

// ---- Locks

uint32_t SnapshotLoader::FindOwner(SessionId id, Sequence acquire) const {
  const uint32_t slot = database_->sessions_.Find(id);
  if (slot == kNoRecord) return kNoRecord;
  const Session& session = database_->sessions_[slot];
  return session.settled || session.acquires.contains(acquire) ? kNoRecord : slot;
}

absl::Status SnapshotLoader::OnLock(FieldReader& io) {
  absl::string_view name;
  Hold hold;
  LockFields(io, name, hold);
  if (!io.AtEnd()) return Damaged("it cannot be decoded");
  if (name.empty() || name.size() > kLockNameBytesMax ||
      database_->locks_.Find(name) != kNoRecord) {
    return Damaged("a lock has a bad name, or is there twice");
  }
  if (!IsNumber(hold.token.value(), database_->counter_) ||
      !IsTime(hold.granted_at, database_->time_) || !IsDuration(hold.max_hold_ms) ||
      !IsMode(hold.mode)) {
    return Damaged("a number is out of range");
  }
  hold.session_slot = FindOwner(hold.session, hold.acquire);
  if (hold.session_slot == kNoRecord) {
    return Damaged(absl::StrCat("session ", hold.session, " cannot hold it"));
  }
  lock_ = database_->locks_.Create(name);
  database_->AddHold(lock_, hold);
  return absl::OkStatus();
}

absl::Status SnapshotLoader::OnWaiter(FieldReader& io) {
  WaiterRecord waiter;
  WaiterFields(io, waiter);
  if (!io.AtEnd()) return Damaged("it cannot be decoded");
  const LockTable& locks = database_->locks_;
  const uint32_t last = locks[lock_].last_waiter;
  if (!IsNumber(waiter.position, database_->counter_) ||
      (last != kNoRecord && locks.waiter(last).position >= waiter.position)) {
    return Damaged(absl::StrCat("position ", waiter.position, " is out of order"));
  }
  const bool is_in_range = (waiter.deadline == kNeverCluster ||
                            IsTime(waiter.deadline, database_->time_ + kDurationMsMax)) &&
                           IsDuration(waiter.max_hold_ms) && IsMode(waiter.mode);
  if (!is_in_range) return Damaged("a number is out of range");
  waiter.session_slot = FindOwner(waiter.session, waiter.acquire);
  if (waiter.session_slot == kNoRecord ||
      database_->sessions_[waiter.session_slot].outcomes.contains(waiter.acquire)) {
    return Damaged(absl::StrCat("session ", waiter.session, " cannot wait for it"));
  }
  database_->AddWaiter(lock_, waiter);
  return absl::OkStatus();
}

// ---- The end

absl::Status SnapshotLoader::OnEnd(FieldReader& io) {
  EndFields(io, end_);
  if (!io.AtEnd()) return Damaged("it cannot be decoded");
  const absl::Status members = CheckMembers();
  if (!members.ok()) return members;
  const EndRecord found{database_->sessions_.slab().live_count(),
                        database_->sessions_.outcome_count(), database_->lock_count(),
                        database_->waiter_count(), end_.digest};
  if (found == end_) return absl::OkStatus();
  return Damaged(absl::StrCat("it counts ", end_.sessions, " sessions, ", end_.outcomes,
                              " outcomes, ", end_.locks, " locks and ", end_.waiters,
                              " waiters; there are ", found.sessions, ", ", found.outcomes, ", ",
                              found.locks, " and ", found.waiters));
}

absl::StatusOr<std::unique_ptr<LockDatabase>> SnapshotLoader::Finish() {
  LOCKD_CHECK(database_ != nullptr, "a snapshot is finished twice");
  if (!status_.ok()) return status_;
  if (last_kind_ != RecordKind::kEnd || !partial_.empty()) {
    return absl::DataLossError(absl::StrCat("a snapshot is damaged: it ends at byte ",
                                            offset_ + partial_.size(), ", before its end record"));
  }
  if (database_->digest() != end_.digest) {
    return absl::DataLossError(
        absl::StrCat("a snapshot is damaged: the digest of what was loaded, ",
                     absl::Hex(database_->digest().high, absl::kZeroPad16),
                     absl::Hex(database_->digest().low, absl::kZeroPad16),
                     ", is not the one in it, ", absl::Hex(end_.digest.high, absl::kZeroPad16),
                     absl::Hex(end_.digest.low, absl::kZeroPad16)));
  }
  database_->cleaned_all_ = !database_->HasBacklog();
  return std::move(database_);
}

}  // namespace lockd::state
