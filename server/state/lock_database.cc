#include "server/state/lock_database.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "protocol/base/check.h"
#include "server/state/command.h"
#include "server/state/members.h"
#include "server/state/snapshot_format.h"
#include "server/state/snapshot_writer.h"

namespace lockd::state {
namespace {

// Records that one listing call looks at.
constexpr uint32_t kListedRecordsMax = 16'384;

CommandResult Refused(Refusal refusal) {
  CommandResult result;
  result.refusal = refusal;
  return result;
}

// What a level above means, this build does not know: no replica may guess.
void CheckKnown(uint32_t feature_level) {
  LOCKD_CHECK(feature_level <= kFeatureLevelMax, "the cluster runs at feature level ",
              feature_level, ", this build knows levels up to ", kFeatureLevelMax,
              ": run a newer version of lockd");
}

}  // namespace

const char* LimitName(LimitKind limit) {
  switch (limit) {
    case LimitKind::kNone:
      return "";
    case LimitKind::kSessionsMax:
      return "sessions_max";
    case LimitKind::kLocksMax:
      return "locks_max";
    case LimitKind::kWaitersMax:
      return "waiters_max";
    case LimitKind::kLocksPerSessionMax:
      return "locks_per_session_max";
    case LimitKind::kWaitersPerSessionMax:
      return "waiters_per_session_max";
  }
  LOCKD_UNREACHABLE("limit ", static_cast<int>(limit));
}

LockDatabase::LockDatabase(const HashKey& hash_key, uint64_t numbers_drawn)
    : counter_(numbers_drawn), locks_(&digest_sum_, hash_key) {}

LockDatabase::~LockDatabase() = default;

ApplyResult LockDatabase::Apply(ClusterTime time, absl::string_view payload) {
  LOCKD_CHECK(time >= time_, "cluster time goes back from ", time_, " to ", time);
  time_ = time;
  Batch batch;
  if (!payload.empty()) {
    absl::StatusOr<Batch> decoded = DecodeBatch(payload);
    LOCKD_CHECK(decoded.ok(), decoded.status().message());
    batch = *std::move(decoded);
    wall_time_ = batch.wall_time;
  }

  ApplyResult result;
  events_ = &result.events;
  cleaned_up_ = 0;
  CleanUp();
  result.results.reserve(batch.commands.size());
  for (const Command& command : batch.commands) {
    if (!ValidateCommand(command, settings_).ok()) {
      result.results.push_back(Refused(Refusal::kInvalid));
      continue;
    }
    result.results.push_back(std::visit([this](const auto& c) { return Apply(c); }, command));
  }
  events_ = nullptr;
  result.cleaned_up = cleaned_up_;
  return result;
}

// ---- The cluster's own record

CommandResult LockDatabase::Apply(const Bootstrap& command) {
  if (!cluster_id_.is_zero()) return Refused(Refusal::kInvalid);
  CheckKnown(command.feature_level);
  cluster_id_ = command.cluster_id;
  feature_level_ = command.feature_level;
  settings_ = command.settings;
  members_ = command.members;
  last_node_id_ = members_.back().node_id;
  return {};
}

CommandResult LockDatabase::Apply(const RegisterMember& command) {
  const Member& news = command.member;
  const auto known = std::find_if(members_.begin(), members_.end(), [&news](const Member& member) {
    return member.node_id == news.node_id;
  });
  if (known == members_.end()) return Refused(Refusal::kInvalid);
  // Another incarnation under the same id has lost the log that the first one promised to keep.
  const bool other = !known->incarnation.is_zero() && known->incarnation != news.incarnation;
  if (other) return Refused(Refusal::kInvalid);
  known->incarnation = news.incarnation;
  if (!news.peer_address.empty()) known->peer_address = news.peer_address;
  if (!news.client_address.empty()) known->client_address = news.client_address;
  return {};
}

CommandResult LockDatabase::Apply(const SetSettings& command) {
  settings_ = command.settings;
  return {};
}

CommandResult LockDatabase::Apply(const SetFeatureLevel& command) {
  if (command.feature_level < feature_level_) return Refused(Refusal::kInvalid);
  CheckKnown(command.feature_level);
  feature_level_ = command.feature_level;
  return {};
}

CommandResult LockDatabase::Apply(const ChangeMembers& command) {
  if (!state::CheckChange(command, members_, last_node_id_).ok()) {
    return Refused(Refusal::kInvalid);
  }
  members_ = MembersAfter(command, members_);
  if (!command.added.empty()) last_node_id_ = command.added.back().node_id;
  return {};
}

absl::Status LockDatabase::CheckChange(const ChangeMembers& change) const {
  const absl::Status valid = ValidateCommand(change, settings_);
  return valid.ok() ? state::CheckChange(change, members_, last_node_id_) : valid;
}

uint64_t LockDatabase::NextNumber() {
  LOCKD_CHECK(counter_ < uint64_t{std::numeric_limits<int64_t>::max()}, "the counter is used up");
  return ++counter_;
}

// ---- Reads

LockView LockDatabase::ViewOf(uint32_t lock) const {
  const LockRecord& record = locks_[lock];
  const Session& session = sessions_[record.hold.session_slot];
  LockView view;
  view.name = std::string(record.name.view());
  view.held = true;
  view.session = record.hold.session;
  view.owner_id = session.owner_id;
  view.token = record.hold.token;
  view.granted_wall = record.hold.granted_wall;
  ClusterTime end = session.effective_deadline();
  if (record.deadline_handle != kNoRecord) {
    end = std::min(end, deadlines_.Get(record.deadline_handle).time);
  }
  view.expiration_wall = wall_time_ + (end - time_);
  view.waiters = record.waiter_count;
  return view;
}

LockView LockDatabase::GetLock(absl::string_view name) const {
  const uint32_t lock = locks_.Find(name);
  if (lock != kNoRecord) return ViewOf(lock);
  LockView free;
  free.name = std::string(name);
  return free;
}

uint64_t LockDatabase::ListLocks(absl::string_view prefix, uint64_t cursor, size_t count_max,
                                 std::vector<LockView>* locks) const {
  // The cursor is a slab id: a lock keeps its record, hence its place, while it is held.
  const Slab<LockRecord>& slab = locks_.slab();
  const uint64_t end = std::min<uint64_t>(slab.end_id(), cursor + kListedRecordsMax);
  size_t count = 0;
  for (; cursor < end && count < count_max; ++cursor) {
    const auto lock = static_cast<uint32_t>(cursor);
    if (!slab.IsLive(lock) || !absl::StartsWith(slab[lock].name.view(), prefix)) continue;
    locks->push_back(ViewOf(lock));
    ++count;
  }
  return cursor < slab.end_id() ? cursor : 0;
}

uint64_t LockDatabase::ListSessions(uint64_t cursor, size_t count_max,
                                    std::vector<SessionView>* sessions) const {
  const Slab<Session>& slab = sessions_.slab();
  const uint64_t end = std::min<uint64_t>(slab.end_id(), cursor + kListedRecordsMax);
  size_t count = 0;
  for (; cursor < end && count < count_max; ++cursor) {
    const auto slot = static_cast<uint32_t>(cursor);
    if (!slab.IsLive(slot) || !slab[slot].IsLiveAt(time_)) continue;
    const Session& session = slab[slot];
    SessionView& view = sessions->emplace_back();
    view.session = session.id;
    view.owner_id = session.owner_id;
    view.ttl_ms = session.ttl_ms;
    view.grace_ms = session.grace_ms;
    view.remaining_ms = session.effective_deadline() - time_;
    view.holds = session.holds;
    view.waiters = session.waiters();
    view.epoch = session.epoch;
    ++count;
  }
  return cursor < slab.end_id() ? cursor : 0;
}

bool LockDatabase::SessionIsLive(SessionId session) const {
  const uint32_t slot = sessions_.Find(session);
  return slot != kNoRecord && sessions_[slot].IsLiveAt(time_);
}

bool LockDatabase::SessionHasEnded(SessionId session) const {
  const uint32_t slot = sessions_.Find(session);
  return slot != kNoRecord && !sessions_[slot].IsLiveAt(time_);
}

int64_t LockDatabase::SessionGraceMs(SessionId session) const {
  const uint32_t slot = sessions_.Find(session);
  return slot != kNoRecord && sessions_[slot].IsLiveAt(time_) ? sessions_[slot].grace_ms : 0;
}

uint64_t LockDatabase::SessionAcquires(SessionId session) const {
  const uint32_t slot = sessions_.Find(session);
  return slot != kNoRecord ? sessions_[slot].acquires.size() : 0;
}

ClusterTime LockDatabase::NextDeadline() const {
  return deadlines_.empty() ? kNeverCluster : deadlines_.earliest().time;
}

bool LockDatabase::HasBacklog() const {
  return NextDeadline() <= time_;
}

// ---- Snapshots

void LockDatabase::BeginSnapshot() {
  LOCKD_CHECK(snapshot_ == nullptr && !is_applying(), "a snapshot begins at a wrong moment");
  const ClusterRecord cluster{time_,          wall_time_, counter_,     cluster_id_,
                              feature_level_, settings_,  last_node_id_};
  snapshot_ = std::make_unique<SnapshotWriter>(cluster, members_, digest(), &sessions_, &locks_);
  sessions_.set_snapshot(snapshot_.get());
  locks_.set_snapshot(snapshot_.get());
}

bool LockDatabase::NextSnapshotPiece(size_t bytes_max, std::string* piece) {
  LOCKD_CHECK(snapshot_ != nullptr, "no snapshot is under way");
  if (!snapshot_->NextPiece(bytes_max, piece)) return false;
  CancelSnapshot();
  return true;
}

void LockDatabase::CancelSnapshot() {
  sessions_.set_snapshot(nullptr);
  locks_.set_snapshot(nullptr);
  snapshot_.reset();
}

// ---- Digest

// What ChangeMembers alone can bring about, as records of its own: without it the sum is that of
// the builds that did not know it.
void LockDatabase::AddChangesTo(DigestSum* sum) const {
  if (AreAsFounded(members_, last_node_id_)) return;
  sum->Add(Hasher(DigestTag::kLastNodeId).Word(last_node_id_).Finish());
  for (const Member& member : members_) {
    sum->Add(Hasher(DigestTag::kRole)
                 .Word(member.node_id)
                 .Word(uint64_t{static_cast<uint8_t>(member.role)})
                 .Finish());
  }
}

Digest LockDatabase::digest() const {
  DigestSum sum = digest_sum_;
  const Settings& s = settings_;
  sum.Add(Hasher(DigestTag::kCluster)
              .Word(time_)
              .Word(wall_time_)
              .Word(counter_)
              .Word(cluster_id_)
              .Word(uint64_t{feature_level_})
              .Word(s.session_ttl_ms_min)
              .Word(s.session_ttl_ms_max)
              .Word(s.grace_ms_min)
              .Word(s.sessions_max)
              .Word(s.locks_max)
              .Word(s.waiters_max)
              .Word(s.locks_per_session_max)
              .Word(s.waiters_per_session_max)
              .Word(s.cleanup_holds_max)
              .Finish());
  for (const Member& member : members_) {
    sum.Add(Hasher(DigestTag::kMember)
                .Word(member.node_id)
                .Bytes(member.peer_address)
                .Bytes(member.client_address)
                .Word(member.incarnation)
                .Finish());
  }
  AddChangesTo(&sum);
  return sum.value();
}

}  // namespace lockd::state
