#include "server/node/snapshot_taker.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/reach.h"

namespace lockd::node {

TakenSnapshot Describe(const raft::SnapshotId& id, const state::LockDatabase& database) {
  return {.id = id,
          .locks = database.lock_count(),
          .sessions = database.session_count(),
          .digest = database.digest()};
}

bool SnapshotTaker::IsDue(LocalTime now) {
  if (std::exchange(has_failed_, false)) rests_until_ = now + kRestMs * kNanosPerMilli;
  // Before the cluster is founded there is no state; and of one entry one snapshot is enough.
  const bool has_news = !context_.database->cluster_id().is_zero() &&
                        context_.applied.index > context_.snapshots.newest_index();
  if (!has_news) {
    is_asked_ = false;
    return false;
  }
  if (is_asked_ && now >= rests_until_.value_or(now)) return true;
  const uint64_t limit = context_.options.snapshot_log_bytes;
  return limit > 0 && log_bytes_ >= limit;
}

void SnapshotTaker::Begin() {
  is_asked_ = false;
  log_bytes_ = 0;
  draft_ = Draft{
      .number = context_.snapshots.NewDraft(),
      .taken = Describe({.base = context_.applied, .bytes = 0, .checksum = 0}, *context_.database),
      .jobs = {},
      .is_whole = false};
  context_.database->BeginSnapshot();
}

void SnapshotTaker::OnTime(LocalTime now, bool may_begin) {
  if (!draft_) {
    if (!IsDue(now) || !may_begin) return;
    Begin();
  }
  if (HasRoom() && pace_.IsDue(now)) MakePiece(now);
}

void SnapshotTaker::MakePiece(LocalTime now) {
  std::string piece;
  const size_t bytes_max = std::min(kPieceBytes, context_.options.snapshot_piece_bytes_max);
  draft_->is_whole = context_.database->NextSnapshotPiece(bytes_max, &piece);
  raft::SnapshotId& snapshot = draft_->taken.id;
  pace_.Spent(piece.size(), now);
  const uint64_t offset = snapshot.bytes;
  snapshot.bytes += piece.size();
  snapshot.checksum = ExtendCrc32c(snapshot.checksum, piece);
  if (!piece.empty()) {
    draft_->jobs.insert(
        context_.snapshots.Start(storage::SnapshotWrite{.id = 0,
                                                        .draft = draft_->number,
                                                        .base = snapshot.base,
                                                        .offset = offset,
                                                        .bytes = std::move(piece)}));
  }
  if (draft_->is_whole) {
    draft_->jobs.insert(context_.snapshots.Start(
        storage::SnapshotFinish{.id = 0, .draft = draft_->number, .snapshot = snapshot}));
  }
}

bool SnapshotTaker::OnJobDone(const storage::SnapshotJobDone& done) {
  if (!draft_ || draft_->jobs.erase(done.id) == 0) return false;
  if (draft_->is_whole && draft_->jobs.empty()) {
    OnFinished(done);
  } else if (!done.status.ok()) {
    Fail(done.status);
  }
  return true;
}

void SnapshotTaker::OnFinished(const storage::SnapshotJobDone& done) {
  // AlreadyExists: a received one of this very entry is as good.
  if (!done.status.ok() && !absl::IsAlreadyExists(done.status)) {
    Fail(done.status);
    return;
  }
  const raft::SnapshotId snapshot = draft_->taken.id;
  last_taken_ = std::exchange(draft_, std::nullopt)->taken;
  for (const raft::SnapshotId& kept : done.kept) {
    if (kept.base == snapshot.base) last_taken_->id = kept;
  }
  ++context_.snapshots.taken;
  LOCKD_REACH(kSnapshotTaken);
  context_.outbox.Note(absl::StrCat("snapshot of entry ", snapshot.base.index,
                                    " taken: ", snapshot.bytes, " bytes"));
  context_.snapshots.OnFinished(done.kept, *context_.raft);
}

void SnapshotTaker::Fail(const absl::Status& status) {
  context_.outbox.Warn(absl::StrCat(
      "the snapshot of entry ", draft_->taken.id.base.index,
      " could not be made, the log keeps its entries: ", std::string(status.message())));
  last_failure_ = status;
  has_failed_ = true;
  Cancel();
}

void SnapshotTaker::Cancel() {
  if (!draft_) return;
  if (context_.database->is_in_snapshot()) context_.database->CancelSnapshot();
  context_.snapshots.Start(storage::SnapshotAbandon{.id = 0, .draft = draft_->number});
  draft_.reset();
}

void SnapshotTaker::OnStateReplaced() {
  Cancel();
  log_bytes_ = 0;
}

int64_t SnapshotTaker::RestMs(LocalTime now) const {
  if (has_failed_) return kRestMs;
  const int64_t rest_ns = rests_until_ ? *rests_until_ - now : 0;
  return rest_ns <= 0 ? 0 : rest_ns / kNanosPerMilli + 1;
}

LocalTime SnapshotTaker::NextWakeup() const {
  return draft_ && HasRoom() ? pace_.due_at() : kNeverLocal;
}

}  // namespace lockd::node
