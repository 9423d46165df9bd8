#include "consensus/raft/raft_log.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::raft {

RaftLog::RaftLog(RecoveredLog recovered, size_t tail_bytes_max, Configuration configuration)
    : tail_bytes_max_(tail_bytes_max),
      base_{recovered.base_index, recovered.base_term, recovered.base_time},
      configurations_(std::move(configuration)),
      last_index_(recovered.base_index),
      last_time_(recovered.base_time),
      commit_index_(recovered.base_index),
      applied_index_(std::max(recovered.base_index, recovered.applied_index)),
      written_index_(recovered.last_index),
      durable_index_(recovered.last_index) {
  const std::vector<Entry>& tail = recovered.tail;
  LOCKD_CHECK(recovered.last_index >= base_.index);
  LOCKD_CHECK(tail.empty() == (recovered.last_index == base_.index),
              "a log with entries is recovered with at least the last of them");
  if (tail.empty() || tail.front().index == first_index()) {
    runs_.push_back({base_.index, base_.term});
  } else {
    LOCKD_CHECK(tail.front().index > first_index(), "recovered entry below the log's first");
    last_index_ = tail.front().index - 1;
    last_time_ = tail.front().time;
  }
  for (const Entry& entry : recovered.configurations) {
    LOCKD_CHECK(entry.index > base_.index, "configuration at ", entry.index, " below the base");
    if (entry.index <= last_index_) NoteConfiguration(entry);
  }
  for (Entry& entry : recovered.tail) PushBack(std::move(entry));
  LOCKD_CHECK(configurations_.all().size() == recovered.configurations.size() + 1, "recovered ",
              recovered.configurations.size(), " configurations, the log has ",
              configurations_.all().size() - 1);
  LOCKD_CHECK(last_index_ == recovered.last_index, "recovered tail ends at ", last_index_,
              ", the log at ", recovered.last_index);
  CommitTo(std::max(recovered.hard_state.commit, applied_index_));
  LOCKD_CHECK(tail_first_index() <= std::max(commit_index_, first_index()),
              "recovered tail begins at ", tail_first_index(), ", above commit ", commit_index_);
}

std::optional<Term> RaftLog::TermAt(Index index) const {
  if (index == base_.index) return base_.term;
  if (index > last_index_ || index < runs_.front().first) return std::nullopt;
  // Nearly every question is about the newest terms.
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (run->first <= index) return run->term;
  }
  LOCKD_UNREACHABLE("no term run holds ", index);
}

bool RaftLog::Matches(Index index, Term term) const {
  if (index <= commit_index_) {
    const std::optional<Term> known = TermAt(index);
    LOCKD_CHECK(!known.has_value() || *known == term, "a leader disagrees about committed entry ",
                index, ": term ", term, " here ", *known);
    return true;
  }
  return TermAt(index) == term;
}

bool RaftLog::IsNoNewerThan(Index index, Term term) const {
  return term > last_term() || (term == last_term() && index >= last_index_);
}

Index RaftLog::GreatestWithTermAtMost(Index index, Term term, Index floor) const {
  Index found = std::min(index, last_index_);
  for (auto run = runs_.rbegin(); run != runs_.rend() && found > floor; ++run) {
    if (run->first > found) continue;
    if (run->term <= term) return found;
    if (run->first.is_zero()) return floor;
    found = run->first - 1;
  }
  return std::max(found, floor);
}

const Entry& RaftLog::At(Index index) const {
  LOCKD_CHECK(InMemory(index), "entry ", index, " is not in memory: [", tail_first_index(), ", ",
              last_index_, "]");
  return tail_[index - held_first_index()];
}

std::vector<Entry> RaftLog::Copy(Index first, Index last, size_t bytes_max) const {
  LOCKD_CHECK(InMemory(first) && InMemory(last) && first <= last, "[", first, ", ", last,
              "] is not in memory: [", tail_first_index(), ", ", last_index_, "]");
  const auto begin = tail_.begin() + static_cast<ptrdiff_t>(first - held_first_index());
  const auto limit = begin + static_cast<ptrdiff_t>(last - first) + 1;
  size_t bytes = begin->size_bytes();
  auto end = begin + 1;
  while (end != limit && bytes + end->size_bytes() <= bytes_max) {
    bytes += end->size_bytes();
    ++end;
  }
  return std::vector<Entry>(begin, end);
}

