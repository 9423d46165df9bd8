#include "consensus/raft/types.h"

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
    if (previous != nullptr && entry.time < previous->time) return false;
    last_index = entry.index;
    last_term = entry.term;
    previous = &entry;
  }
  return last_term <= term;
}

}  // namespace

bool IsWellFormed(const Message& message) {
  if (message.from.is_zero() || message.to.is_zero()) return false;
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    const Term expected = request->pre_vote ? message.term + 1 : message.term;
    return request->campaign_term == expected && request->last_term <= message.term &&
           !request->campaign_term.is_zero();
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
  return true;
}

}  // namespace lockd::raft
