#include "server/state/snapshot_writer.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::state {
namespace {

constexpr uint64_t kNoNumber = std::numeric_limits<uint64_t>::max();

// ---- Each kind of record as the fields that AppendRecord wants

auto FieldsOf(const Session& session) {
  return [&session](FieldWriter& io) { SessionFields(io, session); };
}

auto FieldsOf(const Reply& reply) {
  return [&reply](FieldWriter& io) {
    io.Number(reply.sequence);
    io.Enum(static_cast<ReplyKind>(reply.value.index() + 1));
    std::visit([&io](const auto& value) { ReplyValueFields(io, value); }, reply.value);
  };
}

auto FieldsOf(Sequence acquire, const KeptOutcome& outcome) {
  return [acquire, &outcome](FieldWriter& io) {
    io.Number(acquire);
    AcquireResultFields(io, outcome.result);
  };
}

auto FieldsOf(const LockRecord& lock) {
  return [&lock](FieldWriter& io) {
    const absl::string_view name = lock.name.view();
    LockFields(io, name, lock.hold);
  };
}

auto FieldsOf(const WaiterRecord& waiter) {
  return [&waiter](FieldWriter& io) { WaiterFields(io, waiter); };
}

}  // namespace

SnapshotWriter::SnapshotWriter(const ClusterRecord& cluster, const std::vector<Member>& members,
                               const Digest& digest, const SessionTable* sessions,
                               const LockTable* locks)
    : sessions_(sessions),
      locks_(locks),
      last_number_(cluster.last_number),
      sessions_end_(sessions->slab().end_id()),
      locks_end_(locks->slab().end_id()),
      end_{sessions->slab().live_count(), sessions->outcome_count(), locks->held_count(),
           locks->waiter_count(), digest} {
  ready_.append(kSnapshotMagic.data(), kSnapshotMagic.size());
  const uint16_t version = SnapshotVersionOf(members, cluster.last_node_id);
  AppendLittle(ready_, version);
  AppendRecord(
      RecordKind::kCluster, [&](FieldWriter& io) { ClusterFields(io, cluster, version); }, &ready_);
  for (const Member& member : members) {
    AppendRecord(
        RecordKind::kMember, [&](FieldWriter& io) { MemberRecordFields(io, member, version); },
        &ready_);
  }
}

bool SnapshotWriter::NextPiece(size_t bytes_max, std::string* piece) {
  LOCKD_CHECK(bytes_max > 0, "a piece of no bytes");
  looks_ = 0;
  while (ready_.size() < bytes_max && !is_complete_ && looks_ < kLooksMax) {
    ++looks_;
    Step();
  }
  piece->assign(ready_, 0, bytes_max);
  ready_.erase(0, piece->size());
  return is_complete_ && ready_.empty();
}

// ---- Images

template <typename Fields>
void SnapshotWriter::Save(const Place& place, Fields fields) {
  std::string image;
  AppendRecord(place.kind, fields, &image);
  const bool is_first = images_.emplace(place, std::move(image)).second;
  LOCKD_CHECK(is_first, "what is gone goes again, in slot ", place.slot);
  ++images_saved_;
  LOCKD_REACH(kStateChangedUnderSnapshot);
}

void SnapshotWriter::BeforeSessionChanges(uint32_t slot) {
  const Session& session = (*sessions_)[slot];
  const Place place{RecordKind::kSession, slot, RecordKind::kSession, 0};
  // The only thing that changes more than once.
  if (!IsOld(session.id.value()) || place < at_ || images_.contains(place)) return;
  Save(place, FieldsOf(session));
}

void SnapshotWriter::BeforeReplyGoes(uint32_t slot, const Reply& reply) {
  const Place place{RecordKind::kSession, slot, RecordKind::kReply, reply.sequence.value()};
  if (reply.era == sessions_->era() || place < at_) return;
  Save(place, FieldsOf(reply));
}

void SnapshotWriter::BeforeOutcomeGoes(uint32_t slot, Sequence acquire,
                                       const KeptOutcome& outcome) {
  const Place place{RecordKind::kSession, slot, RecordKind::kOutcome, acquire.value()};
  if (outcome.era == sessions_->era() || place < at_) return;
  Save(place, FieldsOf(acquire, outcome));
}

void SnapshotWriter::BeforeHoldEnds(uint32_t lock) {
  const LockRecord& record = (*locks_)[lock];
  const Place place{RecordKind::kLock, lock, RecordKind::kLock, 0};
  if (!IsOld(record.hold.token.value()) || place < at_) return;
  Save(place, FieldsOf(record));
}

void SnapshotWriter::BeforeWaiterGoes(uint32_t waiter) {
  const WaiterRecord& record = locks_->waiter(waiter);
  if (waiter == next_waiter_) next_waiter_ = record.next;
  const Place place{RecordKind::kLock, record.lock, RecordKind::kWaiter, record.position};
  if (!IsOld(record.position) || place < at_) return;
  Save(place, FieldsOf(record));
}

bool SnapshotWriter::IsImageNext(uint64_t live_number) const {
  if (images_.empty()) return false;
  const Place& first = images_.begin()->first;
  return first.section == at_.section && first.slot == at_.slot && first.kind == at_.kind &&
         first.number <= live_number;
}

void SnapshotWriter::WriteImage() {
  const auto image = images_.begin();
  at_.number = image->first.number + 1;
  ready_ += image->second;
  images_.erase(image);
}

// ---- The walk