size_t RaftLog::BytesOf(Index first, Index last) const {
  size_t bytes = 0;
  for (Index index = first; index <= last; ++index) bytes += At(index).size_bytes();
  return bytes;
}

void RaftLog::Append(Entry entry) {
  PushBack(std::move(entry));
}

void RaftLog::Merge(std::vector<Entry> entries) {
  size_t known = 0;
  while (known < entries.size() && entries[known].index <= last_index_ &&
         Matches(entries[known].index, entries[known].term)) {
    ++known;
  }
  if (known == entries.size()) {
    if (known > 0) LOCKD_REACH(kAppendAlreadyKnown);
    return;
  }
  if (entries[known].index <= last_index_) TruncateFrom(entries[known].index);
  for (size_t i = known; i < entries.size(); ++i) PushBack(std::move(entries[i]));
}

void RaftLog::CommitTo(Index index) {
  if (index <= commit_index_) return;
  LOCKD_CHECK(index <= last_index_, "commit ", index, " is beyond the last entry ", last_index_,
              ": was this log damaged or lost?");
  if (index > durable_index_) LOCKD_REACH(kCommitAheadOfOwnDisk);
  commit_index_ = index;
  EvictTail();
}

void RaftLog::AppliedTo(Index index) {
  if (index <= applied_index_) return;
  LOCKD_CHECK(index <= commit_index_, "applied ", index, " beyond commit ", commit_index_);
  applied_index_ = index;
  EvictTail();
}

// -- forgetting --

void RaftLog::CompactTo(const LogBase& base) {
  LOCKD_CHECK(
      base.index > base_.index && base.index <= applied_index_ && base.index <= durable_index_,
      "compaction to ", base.index, " of a log with base ", base_.index, ", applied ",
      applied_index_, ", durable ", durable_index_);
  const std::optional<Term> term = TermAt(base.index);
  LOCKD_CHECK(!term.has_value() || *term == base.term, "a snapshot of entry ", base.index,
              " says term ", base.term, ", the log ", *term);
  LOCKD_REACH(kLogCompacted);
  ForgetUpTo(base);
}

void RaftLog::Restore(const LogBase& base, Configuration configuration) {
  LOCKD_CHECK(base.index > commit_index_, "a snapshot of entry ", base.index,
              " does not replace what is committed up to ", commit_index_);
  const bool keeps_rest = TermAt(base.index) == base.term;
  configurations_.Restore(base.index, std::move(configuration), keeps_rest);
  if (keeps_rest) {
    ForgetUpTo(base);
  } else {
    BeginAnewAfter(base);
  }
  commit_index_ = base.index;
  applied_index_ = base.index;
}

void RaftLog::ForgetUpTo(const LogBase& base) {
  LOCKD_CHECK(!InMemory(base.index) || At(base.index).time == base.time, "a snapshot of entry ",
              base.index, " says time ", base.time, ", the log ", At(base.index).time);
  while (runs_.size() > 1 && runs_[1].first <= base.index) runs_.erase(runs_.begin());
  runs_.front().first = std::max(runs_.front().first, base.index);
  configurations_.CompactTo(base.index);
  base_ = base;
  // After a Restore the entries may be unwritten, or in a write under way: the snapshot has them.
  durable_index_ = std::max(durable_index_, base.index);
  written_index_ = std::max(written_index_, base.index);
  for (Write& write : writes_) write.last = std::max(write.last, base.index);
  FreeForgotten();
}

void RaftLog::BeginAnewAfter(const LogBase& base) {
  LOCKD_REACH(kLogReplacedBySnapshot);
  if (!tail_.empty()) dropped_.push_back(std::exchange(tail_, {}));
  tail_bytes_ = 0;
  runs_.assign(1, {base.index, base.term});
  base_ = base;
  last_index_ = base.index;
  last_time_ = base.time;
  durable_index_ = base.index;
  written_index_ = base.index;
  // What writes under way carry is gone; they vouch for nothing more.
  for (Write& write : writes_) write.last = base.index;
  FreeForgotten();
}

void RaftLog::FreeForgotten() {
  size_t left = kFreedAtOnce;
  for (; left > 0 && !dropped_.empty(); --left) {
    dropped_.back().pop_back();
    if (dropped_.back().empty()) dropped_.pop_back();
  }
  for (; left > 0 && held_first_index() <= base_.index; --left) PopFront();
}

size_t RaftLog::held_entries() const {
  size_t entries = tail_.size();
  for (const std::deque<Entry>& dropped : dropped_) entries += dropped.size();
  return entries;
}

