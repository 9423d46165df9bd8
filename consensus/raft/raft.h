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
//                                 answer ready.released_reads; act on ready.snapshot_chunks and
//                                 ready.snapshot_replies
//   when the write is durable:    send its messages_once_durable; raft.WriteCompleted(write.id)
//
// Group commit: an owner that keeps one write under way calls TakeReady(TakeWrite::kNo) meanwhile.
// The write stays pending and grows, while heartbeats, appends, committed entries and reads leave.
// Several writes may be in flight as well; they complete in order.
//
// Snapshots. The owner takes them, keeps them and moves their bytes; the core keeps the log in
// step, and says who needs one.
//
//   it has one of its own state:  raft.Compact(base)
//   leading, now and then:        for each of raft.SnapshotTargets(): raft.SendSnapshotChunk(...),
//                                 which ready.snapshot_replies answer
//   following, for each of ready.snapshot_chunks:
//                                 one of a snapshot whose base is committed here is answered at
//                                 once with installed=true; else the piece is kept, and
//                                 raft.ReplySnapshotChunk says how far the content is there
//   it is whole, durable in a file, and loaded:
//                                 if raft.RestoreSnapshot(base, its configuration), the loaded
//                                 state takes the place of the present one, and
//                                 raft.ReplySnapshotChunk says installed
//
// Membership (membership.h). A leader's owner proposes one step, and the next one (out of a joint
// configuration) when that is committed; whoever leads then sees from configuration() and
// is_configuration_committed() what is left to do. A configuration counts from the moment at which
// it is in the log, so the owner looks at configuration_index() after every input: a member may be
// new before anything is applied.
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
#include "consensus/raft/membership.h"
#include "consensus/raft/options.h"
#include "consensus/raft/raft_log.h"
#include "consensus/raft/transfer.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"
#include "protocol/base/time.h"

namespace lockd::raft {

enum class ProposeOutcome : uint8_t {
  kAccepted,
  kNotLeader,  // ask the leader (leader_id()) instead; proposals are never forwarded
  kTooManyUncommitted,  // over uncommitted_bytes_max: try again when some have committed
  kTransferring,        // leadership is being handed over: ask the next leader, or again
};

// What became of a step of a membership change.
enum class ChangeOutcome : uint8_t {
  kAccepted,            // in force here; done when it is committed
  kNotLeader,           // ask the leader
  kTransferring,        // leadership is being handed over: ask the next leader, or again
  kTooEarly,            // this leader does not know yet what is committed: again in a moment
  kChangeUnderWay,      // the newest configuration is not committed yet: again in a moment
  kNotOneStep,          // IsOneStep says no: not valid, or it needs another step in between
  kTooManyUncommitted,  // over uncommitted_bytes_max: again when some have committed
};

// Whether TakeReady may hand out a new write.
enum class TakeWrite : uint8_t { kNo, kYes };

class Raft {
 public:
  Raft(const Options& options, RecoveredLog recovered);

  // -- inputs --
  // A message from another node. Those from oneself, for others, and malformed ones (IsWellFormed
  // in types.h) are ignored. Whether the sender is a member is not asked: of two members, one may
  // not know yet that the other is one (thesis 4.1). To keep strangers out is the owner's business.
  void Step(Message message);
  // `count` ticks have passed.
  void Tick(uint64_t count = 1);
  // Appends one command entry, if this member leads. `time` is at least the time of the last entry.
  // `*index`, when not null, receives the position at which the entry stands if this leader stays
  // (with term()).
  ProposeOutcome Propose(ClusterTime time, std::string payload, Index* index = nullptr);
  // Appends the next configuration, if this member leads, the newest one is committed, and one step
  // leads from it to this one (IsOneStep). In force at once. A leader that has no vote in a
  // committed configuration any more steps down (thesis 4.2.2). `*index` as in Propose; the entry's
  // time is that of the entry before it.
  ChangeOutcome ProposeConfiguration(const ConfigurationChange& change, Index* index = nullptr);
  // A linearizable read: answered in a later Ready::released_reads with the same context (caller's
  // number, unique among those outstanding). Reads asked for before one TakeReady share one
  // heartbeat round.
  void RequestRead(uint64_t context);
  // The write with this id, and all before it, are durable.
  void WriteCompleted(uint64_t id);
  // Answers a ReadRequest; `entries` starts at its `first`.
  void ReadCompleted(uint64_t id, std::vector<Entry> entries);
  // Campaigns now, as if the election timeout had passed (scripts, tests, a hint that the leader
  // died). Nothing happens where this member leads or may not campaign (Core::MayCampaign).
  void Campaign();
  // The owner has evidence that the leader died (its connections break and are refused): the
  // leader's lease ends here, and this member campaigns within a heartbeat interval unless it
  // hears the leader again.
  void SuspectLeader();
  // Hands leadership to this member, or (zero) to the voter that has the most of the log. Until
  // this member has stepped down, or for at most election_ticks_min, nothing can be proposed here.
  [[nodiscard]] TransferOutcome TransferLeadership(NodeId to);
  // Committed entries up to `index` are applied and may leave the in-memory tail. (TakeReady hands
  // out no more than apply_bytes_max beyond this.)
  void Applied(Index index);

