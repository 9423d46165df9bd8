#include "consensus/raft/types.h"

#include "consensus/raft/membership.h"

namespace lockd::raft {
namespace {

bool IsWellFormedAppend(Term term, const AppendRequest& request) {
  if (request.prev_index.is_zero() && !request.prev_term.is_zero()) return false;
  if (!request.prev_index.is_zero() && request.prev_term.is_zero()) return false;
  Index last_index = request.prev_index;
  Term last_term = request.prev_term;
  const Entry* previous = nullptr;
  for (const Entry& entry : request.entries) {
    if (entry.index != last_index + 1 || entry.term < last_term || entry.term.is_zero()) {
      return false;
    }
    if (!IsWellFormed(entry)) return false;
    if (previous != nullptr && entry.time < previous->time) return false;
    last_index = entry.index;
    last_term = entry.term;
    previous = &entry;
  }
  return last_term <= term;
}

// A snapshot of a state that a member of this term can have.
bool IsSnapshotOf(Term term, const SnapshotId& snapshot) {
  return !snapshot.base.index.is_zero() && !snapshot.base.term.is_zero() &&
         snapshot.base.term <= term;
}

bool IsWellFormedChunk(Term term, const SnapshotChunk& chunk) {
  const uint64_t bytes = chunk.snapshot.bytes;
  return IsSnapshotOf(term, chunk.snapshot) && chunk.offset <= bytes &&
         chunk.bytes.size() <= bytes - chunk.offset;
}

}  // namespace

bool IsWellFormed(const Entry& entry) {
  return entry.kind != EntryKind::kConfiguration ||
         DecodeConfigurationChange(entry.payload).has_value();
}

bool IsWellFormed(const Message& message) {
  if (message.from.is_zero() || message.to.is_zero()) return false;
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    const Term expected = request->pre_vote ? message.term + 1 : message.term;
    return request->campaign_term == expected && request->last_term <= message.term &&
           !request->campaign_term.is_zero() && !(request->pre_vote && request->is_transfer);
  }
  // A voter in its first term may answer a pre-vote.
  if (std::holds_alternative<VoteReply>(message.body)) return true;
  if (message.term.is_zero()) return false;
  if (const auto* request = std::get_if<AppendRequest>(&message.body)) {
    return IsWellFormedAppend(message.term, *request);
  }
  if (const auto* reply = std::get_if<AppendReply>(&message.body)) {
    return !reply->accepted || reply->match_index >= reply->prev_index;
  }
  if (const auto* chunk = std::get_if<SnapshotChunk>(&message.body)) {
    return IsWellFormedChunk(message.term, *chunk);
  }
  if (const auto* reply = std::get_if<SnapshotChunkReply>(&message.body)) {
    return IsSnapshotOf(message.term, reply->snapshot) &&
           reply->next_offset <= reply->snapshot.bytes;
  }
  return true;
}

}  // namespace lockd::raft
