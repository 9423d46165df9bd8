#include "consensus/raft/progress.h"

#include <algorithm>

#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::raft {

Progress::Progress(NodeId id, Index leader_last_index, Tick now)
    : id_(id), next_index_(leader_last_index + 1), heard_at_(now) {}

bool Progress::CanSend(Index last_index, const Options& options) const {
  if (read_id_.has_value()) return false;
  switch (state_) {
    case State::kProbe:
      return !probe_sent_;
    case State::kReplicate:
      return next_index_ <= last_index && inflight_.size() < options.inflight_appends_max &&
             inflight_bytes_ < options.inflight_bytes_max;
    case State::kSnapshot:
      return false;
  }
  LOCKD_UNREACHABLE();
}

void Progress::Sent(Index last, Term last_term, size_t bytes) {
  LOCKD_CHECK(last + 1 >= next_index_, "sent up to ", last, " with next ", next_index_);
  LOCKD_CHECK(state_ != State::kSnapshot, "sent up to ", last, " to one that needs a snapshot");
  if (state_ == State::kProbe) {
    // Next stays where it is: the answer decides.
    probe_sent_ = true;
    return;
  }
  if (last < next_index_) return;
  next_index_ = last + 1;
  prev_term_ = last_term;
  inflight_.push_back({last, bytes});
  inflight_bytes_ += bytes;
}

void Progress::ReadStarted(uint64_t read_id, Index first) {
  LOCKD_CHECK(!read_id_.has_value());
  read_id_ = read_id;
  read_first_ = first;
}

bool Progress::ReadFinished(Index first) {
  const bool wanted = state_ != State::kSnapshot && first == read_first_ &&
                      (first == next_index_ || first + 1 == next_index_);
  read_id_.reset();
  return wanted;
}

void Progress::Accepted(Index match) {
  while (!inflight_.empty() && inflight_.front().last <= match) {
    inflight_bytes_ -= inflight_.front().bytes;
    inflight_.pop_front();
  }
  if (match < match_index_) return;
  match_index_ = match;
  if (next_index_ <= match) {
    next_index_ = match + 1;
    prev_term_.reset();
  }
  // An older acknowledgement does not answer the probe.
  if (state_ == State::kProbe && match + 1 == next_index_) {
    state_ = State::kReplicate;
    probe_sent_ = false;
  }
}

void Progress::Refused(Index prev, Index hint_index, Term hint_term, const RaftLog& log) {
  // What it has acknowledged it has: the refusal is older. In probe only the one question that is
  // out may be answered, so that a duplicate does not move next twice.
  if (prev <= match_index_ || prev >= next_index_) return;
  if (state_ == State::kProbe && prev + 1 != next_index_) return;
  // Its last index with a term <= ours, then ours with a term <= its: each step skips a term.
  if (state_ == State::kReplicate) LOCKD_REACH(kProbeAfterLoss);
  const Index meet =
      log.GreatestWithTermAtMost(std::min(hint_index, prev - 1), hint_term, match_index_);
  if (meet + 1 < prev) LOCKD_REACH(kAppendRejectedFastBacktrack);
  BecomeProbe(meet + 1);
}

void Progress::FollowBase(Index base) {
  const bool needs_snapshot = next_index_ <= base;
  if (needs_snapshot == (state_ == State::kSnapshot)) return;
  if (needs_snapshot) {
    state_ = State::kSnapshot;
    ForgetWhatIsOut();
  } else {
    BecomeProbe(next_index_);
  }
}

void Progress::BecomeProbe(Index next) {
  state_ = State::kProbe;
  next_index_ = next;
  ForgetWhatIsOut();
}

void Progress::ForgetWhatIsOut() {
  prev_term_.reset();
  probe_sent_ = false;
  inflight_.clear();
  inflight_bytes_ = 0;
  ask_armed_ = false;
}

void Progress::HeartbeatSent(uint64_t round) {
  if (state_ == State::kSnapshot) return;  // nothing is out
  if (ask_armed_) return;  // the earlier question stands: fewer lost heartbeats delay it
  ask_armed_ = probe_sent_ || match_index_ + 1 < next_index_;
  ask_round_ = round;
  ask_index_ = next_index_ - 1;
}

Progress::Next Progress::HeartbeatAnswered(uint64_t round) {
  if (!ask_armed_ || round < ask_round_) return Next::kNothing;
  ask_armed_ = false;
  if (state_ == State::kProbe) {
    probe_sent_ = false;
    return Next::kNothing;
  }
  if (match_index_ >= ask_index_) return Next::kNothing;
  LOCKD_REACH(kLostAppendFoundByHeartbeat);
  return Next::kAskWithEmptyAppend;
}

bool Progress::IsInflightExact() const {
  size_t bytes = 0;
  Index before = match_index_;
  for (const Append& append : inflight_) {
    if (append.last <= before) return false;
    before = append.last;
    bytes += append.bytes;
  }
  return bytes == inflight_bytes_ && before < next_index_;
}

void Progress::Confirmed(uint64_t round) {
  confirmed_round_ = std::max(confirmed_round_, round);
}

}  // namespace lockd::raft
