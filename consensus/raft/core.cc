#include "consensus/raft/core.h"

#include <algorithm>
#include <utility>

#include "consensus/raft/quorum.h"
#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::raft {

Core::Core(const Options& options, RecoveredLog recovered)
    : options_(options),
      random_(options.seed),
      term_(recovered.hard_state.term),
      voted_for_(recovered.hard_state.voted_for),
      handed_(recovered.hard_state),
      handed_out_index_(std::max(recovered.base_index, recovered.applied_index)),
      log_(std::move(recovered), options.tail_bytes_max, options.configuration) {
  LOCKD_CHECK(!options.id.is_zero());
  LOCKD_CHECK(options.heartbeat_ticks > 0);
  LOCKD_CHECK(options.election_ticks_min > options.heartbeat_ticks, "an election timeout of ",
              options.election_ticks_min, " ticks does not outlast the heartbeats");
  LOCKD_CHECK(options.election_ticks_max > options.election_ticks_min,
              "election timeouts need a range to be drawn from");
  LOCKD_CHECK(log_.last_term() <= term_, "the log's last term ", log_.last_term(),
              " is above the recovered term ", term_);
}

bool Core::MayCampaign() const {
  const std::vector<ConfigurationLog::Placed>& all = log_.configurations().all();
  for (auto placed = all.rbegin(); placed != all.rend(); ++placed) {
    if (IsVoter(placed->change.configuration, id())) return true;
    if (placed->index <= log_.commit_index()) return false;
  }
  return false;
}

Tick Core::DrawElectionTick() {
  return now_ + random_.Between(options_.election_ticks_min + 1, options_.election_ticks_max);
}

// All members see the leader's process go in the same moment, and the interval is short. Each has a
// part of it by its place among the members, and draws from the first half of that: two that asked
// in the same moment would split the votes, and then wait for a whole election timeout.
Tick Core::DrawEarlyElectionTick() {
  const std::vector<NodeId> members = MembersOf(configuration());
  const auto place =
      static_cast<uint64_t>(std::find(members.begin(), members.end(), id()) - members.begin());
  const uint64_t count = std::max<uint64_t>(members.size(), 1);
  const uint64_t part = options_.heartbeat_ticks * place / count;
  const uint64_t width = std::max<uint64_t>(options_.heartbeat_ticks / (2 * count), 1);
  return now_ + std::min(part + random_.Between(1, width), options_.heartbeat_ticks);
}

void Core::EnterTerm(Term term) {
  LOCKD_CHECK(term > term_, "term goes from ", term_, " to ", term);
  term_ = term;
  voted_for_ = NodeId{0};
  if (!with_next_write_.empty() || !deferred_.empty()) LOCKD_REACH(kPromiseOfAnOlderTermDropped);
  with_next_write_.clear();
  deferred_.clear();
}

void Core::Vote(NodeId candidate) {
  LOCKD_CHECK(voted_for_.is_zero() || voted_for_ == candidate, "second vote in term ", term_,
              ": for ", voted_for_, " and ", candidate);
  voted_for_ = candidate;
}

bool Core::IsVotePending() const {
  return term_ != handed_.term || voted_for_ != handed_.voted_for;
}

bool Core::IsVoteDurable() const {
  return !IsVotePending() && vote_write_ <= last_durable_;
}

Message Core::Address(NodeId to, MessageBody body) const {
  return Message{id(), to, term_, std::move(body)};
}

void Core::Send(NodeId to, MessageBody body) {
  messages_.push_back(Address(to, std::move(body)));
}

void Core::SendOnceDurable(NodeId to, MessageBody body, Index index) {
  const bool is_base_pending = pending_base_.has_value() && pending_base_->is_restored;
  if (IsVotePending() || is_base_pending || index > log_.written_index()) {
    if (ReplacesLast(to, body)) with_next_write_.pop_back();
    with_next_write_.push_back(Address(to, std::move(body)));
    return;
  }
  const uint64_t write_id = std::max({vote_write_, base_write_, log_.WriteHolding(index)});
  if (write_id <= last_durable_) {
    Send(to, std::move(body));
  } else {
    deferred_.push_back({write_id, Address(to, std::move(body))});
  }
}

bool Core::ReplacesLast(NodeId to, const MessageBody& body) const {
  if (with_next_write_.empty() || with_next_write_.back().to != to) return false;
  const auto* earlier = std::get_if<AppendReply>(&with_next_write_.back().body);
  const auto* later = std::get_if<AppendReply>(&body);
  return earlier != nullptr && later != nullptr && earlier->accepted && later->accepted &&
         earlier->match_index <= later->match_index && earlier->round <= later->round;
}

uint64_t Core::StartRead(Index first, Index last) {
  LOCKD_CHECK(first <= last && first >= log_.first_index() && last <= log_.durable_index(),
              "read of [", first, ", ", last, "]");
  reads_.push_back({++last_read_, first, last, options_.read_bytes_max});
  return last_read_;
}

// -- snapshots --

void Core::CompactTo(const LogBase& base) {
  log_.CompactTo(base);
  const bool is_restored = pending_base_.has_value() && pending_base_->is_restored;
  pending_base_ = {base, is_restored};
}

