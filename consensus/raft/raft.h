// Raft: one member of one consensus group (Ongaro, "Consensus: Bridging Theory and Practice", cited
// as "thesis").
//
// A pure value: messages, ticks, proposals and storage completions go in, a `Ready` comes out. The
// core never calls out, reads no clock, and draws randomness only from its seed, so that a schedule
// replays exactly.
//
// Order of use, by one owner:
//
//   Raft raft(options, recovered_log);
//   for each input:               raft.Step(message) | Tick() | Propose(...) | RequestRead(...) |
//                                 WriteCompleted(id) | ReadCompleted(...) | ...
//   any number of inputs later:   Ready ready = raft.TakeReady();   // this is where batches form
//                                 send ready.messages; start ready.write; start ready.reads;
//                                 apply ready.committed, then raft.Applied(last of them);
//                                 answer ready.released_reads
//   when the write is durable:    send its messages_once_durable; raft.WriteCompleted(write.id)
//
// Group commit: an owner that keeps one write under way calls TakeReady(TakeWrite::kNo) meanwhile.
// The write stays pending and grows, while heartbeats, appends, committed entries and reads leave.
// Several writes may be in flight as well; they complete in order.
//
// Safety rules that hold at all times are listed, by name, in invariants.h; CheckInvariants() ends
// the process when one is broken.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_RAFT_H_
#define LOCKD_CONSENSUS_RAFT_RAFT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "consensus/raft/candidate.h"
#include "consensus/raft/core.h"
#include "consensus/raft/follower.h"
#include "consensus/raft/leader.h"
#include "consensus/raft/options.h"
#include "consensus/raft/raft_log.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"

namespace lockd::raft {

enum class ProposeOutcome : uint8_t {
  kAccepted,
  kNotLeader,  // ask the leader (leader_id()) instead; proposals are never forwarded
  kTooManyUncommitted,  // over uncommitted_bytes_max: try again when some have committed
};

// Whether TakeReady may hand out a new write.
enum class TakeWrite : uint8_t { kNo, kYes };

class Raft {
 public:
  Raft(const Options& options, RecoveredLog recovered);

  // -- inputs --
  // A message from another member. Messages from strangers and from oneself, for others, and
  // malformed ones (IsWellFormed in types.h) are ignored.
  void Step(Message message);
  // `count` ticks have passed.
  void Tick(uint64_t count = 1);
  // Appends one command entry, if this member leads. `time` is at least the time of the last entry.
  // `*index`, when not null, receives the position at which the entry stands if this leader stays
  // (with term()).
  ProposeOutcome Propose(ClusterTime time, std::string payload, Index* index = nullptr);
  // A linearizable read: answered in a later Ready::released_reads with the same context (caller's
  // number, unique among those outstanding). Reads asked for before one TakeReady share one
  // heartbeat round.
  void RequestRead(uint64_t context);
  // The write with this id, and all before it, are durable.
  void WriteCompleted(uint64_t id);
  // Answers a ReadRequest; `entries` starts at its `first`.
  void ReadCompleted(uint64_t id, std::vector<Entry> entries);
  // Campaigns now, as if the election timeout had passed (scripts, tests, a hint that the leader
  // died).
  // Nothing happens where this member leads or is no voter.
  void Campaign();
  // The owner has evidence that the leader died (its connections break and are refused): the
  // leader's lease ends here, and this member campaigns within a heartbeat interval unless it
  // hears the leader again.
  void SuspectLeader();
  // Committed entries up to `index` are applied and may leave the in-memory tail. (TakeReady hands
  // out no more than apply_bytes_max beyond this.)
  void Applied(Index index);

  // -- outputs --
  // Would TakeReady return anything?
  [[nodiscard]] bool HasReady(TakeWrite take_write = TakeWrite::kYes) const;
  // With kNo what is to be written stays pending (and with it the messages that wait for it).
  [[nodiscard]] Ready TakeReady(TakeWrite take_write = TakeWrite::kYes);
  [[nodiscard]] bool HasPendingWrite() const { return core_.HasPendingWrite(); }

  // -- state, for the owner's decisions and for status --
  [[nodiscard]] NodeId id() const { return core_.id(); }
  [[nodiscard]] Role role() const;
  [[nodiscard]] bool is_leader() const { return role() == Role::kLeader; }
  [[nodiscard]] Term term() const { return core_.term(); }
  [[nodiscard]] NodeId voted_for() const { return core_.voted_for(); }
  [[nodiscard]] NodeId leader_id() const;  // zero: unknown
  [[nodiscard]] Index commit_index() const { return core_.log().commit_index(); }
  [[nodiscard]] Index applied_index() const { return core_.log().applied_index(); }
  [[nodiscard]] Index first_index() const { return core_.log().first_index(); }
  [[nodiscard]] Index last_index() const { return core_.log().last_index(); }
  [[nodiscard]] ClusterTime last_time() const { return core_.log().last_time(); }
  [[nodiscard]] Index durable_index() const { return core_.log().durable_index(); }
  // True for a leader that has committed an entry of its own term, and so knows all that was
  // committed before.
  [[nodiscard]] bool has_committed_in_term() const;
  // Zero where this member does not lead.
  [[nodiscard]] size_t uncommitted_bytes() const;
  // After how many ticks something is due (an election, a heartbeat); at least 1. Ticks until then
  // may come in one call, so that an idle owner need not wake for each.
  [[nodiscard]] uint64_t TicksUntilDue() const;
  [[nodiscard]] const Configuration& configuration() const { return core_.configuration(); }

  // -- the inside, for invariants.h, describe.h, scripts and checks --
  using RoleState = std::variant<Follower, Candidate, Leader>;
  [[nodiscard]] const Core& core() const { return core_; }
  [[nodiscard]] const RaftLog& log() const { return core_.log(); }
  [[nodiscard]] const RoleState& role_state() const { return role_; }

 private:
  friend struct RaftCorruptor;

  void OnVoteRequest(NodeId from, Term from_term, const VoteRequest& request);
  void GrantVote(NodeId from, const VoteRequest& request);
  // Thesis 3.3: a higher term makes a follower, a lower one is stale. False: drop the message.
  [[nodiscard]] bool FollowTermRules(const Message& message);
  void AnswerStaleLeader(const Message& message);
  void Dispatch(NodeId from, MessageBody body);
  void BecomeFollower(Term term, NodeId leader);
  void Become(Transition transition);

  Core core_;
  RoleState role_;
};

}  // namespace lockd::raft
#endif
