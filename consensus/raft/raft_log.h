// The replicated log as the core sees it: an in-memory tail over a log on disk.
//
//        base          tail_first             durable   written      last
//          |               |                     |         |           |
//          v               v                     v         v           v
//     [snapshot][ on disk only | in memory and on disk | in a write | not yet handed to the disk ]
//                      ^applied      ^commit
//
// Marks, all of them indexes, and what binds them (checked after every change, see invariants.h):
//   base <= applied <= commit <= last     nothing at or below commit is ever truncated
//   durable <= written <= last            written: handed out in a write; durable: that completed
//   every entry from min(commit, durable) on is in memory
//
// A commit index may run ahead of this member's own durable index: what a majority has on disk is
// committed whether or not this member is one of it.
//
// Truncation and completions. A write that completes after part of it was truncated from the
// log must not make its old entries count as durable, even when other entries stand at the same
// indexes now. Each write under way therefore records the last index that it may still vouch for,
// and a truncation lowers it in all of them: a completion is matched by the write's id, and what it
// vouches for is exactly what of it is still in the log.
//
// Terms of entries that have left memory are kept as runs (term, first index), a few words per term
// and not per entry. Only what lies below the recovered tail has an unknown term; that is not "term
// 0" (R-21): TermAt says so with nullopt.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_RAFT_LOG_H_
#define LOCKD_CONSENSUS_RAFT_RAFT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "consensus/raft/types.h"
#include "protocol/base/time.h"

namespace lockd::raft {

class RaftLog {
 public:
  RaftLog(RecoveredLog recovered, size_t tail_bytes_max);

  // -- extent --
  [[nodiscard]] Index base_index() const { return base_index_; }
  [[nodiscard]] Index first_index() const { return base_index_ + 1; }
  [[nodiscard]] Index last_index() const { return last_index_; }
  [[nodiscard]] Term last_term() const { return runs_.back().term; }
  [[nodiscard]] ClusterTime last_time() const { return last_time_; }
  [[nodiscard]] Index commit_index() const { return commit_index_; }
  [[nodiscard]] Index applied_index() const { return applied_index_; }
  [[nodiscard]] Index written_index() const { return written_index_; }
  [[nodiscard]] Index durable_index() const { return durable_index_; }
  // First entry held in memory; last_index() + 1 when none is.
  [[nodiscard]] Index tail_first_index() const { return last_index_ + 1 - tail_.size(); }
  [[nodiscard]] size_t tail_bytes() const { return tail_bytes_; }

  // -- looking at entries --
  // nullopt: not in the log (beyond its end, or compacted), or below the recovered tail.
  [[nodiscard]] std::optional<Term> TermAt(Index index) const;
  // Does the log hold (index, term)? Everything at or below the commit index is held by every
  // leader that may ask (leader completeness), so there the term need not be known.
  [[nodiscard]] bool Matches(Index index, Term term) const;
  // Is a log that ends with (index, term) at least as up to date as this one (thesis 3.6.1)?
  [[nodiscard]] bool IsNoNewerThan(Index index, Term term) const;
  // The greatest index <= `index` whose term is known and <= `term`, or where knowledge ends.
  // Never below `floor`. For back-tracking over whole terms (thesis 3.5, end).
  [[nodiscard]] Index GreatestWithTermAtMost(Index index, Term term, Index floor) const;
  [[nodiscard]] bool InMemory(Index index) const {
    return index >= tail_first_index() && index <= last_index_;
  }
  // Only for an index in memory.
  [[nodiscard]] const Entry& At(Index index) const;
  // Copies entries [first, last], all in memory, as far as `bytes_max` goes, at least one.
  [[nodiscard]] std::vector<Entry> Copy(Index first, Index last, size_t bytes_max) const;
  // Sum of size_bytes over [first, last], all in memory.
  [[nodiscard]] size_t BytesOf(Index first, Index last) const;

  // -- growing --
  // One entry after the last (leader).
  void Append(Entry entry);
  // Entries of a leader, the first of which follows an entry that matches. Keeps what is already
  // there, truncates at the first conflict only, never at or below commit.
  void Merge(std::vector<Entry> entries);
  // Never goes back: a smaller index is ignored.
  void CommitTo(Index index);
  void AppliedTo(Index index);

  // -- writing --
  [[nodiscard]] bool has_unwritten() const { return written_index_ < last_index_; }
  // Copies of the entries not yet handed to the disk, now part of the write with this id.
  [[nodiscard]] std::vector<Entry> BeginWrite(uint64_t id, Tick now);
  // The write with this id and all before it are durable.
  void EndWrites(uint64_t id);
  // The write under way that makes `index` (<= written_index()) durable; zero: it is durable.
  [[nodiscard]] uint64_t WriteHolding(Index index) const;
  // When the oldest write under way began.
  [[nodiscard]] std::optional<Tick> oldest_write_began() const;
  [[nodiscard]] size_t writes_under_way() const { return writes_.size(); }
  // Writes under way are in order and vouch for exactly what is written and not durable
  // (invariants.h).
  [[nodiscard]] bool AreWritesExact() const;

 private:
  struct TermRun {
    Index first;
    Term term;
  };
  struct Write {
    uint64_t id;
    Index last;  // vouches for entries up to here; lowered by truncation
    Tick began;
  };

  friend struct RaftCorruptor;  // tests/consensus/raft/corruptor.h: breaks each invariant

  void PushBack(Entry entry);
  void TruncateFrom(Index index);
  void EvictTail();

  size_t tail_bytes_max_;

  Index base_index_;
  Term base_term_;
  ClusterTime base_time_;

  std::deque<Entry> tail_;  // contiguous, ends at last_index_
  size_t tail_bytes_ = 0;   // sum of size_bytes over tail_
  // Ascending in both fields, never empty; covers [runs_.front().first, last_index_].
  std::vector<TermRun> runs_;

  Index last_index_;
  ClusterTime last_time_;
  Index commit_index_;
  Index applied_index_;
  Index written_index_;
  Index durable_index_;
  std::deque<Write> writes_;  // in order of id; `last` never decreases along it
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_RAFT_LOG_H_
