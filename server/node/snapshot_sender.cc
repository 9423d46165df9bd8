#include "server/node/snapshot_sender.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/base/reach.h"

namespace lockd::node {

void SnapshotSender::OnReply(NodeId from, const raft::SnapshotChunkReply& reply) {
  const auto place = transfers_.find(from);
  if (place == transfers_.end() || place->second.snapshot != reply.snapshot) return;
  Transfer& transfer = place->second;
  // The piece under way has not been there yet: this answers something that was sent before it.
  if (transfer.read != 0 || transfer.out == reply.next_offset) return;
  transfer.is_met = true;
  transfer.next_offset = reply.next_offset;
  transfer.out.reset();
  transfer.ask_at.reset();
  // All of it is there: what comes next is the word that it is installed.
  transfer.is_waiting = reply.next_offset == reply.snapshot.bytes;
}

bool SnapshotSender::OnJobDone(const storage::SnapshotJobDone& done) {
  const auto place = std::find_if(transfers_.begin(), transfers_.end(),
                                  [&](const auto& each) { return each.second.read == done.id; });
  if (place == transfers_.end()) return false;
  auto& [to, transfer] = *place;
  if (!done.status.ok() || done.bytes.empty()) {
    context_.snapshots.OnUnreadable(transfer.snapshot, done.status);
    transfers_.erase(place);
    return true;
  }
  transfer.read = 0;
  transfer.is_waiting = true;
  transfer.out = transfer.next_offset;
  LOCKD_REACH(kSnapshotPieceSent);
  context_.raft->SendSnapshotChunk(
      to, {.snapshot = transfer.snapshot, .offset = transfer.next_offset, .bytes = done.bytes});
  return true;
}

void SnapshotSender::OnTime(LocalTime now) {
  FollowTargets();
  for (auto& [to, transfer] : transfers_) GoOn(to, transfer, now);
}

void SnapshotSender::FollowTargets() {
  const std::vector<NodeId> targets = context_.raft->SnapshotTargets();
  std::erase_if(transfers_, [&](const auto& each) {
    return !std::binary_search(targets.begin(), targets.end(), each.first);
  });
  needs_snapshot_ = false;
  for (const NodeId target : targets) {
    const auto place = transfers_.find(target);
    if (place != transfers_.end() && StaysWithItsSnapshot(place->second)) continue;
    const std::optional<raft::SnapshotId> newest =
        context_.snapshots.Newest(context_.raft->first_index());
    if (!newest) {
      needs_snapshot_ = true;
      transfers_.erase(target);
    } else if (place == transfers_.end() || place->second.snapshot != *newest) {
      transfers_[target] = Transfer();
      transfers_[target].snapshot = *newest;
    }
  }
}

// Once the follower has something of it, and while it is on disk.
bool SnapshotSender::StaysWithItsSnapshot(const Transfer& transfer) const {
  return transfer.read != 0 ||
         (transfer.next_offset > 0 && context_.snapshots.IsKept(transfer.snapshot));
}

void SnapshotSender::GoOn(NodeId to, Transfer& transfer, LocalTime now) {
  if (transfer.read != 0) return;
  if (transfer.is_waiting) {
    if (!transfer.ask_at) transfer.ask_at = now + AnswerNs();
    if (now < *transfer.ask_at) return;
    transfer.is_met = false;
  }
  if (!transfer.is_met) {
    Ask(to, transfer);
    transfer.ask_at = now + AnswerNs();
    return;
  }
  if (!pace_.IsDue(now)) return;
  const size_t bytes_max = std::min(kPieceBytes, context_.options.snapshot_piece_bytes_max);
  const auto bytes = static_cast<size_t>(
      std::min<uint64_t>(transfer.snapshot.bytes - transfer.next_offset, bytes_max));
  pace_.Spent(bytes, now);
  transfer.read = context_.snapshots.Start(storage::SnapshotRead{
      .id = 0, .snapshot = transfer.snapshot, .offset = transfer.next_offset, .bytes_max = bytes});
}

void SnapshotSender::Ask(NodeId to, Transfer& transfer) {
  transfer.is_waiting = true;
  transfer.out.reset();
  context_.raft->SendSnapshotChunk(
      to, {.snapshot = transfer.snapshot, .offset = transfer.next_offset, .bytes = {}});
}

// A follower writes each piece before it answers, and reads all of them again before it installs.
int64_t SnapshotSender::AnswerNs() const {
  return context_.options.election_ms_max * kNanosPerMilli;
}

LocalTime SnapshotSender::NextWakeup() const {
  LocalTime next = kNeverLocal;
  for (const auto& [to, transfer] : transfers_) {
    if (transfer.read != 0) continue;
    next = std::min(next, transfer.is_waiting ? transfer.ask_at.value_or(next) : pace_.due_at());
  }
  return next;
}

}  // namespace lockd::node
