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
//   base <= durable <= written <= last    written: handed out in a write; durable: that completed
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
// The base. What it covers is durable in a snapshot, which is as good as in the log: no mark is
// below it. It moves in two ways:
//
//   CompactTo(9)   ... 8 9 | 10 11 12   entries that are applied and durable are forgotten
//   Restore(9)     a snapshot that came from the leader is ahead of all that is committed here:
//                  - the log holds the very entry 9 (same index and term): what is up to it is the
//                    same (log matching, thesis 3.5) and goes, what follows stays
//                  - else it ends below 9 or contradicts what is committed: all of it goes
//
// Either way the disk is told with the next write, and does the same there (WriteRequest::base).
// Where the base passes entries that are not written yet, these never will be: the disk, which does
// not hold the base's entry then, forgets all, and the next entries continue after the base.
//
// Terms of entries that have left memory are kept as runs (term, first index), a few words per term
// and not per entry. Only what lies below the recovered tail or the base has an unknown term; that
// is not "term 0": TermAt says so with nullopt.
//
// Configurations (membership.h) are in force while their entries are in the log: an append, a
// truncation, a compaction and a restore change them together with the log. They are kept for all
// entries above the base, also for those that have left memory.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_RAFT_LOG_H_
#define LOCKD_CONSENSUS_RAFT_RAFT_LOG_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "consensus/raft/membership.h"
#include "consensus/raft/types.h"
#include "protocol/base/time.h"

namespace lockd::raft {

class RaftLog {
 public:
  // `configuration` is the one in force at the recovered base.
  RaftLog(RecoveredLog recovered, size_t tail_bytes_max, Configuration configuration = {});

  // -- extent --
  [[nodiscard]] const LogBase& base() const { return base_; }
  [[nodiscard]] Index base_index() const { return base_.index; }
  [[nodiscard]] Index first_index() const { return base_.index + 1; }
  [[nodiscard]] Index last_index() const { return last_index_; }
  [[nodiscard]] Term last_term() const { return runs_.back().term; }
  [[nodiscard]] ClusterTime last_time() const { return last_time_; }
  [[nodiscard]] Index commit_index() const { return commit_index_; }
  [[nodiscard]] Index applied_index() const { return applied_index_; }
  [[nodiscard]] Index written_index() const { return written_index_; }
  [[nodiscard]] Index durable_index() const { return durable_index_; }
  // First entry held in memory; last_index() + 1 when none is.
  [[nodiscard]] Index tail_first_index() const {
    return std::max(held_first_index(), first_index());
  }
  // Sum of size_bytes over what is in memory, with what is forgotten and not freed yet; and the
  // same counted anew (invariants.h).
  [[nodiscard]] size_t tail_bytes() const { return tail_bytes_; }
  [[nodiscard]] size_t CountTailBytes() const;
  [[nodiscard]] const ConfigurationLog& configurations() const { return configurations_; }

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

  // -- forgetting --
  // Forgets the entries up to `base`, which is above the base so far, applied and durable.
  void CompactTo(const LogBase& base);
  // `base` is above the commit index: it and all before it are committed, applied and durable now,
  // and no longer in the log. `configuration` is in force there.
  void Restore(const LogBase& base, Configuration configuration);
  // Frees a part of what is forgotten. Some hundred thousand small entries at once would take as
  // many allocations' time, in which a leader sends no heartbeat; so this wants to be called now
  // and then.
  void FreeForgotten();
  static constexpr size_t kFreedAtOnce = 1'024;
  // In memory, with those that are forgotten and not freed yet.
  [[nodiscard]] size_t held_entries() const;

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
  // Terms are known of no entry below the base (invariants.h).
  [[nodiscard]] bool DoRunsBeginAtBase() const { return runs_.front().first >= base_.index; }

 private:
  struct TermRun {
    Index first;
    Term term;
  };
  struct Write {
    uint64_t id;
    Index last;  // vouches for entries up to here; lowered by truncation, never below the base
    Tick began;
  };

  friend struct RaftCorruptor;  // tests/consensus/raft/corruptor.h: breaks each invariant

  [[nodiscard]] Index held_first_index() const { return last_index_ + 1 - tail_.size(); }
  void PushBack(Entry entry);
  // One is in the log with this entry.
  void NoteConfiguration(const Entry& entry);
  void PopFront();
  void TruncateFrom(Index index);
  void EvictTail();
  // The log holds the entry of `base`: forgets it and all before it.
  void ForgetUpTo(const LogBase& base);
  // ... does not: forgets everything.
  void BeginAnewAfter(const LogBase& base);

  size_t tail_bytes_max_;

  LogBase base_;

  // Contiguous, ends at last_index_. What stands in it up to the base is forgotten.
  std::deque<Entry> tail_;
  size_t tail_bytes_ = 0;                   // sum of size_bytes over tail_
  std::vector<std::deque<Entry>> dropped_;  // forgotten as a whole; none is empty
  // Ascending in both fields, never empty; covers [runs_.front().first, last_index_].
  std::vector<TermRun> runs_;

  ConfigurationLog configurations_;

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