size_t RaftLog::CountTailBytes() const {
  size_t bytes = 0;
  for (const Entry& entry : tail_) bytes += entry.size_bytes();
  return bytes;
}

// -- writing --

std::vector<Entry> RaftLog::BeginWrite(uint64_t id, Tick now) {
  LOCKD_CHECK(writes_.empty() || id > writes_.back().id);
  std::vector<Entry> entries;
  if (has_unwritten()) entries = Copy(written_index_ + 1, last_index_, SIZE_MAX);
  written_index_ = last_index_;
  writes_.push_back({id, last_index_, now});
  return entries;
}

void RaftLog::EndWrites(uint64_t id) {
  while (!writes_.empty() && writes_.front().id <= id) {
    durable_index_ = std::max(durable_index_, writes_.front().last);
    writes_.pop_front();
  }
  EvictTail();
}

uint64_t RaftLog::WriteHolding(Index index) const {
  LOCKD_CHECK(index <= written_index_, "entry ", index, " is in no write");
  if (index <= durable_index_) return 0;
  for (const Write& write : writes_) {
    if (write.last >= index) return write.id;
  }
  LOCKD_UNREACHABLE("entry ", index, " is written, not durable, and in no write under way");
}

std::optional<Tick> RaftLog::oldest_write_began() const {
  if (writes_.empty()) return std::nullopt;
  return writes_.front().began;
}

bool RaftLog::AreWritesExact() const {
  uint64_t id = 0;
  Index last = durable_index_;
  for (const Write& write : writes_) {
    if (write.id <= id || write.last < last) return false;
    id = write.id;
    last = write.last;
  }
  return last == written_index_;
}

void RaftLog::NoteConfiguration(const Entry& entry) {
  std::optional<ConfigurationChange> change = DecodeConfigurationChange(entry.payload);
  LOCKD_CHECK(change.has_value(), "entry ", entry.index, " holds no configuration");
  configurations_.Append(entry.index, *std::move(change));
}

void RaftLog::PushBack(Entry entry) {
  LOCKD_CHECK(entry.index == last_index_ + 1, "gap in the log: ", entry.index, " after ",
              last_index_);
  LOCKD_CHECK(entry.time >= last_time_, "time goes back at ", entry.index, ": ", entry.time,
              " after ", last_time_);
  if (runs_.empty() || runs_.back().term != entry.term) {
    LOCKD_CHECK(runs_.empty() || entry.term > runs_.back().term, "term goes back at ", entry.index);
    runs_.push_back({entry.index, entry.term});
  }
  if (entry.kind == EntryKind::kConfiguration) NoteConfiguration(entry);
  last_index_ = entry.index;
  last_time_ = entry.time;
  tail_bytes_ += entry.size_bytes();
  tail_.push_back(std::move(entry));
}

void RaftLog::PopFront() {
  tail_bytes_ -= tail_.front().size_bytes();
  tail_.pop_front();
}

void RaftLog::TruncateFrom(Index index) {
  LOCKD_CHECK(index > commit_index_, "would truncate committed entries from ", index, ", commit ",
              commit_index_);
  LOCKD_REACH(kConflictingSuffixCut);
  while (last_index_ >= index) {
    tail_bytes_ -= tail_.back().size_bytes();
    tail_.pop_back();
    last_index_ = last_index_ - 1;
  }
  configurations_.TruncateFrom(index);
  // The last committed entry, or the base, is still there: its run stays.
  while (runs_.back().first >= index) runs_.pop_back();
  written_index_ = std::min(written_index_, last_index_);
  durable_index_ = std::min(durable_index_, last_index_);
  for (Write& write : writes_) {
    if (write.last > last_index_) LOCKD_REACH(kWriteUnderWayTruncated);
    write.last = std::min(write.last, last_index_);
  }
  last_time_ = tail_.empty() ? base_.time : tail_.back().time;
}

void RaftLog::EvictTail() {
  // The limit itself stays: a truncation must find the term and time of the entry before it.
  Index limit = std::min(durable_index_, commit_index_);
  // What is not applied stays for the state machine. If it already reads from disk, because the
  // tail begins above what it applies next, these entries are of no use to it yet.
  if (applied_index_ + 1 >= tail_first_index()) limit = std::min(limit, applied_index_);
  // What is forgotten stands in front, and goes first.
  while (tail_bytes_ > tail_bytes_max_ && held_first_index() < limit) PopFront();
}

}  // namespace lockd::raft
