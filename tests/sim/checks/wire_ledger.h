// WireLedger: what each leader sent to each follower, and what the answers may say about it.
//
//   AckWithinSent         (I-13) an acknowledgement never reaches beyond what the leader of that
//   term
//                         sent to this follower
//   RoundWithinSent       (I-13) a reply echoes a round that its leader has begun
//   HeartbeatWithinAck    (I-13) a heartbeat's commit index is at most what this follower has
//                         acknowledged in the term: beyond it, its entries may be others
//   CommitNeverBack       (I-5)  the commit index that a leader tells in appends never goes back
//   VoteAnswersRequest    (I-13) a vote is given to who asked for it, in that term
//
// Give it each message as it leaves, decoded from its frame. It returns "Name: details" of what it
// found broken, or nothing.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_WIRE_LEDGER_H_
#define LOCKD_TESTS_SIM_CHECKS_WIRE_LEDGER_H_

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::sim {

class WireLedger {
 public:
  [[nodiscard]] std::string Sent(const raft::Message& message);

 private:
  // What a leader has with one follower in one term.
  struct Pair {
    raft::Term term;
    NodeId leader;
    NodeId follower;
    friend auto operator<=>(const Pair&, const Pair&) = default;
  };
  struct Traffic {
    raft::Index sent;    // the last entry, or the one before an empty append
    raft::Index commit;  // of appends
    uint64_t round = 0;  // the newest one told
    raft::Index acknowledged;
  };

  std::string OnAppend(const raft::Message& message, const raft::AppendRequest& append);
  std::string OnAck(const raft::Message& message, const raft::AppendReply& ack);
  std::string OnChunkReply(const raft::Message& message, const raft::SnapshotChunkReply& reply);
  std::string OnHeartbeat(const raft::Message& message, const raft::Heartbeat& heartbeat);
  std::string OnHeartbeatReply(const raft::Message& message,
                               const raft::HeartbeatReply& reply) const;
  std::string OnVote(const raft::Message& message, const raft::VoteReply& reply) const;

  std::map<Pair, Traffic> traffic_;
  // (campaign term, candidate, voter) of real vote requests.
  std::set<Pair> campaigns_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_WIRE_LEDGER_H_
