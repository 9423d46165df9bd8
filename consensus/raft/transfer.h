// A leader's hand-over of its leadership to one voter (thesis 3.10).
//
//   asked for ──► the target catches up ──► TimeoutNow, again every heartbeat interval
//                          │                            │
//                          └──── an election timeout ───┴──► aborted: proposals are taken again
//
// While it lasts the leader takes no proposals: what the target has to catch up with stays what it
// is. It is over when the leader steps down, which is how it learns that the target campaigns.
// Nothing here is needed for safety: an aborted hand-over whose TimeoutNow arrives late is an
// election like any other.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_TRANSFER_H_
#define LOCKD_CONSENSUS_RAFT_TRANSFER_H_

#include <cstdint>
#include <vector>

#include "consensus/raft/progress.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::raft {

// What became of a wish for a hand-over.
enum class TransferOutcome : uint8_t {
  kStarted,       // or is under way to this very target
  kNotLeader,     // ask the leader
  kIsLeader,      // the target leads already
  kNoSuchMember,  // the target is no member
  kNotVoter,      // a learner cannot lead
  kBusy,          // a hand-over to another target is under way
  kNobody,        // no target was named, and no other voter has been heard of late
};

class Transfer {
 public:
  Transfer(NodeId to, Tick deadline) : to_(to), deadline_(deadline) {}

  [[nodiscard]] NodeId to() const { return to_; }
  [[nodiscard]] Tick deadline() const { return deadline_; }  // aborted then
  // TimeoutNow was sent, if not in vain.
  [[nodiscard]] bool is_told() const { return is_told_; }

  // May TimeoutNow leave? Not before the target has the leader's whole log durably: it would lose
  // the election to its own voters, and this leader a term.
  [[nodiscard]] bool IsDue(const std::vector<Progress>& followers, Index last_index) const;
  void Told() {
    is_told_ = true;
    is_due_again_ = false;
  }
  // A heartbeat interval has passed: the message may have been lost.
  void TellAgain() { is_due_again_ = true; }

 private:
  friend struct RaftCorruptor;

  NodeId to_;
  Tick deadline_;
  bool is_told_ = false;
  bool is_due_again_ = false;
};

// The voter that has the most of the log, of those the one heard last; zero: none was heard from
// `heard_from` on. In a joint configuration one of those that stay.
[[nodiscard]] NodeId BestTarget(const std::vector<Progress>& followers,
                                const Configuration& configuration, Tick heard_from);

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_TRANSFER_H_