// Acknowledgements that wait stay true: they are of this term, so the leader's log holds what they
// acknowledge, and the snapshot's entry, which is committed (leader completeness, thesis 3.6.3). So
// what is acknowledged up to it is in the snapshot; what is acknowledged beyond it stays in the
// log, because this log holds the leader's entries up to there.
void Core::Restore(const LogBase& base, Configuration configuration) {
  LOCKD_CHECK(base.term <= term_, "a snapshot of term ", base.term, " in term ", term_);
  log_.Restore(base, std::move(configuration));
  pending_base_ = {base, /*is_restored=*/true};
  // Whatever was on its way to the state machine is in the snapshot.
  handed_out_index_ = base.index;
  apply_entries_.clear();
  apply_read_.reset();
}

bool Core::IsBaseExact() const {
  return log_.DoRunsBeginAtBase() &&
         (!pending_base_.has_value() || pending_base_->base == log_.base());
}

// -- the disk --

bool Core::HasPendingWrite() const {
  return IsVotePending() || pending_base_.has_value() || log_.has_unwritten();
}

WriteRequest Core::BeginWrite() {
  LOCKD_CHECK(HasPendingWrite());
  WriteRequest write;
  write.id = ++last_write_;
  if (IsVotePending()) vote_write_ = write.id;
  const HardState hard_state{term_, voted_for_,
                             std::min(log_.commit_index(), log_.durable_index())};
  if (hard_state != handed_) {
    write.hard_state = hard_state;
    handed_ = hard_state;
  }
  if (pending_base_.has_value()) {
    write.base = pending_base_->base;
    if (pending_base_->is_restored) base_write_ = write.id;
    pending_base_.reset();
  }
  write.entries = log_.BeginWrite(write.id, now_);
  write.messages_once_durable = std::move(with_next_write_);
  with_next_write_.clear();
  return write;
}

void Core::EndWrites(uint64_t id) {
  LOCKD_CHECK(id <= last_write_, "completion of write ", id, ", which was never asked for");
  if (id <= last_durable_) return;
  if (term_ != handed_.term) LOCKD_REACH(kCompletionOfAWriteOfAnOlderTerm);
  last_durable_ = id;
  log_.EndWrites(id);
  const auto still_waiting =
      std::stable_partition(deferred_.begin(), deferred_.end(),
                            [id](const Deferred& deferred) { return deferred.write_id <= id; });
  for (auto it = deferred_.begin(); it != still_waiting; ++it) {
    messages_.push_back(std::move(it->message));
  }
  deferred_.erase(deferred_.begin(), still_waiting);
}

bool Core::HasCommitted() const {
  // One batch at a time: the next when all that was handed out is applied.
  if (handed_out_index_ >= log_.commit_index() || log_.applied_index() < handed_out_index_) {
    return false;
  }
  return !apply_entries_.empty() || !apply_read_.has_value();
}

std::vector<Entry> Core::TakeCommitted() {
  if (!HasCommitted()) return {};
  std::vector<Entry> entries;
  const Index next = handed_out_index_ + 1;
  if (!apply_entries_.empty()) {
    entries = std::move(apply_entries_);
    apply_entries_.clear();
  } else if (log_.InMemory(next)) {
    entries = log_.Copy(next, log_.commit_index(), options_.apply_bytes_max);
  } else {
    LOCKD_REACH(kApplyReadFromDisk);
    // All below the tail is committed and durable.
    apply_read_ = StartRead(next, std::min(log_.commit_index(), log_.tail_first_index() - 1));
    return {};
  }
  LOCKD_CHECK(entries.front().index == next, "would apply ", entries.front().index, " after ",
              handed_out_index_);
  handed_out_index_ = entries.back().index;
  return entries;
}

bool Core::ApplyReadCompleted(uint64_t id, std::vector<Entry>& entries) {
  if (apply_read_ != id) return false;
  apply_read_.reset();
  // The owner may have gone ahead by other means (Applied) while the read was under way.
  if (entries.front().index == handed_out_index_ + 1) apply_entries_ = std::move(entries);
  return true;
}

void Core::Applied(Index index) {
  log_.AppliedTo(index);
  if (index > handed_out_index_) {
    handed_out_index_ = index;
    apply_entries_.clear();
  }
}

bool Core::AreWritesOrdered() const {
  return last_durable_ <= last_write_ && vote_write_ <= last_write_ && base_write_ <= last_write_ &&
         handed_.term <= term_ && handed_.commit <= log_.commit_index();
}

bool Core::DoPromisesWait() const {
  if (!with_next_write_.empty() && !HasPendingWrite()) return false;
  const bool of_this_term =
      std::all_of(with_next_write_.begin(), with_next_write_.end(),
                  [this](const Message& message) { return message.term == term_; });
  return of_this_term &&
         std::all_of(deferred_.begin(), deferred_.end(), [this](const Deferred& deferred) {
           return deferred.message.term == term_ && deferred.write_id > last_durable_ &&
                  deferred.write_id <= last_write_;
         });
}

bool Core::DoesApplyContinue() const {
  return apply_entries_.empty() || (apply_entries_.front().index == handed_out_index_ + 1 &&
                                    apply_entries_.back().index <= log_.commit_index());
}

bool Core::HasOutput() const {
  return !messages_.empty() || !released_reads_.empty() || !reads_.empty() ||
         !snapshot_chunks_.empty() || !snapshot_replies_.empty();
}

void Core::TakeOutput(Ready& ready) {
  ready.messages = std::move(messages_);
  ready.released_reads = std::move(released_reads_);
  ready.reads = std::move(reads_);
  ready.snapshot_chunks = std::move(snapshot_chunks_);
  ready.snapshot_replies = std::move(snapshot_replies_);
  messages_.clear();
  released_reads_.clear();
  reads_.clear();
  snapshot_chunks_.clear();
  snapshot_replies_.clear();
}

}  // namespace lockd::raft
