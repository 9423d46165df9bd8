// What a member keeps whatever its role: term, vote, log, time, and the messages on their way out.
//
// The role handlers (follower.h, candidate.h, leader.h) work on this; only the facade (raft.h)
// changes roles and terms, on the Transition that a handler returns.
//
// What promises durability waits for it. A granted vote and an acknowledgement of entries go
// through SendOnceDurable: with the next write if they depend on something not yet handed to the
// disk, after the write under way that they depend on otherwise, at once when all is durable. So
// does the word that a snapshot is installed: with the write that tells the disk of its base.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_CORE_H_
#define LOCKD_CONSENSUS_RAFT_CORE_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "consensus/raft/options.h"
#include "consensus/raft/raft_log.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"
#include "protocol/base/random.h"

namespace lockd::raft {

// What a handler wants to become of its member. Terms change only in the facade.
enum class Transition : uint8_t {
  kNone,
  kFollow,    // same term, no known leader
  kPreVote,   // ask whether an election could be won
  kCampaign,  // the pre-vote is won: a real election in the next term
  kTakeOver,  // the leader hands over: the same without a pre-vote, marked as its wish
  kLead,      // the election is won
};

class Core {
 public:
  Core(const Options& options, RecoveredLog recovered);

  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] NodeId id() const { return options_.id; }
  // The newest one in the log.
  [[nodiscard]] const Configuration& configuration() const {
    return log_.configurations().newest();
  }
  // Has this member a vote in the newest configuration, or in an earlier one that may still be the
  // one that counts: those back to the newest that is known to be committed? Thesis 4.2.2, figure
  // 4.6: a member that holds the entry which removes it may be the only one with all that is
  // committed. If it did not campaign, nobody else would be elected.
  [[nodiscard]] bool MayCampaign() const;
  [[nodiscard]] RaftLog& log() { return log_; }
  [[nodiscard]] const RaftLog& log() const { return log_; }

  // -- time --
  void Advance(uint64_t ticks) {
    now_ += ticks;
    log_.FreeForgotten();
  }
  [[nodiscard]] Tick now() const { return now_; }
  // When to campaign if nothing is heard from now on: a fresh draw from (min, max] ticks.
  [[nodiscard]] Tick DrawElectionTick();
  // As above, within a heartbeat interval: for a leader that is thought to be dead.
  [[nodiscard]] Tick DrawEarlyElectionTick();

  // -- term and vote --
  [[nodiscard]] Term term() const { return term_; }
  [[nodiscard]] NodeId voted_for() const { return voted_for_; }
  // A higher term: the vote is free again. The only place that clears a vote. Promises of
  // the old term that have not left are dropped: nobody needs them, and what they promise may be
  // truncated before it is ever written.
  void EnterTerm(Term term);
  void Vote(NodeId candidate);
  // Are term and vote, as they are now, on disk?
  [[nodiscard]] bool IsVoteDurable() const;

  // -- messages --
  void Send(NodeId to, MessageBody body);
  // Leaves once term, vote, a restored base and all entries up to `index` are durable (zero: no
  // entries).
  void SendOnceDurable(NodeId to, MessageBody body, Index index = Index{0});
  void Release(ReleasedRead read) { released_reads_.push_back(read); }
  [[nodiscard]] std::vector<ReleasedRead>& released_reads() { return released_reads_; }
  [[nodiscard]] uint64_t StartRead(Index first, Index last);
  // For the owner.
  void Hand(ReceivedChunk chunk) { snapshot_chunks_.push_back(std::move(chunk)); }
  void Hand(ReceivedChunkReply reply) { snapshot_replies_.push_back(std::move(reply)); }

  // -- snapshots --
  // As RaftLog::CompactTo and Restore, and the next write tells the disk.
  void CompactTo(const LogBase& base);
  void Restore(const LogBase& base, Configuration configuration);

  // -- the disk --
  [[nodiscard]] bool HasPendingWrite() const;
  // A write with all that is pending; only when something is.
  [[nodiscard]] WriteRequest BeginWrite();
  void EndWrites(uint64_t id);

  // -- committed entries on their way to the state machine --
  [[nodiscard]] bool HasCommitted() const;
  // The next committed entries, or none and a read of them in reads().
  [[nodiscard]] std::vector<Entry> TakeCommitted();
  // True when `id` was the read for applying.
  [[nodiscard]] bool ApplyReadCompleted(uint64_t id, std::vector<Entry>& entries);
  void Applied(Index index);
  [[nodiscard]] Index handed_out_index() const { return handed_out_index_; }

  [[nodiscard]] bool HasOutput() const;
  // Everything but the write and the committed entries.
  void TakeOutput(Ready& ready);

  // -- for invariants.h --
  // Term, vote and commit index as of the last write handed out.
  [[nodiscard]] const HardState& handed() const { return handed_; }
  // A base that the next write tells the disk is the log's, and the log knows nothing below it.
  [[nodiscard]] bool IsBaseExact() const;
  // Numbers of writes: completed <= handed out, and none carried the vote that was not.
  [[nodiscard]] bool AreWritesOrdered() const;
  // What promises durability is of this term and waits for a write that is to come or under way.
  [[nodiscard]] bool DoPromisesWait() const;
  // What was read for applying continues what was handed out.
  [[nodiscard]] bool DoesApplyContinue() const;

 private:
  friend struct RaftCorruptor;

  struct Deferred {
    uint64_t write_id;
    Message message;
  };

  // With the next write that will be handed out, or no more.
  struct PendingBase {
    LogBase base;
    bool is_restored;  // promises wait for it
  };

  [[nodiscard]] bool IsVotePending() const;
  // A later acknowledgement of entries that waits for the same write says all that an earlier one
  // does.
  [[nodiscard]] bool ReplacesLast(NodeId to, const MessageBody& body) const;
  [[nodiscard]] Message Address(NodeId to, MessageBody body) const;

  Options options_;
  Random random_;
  Tick now_;

  Term term_;
  NodeId voted_for_;
  HardState handed_;         // as of the last write handed out
  uint64_t vote_write_ = 0;  // the write that carried the current term and vote
  std::optional<PendingBase> pending_base_;
  uint64_t base_write_ = 0;    // the write that carried the last restored base
  uint64_t last_write_ = 0;    // id of the last write handed out
  uint64_t last_durable_ = 0;  // id of the last write completed

  std::vector<Message> messages_;
  std::vector<Message> with_next_write_;  // not empty only while a write is pending
  std::vector<Deferred> deferred_;        // wait for a write under way
  std::vector<ReleasedRead> released_reads_;
  std::vector<ReceivedChunk> snapshot_chunks_;
  std::vector<ReceivedChunkReply> snapshot_replies_;

  uint64_t last_read_ = 0;
  std::vector<ReadRequest> reads_;
  std::optional<uint64_t> apply_read_;
  std::vector<Entry> apply_entries_;  // read from disk, next to hand out
  Index handed_out_index_;            // to the state machine; >= applied

  RaftLog log_;
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_CORE_H_
