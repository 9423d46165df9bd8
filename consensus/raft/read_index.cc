#include "consensus/raft/read_index.h"

#include <utility>

#include "protocol/base/check.h"

namespace lockd::raft {

size_t ReadIndex::size() const {
  size_t size = waiting_.size();
  for (const Round& round : rounds_) size += round.contexts.size();
  return size;
}

void ReadIndex::StartRound(uint64_t round, Index commit_index) {
  LOCKD_CHECK(!waiting_.empty());
  LOCKD_CHECK(rounds_.empty() || round > rounds_.back().number,
              "a read round must be fresh: ", round);
  rounds_.push_back({round, commit_index, std::move(waiting_)});
  waiting_.clear();
}

void ReadIndex::Confirm(uint64_t round, std::vector<ReleasedRead>& released) {
  while (!rounds_.empty() && rounds_.front().number <= round) {
    const Round& confirmed = rounds_.front();
    for (const uint64_t context : confirmed.contexts) {
      released.push_back({context, true, confirmed.index});
    }
    rounds_.pop_front();
  }
}

void ReadIndex::FailAll(std::vector<ReleasedRead>& released) {
  for (const Round& round : rounds_) {
    for (const uint64_t context : round.contexts) released.push_back({context, false, Index{0}});
  }
  for (const uint64_t context : waiting_) released.push_back({context, false, Index{0}});
  rounds_.clear();
  waiting_.clear();
}

}  // namespace lockd::raft
