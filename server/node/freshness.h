// Freshness: how old what this node shows may be. The age of a stale read.
//
// At a follower: the time since it handled a message of the leader of its term, if all that it knew
// to be committed right after that message is applied. At a leader: the time since a majority had
// answered it. So a cut-off node's answers grow older, whatever it believes about itself, and a
// node that applies more slowly than it hears grows older too.
//
// It is no bound on what the cluster may have committed since: how long that message was under way,
// and what the leader had committed and not told, are not in it. Who needs to know that nothing
// newer exists asks for a linearizable read.
//
//   for each message:  sign = Freshness::SignOf(message); raft.Step(message); OnStepped(sign, raft)
//   at the end of a turn:  OnTime(now, raft, known_committed)
//   then:  AgeMs(now)
//
// Threading: pure value.
#ifndef LOCKD_SERVER_NODE_FRESHNESS_H_
#define LOCKD_SERVER_NODE_FRESHNESS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "consensus/raft/raft.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"

namespace lockd::node {

class Freshness {
 public:
  // What of a message counts here; the message itself goes to the core.
  struct Sign {
    NodeId from;
    raft::Term term;
    bool is_answer = false;  // of a follower
  };
  [[nodiscard]] static Sign SignOf(const raft::Message& message);
  // The core has handled the message.
  void OnStepped(const Sign& sign, const raft::Raft& raft);
  // Once a turn, after everything that is applied in it. `known_committed`: what this node knows to
  // be committed; its commit index, or the entry of a snapshot that is on its way to it.
  void OnTime(LocalTime now, const raft::Raft& raft, raft::Index known_committed);

  // Nothing: no leader was heard yet in this life.
  [[nodiscard]] std::optional<int64_t> AgeMs(LocalTime now) const;

 private:
  // Heard then, and current as of then once so much is applied.
  struct Mark {
    raft::Index commit;
    LocalTime heard_at;
  };

  // What was heard in another term or role than the present one says nothing about it.
  void ForgetOtherOffice(const raft::Raft& raft);

  std::set<NodeId> heard_;  // in this turn: the leader; at a leader: who answered
  raft::Term heard_in_;     // term and role in which that was
  bool heard_as_leader_ = false;
  std::map<NodeId, LocalTime> answered_at_;  // at a leader, in its term
  raft::Term answered_in_;                   // that term
  std::optional<Mark> next_;
  std::optional<LocalTime> current_as_of_;
};

}  // namespace lockd::node

#endif  // LOCKD_SERVER_NODE_FRESHNESS_H_
