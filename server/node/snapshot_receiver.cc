#include "server/node/snapshot_receiver.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protocol/base/reach.h"

namespace lockd::node {

void SnapshotReceiver::OnChunk(NodeId from, raft::SnapshotChunk chunk) {
  if (IsOvertaken(chunk.snapshot)) {
    ReplyInstalled(from, chunk.snapshot);
    return;
  }
  if (stage_ == Stage::kIdle || chunk.snapshot != snapshot_) {
    // One that is whole here comes first; whoever sends the other one will ask again.
    if (stage_ > Stage::kWriting || is_resting_ || has_failed_) return;
    GiveUp();
    stage_ = Stage::kWriting;
    snapshot_ = chunk.snapshot;
  }
  from_ = from;
  if (stage_ == Stage::kWriting && job_ != 0) return;  // its end is the answer
  const bool is_next = stage_ == Stage::kWriting && chunk.offset == next_offset_;
  if (is_next && !chunk.bytes.empty()) {
    Write(std::move(chunk));
  } else {
    Reply(from);
  }
}

void SnapshotReceiver::Write(raft::SnapshotChunk chunk) {
  if (!draft_) draft_ = context_.snapshots.NewDraft();
  job_bytes_ = chunk.bytes.size();
  job_ = context_.snapshots.Start(storage::SnapshotWrite{.id = 0,
                                                         .draft = *draft_,
                                                         .base = snapshot_.base,
                                                         .offset = next_offset_,
                                                         .bytes = std::move(chunk.bytes)});
}

bool SnapshotReceiver::OnJobDone(const storage::SnapshotJobDone& done) {
  if (stage_ == Stage::kLoading && load_->job() == done.id) {
    OnRead(done);
    return true;
  }
  if (job_ == 0 || job_ != done.id) return false;
  job_ = 0;
  if (stage_ == Stage::kWriting) {
    OnWritten(done.status);
  } else {
    OnFinished(done);
  }
  return true;
}

void SnapshotReceiver::OnWritten(const absl::Status& status) {
  if (!status.ok()) {
    Fail(status);
    return;
  }
  next_offset_ += job_bytes_;
  Reply(from_);
  if (next_offset_ < snapshot_.bytes) return;
  stage_ = Stage::kFinishing;
  job_ = context_.snapshots.Start(
      storage::SnapshotFinish{.id = 0, .draft = *draft_, .snapshot = snapshot_});
}

void SnapshotReceiver::OnFinished(const storage::SnapshotJobDone& done) {
  // AlreadyExists: this node has one of its own of this very entry, which says the same.
  if (!done.status.ok() && !absl::IsAlreadyExists(done.status)) {
    Fail(done.status);
    return;
  }
  draft_.reset();
  context_.snapshots.OnFinished(done.kept, *context_.raft);
  const auto file = std::find_if(done.kept.begin(), done.kept.end(),
                                 [&](const auto& kept) { return kept.base == snapshot_.base; });
  if (file == done.kept.end()) {
    Fail(absl::DataLossError("it is not among those that were kept"));
    return;
  }
  stage_ = Stage::kLoading;
  load_.emplace(context_.snapshots, *file, context_.hash_key());
}

void SnapshotReceiver::OnRead(const storage::SnapshotJobDone& done) {
  if (absl::Status status = load_->OnJobDone(done); !status.ok()) {
    context_.snapshots.Forget(load_->snapshot());  // it is of no use to others either
    Fail(status);
  } else if (load_->is_done()) {
    stage_ = Stage::kLoaded;
  }
}

void SnapshotReceiver::OnTime(LocalTime now) {
  if (std::exchange(has_failed_, false)) rests_until_ = now + kRestMs * kNanosPerMilli;
  is_resting_ = rests_until_.has_value() && now < *rests_until_;
  // A finish under way decides first what is on disk.
  if (stage_ == Stage::kIdle || stage_ == Stage::kFinishing || !IsOvertaken(snapshot_)) return;
  GiveUp();
  ReplyInstalled(context_.raft->leader_id(), snapshot_);
}

std::unique_ptr<state::LockDatabase> SnapshotReceiver::TakeLoaded() {
  std::unique_ptr<state::LockDatabase> database = load_->Take();
  load_.reset();
  stage_ = Stage::kIdle;
  ++context_.snapshots.received;
  LOCKD_REACH(kSnapshotInstalled);
  ReplyInstalled(context_.raft->leader_id(), snapshot_);
  return database;
}

void SnapshotReceiver::Fail(const absl::Status& status) {
  context_.outbox.Warn(absl::StrCat("the snapshot of entry ", snapshot_.base.index, " from node ",
                                    from_, " cannot be used: ", std::string(status.message())));
  has_failed_ = true;
  GiveUp();
}

void SnapshotReceiver::GiveUp() {
  if (draft_) context_.snapshots.Start(storage::SnapshotAbandon{.id = 0, .draft = *draft_});
  draft_.reset();
  if (load_) context_.outbox.Discard(load_->TakeUnfinished());
  load_.reset();
  stage_ = Stage::kIdle;
  next_offset_ = 0;
  job_ = 0;
}

void SnapshotReceiver::Reply(NodeId to) {
  context_.raft->ReplySnapshotChunk(
      to, {.snapshot = snapshot_, .next_offset = next_offset_, .installed = false});
}

void SnapshotReceiver::ReplyInstalled(NodeId to, const raft::SnapshotId& snapshot) {
  context_.raft->ReplySnapshotChunk(
      to, {.snapshot = snapshot, .next_offset = snapshot.bytes, .installed = true});
}

bool SnapshotReceiver::IsOvertaken(const raft::SnapshotId& snapshot) const {
  return snapshot.base.index <= context_.raft->commit_index();
}

}  // namespace lockd::node
