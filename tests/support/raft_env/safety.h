// What must hold in every scenario, whatever its script does: watched from outside the core, over
// all members at once, with a memory that survives their crashes. (What must hold inside of one
// core is checked beside it, by consensus/raft/invariants.h.)
//
//   election safety     at most one leader in a term (thesis figure 3.2)
//   one vote            a member votes for at most one candidate in a term, also across crashes
//   leader on disk      a leader's term and vote for itself are durable before it leads: else it
//                       could crash, forget, be elected in the same term again, and give one
//                       (index, term) two contents
//   vote after sync     a vote or an acknowledgement leaves only when what it promises is durable
//                       (thesis 3.8)
//   honest ack          an acknowledgement covers exactly what its request carried
//   log matching        one (index, term) has one content, on all members (thesis figure 3.2)
//   commit on majority  a committed entry is on the disks of a majority (thesis 3.6)
//   state machines      no two members apply different entries at one index, none skips or repeats
//   committed stays     no write cuts below what its member knows to be committed; a base covers
//                       nothing else
//   honest install      that a snapshot is installed is said only by a disk that knows its base, or
//                       has all entries up to it
//   fresh reads         a confirmed read is not older than what was committed when it was asked for
//                       (thesis 6.4)
//
// The first broken rule is kept; RaftEnv makes it the end of the script, which no expected output
// can hide.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_RAFT_ENV_SAFETY_H_
#define LOCKD_TESTS_SUPPORT_RAFT_ENV_SAFETY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "consensus/raft/types.h"
#include "tests/support/raft_env/member.h"

namespace lockd::raft_env {

class Safety {
 public:
  using Members = std::map<NodeId, Member>;

  // After anything that may have changed a member's role, term or commit index.
  void Observe(NodeId id, const Member& member);
  // A member asks for a write, which is not yet among its waiting ones.
  void WriteStarted(NodeId id, const Member& member, const raft::WriteRequest& write);
  // Its disk has carried the write out.
  void WriteDone(NodeId id, const raft::WriteRequest& write);
  // A script puts a message of its own making on the way.
  void Injected(const raft::Message& message);
  // A snapshot of the state after this entry takes the place of a member's log up to there.
  void Covered(NodeId id, const raft::LogBase& base);
  // A script gives a member this entry.
  void Preloaded(const raft::Entry& entry);
  // A message leaves its sender.
  void Sent(const Member& sender, const raft::Message& message);
  // A member has delivered `entry` for applying.
  void Committed(NodeId id, const Member& member, const raft::Entry& entry, const Members& all);
  // In force after this entry: `first` unless a configuration that is committed says otherwise.
  [[nodiscard]] raft::Configuration ConfigurationAt(raft::Index index,
                                                    const raft::Configuration& first) const;
  void ReadAsked(NodeId id, uint64_t context);
  void ReadAnswered(NodeId id, const raft::ReleasedRead& read);

  [[nodiscard]] const std::optional<std::string>& violation() const { return violation_; }

 private:
  template <typename... Parts>
  void Violated(const Parts&... parts);
  void CheckHeldByQuorum(NodeId id, const Member& member, const raft::Entry& entry,
                         const Members& all);
  void CheckVoteReply(const Member& sender, const raft::Message& message,
                      const raft::VoteReply& reply);
  void CheckAppendReply(const Member& sender, const raft::Message& message,
                        const raft::AppendReply& reply);

  // What an append request carried, as its reply identifies it.
  struct Carried {
    NodeId leader;
    NodeId follower;
    raft::Term term;
    raft::Index prev_index;
    raft::Index last_index;
    friend auto operator<=>(const Carried&, const Carried&) = default;
  };

  std::map<raft::Term, NodeId> leaders_;
  std::map<std::pair<NodeId, raft::Term>, NodeId> votes_;
  std::set<Carried> carried_;
  std::map<std::pair<raft::Index, raft::Term>, raft::Entry> entries_;
  std::map<raft::Index, raft::Entry> committed_;
  raft::Index commit_max_;                                    // of all members, ever
  std::map<std::pair<NodeId, uint64_t>, raft::Index> reads_;  // -> commit_max_ when asked for
  std::optional<std::string> violation_;
};

}  // namespace lockd::raft_env

#endif  // LOCKD_TESTS_SUPPORT_RAFT_ENV_SAFETY_H_