  // -- snapshots --
  // A durable snapshot holds the effect of all entries up to `base`, which are applied: the log
  // forgets them. Nothing happens where the log has forgotten them already, or has some of them not
  // durably yet: the next snapshot does it.
  void Compact(const LogBase& base);
  // As leader: the followers whose next entry is compacted, ascending. Else none.
  [[nodiscard]] std::vector<NodeId> SnapshotTargets() const;
  // No effect unless this member leads and `to` is a target.
  void SendSnapshotChunk(NodeId to, SnapshotChunk chunk);
  // No effect unless this member follows `to`: answers to a leader of an earlier term, or to one
  // that this member has become, are of no use. `installed` needs all up to the snapshot's base to
  // be committed here (by RestoreSnapshot, or because the log already had it), and leaves only once
  // it is durable.
  void ReplySnapshotChunk(NodeId to, SnapshotChunkReply reply);
  // A snapshot of the state after `base`, a committed entry, is durable and loaded, and is to
  // replace state and log. False, and nothing changes: all that it holds is committed here already
  // or this member is no follower (a candidate has told voters what its log ends with).
  //
  // True: everything up to `base` counts as committed and applied, `configuration` is the one in
  // force there (the snapshot says which), and the log keeps what follows that very entry, or
  // nothing. What was handed out for applying and is not applied yet is not to
  // be applied any more.
  [[nodiscard]] bool RestoreSnapshot(const LogBase& base, Configuration configuration);

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
  // To whom this member is handing its leadership; zero: it does not.
  [[nodiscard]] NodeId transfer_target() const;
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

  // -- members --
  // In force: the newest one in the log, committed or not.
  [[nodiscard]] const Configuration& configuration() const { return core_.configuration(); }
  // Where it stands; zero: it is the one of the start. Grows with each change, unless a change is
  // taken back because its entry is truncated.
  [[nodiscard]] Index configuration_index() const { return configurations().newest_index(); }
  [[nodiscard]] bool is_configuration_committed() const {
    return configuration_index() <= commit_index();
  }
  // All that stand in the log, with their particulars.
  [[nodiscard]] const ConfigurationLog& configurations() const {
    return core_.log().configurations();
  }
  // Up to where a leader knows this member to have its log durably; of itself, too. Zero where this
  // member does not lead, or `member` is none.
  [[nodiscard]] Index MatchIndexOf(NodeId member) const;
  // Has a leader had an answer of this member, within election_ticks_min? True of itself; false
  // where this member does not lead.
  [[nodiscard]] bool HasHeardOf(NodeId member) const;

  // -- the inside, for invariants.h, describe.h, scripts and checks --
  using RoleState = std::variant<Follower, Candidate, Leader>;
  [[nodiscard]] const Core& core() const { return core_; }
  [[nodiscard]] const RaftLog& log() const { return core_.log(); }
  [[nodiscard]] const RoleState& role_state() const { return role_; }

 private:
  friend struct RaftCorruptor;

  void OnVoteRequest(NodeId from, Term from_term, const VoteRequest& request);
  [[nodiscard]] bool IsStickyAgainst(NodeId from, const VoteRequest& request) const;
  void GrantVote(NodeId from, const VoteRequest& request);
  // Thesis 3.3: a higher term makes a follower, a lower one is stale. False: drop the message.
  [[nodiscard]] bool FollowTermRules(const Message& message);
  void AnswerStaleLeader(const Message& message);
  void Dispatch(NodeId from, MessageBody body);
  void BecomeFollower(Term term, NodeId leader);
  void Become(Transition transition);
  void LeaveIfRemoved();

  Core core_;
  RoleState role_;
};

}  // namespace lockd::raft
#endif
