#include "server/node/freshness.h"

#include <algorithm>
#include <variant>

#include "consensus/raft/quorum.h"

namespace lockd::node {

Freshness::Sign Freshness::SignOf(const raft::Message& message) {
  return {.from = message.from,
          .term = message.term,
          .is_answer = std::holds_alternative<raft::AppendReply>(message.body) ||
                       std::holds_alternative<raft::HeartbeatReply>(message.body)};
}

void Freshness::OnStepped(const Sign& sign, const raft::Raft& raft) {
  if (sign.term != raft.term()) return;
  if (raft.is_leader() ? !sign.is_answer : raft.leader_id() != sign.from) return;
  ForgetOtherOffice(raft);
  heard_.insert(sign.from);
}

void Freshness::ForgetOtherOffice(const raft::Raft& raft) {
  if (heard_in_ == raft.term() && heard_as_leader_ == raft.is_leader()) return;
  heard_.clear();
  heard_in_ = raft.term();
  heard_as_leader_ = raft.is_leader();
}

void Freshness::OnTime(LocalTime now, const raft::Raft& raft, raft::Index known_committed) {
  ForgetOtherOffice(raft);
  std::optional<LocalTime> heard_at;
  if (raft.is_leader()) {
    if (answered_in_ != raft.term()) answered_at_.clear();
    answered_in_ = raft.term();
    for (const NodeId node : heard_) answered_at_[node] = now;
    answered_at_[raft.id()] = now;
    const uint64_t by_majority =
        raft::ReachedByMajority(raft.configuration(), [this](NodeId node) -> uint64_t {
          const auto found = answered_at_.find(node);
          return found == answered_at_.end() ? 0 : static_cast<uint64_t>(found->second.value());
        });
    if (by_majority != 0) heard_at = LocalTime(static_cast<int64_t>(by_majority));
  } else if (!heard_.empty()) {
    heard_at = now;
  }
  heard_.clear();
  if (heard_at && !next_) next_ = Mark{known_committed, *heard_at};
  if (next_ && raft.applied_index() >= next_->commit) {
    current_as_of_ = std::max(current_as_of_.value_or(next_->heard_at), next_->heard_at);
    next_.reset();
  }
}

std::optional<int64_t> Freshness::AgeMs(LocalTime now) const {
  if (!current_as_of_) return std::nullopt;
  return (now - *current_as_of_) / kNanosPerMilli;
}

}  // namespace lockd::node
