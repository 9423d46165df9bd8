// A leader's view of one follower: what it surely has, what is sent next, and how fast.
//
//             refused, or silent                     ┌─ sends the next without waiting,
//        ┌───────────────────────────┐               │  up to a window of appends and bytes
//        v                           │               v
//   ┌─────────┐     accepted    ┌────┴────────┐
//   │  probe  │ ──────────────► │  replicate  │
//   └─────────┘                 └─────────────┘
//     ^ one append at a time, until the logs are known to meet
//     │
//     │ it has the base of the log, by a snapshot or otherwise
//   ┌─┴────────┐
//   │ snapshot │ ◄── from either state, when the entry that is next is compacted
//   └──────────┘
//     heartbeats only; the owner sends it a snapshot (Raft::SnapshotTargets)
//
// Nothing here is needed for safety but `match`, which only an acknowledgement raises. All else is
// guesswork about what to send, and wrong guesses cost a round trip.
//
// Lost messages. In replicate, an append that follows a lost one is refused, and the leader goes
// back to probing at the follower's hint. When the lost one was the last, or an acknowledgement was
// lost, nothing follows; so each heartbeat of the timer notes how far had been sent before it, and
// when it is answered while that is still not acknowledged, the leader asks with an empty append
// behind all that it sent: accepted (once durable), it acknowledges everything; refused, it shows
// where to resume. An unanswered probe is sent again likewise. A follower that answers nothing
// costs heartbeats only.
//
// Threading: pure value.
#ifndef LOCKD_CONSENSUS_RAFT_PROGRESS_H_
#define LOCKD_CONSENSUS_RAFT_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "consensus/raft/options.h"
#include "consensus/raft/raft_log.h"
#include "consensus/raft/types.h"
#include "protocol/base/ids.h"

namespace lockd::raft {

class Progress {
 public:
  enum class State : uint8_t { kProbe, kReplicate, kSnapshot };

  // Before anything is heard of it: the logs may meet at the leader's last entry.
  Progress(NodeId id, Index leader_last_index, Tick now);

  [[nodiscard]] NodeId id() const { return id_; }
  [[nodiscard]] State state() const { return state_; }
  // The follower has, durably, all entries of this leader up to here.
  [[nodiscard]] Index match_index() const { return match_index_; }
  // The next entry to send; > match_index.
  [[nodiscard]] Index next_index() const { return next_index_; }
  [[nodiscard]] size_t inflight_appends() const { return inflight_.size(); }
  [[nodiscard]] size_t inflight_bytes() const { return inflight_bytes_; }
  // The counter is the sum over the window, which holds only what is not acknowledged
  // (invariants.h).
  [[nodiscard]] bool IsInflightExact() const;

  // -- sending --
  // May an append with the entries from next_index be sent (or read from disk) now?
  [[nodiscard]] bool CanSend(Index last_index, const Options& options) const;
  // An append with entries up to (last, last_term) and of `bytes` bytes was sent.
  void Sent(Index last, Term last_term, size_t bytes);
  // Term of the entry before next_index, where the log does not know it (it was read from disk).
  [[nodiscard]] std::optional<Term> prev_term() const { return prev_term_; }
  void set_prev_term(Term term) { prev_term_ = term; }

  // Entries from next_index are being read from disk; nothing is sent until they come.
  void ReadStarted(uint64_t read_id, Index first);
  [[nodiscard]] std::optional<uint64_t> read_id() const { return read_id_; }
  // The read's first index was `first`; false: next_index has moved, its entries are of no use.
  [[nodiscard]] bool ReadFinished(Index first);

  // -- answers --
  // The follower has everything up to `match` durably.
  void Accepted(Index match);
  // It has no (prev, its term); the hint says where to look (see AppendReply).
  void Refused(Index prev, Index hint_index, Term hint_term, const RaftLog& log);
  // To be called whenever next_index or the leader's base may have changed: in kSnapshot is exactly
  // a follower whose next entry is compacted.
  void FollowBase(Index base);

  // -- heartbeats --
  // A heartbeat of the timer with this round goes out.
  void HeartbeatSent(uint64_t round);
  enum class Next : uint8_t { kNothing, kAskWithEmptyAppend };
  // A heartbeat of `round` was answered. An unanswered probe may be sent again after this.
  [[nodiscard]] Next HeartbeatAnswered(uint64_t round);

  // -- hearing --
  void Heard(Tick now) {
    heard_at_ = now;
    has_been_heard_ = true;
  }
  // When it was heard last, or, before that, when the leader began to look after it.
  [[nodiscard]] Tick heard_at() const { return heard_at_; }
  [[nodiscard]] bool has_been_heard() const { return has_been_heard_; }
  // The newest round whose message it has answered (thesis 6.4).
  void Confirmed(uint64_t round);
  [[nodiscard]] uint64_t confirmed_round() const { return confirmed_round_; }

 private:
  friend struct RaftCorruptor;

  struct Append {
    Index last;
    size_t bytes;
  };

  void BecomeProbe(Index next);
  void ForgetWhatIsOut();

  NodeId id_;
  State state_ = State::kProbe;
  Index match_index_;
  Index next_index_;
  std::optional<Term> prev_term_;
  bool probe_sent_ = false;  // in probe: one is out, wait for its answer

  std::deque<Append> inflight_;  // only in replicate: sent and not acknowledged, ascending
  size_t inflight_bytes_ = 0;    // sum over inflight_

  std::optional<uint64_t> read_id_;
  Index read_first_;

  // Armed by a heartbeat of the timer while something is out.
  bool ask_armed_ = false;
  uint64_t ask_round_ = 0;
  Index ask_index_;  // all up to here had been sent before that heartbeat

  Tick heard_at_;
  bool has_been_heard_ = false;
  uint64_t confirmed_round_ = 0;
};

}  // namespace lockd::raft

#endif  // LOCKD_CONSENSUS_RAFT_PROGRESS_H_