void SnapshotWriter::Step() {
  switch (at_.kind) {
    case RecordKind::kSession:
      return StepSession();
    case RecordKind::kReply:
      return StepReply();
    case RecordKind::kOutcome:
      return StepOutcome();
    case RecordKind::kLock:
      return StepLock();
    case RecordKind::kWaiter:
      return StepWaiter();
    case RecordKind::kEnd:
      return StepEnd();
    case RecordKind::kCluster:
    case RecordKind::kMember:
      break;  // written in the beginning
  }
  LOCKD_UNREACHABLE("a walk at ", static_cast<int>(at_.kind));
}

// Moves `at_` on to the next slot that is or was in use; false: it is not known yet whether that
// one is, or there is none any more.
template <typename T>
bool SnapshotWriter::IsAtSlotInUse(const Slab<T>& slab, uint32_t end) {
  uint32_t next = slab.NextLive(at_.slot, end);
  if (!images_.empty() && images_.begin()->first.section == at_.section) {
    const uint32_t slot = images_.begin()->first.slot;
    LOCKD_CHECK(slot >= at_.slot, "slot ", slot, " was passed over and has an image");
    next = std::min(next, slot);
  }
  return std::exchange(at_.slot, next) == next && next != end;
}

const Session* SnapshotWriter::OldSession() const {
  const Slab<Session>& slab = sessions_->slab();
  if (!slab.IsLive(at_.slot) || !IsOld(slab[at_.slot].id.value())) return nullptr;
  return &slab[at_.slot];
}

void SnapshotWriter::StepSession() {
  if (!IsAtSlotInUse(sessions_->slab(), sessions_end_)) {
    if (at_.slot == sessions_end_) at_ = {RecordKind::kLock, 0, RecordKind::kLock, 0};
    return;
  }
  if (IsImageNext(0)) {
    WriteImage();
  } else if (const Session* session = OldSession()) {
    AppendRecord(RecordKind::kSession, FieldsOf(*session), &ready_);
  } else {
    ++at_.slot;
    return;
  }
  at_.kind = RecordKind::kReply;
  at_.number = 0;
}

void SnapshotWriter::StepReply() {
  const Session* session = OldSession();
  const Reply* reply =
      session == nullptr ? nullptr : session->replies.AtOrAfter(Sequence(at_.number));
  if (IsImageNext(reply == nullptr ? kNoNumber : reply->sequence.value())) return WriteImage();
  if (reply == nullptr) {
    at_.kind = RecordKind::kOutcome;
    at_.number = 0;
    return;
  }
  if (reply->era != sessions_->era()) AppendRecord(at_.kind, FieldsOf(*reply), &ready_);
  at_.number = reply->sequence.value() + 1;
}

void SnapshotWriter::StepOutcome() {
  const Session* session = OldSession();
  const std::pair<const Sequence, KeptOutcome>* outcome = nullptr;
  if (session != nullptr) {
    const auto at = session->outcomes.lower_bound(Sequence(at_.number));
    if (at != session->outcomes.end()) outcome = &*at;
  }
  if (IsImageNext(outcome == nullptr ? kNoNumber : outcome->first.value())) return WriteImage();
  if (outcome == nullptr) {
    at_ = {RecordKind::kSession, at_.slot + 1, RecordKind::kSession, 0};
    return;
  }
  if (outcome->second.era != sessions_->era()) {
    AppendRecord(at_.kind, FieldsOf(outcome->first, outcome->second), &ready_);
  }
  at_.number = outcome->first.value() + 1;
}

void SnapshotWriter::StepLock() {
  const Slab<LockRecord>& slab = locks_->slab();
  if (!IsAtSlotInUse(slab, locks_end_)) {
    if (at_.slot == locks_end_) at_ = {RecordKind::kEnd, 0, RecordKind::kEnd, 0};
    return;
  }
  const bool is_live = slab.IsLive(at_.slot);
  if (IsImageNext(0)) {
    WriteImage();
  } else if (is_live && IsOld(slab[at_.slot].hold.token.value())) {
    AppendRecord(RecordKind::kLock, FieldsOf(slab[at_.slot]), &ready_);
  } else {
    ++at_.slot;
    return;
  }
  // Whoever holds it now: as long as somebody of then waits, the record is the one of then.
  next_waiter_ = is_live ? slab[at_.slot].first_waiter : kNoRecord;
  at_.kind = RecordKind::kWaiter;
  at_.number = 0;
}

void SnapshotWriter::StepWaiter() {
  const WaiterRecord* waiter = next_waiter_ == kNoRecord ? nullptr : &locks_->waiter(next_waiter_);
  if (waiter != nullptr && !IsOld(waiter->position)) waiter = nullptr;
  if (IsImageNext(waiter == nullptr ? kNoNumber : waiter->position)) return WriteImage();
  if (waiter == nullptr) {
    next_waiter_ = kNoRecord;
    at_ = {RecordKind::kLock, at_.slot + 1, RecordKind::kLock, 0};
    return;
  }
  AppendRecord(at_.kind, FieldsOf(*waiter), &ready_);
  at_.number = waiter->position + 1;
  next_waiter_ = waiter->next;
}

void SnapshotWriter::StepEnd() {
  LOCKD_CHECK(images_.empty(), images_.size(), " images were passed over");
  AppendRecord(
      RecordKind::kEnd, [this](FieldWriter& io) { EndFields(io, end_); }, &ready_);
  is_complete_ = true;
}

}  // namespace lockd::state
