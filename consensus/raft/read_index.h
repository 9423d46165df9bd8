// Linearizable reads without a log write (thesis 6.4).
//
// A read is answered from a state that has applied the commit index of the moment it was asked,
// once a majority has shown *after that moment* that it still followed this leader. All reads asked
// before one TakeReady share one round; each round has a fresh number that heartbeats and appends
// carry and replies echo, so that an old reply cannot confirm a new round.
//
//   Add(context) ... -> StartRound(round, commit) -> majority has echoed `round` -> Confirm(round)
//
// Dies with its leader: FailAll answers what is left.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_READ_INDEX_H_
#define LOCKD_CONSENSUS_RAFT_READ_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "consensus/raft/types.h"

namespace lockd::raft {

class ReadIndex {
 public:
  void Add(uint64_t context) { waiting_.push_back(context); }
  // Reads that no round covers yet.
  [[nodiscard]] bool has_waiting() const { return !waiting_.empty(); }
  [[nodiscard]] size_t size() const;

  // The waiting reads join `round` (above all earlier ones), which begins now.
  void StartRound(uint64_t round, Index commit_index);
  // A majority has answered messages of `round` or a later one.
  void Confirm(uint64_t round, std::vector<ReleasedRead>& released);
  void FailAll(std::vector<ReleasedRead>& released);

 private:
  struct Round {
    uint64_t number;
    Index index;
    std::vector<uint64_t> contexts;
  };
  std::vector<uint64_t> waiting_;
  std::deque<Round> rounds_;  // ascending by number
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_READ_INDEX_H_
