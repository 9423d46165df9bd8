// LogIndex: what is in the log and where on disk, kept in memory while the log itself need not fit.
//
// Recovery builds it by replaying the records, LogStore goes on with it for each write: the same
// rules, the same code. It keeps one mark for about each 64 KiB of log, and the index at which each
// term begins.
//
//   entries   1 2 3 4 5 | 6 7 8 | 6' 7' 8' 9'      a conflicting suffix was cut at 6
//   marks     ^ 1         ^ 4     ^ 6'             reading 4..8: 4, 5 from the second mark, stop
//                                                  before 6, go on at the third mark
//
// A cut forgets all marks at or above its index and sets one at its own batch, so that a mark is
// good for exactly the indexes up to the next mark, and a superseded entry is never met.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_STORAGE_LOG_INDEX_H_
#define LOCKD_CONSENSUS_STORAGE_LOG_INDEX_H_

#include <cstdint>
#include <deque>
#include <optional>

#include "consensus/raft/types.h"
#include "consensus/storage/log_job.h"

namespace lockd::storage {

class LogIndex {
 public:
  // Reading forward from (life, offset), the entries from `first` on come in order.
  struct Mark {
    uint64_t life = 0;
    uint64_t offset = 0;
    raft::Index first;
  };

  LogIndex() = default;
  // A log after `base`, of which nothing but the position of its last entry is known yet: the
  // entries in between are in segments that are gone (and must turn out not to be needed).
  LogIndex(const LogBase& base, const LogBase& last);

  // Whether the log holds the entry that `base` names (or is already based on it or beyond).
  [[nodiscard]] bool Holds(const LogBase& base) const;
  // Entries up to base.index are forgotten; with `forgets_all` those above, too.
  void SetBase(const LogBase& base, bool forgets_all);
  // The batch at (life, offset) holds this entry. Cuts the log before it if its index is not above
  // the last. It must not be below or at the base, nor leave a gap.
  void Add(uint64_t life, uint64_t offset, const LogBase& entry);

  [[nodiscard]] const LogBase& base() const { return base_; }
  [[nodiscard]] const LogBase& last() const { return last_; }
  // Every entry above the base has a mark to be found from.
  [[nodiscard]] bool IsComplete() const;
  // The first index that can be found; last + 1 when none can.
  [[nodiscard]] raft::Index first_found() const;

  // The mark to find `index` from, and the last index that it is good for.
  struct Found {
    Mark mark;
    raft::Index last;
  };
  [[nodiscard]] Found Find(raft::Index index) const;
  // Lives below it hold nothing that is still in the log; nullopt: no life holds any entry.
  [[nodiscard]] std::optional<uint64_t> oldest_life() const;

 private:
  struct TermStart {
    raft::Index first;
    raft::Term term;
  };
  void CutFrom(raft::Index index);
  void DropThrough(raft::Index index);

  LogBase base_;
  LogBase last_;
  std::deque<Mark> marks_;       // ascending in position and in index
  std::deque<TermStart> terms_;  // ascending
};

}  // namespace lockd::storage

#endif  // LOCKD_CONSENSUS_STORAGE_LOG_INDEX_H_
