#include "server/node/pending_requests.h"

#include <iterator>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/reach.h"

namespace lockd::node {
namespace {

void MoveAll(std::vector<Waiter> from, std::vector<Waiter>* to) {
  to->insert(to->end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void PendingRequests::Add(raft::Term term, raft::Index index, std::vector<Waiter> waiters) {
  LOCKD_CHECK(proposed_.empty() || proposed_.back().index < index, "entry ", index, " after ",
              proposed_.back().index);
  proposed_.push_back({term, index, std::move(waiters)});
}

std::vector<Waiter> PendingRequests::Take(raft::Term term, raft::Index index,
                                          std::vector<Waiter>* superseded) {
  while (!proposed_.empty() && proposed_.front().index <= index) {
    Proposed front = std::move(proposed_.front());
    proposed_.pop_front();
    // Log matching (thesis 3.5): same index and term, same entry.
    if (front.index == index && front.term == term) return std::move(front.waiters);
    MoveAll(std::move(front.waiters), superseded);
  }
  return {};
}

std::vector<Waiter> PendingRequests::TakeAll() {
  std::vector<Waiter> all;
  if (!proposed_.empty()) LOCKD_REACH(kProposalOutcomeUnknown);
  for (Proposed& proposed : proposed_) MoveAll(std::move(proposed.waiters), &all);
  proposed_.clear();
  return all;
}

}  // namespace lockd::node
