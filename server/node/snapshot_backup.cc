#include "server/node/snapshot_backup.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/state/digest_text.h"

namespace lockd::node {

bool SnapshotBackup::HasState(const RequestRef& request) {
  if (context_.is_loading) {
    connections_.ReplyNotServing(request);
    return false;
  }
  if (!context_.formation.participates() || context_.database->cluster_id().is_zero()) {
    connections_.ReplyError(request, pb::ERROR_CODE_UNAVAILABLE,
                            "this node has no state yet: it does not take part in a cluster",
                            context_.options.retry_after_ms);
    return false;
  }
  return true;
}

// ---- Taking

void SnapshotBackup::OnTake(const RequestRef& request, const pb::TakeSnapshotRequest& wire) {
  if (!HasState(request)) return;
  if (takes_.size() >= kTakesMax) {
    connections_.ReplyError(request, pb::ERROR_CODE_RESOURCE_EXHAUSTED,
                            "too many wait for a snapshot of this node",
                            context_.options.retry_after_ms);
    return;
  }
  takes_.push_back(
      {.request = request, .index = std::max(context_.applied.index, raft::Index(wire.index()))});
}

void SnapshotBackup::RunTakes(LocalTime now) {
  for (Take& take : takes_) {
    if (take.give_up_at == kNeverLocal) take.give_up_at = now + kBehindMaxMs * kNanosPerMilli;
  }
  std::erase_if(takes_, [&](const Take& take) { return IsOver(take, now); });
  const bool needs_one = std::any_of(takes_.begin(), takes_.end(), [&](const Take& take) {
    return !IsAhead(take) && take.index > taker_.taking_index();
  });
  // What is under way began too early for somebody: the next one begins after it.
  if (needs_one) taker_.Ask();
}

bool SnapshotBackup::IsOver(const Take& take, LocalTime now) {
  if (!connections_.IsOpen(take.request.connection)) return true;
  if (IsAhead(take)) {
    if (now < take.give_up_at) return false;
    connections_.ReplyError(
        take.request, pb::ERROR_CODE_UNAVAILABLE,
        absl::StrCat("this node is behind: it has applied entry ", context_.applied.index,
                     ", asked for is entry ", take.index),
        context_.options.retry_after_ms);
    return true;
  }
  if (const std::optional<TakenSnapshot> snapshot = Find(take.index)) {
    Answer(take, *snapshot);
    return true;
  }
  const bool is_under_way = taker_.is_taking() && taker_.taking_index() >= take.index;
  const int64_t rest_ms = taker_.RestMs(now);
  if (is_under_way || rest_ms == 0) return false;
  connections_.ReplyError(take.request, pb::ERROR_CODE_RESOURCE_EXHAUSTED,
                          absl::StrCat("the last snapshot of this node failed: ",
                                       std::string(taker_.last_failure().message())),
                          static_cast<uint32_t>(rest_ms));
  return true;
}

std::optional<TakenSnapshot> SnapshotBackup::Find(raft::Index index) const {
  const std::optional<TakenSnapshot>& taken = taker_.last_taken();
  if (taken && taken->id.base.index >= index && context_.snapshots.IsKept(taken->id)) return taken;
  // Of this very entry: taken before a restart, or received.
  const std::vector<raft::SnapshotId>& kept = context_.snapshots.kept();
  if (kept.empty() || kept.back().base != context_.applied) return std::nullopt;
  return Describe(kept.back(), *context_.database);
}

void SnapshotBackup::Answer(const Take& take, const TakenSnapshot& snapshot) {
  pb::TakeSnapshotReply reply;
  FillStamp(context_, reply.mutable_stamp());
  pb::SnapshotDescription& description = *reply.mutable_snapshot();
  description.set_index(snapshot.id.base.index.value());
  description.set_term(snapshot.id.base.term.value());
  description.set_cluster_time_ms(snapshot.id.base.time.value());
  description.set_bytes(snapshot.id.bytes);
  description.set_checksum(snapshot.id.checksum);
  description.set_locks(snapshot.locks);
  description.set_sessions(snapshot.sessions);
  description.set_digest(state::ToText(snapshot.digest));
  reply.set_node_id(context_.options.node_id.value());
  reply.set_cluster_id(context_.formation.cluster_id().value());
  reply.set_cluster_name(context_.options.cluster_name);
  connections_.Reply(take.request, reply);
}

// ---- Reading

void SnapshotBackup::OnRead(const RequestRef& request, const pb::ReadSnapshotRequest& wire) {
  if (!HasState(request)) return;
  const std::vector<raft::SnapshotId>& kept = context_.snapshots.kept();
  const auto snapshot = std::find_if(kept.begin(), kept.end(), [&](const raft::SnapshotId& id) {
    return id.base.index.value() == wire.index() && id.base.term.value() == wire.term() &&
           id.checksum == wire.checksum();
  });
  if (snapshot == kept.end()) {
    Answer(request, pb::READ_SNAPSHOT_RESULT_NO_SUCH);
    return;
  }
  if (wire.offset() > snapshot->bytes) {
    connections_.ReplyError(request, pb::ERROR_CODE_INVALID_ARGUMENT,
                            absl::StrCat("offset ", wire.offset(), " is beyond the snapshot's ",
                                         snapshot->bytes, " bytes"));
    return;
  }
  if (wire.offset() == snapshot->bytes) {
    Answer(request, pb::READ_SNAPSHOT_RESULT_READ);
    return;
  }
  const bool has_one = std::any_of(reads_.begin(), reads_.end(), [&](const Read& read) {
    return read.request.connection == request.connection;
  });
  if (has_one || reads_.size() >= kReadsMax) {
    connections_.ReplyError(request, pb::ERROR_CODE_RESOURCE_EXHAUSTED,
                            has_one ? "one read of a snapshot at a time on a connection"
                                    : "too many read snapshots of this node",
                            context_.options.retry_after_ms);
    return;
  }
  reads_.push_back({.request = request, .snapshot = *snapshot, .offset = wire.offset()});
}

void SnapshotBackup::RunReads(LocalTime now) {
  // What has begun comes back anyway.
  std::erase_if(reads_, [&](const Read& read) {
    return read.job == 0 && !connections_.IsOpen(read.request.connection);
  });
  const size_t bytes_max = std::min(kPieceBytes, context_.options.snapshot_piece_bytes_max);
  size_t under_way = ReadsUnderWay();
  for (Read& read : reads_) {
    if (read.job != 0) continue;
    if (under_way >= kJobsMax || !pace_.IsDue(now)) return;
    const auto bytes =
        static_cast<size_t>(std::min<uint64_t>(read.snapshot.bytes - read.offset, bytes_max));
    pace_.Spent(bytes, now);
    read.job = context_.snapshots.Start(storage::SnapshotRead{
        .id = 0, .snapshot = read.snapshot, .offset = read.offset, .bytes_max = bytes});
    ++under_way;
  }
}

size_t SnapshotBackup::ReadsUnderWay() const {
  return static_cast<size_t>(
      std::count_if(reads_.begin(), reads_.end(), [](const Read& read) { return read.job != 0; }));
}

bool SnapshotBackup::OnJobDone(const storage::SnapshotJobDone& done) {
  const auto place = std::find_if(reads_.begin(), reads_.end(),
                                  [&](const Read& read) { return read.job == done.id; });
  if (place == reads_.end()) return false;
  const Read read = std::move(*place);
  reads_.erase(place);
  if (done.status.ok() && !done.bytes.empty()) {
    Answer(read.request, pb::READ_SNAPSHOT_RESULT_READ, done.bytes);
    return true;
  }
  context_.snapshots.OnUnreadable(read.snapshot, done.status);
  Answer(read.request, absl::IsNotFound(done.status) ? pb::READ_SNAPSHOT_RESULT_NO_SUCH
                                                     : pb::READ_SNAPSHOT_RESULT_UNREADABLE);
  return true;
}

void SnapshotBackup::Answer(const RequestRef& request, pb::ReadSnapshotResult result,
                            std::string content) {
  pb::ReadSnapshotReply reply;
  FillStamp(context_, reply.mutable_stamp());
  reply.set_result(result);
  reply.set_content(std::move(content));
  connections_.Reply(request, reply);
}

// ---- Turns

void SnapshotBackup::OnTime(LocalTime now) {
  if (!takes_.empty()) RunTakes(now);
  if (!reads_.empty()) RunReads(now);
}

LocalTime SnapshotBackup::NextWakeup() const {
  const size_t under_way = ReadsUnderWay();
  LocalTime next = under_way < reads_.size() && under_way < kJobsMax ? pace_.due_at() : kNeverLocal;
  for (const Take& take : takes_) {
    if (IsAhead(take)) next = std::min(next, take.give_up_at);
  }
  return next;
}

}  // namespace lockd::node
